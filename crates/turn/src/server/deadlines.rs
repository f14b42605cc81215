//! The queue of deadlines: a wheel of quarter seconds, in which setting, moving and taking cost the same however
//! many there are.
//!
//! Each relay slot has at most one deadline, the earliest of all that end something of its holder. Deadlines are
//! rounded up to the next quarter second. That delays only the clearing away: what has expired is judged by its own
//! time wherever it is looked at.

use std::time::{Duration, Instant};

use super::output::{Deadline, DeadlineReason};

const TICK: Duration = Duration::from_millis(250);

/// A little more than an hour ahead, which is further than anything reaches; see
/// [`MAX_LIFETIME`](crate::time::MAX_LIFETIME).
const BUCKETS: u64 = 1 << 14;

const WORD: u64 = u64::BITS as u64;

/// Marks the end of a bucket's list.
const NONE: u32 = u32::MAX;

pub(super) struct Deadlines {
    start: Instant,
    /// No bucket before this tick holds anything.
    cursor: u64,
    /// The first node of each bucket's list.
    heads: Box<[u32]>,
    /// One bit for each bucket that is not empty.
    occupied: Box<[u64]>,
    /// By relay slot.
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
struct Node {
    /// The tick it is due in; `None` when it is in no list.
    due: Option<u64>,
    reason: DeadlineReason,
    previous: u32,
    next: u32,
}

impl Deadlines {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            cursor: 0,
            heads: vec![NONE; BUCKETS as usize].into(),
            occupied: vec![0; (BUCKETS / WORD) as usize].into(),
            nodes: Vec::new(),
        }
    }

    /// Sets or moves the deadline of a slot. One that lies beyond the wheel comes early, and is then set again.
    pub(super) fn set(&mut self, slot: u32, at: Instant, reason: DeadlineReason) {
        self.clear(slot);
        if self.nodes.len() <= slot as usize {
            let unset = Node { due: None, reason, previous: NONE, next: NONE };
            self.nodes.resize(slot as usize + 1, unset);
        }
        let tick = at.saturating_duration_since(self.start).as_nanos().div_ceil(TICK.as_nanos()) as u64;
        let due = tick.clamp(self.cursor, self.cursor + BUCKETS - 1);
        let bucket = due % BUCKETS;
        let next = std::mem::replace(&mut self.heads[bucket as usize], slot);
        if next != NONE {
            self.nodes[next as usize].previous = slot;
        }
        self.nodes[slot as usize] = Node { due: Some(due), reason, previous: NONE, next };
        self.occupied[(bucket / WORD) as usize] |= 1 << (bucket % WORD);
    }

    /// Takes back the deadline of a slot, if it has one.
    pub(super) fn clear(&mut self, slot: u32) {
        let Some(node) = self.nodes.get_mut(slot as usize) else { return };
        let Some(due) = node.due.take() else { return };
        let Node { previous, next, .. } = *node;
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous != NONE {
            self.nodes[previous as usize].next = next;
            return;
        }
        let bucket = due % BUCKETS;
        self.heads[bucket as usize] = next;
        if next == NONE {
            self.occupied[(bucket / WORD) as usize] &= !(1 << (bucket % WORD));
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Deadline> {
        let (due, slot) = self.first()?;
        let at = self.start + TICK * u32::try_from(due).ok()?;
        Some(Deadline { at, reason: self.nodes[slot as usize].reason })
    }

    /// Takes a slot whose deadline has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u32> {
        let tick = (now.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos()) as u64;
        let due = self.first().filter(|(due, _)| *due <= tick);
        let Some((due, slot)) = due else {
            self.cursor = self.cursor.max(tick);
            return None;
        };
        self.cursor = due;
        self.clear(slot);
        Some(slot)
    }

    /// The first bucket from the cursor on that holds something, as its tick and the head of its list.
    fn first(&self) -> Option<(u64, u32)> {
        let start = self.cursor % BUCKETS;
        let words = BUCKETS / WORD;
        // One word more than there are: the first is looked at from the cursor on, and at last up to it.
        for step in 0..=words {
            let word = (start / WORD + step) % words;
            let mut bits = self.occupied[word as usize];
            if step == 0 {
                bits &= u64::MAX << (start % WORD);
            }
            if bits != 0 {
                let bucket = word * WORD + u64::from(bits.trailing_zeros());
                let ahead = (bucket + BUCKETS - start) % BUCKETS;
                return Some((self.cursor + ahead, self.heads[bucket as usize]));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
