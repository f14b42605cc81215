//! Messages that can be told apart after a way through a stream.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read;

use net::{Arena, Parts, Span, StreamMessage, TcpStream, Worth};

/// Messages in one slot: a header they share, their number in four bytes, and padding.
pub(crate) fn numbered(arena: &mut Arena, numbers: std::ops::Range<u32>, worth: Worth) -> Vec<StreamMessage> {
    let slot = arena.take().unwrap();
    let bytes = arena.payload_mut(slot);
    bytes[..4].copy_from_slice(b"HEAD");
    let mut messages = Vec::new();
    for (number, at) in numbers.zip((4..).step_by(4)) {
        bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
        let parts =
            Parts { head: Some(Span::payload(slot, 0, 4)), body: Span::payload(slot, at, 4), padding: 248 };
        messages.push(StreamMessage { parts, worth });
    }
    messages
}

/// The length of such a message.
const NUMBERED: usize = 256;

/// The numbers of everything that comes until the end.
pub(crate) fn numbers(mut client: impl Read) -> Vec<u32> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all.len().is_multiple_of(NUMBERED), "whole messages");
    let number = |message: &[u8]| {
        assert!(message.starts_with(b"HEAD") && message[8..].iter().all(|byte| *byte == 0));
        u32::from_be_bytes(message[4..8].try_into().unwrap())
    };
    all.chunks(NUMBERED).map(number).collect()
}

/// Messages for somebody who does not read, some of which must arrive nevertheless.
pub(crate) struct Flood {
    sent: u32,
    lasting: Vec<u32>,
}

impl Flood {
    /// Writes until many messages were dropped; `write` tells their number.
    pub(crate) fn write(mut write: impl FnMut(&Arena, &[StreamMessage]) -> usize) -> Self {
        let (mut sent, mut dropped, mut lasting) = (0, 0, Vec::new());
        while dropped < 10_000 {
            let mut arena = Arena::new(2);
            let mut messages = numbered(&mut arena, sent..sent + 500, Worth::Fleeting);
            if sent % 10_000 == 0 {
                messages.extend(numbered(&mut arena, sent + 500..sent + 501, Worth::Lasting));
                lasting.push(sent + 500);
            }
            dropped += write(&arena, &messages);
            sent += 501;
        }
        Self { sent, lasting }
    }

    /// What arrived is in order, and has everything of lasting worth and what was newest.
    #[track_caller]
    pub(crate) fn check(&self, arrived: &[u32]) {
        assert!(arrived.is_sorted_by(|a, b| a < b), "in order, and none twice");
        assert!(self.lasting.iter().all(|number| arrived.binary_search(number).is_ok()));
        let newest = TcpStream::DEFAULT_QUEUE / NUMBERED - self.lasting.len();
        let last = &arrived[arrived.len() - newest..];
        assert!(last.iter().all(|number| *number + 2 * newest as u32 > self.sent), "the newest are there");
    }
}
