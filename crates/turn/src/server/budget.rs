//! A cap on unasked-for replies: whoever forges a source address over UDP cannot turn the server's error responses
//! into a flood on the owner of that address.
//!
//! The memory is fixed. Sources share buckets, so under a flood from very many sources some are withheld a reply
//! they could have had; the client's retransmission then finds a bucket refilled.

use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::time::Instant;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

const BUCKETS: usize = 1 << 12;

/// A bucket holds this many seconds' worth.
const SAVED_SECONDS: u32 = 2;

pub(super) struct ReplyBudget {
    start: Instant,
    per_second: u32,
    hash: SeedableRandomState,
    buckets: Box<[Bucket]>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// In thousandths of a reply.
    saved: u32,
    /// When that was so, in milliseconds since the start; wraps after seven weeks.
    at: u32,
}

impl ReplyBudget {
    pub(super) fn new(per_second: u16, start: Instant, seed: u64) -> Self {
        let per_second = u32::from(per_second);
        let full = Bucket { saved: per_second * SAVED_SECONDS * 1000, at: 0 };
        Self {
            start,
            per_second,
            hash: SeedableRandomState::with_seed(seed, SharedSeed::global_random()),
            buckets: vec![full; BUCKETS].into(),
        }
    }

    /// Takes one reply to `source` out of its bucket, or says that there is none left.
    pub(super) fn spend(&mut self, source: IpAddr, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.start).as_millis() as u32;
        let bucket = &mut self.buckets[self.hash.hash_one(prefix(source)) as usize % BUCKETS];
        let earned = self.per_second.saturating_mul(now.wrapping_sub(bucket.at));
        bucket.saved = bucket.saved.saturating_add(earned).min(self.per_second * SAVED_SECONDS * 1000);
        bucket.at = now;
        let Some(rest) = bucket.saved.checked_sub(1000) else { return false };
        bucket.saved = rest;
        true
    }
}

/// The part of an address that belongs to one owner: all of IPv4, the upper half of IPv6.
const fn prefix(source: IpAddr) -> u64 {
    match source {
        IpAddr::V4(ip) => ip.to_bits() as u64,
        IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests;
