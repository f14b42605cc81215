//! Messages of a server, put together from their fragments and in their order.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::wire::Fragment;

/// The longest message: chains of certificates are far shorter.
const LONGEST: usize = 64 << 10;

/// How many messages are kept that come before their turn: a flight has no more.
const AHEAD: u16 = 8;

/// Messages of a server that have not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The number of the message whose turn it is.
    next: u16,
    begun: BTreeMap<u16, Begun>,
}

/// A message of which something has come.
#[derive(Debug)]
struct Begun {
    kind: u8,
    body: Vec<u8>,
    /// Where there is something in it: in order, and never touching each other.
    filled: Vec<Range<usize>>,
}

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) kind: u8,
    pub(super) number: u16,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    /// Forgets everything: the server begins with this number.
    pub(super) fn restart(&mut self, next: u16) {
        *self = Self { next, begun: BTreeMap::new() };
    }

    /// The message has been taken.
    pub(super) fn is_old(&self, number: u16) -> bool {
        number < self.next
    }

    /// Keeps a fragment of a message whose turn is now or soon.
    pub(super) fn add(&mut self, fragment: Fragment<'_>) {
        let Fragment { kind, len, number, offset, body } = fragment;
        let is_near = number.checked_sub(self.next).is_some_and(|ahead| ahead < AHEAD);
        if !is_near || len > LONGEST || (body.is_empty() && len > 0) {
            return;
        }
        let begun = self.begun.entry(number).or_insert_with(|| Begun {
            kind,
            body: vec![0; len],
            filled: Vec::new(),
        });
        if begun.kind == kind && begun.body.len() == len {
            begun.body[offset..offset + body.len()].copy_from_slice(body);
            begun.fill(offset..offset + body.len());
        }
    }

    /// Takes the message whose turn it is, if it is whole.
    pub(super) fn pop(&mut self) -> Option<Whole> {
        let first =
            self.begun.first_entry().filter(|first| *first.key() == self.next && first.get().is_whole())?;
        let (number, Begun { kind, body, .. }) = first.remove_entry();
        self.next += 1;
        Some(Whole { kind, number, body })
    }
}

impl Begun {
    fn fill(&mut self, mut new: Range<usize>) {
        self.filled.retain(|old| {
            let is_apart = old.end < new.start || new.end < old.start;
            if !is_apart {
                new = new.start.min(old.start)..new.end.max(old.end);
            }
            is_apart
        });
        let place = self.filled.partition_point(|old| old.start < new.start);
        self.filled.insert(place, new);
    }

    fn is_whole(&self) -> bool {
        let all = 0..self.body.len();
        all.is_empty() || self.filled == [all]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BODY: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

    fn part(number: u16, range: Range<usize>) -> Fragment<'static> {
        let (len, offset) = (BODY.len(), range.start);
        Fragment { kind: 11, len, number, offset, body: &BODY[range] }
    }

    #[test]
    fn fragments_in_any_order_make_a_message_once() {
        let whole = |number| Whole { kind: 11, number, body: BODY.to_vec() };
        for parts in [
            vec![0..1, 1..10],
            vec![0..3, 3..10],
            vec![7..10, 0..2, 4..8, 1..5],
            vec![5..6, 5..6, 0..9, 9..10],
        ] {
            let mut incoming = Incoming::default();
            for (at, range) in parts.iter().enumerate() {
                assert_eq!(incoming.pop(), None, "{parts:?} after {at}");
                incoming.add(part(0, range.clone()));
            }
            assert_eq!(incoming.pop(), Some(whole(0)), "{parts:?}");
            assert_eq!(incoming.pop(), None);
            assert!(incoming.is_old(0) && !incoming.is_old(1));
            incoming.add(part(0, 0..10));
            assert_eq!(incoming.pop(), None, "it has been taken");
        }
        let mut incoming = Incoming::default();
        incoming.add(part(1, 0..10));
        assert_eq!(incoming.pop(), None, "another one comes first");
        incoming.add(part(0, 0..10));
        assert_eq!((incoming.pop(), incoming.pop()), (Some(whole(0)), Some(whole(1))));
    }

    #[test]
    fn what_fits_nowhere_is_not_kept() {
        let mut incoming = Incoming::default();
        incoming.add(part(AHEAD, 0..10));
        incoming.add(part(0, 0..0));
        incoming.add(Fragment { len: LONGEST + 1, ..part(0, 0..10) });
        assert!(incoming.begun.is_empty());
        incoming.add(part(0, 0..5));
        incoming.add(Fragment { kind: 12, ..part(0, 5..10) });
        incoming.add(Fragment { len: 12, ..part(0, 5..10) });
        assert_eq!(incoming.pop(), None, "of other messages");
        incoming.add(Fragment { kind: 14, len: 0, number: 1, offset: 0, body: &[] });
        incoming.add(part(0, 5..10));
        assert!(incoming.pop().is_some() && incoming.pop().is_some_and(|empty| empty.body.is_empty()));
    }
}
