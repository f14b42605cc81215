//! What waits for a stream whose other side reads slowly: whole messages, the oldest first to go.

use std::collections::VecDeque;

use super::Worth;

/// Messages that wait, up to a limit of bytes. Holds no memory while it is empty, but for a little.
#[derive(Debug)]
pub(crate) struct Backlog {
    bytes: VecDeque<u8>,
    messages: VecDeque<Waiting>,
    /// A part of the first message is with the kernel already, so the rest must follow.
    started: bool,
    limit: usize,
}

/// A message, or what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    len: u32,
    worth: Worth,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// It waits.
    pub(crate) kept: bool,
    /// How many were dropped, itself included.
    pub(crate) dropped: usize,
}

/// Memory that is kept by an empty backlog, in bytes and messages.
const KEPT: usize = 8 << 10;

impl Default for Backlog {
    fn default() -> Self {
        Self { bytes: VecDeque::new(), messages: VecDeque::new(), started: false, limit: Self::DEFAULT_LIMIT }
    }
}

impl Backlog {
    /// About half a second of one video stream: what has waited longer is of no use to anybody.
    pub(crate) const DEFAULT_LIMIT: usize = 256 << 10;

    pub(crate) fn limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_slices(&self) -> (&[u8], &[u8]) {
        self.bytes.as_slices()
    }

    /// Adds a message of `len` bytes. If there is no room for it, older ones are dropped, and if that is not enough,
    /// itself.
    pub(crate) fn push<'b>(
        &mut self,
        len: usize,
        parts: impl IntoIterator<Item = &'b [u8]>,
        worth: Worth,
    ) -> Pushed {
        if len > self.limit {
            return Pushed { kept: false, dropped: 1 };
        }
        let excess = (self.bytes.len() + len).saturating_sub(self.limit);
        let dropped = self.drop_oldest(excess);
        if self.bytes.len() + len > self.limit {
            return Pushed { kept: false, dropped: dropped + 1 };
        }
        parts.into_iter().for_each(|part| self.bytes.extend(part));
        self.messages.push_back(Waiting { len: len as u32, worth });
        Pushed { kept: true, dropped }
    }

    /// Adds the rest of a message of `len` bytes, of which some are with the kernel. Nothing else waits.
    pub(crate) fn push_rest<'b>(
        &mut self,
        with_kernel: usize,
        len: usize,
        parts: impl IntoIterator<Item = &'b [u8]>,
    ) {
        let mut skip = with_kernel;
        for part in parts {
            let skipped = skip.min(part.len());
            skip -= skipped;
            self.bytes.extend(&part[skipped..]);
        }
        self.messages.push_back(Waiting { len: (len - with_kernel) as u32, worth: Worth::Lasting });
        self.started = true;
    }

    /// The kernel took so many bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
        let mut left = count;
        while let Some(first) = self.messages.front_mut() {
            let len = first.len as usize;
            if left < len {
                first.len -= left as u32;
                self.started |= left > 0;
                break;
            }
            left -= len;
            self.messages.pop_front();
            self.started = false;
        }
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
            self.messages.shrink_to(KEPT / size_of::<Waiting>());
        }
    }

    /// Makes room for `excess` bytes if there are enough messages of fleeting worth. Returns how many are gone.
    fn drop_oldest(&mut self, excess: usize) -> usize {
        let (mut freed, mut dropped) = (0, 0);
        let mut index = usize::from(self.started);
        let mut at: usize = self.messages.iter().take(index).map(|message| message.len as usize).sum();
        while freed < excess && index < self.messages.len() {
            let oldest = self.messages.range(index..);
            let (mut run, mut run_len) = (0, 0);
            for message in oldest.take_while(|message| message.worth == Worth::Fleeting) {
                run += 1;
                run_len += message.len as usize;
                if freed + run_len >= excess {
                    break;
                }
            }
            self.messages.drain(index..index + run);
            self.bytes.drain(at..at + run_len);
            (freed, dropped) = (freed + run_len, dropped + run);
            if let Some(lasting) = self.messages.get(index) {
                at += lasting.len as usize;
                index += 1;
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests;
