//! What went through.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use client::Statistics;

/// Of all clients.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) opened: AtomicU64,
    pub(crate) open: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Packets of clients that came too fast.
    pub(crate) dropped: AtomicU64,
    sent_packets: AtomicU64,
    sent_bytes: AtomicU64,
    received_packets: AtomicU64,
    received_bytes: AtomicU64,
}

impl Totals {
    /// Adds what went through a relay since `before`.
    pub(crate) fn add(&self, before: &mut Statistics, now: Statistics) {
        self.sent_packets.fetch_add(now.sent_packets - before.sent_packets, Relaxed);
        self.sent_bytes.fetch_add(now.sent_bytes - before.sent_bytes, Relaxed);
        self.received_packets.fetch_add(now.received_packets - before.received_packets, Relaxed);
        self.received_bytes.fetch_add(now.received_bytes - before.received_bytes, Relaxed);
        *before = now;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        write!(
            f,
            "connections: {} open, {} in all, {} failed; to the peer: {} packets, {} bytes; from the peer: {} \
             packets, {} bytes; dropped: {} packets",
            of(&self.open),
            of(&self.opened),
            of(&self.failed),
            of(&self.sent_packets),
            of(&self.sent_bytes),
            of(&self.received_packets),
            of(&self.received_bytes),
            of(&self.dropped),
        )
    }
}
