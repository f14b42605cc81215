//! Streams, ChannelData and the first byte.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::collection::vec;
use proptest::prelude::*;
use stun::channel_data::padded_len;
use stun::demux::{Kind, classify};
use stun::frame::{Frame, MAX_FRAME_LEN, next};
use stun::{
    ChannelData, ChannelDataError, ChannelNumber, Class, MAX_LEN, Message, Method, TransactionId, Writer,
};

const CHANNEL: ChannelNumber = ChannelNumber::MIN;

fn message(data: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; MAX_LEN];
    let id = TransactionId::new([9; 12]);
    let mut writer = Writer::new(&mut buffer, Class::Indication, Method::Send, id).unwrap();
    writer.put_raw(0x0013, data).unwrap();
    let len = writer.finish();
    buffer.truncate(len);
    buffer
}

fn channel_data(data: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0xff; MAX_FRAME_LEN];
    let len = ChannelData { channel: CHANNEL, data }.write(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

/// What came out of a stream.
#[derive(Default)]
struct Cut {
    frames: Vec<Vec<u8>>,
    /// For each frame the number of the chunk that completed it.
    chunks: Vec<usize>,
    /// The rest cannot be followed.
    invalid: bool,
}

fn cut<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Cut {
    let (mut cut, mut buffer, mut asked) = (Cut::default(), Vec::new(), 0);
    for (number, chunk) in chunks.into_iter().enumerate() {
        buffer.extend_from_slice(chunk);
        loop {
            let len = match next(&buffer) {
                Frame::Incomplete { need } => {
                    assert!(need > buffer.len() && need >= asked);
                    asked = need;
                    break;
                }
                Frame::Message(len) => len,
                Frame::ChannelData { len, padded } => {
                    assert_eq!(len.next_multiple_of(4), padded);
                    padded
                }
                Frame::Invalid => return Cut { invalid: true, ..cut },
            };
            assert!(buffer.len() >= asked, "a frame came although too few bytes were there");
            cut.frames.push(buffer.drain(..len).collect());
            cut.chunks.push(number);
            asked = 0;
        }
    }
    cut
}

/// Frames of all kinds and of the lengths that others stumbled over: nothing, less than nine bytes with header.
fn some_frames() -> Vec<Vec<u8>> {
    let mut frames = vec![message(b""), message(b"x"), message(b"12345678")];
    frames.extend((0..10).map(|len| channel_data(&b"0123456789"[..len])));
    frames.push(message(b"last"));
    frames
}

/// A frame waiting for bytes of the next one delays it for ever on a quiet connection (pion did, below nine bytes).
#[test]
fn every_frame_is_delivered_with_its_last_byte() {
    for frame in some_frames() {
        let cut = cut(frame.chunks(1));
        assert_eq!(cut.chunks, [frame.len() - 1]);
        assert_eq!(cut.frames, [frame]);
    }
}

#[test]
fn frames_are_the_same_at_every_split() {
    let frames = some_frames();
    let stream = frames.concat();
    for at in 0..=stream.len() {
        let (first, second) = stream.split_at(at);
        assert_eq!(cut([first, second]).frames, frames, "split at {at}");
    }
    for size in 1..40 {
        assert_eq!(cut(stream.chunks(size)).frames, frames, "chunks of {size}");
    }
}

/// Four bytes tell how long ChannelData is, and no length overflows.
#[test]
fn lengths_up_to_the_largest_are_followed() {
    let data = vec![7; 65_535];
    for len in [0, 1, 4, 5, 65_531, 65_532, 65_533, 65_534, 65_535] {
        let frame = channel_data(&data[..len]);
        let total = 4 + len.next_multiple_of(4);
        assert_eq!(frame.len(), total);
        assert_eq!(padded_len(len as u16), total);
        let expected = Frame::ChannelData { len: 4 + len, padded: total };
        assert_eq!(next(&frame), expected);
        assert_eq!(next(&[&frame[..], b"more"].concat()), expected);
        if len > 0 {
            assert_eq!(next(&frame[..4]), Frame::Incomplete { need: total });
            assert_eq!(next(&frame[..total - 1]), Frame::Incomplete { need: total });
        }
    }
    let longest = message(&data[..MAX_LEN - 24]);
    assert_eq!(longest.len(), MAX_LEN);
    assert_eq!(MAX_FRAME_LEN, MAX_LEN);
    assert_eq!(next(&longest), Frame::Message(MAX_LEN));
    assert_eq!(next(&longest[..20]), Frame::Incomplete { need: MAX_LEN });
    assert_eq!(next(&longest[..MAX_LEN - 1]), Frame::Incomplete { need: MAX_LEN });
}

#[test]
fn the_header_is_asked_for_first() {
    assert_eq!(next(&[]), Frame::Incomplete { need: 4 });
    let frame = message(&[0; 1000]);
    for len in 1..4 {
        assert_eq!(next(&frame[..len]), Frame::Incomplete { need: 4 });
        assert_eq!(next(&channel_data(b"abc")[..len]), Frame::Incomplete { need: 4 });
    }
    for len in 4..20 {
        assert_eq!(next(&frame[..len]), Frame::Incomplete { need: 20 });
    }
}

#[test]
fn a_stream_that_is_neither_is_invalid_at_once() {
    assert_eq!(next(b"\x80 is RTP"), Frame::Invalid);
    for first in 0x80..=0xff {
        assert_eq!(next(&[first]), Frame::Invalid);
    }
    let mut wrong = message(b"x");
    wrong[5] ^= 1;
    assert_eq!(next(&wrong[..5]), Frame::Incomplete { need: 20 });
    assert_eq!(next(&wrong[..6]), Frame::Invalid);
    let mut unaligned = message(b"x");
    unaligned[3] += 1;
    assert_eq!(next(&unaligned[..4]), Frame::Invalid);
    // Frames before the damage are delivered.
    let stream = [&channel_data(b"ok")[..], &wrong].concat();
    let cut = cut([&stream[..]]);
    assert!(cut.invalid);
    assert_eq!(cut.frames, [channel_data(b"ok")]);
}

#[test]
fn channel_data_needs_no_padding_in_datagrams() {
    for len in 0..9 {
        let data = &b"ABCDEFGH"[..len];
        let padded = channel_data(data);
        for end in 4 + len..=padded.len() {
            assert_eq!(ChannelData::parse(&padded[..end]), Ok(ChannelData { channel: CHANNEL, data }));
        }
        for end in 4..4 + len {
            assert_eq!(ChannelData::parse(&padded[..end]), Err(ChannelDataError::Truncated));
        }
    }
    for end in 0..4 {
        assert_eq!(ChannelData::parse(&channel_data(b"")[..end]), Err(ChannelDataError::TooShort));
    }
}

#[test]
fn channels_are_those_of_rfc8656_and_rfc5766() {
    for number in 0..=u16::MAX {
        let [n0, n1] = number.to_be_bytes();
        let bytes = [n0, n1, 0, 0];
        let parsed = ChannelData::parse(&bytes);
        if (0x4000..=0x7fff).contains(&number) {
            let channel = ChannelNumber::new(number).unwrap();
            assert_eq!((channel.get(), u16::from(channel)), (number, number));
            assert_eq!(parsed, Ok(ChannelData { channel, data: &[] }));
        } else {
            assert_eq!(ChannelNumber::new(number), None);
            assert_eq!(parsed, Err(ChannelDataError::Channel));
        }
    }
}

#[test]
fn a_channel_data_header_is_written_in_place() {
    let mut headroom = [0xff; 4];
    ChannelData::write_header(ChannelNumber::MAX, 0x0102, &mut headroom);
    assert_eq!(headroom, [0x7f, 0xff, 1, 2]);
    let too_long = vec![0; 65_536];
    let mut buffer = vec![0; 70_000];
    assert!(ChannelData { channel: CHANNEL, data: &too_long }.write(&mut buffer).is_err());
    assert!(ChannelData { channel: CHANNEL, data: b"12345" }.write(&mut buffer[..11]).is_err());
}

#[test]
fn the_first_byte_tells_protocols_apart() {
    for first in 0..=u8::MAX {
        let expected = match first {
            0..=3 => Kind::Stun,
            20..=63 => Kind::Dtls,
            64..=127 => Kind::ChannelData,
            _ => Kind::Other,
        };
        assert_eq!(classify(&[first]), expected);
        assert_eq!(classify(&[first, 0, 0, 0]), expected);
    }
    assert_eq!(classify(&[]), Kind::Other);
    assert_eq!(classify(&message(b"x")), Kind::Stun);
    assert_eq!(classify(&channel_data(b"x")), Kind::ChannelData);
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), vec(any::<u8>(), 0..300))
        .prop_map(|(stun, data)| if stun { message(&data) } else { channel_data(&data) })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_survive_any_chunks(frames in vec(any_frame(), 0..12), sizes in vec(1..700_usize, 1..20)) {
        let stream = frames.concat();
        let (mut rest, mut chunks) = (&stream[..], Vec::new());
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, tail) = rest.split_at(rest.len().min(*size));
            chunks.push(chunk);
            rest = tail;
        }
        prop_assert_eq!(cut(chunks).frames, frames);
    }

    #[test]
    fn channel_data_survives(number in 0x4000..0x8000_u16, data in vec(any::<u8>(), 0..2000)) {
        let sent = ChannelData { channel: ChannelNumber::new(number).unwrap(), data: &data };
        let mut buffer = vec![0xff; 4096];
        let len = sent.write(&mut buffer).unwrap();
        prop_assert_eq!(ChannelData::parse(&buffer[..len]), Ok(sent));
        prop_assert!(Message::parse(&buffer[..len]).is_err());
    }
}
