//! Message boundaries on streams (RFC 8489 §6.2.2, RFC 8656 §12.5).

use crate::channel_data::{self, ChannelNumber};
use crate::message::{HEADER_LEN, MAGIC_COOKIE, MAX_LEN};

/// Bytes of the longest frame; a buffer of this size always makes progress.
pub const MAX_FRAME_LEN: usize =
    if MAX_LEN > channel_data::padded_len(u16::MAX) { MAX_LEN } else { channel_data::padded_len(u16::MAX) };

/// What a stream buffer starts with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Frame {
    /// Not all there: ask again once the buffer holds at least `need` bytes.
    Incomplete {
        /// Bytes the buffer must hold before more can be said; always more than it holds.
        need: usize,
    },
    /// A STUN message of this many bytes.
    Message(usize),
    /// A ChannelData message, header included.
    ChannelData {
        /// Bytes of header and data.
        len: usize,
        /// Bytes to take from the stream: the same with padding.
        padded: usize,
    },
    /// Neither: the stream cannot be followed any further.
    Invalid,
}

/// Looks at the start of `buf`, what has arrived and not been consumed. Four bytes are enough to know how long a
/// frame is, and no byte beyond the frame is needed to deliver it.
///
/// ChannelData has no cookie: text that starts with `@` to `O`, as an HTTP request does, looks like a channel. Which
/// channels exist is for the caller to know.
#[inline]
pub fn next(buf: &[u8]) -> Frame {
    match buf {
        [] => Frame::Incomplete { need: 4 },
        [0x00..=0x3F, ..] => message(buf),
        [0x40..=0x7F, ..] => channel_data(buf),
        _ => Frame::Invalid,
    }
}

/// A wrong cookie is found as soon as its first wrong byte is there, so that nobody waits for 64 KiB of noise.
fn message(buf: &[u8]) -> Frame {
    let cookie = MAGIC_COOKIE.to_be_bytes();
    let arrived = buf.get(4..).unwrap_or_default();
    if arrived.iter().zip(cookie).any(|(&got, want)| got != want) {
        return Frame::Invalid;
    }
    let Some([_, _, l0, l1]) = buf.first_chunk() else {
        return Frame::Incomplete { need: 4 };
    };
    let length = u16::from_be_bytes([*l0, *l1]);
    if !length.is_multiple_of(4) {
        return Frame::Invalid;
    }
    // Ask for the header first: its cookie may spare waiting for the rest.
    let len = HEADER_LEN + usize::from(length);
    match buf.len() {
        ..HEADER_LEN => Frame::Incomplete { need: HEADER_LEN },
        have if have < len => Frame::Incomplete { need: len },
        _ => Frame::Message(len),
    }
}

fn channel_data(buf: &[u8]) -> Frame {
    let Some([n0, n1, l0, l1]) = buf.first_chunk() else {
        return Frame::Incomplete { need: channel_data::HEADER_LEN };
    };
    if ChannelNumber::new(u16::from_be_bytes([*n0, *n1])).is_none() {
        return Frame::Invalid;
    }
    let data = u16::from_be_bytes([*l0, *l1]);
    let padded = channel_data::padded_len(data);
    if buf.len() < padded {
        return Frame::Incomplete { need: padded };
    }
    Frame::ChannelData { len: channel_data::HEADER_LEN + usize::from(data), padded }
}
