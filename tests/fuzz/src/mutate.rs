//! Changing inputs.

use rand_core::RngCore;

/// Longer inputs find nothing that shorter ones do not.
const LONGEST: usize = 4096;

/// An input made of another by a few changes, some of which take a piece from a third or one of `words`.
pub fn mutate(from: &[u8], other: &[u8], words: &[&[u8]], rng: &mut impl RngCore) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..1 << below(rng, 4) {
        change(&mut bytes, other, words, rng);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], words: &[&[u8]], rng: &mut impl RngCore) {
    let at = below(rng, bytes.len() + 1);
    let end = (at + 1 + below(rng, 16)).min(bytes.len());
    match below(rng, 10) {
        0 => on(bytes, at, |byte| *byte ^= 1 << below(rng, 8)),
        1 => on(bytes, at, |byte| *byte = rng.next_u32() as u8),
        2 => on(bytes, at, |byte| *byte = [0, 1, 4, 0x20, 0x7f, 0x80, 0xff][below(rng, 7)]),
        3 => on(bytes, at, |byte| *byte = byte.wrapping_add(1 + below(rng, 4) as u8).wrapping_sub(2)),
        4 => drop(bytes.drain(at..end)),
        5 => bytes.extend_from_within(at..end),
        6 => bytes.insert(at, rng.next_u32() as u8),
        7 | 8 => insert(bytes, at, words[below(rng, words.len())]),
        _ => {
            let from = below(rng, other.len() + 1);
            let to = (from + 1 + below(rng, 64)).min(other.len());
            insert(bytes, at, &other[from..to]);
        }
    }
}

fn on(bytes: &mut [u8], at: usize, change: impl FnOnce(&mut u8)) {
    if let Some(byte) = bytes.get_mut(at) {
        change(byte);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

/// A number less than `end`, which is at least 1.
pub(crate) fn below(rng: &mut impl RngCore, end: usize) -> usize {
    rng.next_u32() as usize % end.max(1)
}
