//! Counters: written by one worker each, without locks or sharing of cache lines, and summed when somebody
//! scrapes. Names and labels are those of the original.

mod collector;
mod process;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use turn::server::{Counters, DropReason, RejectReason};

pub(crate) use collector::{encode, label};
pub(crate) use tally::Tally;

/// Packets and bytes in one direction.
#[derive(Debug, Default)]
pub(crate) struct Direction {
    packets: Tally,
    bytes: Tally,
}

impl Direction {
    pub(crate) fn count(&self, bytes: usize) {
        self.count_all(1, bytes);
    }

    pub(crate) fn count_all(&self, packets: usize, bytes: usize) {
        self.packets.add(packets as u64);
        self.bytes.add(bytes as u64);
    }
}

/// What one worker counts for one listener or cluster. On cache lines of its own: two, since processors
/// fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Traffic {
    /// Received from clients (listener) or peers (cluster).
    pub(crate) rx: Direction,
    /// Sent to them.
    pub(crate) tx: Direction,
    /// Connections, or UDP sockets, that began to be.
    pub(crate) opened: Tally,
    /// Those that ended.
    pub(crate) closed: Tally,
    /// Handshakes by how they ended: see [`HandshakeEnd`].
    pub(crate) handshakes: [Tally; HandshakeEnd::ALL.len()],
}

/// How a TLS or DTLS handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakeEnd {
    /// The client has shown that it knows the keys.
    Completed,
    /// One side broke it off.
    Failed,
    /// It took too long.
    TimedOut,
    /// It made room for another one.
    Displaced,
}

impl HandshakeEnd {
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Completed, Self::Failed, Self::TimedOut, Self::Displaced];
}

/// The counters of one listener or cluster, one part per worker.
#[derive(Debug)]
pub(crate) struct Meter {
    workers: Box<[Traffic]>,
}

impl Meter {
    fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Traffic::default()).collect() }
    }

    /// The part that this worker, and nobody else, writes.
    pub(crate) fn of(&self, worker: usize) -> &Traffic {
        &self.workers[worker]
    }

    fn sum(&self, tally: impl Fn(&Traffic) -> &Tally) -> u64 {
        self.workers.iter().map(|traffic| tally(traffic).get()).sum()
    }
}

/// What one worker counts for the process.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct WorkerStats {
    allocations: AtomicUsize,
    dropped: [Tally; DropReason::ALL.len()],
    refused: [Tally; RejectReason::ALL.len()],
    /// Datagrams given up because a socket's send buffer was full.
    pub(crate) send_buffer_full: Tally,
    /// Datagrams the kernel would not send at all.
    pub(crate) not_sendable: Tally,
    /// Messages given up because a stream client reads too slowly.
    pub(crate) slow_reader: Tally,
    /// Packets given up because the worker of their client is busy.
    pub(crate) mailbox_full: Tally,
    /// Datagrams that were cut off on reception and therefore dropped.
    pub(crate) truncated: Tally,
    /// Records that are of no DTLS session, or do not prove that they are.
    pub(crate) stray_record: Tally,
}

impl Default for WorkerStats {
    fn default() -> Self {
        Self {
            allocations: AtomicUsize::default(),
            dropped: std::array::from_fn(|_| Tally::default()),
            refused: std::array::from_fn(|_| Tally::default()),
            send_buffer_full: Tally::default(),
            not_sendable: Tally::default(),
            slow_reader: Tally::default(),
            mailbox_full: Tally::default(),
            truncated: Tally::default(),
            stray_record: Tally::default(),
        }
    }
}

impl WorkerStats {
    pub(crate) fn publish_allocations(&self, count: usize) {
        self.allocations.store(count, Ordering::Relaxed);
    }

    pub(crate) fn publish_counters(&self, counters: &Counters) {
        for (tally, reason) in self.dropped.iter().zip(DropReason::ALL) {
            tally.set(counters.drops(reason));
        }
        for (tally, reason) in self.refused.iter().zip(RejectReason::ALL) {
            tally.set(counters.rejects(reason));
        }
    }
}

/// How often something went well and how often not. For what is rare: anybody may count.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    good: AtomicU64,
    bad: AtomicU64,
}

impl Outcomes {
    pub(crate) fn count(&self, good: bool) {
        let outcome = if good { &self.good } else { &self.bad };
        outcome.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> [u64; 2] {
        [&self.good, &self.bad].map(|outcome| outcome.load(Ordering::Relaxed))
    }
}

/// All counters of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    workers: Box<[WorkerStats]>,
    listeners: Meters,
    clusters: Meters,
    /// Configurations that were to be put in force.
    configurations: Outcomes,
    /// When one last was, in seconds since 1970; 0 if none ever was.
    configured_at: AtomicU64,
    /// Questions about domain names.
    pub(crate) lookups: Arc<Outcomes>,
}

/// Meters by the name in their label. One that was in use once stays: counters never go back.
#[derive(Debug, Default)]
struct Meters(Mutex<BTreeMap<String, Arc<Meter>>>);

impl Metrics {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| WorkerStats::default()).collect(),
            listeners: Meters::default(),
            clusters: Meters::default(),
            configurations: Outcomes::default(),
            configured_at: AtomicU64::default(),
            lookups: Arc::default(),
        }
    }

    /// A configuration was put in force at `unix` seconds since 1970, or refused.
    pub(crate) fn configuration(&self, in_force: bool, unix: u64) {
        self.configurations.count(in_force);
        if in_force {
            self.configured_at.store(unix, Ordering::Relaxed);
        }
    }

    /// What this worker, and nobody else, writes.
    pub(crate) fn worker(&self, worker: usize) -> &WorkerStats {
        &self.workers[worker]
    }

    pub(crate) fn listener(&self, name: &str) -> Arc<Meter> {
        self.listeners.named(name, self.workers.len())
    }

    pub(crate) fn cluster(&self, name: &str) -> Arc<Meter> {
        self.clusters.named(name, self.workers.len())
    }

    /// Live allocations of all workers.
    pub(crate) fn allocations(&self) -> usize {
        self.workers.iter().map(|stats| stats.allocations.load(Ordering::Relaxed)).sum()
    }
}

impl Meters {
    fn named(&self, name: &str, workers: usize) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(name) {
            return Arc::clone(meter);
        }
        let meter = Arc::new(Meter::new(workers));
        meters.insert(name.to_owned(), Arc::clone(&meter));
        meter
    }

    fn all(&self) -> Vec<(String, Arc<Meter>)> {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        meters.iter().map(|(name, meter)| (name.clone(), Arc::clone(meter))).collect()
    }
}
