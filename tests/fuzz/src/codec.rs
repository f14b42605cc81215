//! Bytes as messages, and as streams of them.

use stun::attribute::types;
use stun::frame::{self, Frame};
use stun::{Message, fuzz};

use crate::path_of;

/// Headers, and attributes with a value of four bytes.
pub const WORDS: &[&[u8]] = &[
    b"\x00\x01\x00\x00\x21\x12\xa4\x42",
    b"\x00\x03\x00\x08\x21\x12\xa4\x42",
    b"\x00\x16\x00\x10\x21\x12\xa4\x42",
    b"\x40\x00\x00\x04",
    b"\x00\x06\x00\x04user",
    b"\x00\x08\x00\x14",
    b"\x00\x1c\x00\x20",
    b"\x80\x28\x00\x04",
    b"\x00\x12\x00\x08\x00\x01",
    b"\x80\x02\x00\x08\x00\x02\x00\x00\x00\x01\x00\x00",
];

/// Everything the codec promises about bytes that may be one message.
pub fn codec(bytes: &[u8]) -> u64 {
    fuzz::message(bytes);
    fuzz::value(bytes);
    fuzz::channel_data(bytes);
    fuzz::demux(bytes);
    match Message::parse(bytes) {
        Ok(message) => {
            let kinds: Vec<(u16, usize)> =
                message.attributes().take(6).map(|(kind, value)| (known(kind), value.len().min(9))).collect();
            path_of(&(message.method().number().min(20), message.class() as u8, kinds))
        }
        Err(error) => path_of(&(format!("{error:?}"), stun::demux::classify(bytes) as u8)),
    }
}

/// Everything the codec promises about bytes that may be a stream.
pub fn framing(bytes: &[u8]) -> u64 {
    // The promise is checked at every split, which takes the square of the length.
    let bytes = &bytes[..bytes.len().min(2048)];
    fuzz::stream(bytes);
    let mut rest = bytes;
    let mut frames = Vec::new();
    while frames.len() < 8 {
        match frame::next(rest) {
            Frame::Incomplete { need } => {
                frames.push((0, need.min(40)));
                break;
            }
            Frame::Invalid => {
                frames.push((1, 0));
                break;
            }
            Frame::Message(len) => {
                frames.push((2, len.min(60)));
                rest = &rest[len..];
            }
            Frame::ChannelData { len, padded } => {
                frames.push((3, len % 8));
                rest = &rest[padded..];
            }
        }
    }
    path_of(&frames)
}

fn known(kind: u16) -> u16 {
    if types::ALL.iter().any(|(one, _)| *one == kind) { kind } else { kind & 0x8000 }
}
