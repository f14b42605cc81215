//! How many allocations a user, and the process, may have at a time, and how many connections.
//!
//! A unit is taken when an allocation is admitted and given back when the value the server holds is dropped,
//! so no end of an allocation can miss it. Units are counted even where there is no limit: a limit may be set
//! later.

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use turn::server::{Denial, QuotaUnit};

/// The process-wide book of allocations and connections, each of which holds an open file. Locked when an allocation
/// begins and when it ends.
#[derive(Debug)]
pub(crate) struct Quota {
    books: Mutex<Books>,
    held: AtomicUsize,
    connected: AtomicUsize,
    /// Files for all of them. Connections, which anybody can make, take half of them at most.
    capacity: usize,
    draining: AtomicBool,
}

/// A user of one gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct User {
    gateway: Arc<str>,
    name: Box<str>,
}

struct Unit {
    quota: Arc<Quota>,
    user: User,
    source: Source,
}

/// What belongs to one owner of addresses: all of IPv4, the upper half of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    V6(u64),
}

impl From<IpAddr> for Source {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

/// How many allocations each has.
#[derive(Debug, Default)]
struct Books {
    users: HashMap<User, u32, foldhash::quality::RandomState>,
    sources: HashMap<Source, u32, foldhash::quality::RandomState>,
}

/// A connection in the book, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Quota>);

impl Quota {
    /// A book that admits `capacity` allocations and connections in all.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            books: Mutex::default(),
            held: AtomicUsize::new(0),
            connected: AtomicUsize::new(0),
            capacity,
            draining: AtomicBool::new(false),
        }
    }

    /// Admits nothing any more.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Takes a unit for a user and a source address, which may have so many of them; 0 is no limit.
    pub(crate) fn take(
        self: &Arc<Self>,
        gateway: &Arc<str>,
        user: &str,
        source: IpAddr,
        [user_limit, source_limit]: [u32; 2],
    ) -> Result<QuotaUnit, Denial> {
        if self.is_draining() {
            return Err(Denial::Draining);
        }
        if self.is_full() {
            return Err(Denial::Capacity);
        }
        let (user, source) = (User { gateway: Arc::clone(gateway), name: user.into() }, Source::from(source));
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let is_at = |held: Option<&u32>, limit| limit > 0 && held.is_some_and(|held| *held >= limit);
        if is_at(books.users.get(&user), user_limit) {
            return Err(Denial::Quota);
        }
        if is_at(books.sources.get(&source), source_limit) {
            return Err(Denial::Address);
        }
        *books.users.entry(user.clone()).or_default() += 1;
        *books.sources.entry(source).or_default() += 1;
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(QuotaUnit::holding(Unit { quota: Arc::clone(self), user, source }))
    }

    /// Admits a connection.
    pub(crate) fn connect(self: &Arc<Self>) -> Option<Place> {
        if self.is_full() || self.connected.load(Ordering::Relaxed) >= self.capacity / 2 {
            return None;
        }
        self.connected.fetch_add(1, Ordering::Relaxed);
        Some(Place(Arc::clone(self)))
    }

    /// Workers that look at the same moment may admit one each, which is what the files in reserve are for.
    fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) + self.connected.load(Ordering::Relaxed) >= self.capacity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        self.quota.held.fetch_sub(1, Ordering::Relaxed);
        let mut books = self.quota.books.lock().unwrap_or_else(PoisonError::into_inner);
        give_back(&mut books.users, &self.user);
        give_back(&mut books.sources, &self.source);
    }
}

fn give_back<K: Eq + Hash>(book: &mut HashMap<K, u32, foldhash::quality::RandomState>, key: &K) {
    if let Some(held) = book.get_mut(key) {
        *held -= 1;
        if *held == 0 {
            book.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

    fn gateway(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn units_come_back_when_they_are_dropped_whatever_the_order() {
        let quota = Arc::new(Quota::new(100));
        let gw = gateway("ns/gw");
        let first = quota.take(&gw, "alice", HOME, [2, 0]).unwrap();
        let second = quota.take(&gw, "alice", HOME, [2, 0]).unwrap();
        assert_eq!(quota.take(&gw, "alice", HOME, [2, 0]).unwrap_err(), Denial::Quota);
        assert!(quota.take(&gw, "bob", HOME, [2, 0]).is_ok());
        assert!(quota.take(&gateway("ns/other"), "alice", HOME, [2, 0]).is_ok(), "gateways count apart");
        drop(first);
        let third = quota.take(&gw, "alice", HOME, [2, 0]).unwrap();
        assert_eq!(quota.take(&gw, "alice", HOME, [2, 0]).unwrap_err(), Denial::Quota);
        drop((second, third));
        let books = quota.books.lock().unwrap();
        assert!(books.users.is_empty() && books.sources.is_empty());
        assert_eq!(quota.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_taken_without_a_limit_counts_once_there_is_one() {
        let quota = Arc::new(Quota::new(100));
        let gw = gateway("ns/gw");
        let _held: Vec<_> = (0..3).map(|_| quota.take(&gw, "alice", HOME, [0, 0]).unwrap()).collect();
        assert_eq!(quota.take(&gw, "alice", HOME, [3, 0]).unwrap_err(), Denial::Quota);
    }

    #[test]
    fn connections_take_half_of_the_files_and_allocations_what_is_left() {
        let quota = Arc::new(Quota::new(4));
        let gw = gateway("ns/gw");
        let (first, second) = (quota.connect().unwrap(), quota.connect().unwrap());
        assert!(quota.connect().is_none());
        let _held: Vec<_> = (0..2).map(|_| quota.take(&gw, "alice", HOME, [0, 0]).unwrap()).collect();
        assert_eq!(quota.take(&gw, "alice", HOME, [0, 0]).unwrap_err(), Denial::Capacity);
        drop(first);
        let _third = quota.take(&gw, "alice", HOME, [0, 0]).unwrap();
        assert!(quota.connect().is_none());
        drop(second);
        assert!(quota.connect().is_some());
    }

    #[test]
    fn a_full_or_draining_process_admits_nobody() {
        let quota = Arc::new(Quota::new(1));
        let gw = gateway("ns/gw");
        let held = quota.take(&gw, "alice", HOME, [0, 0]).unwrap();
        assert_eq!(quota.take(&gw, "bob", HOME, [0, 0]).unwrap_err(), Denial::Capacity);
        drop(held);
        quota.drain();
        assert_eq!(quota.take(&gw, "bob", HOME, [0, 0]).unwrap_err(), Denial::Draining);
    }

    #[test]
    fn weakness_allocations_of_a_source_address_are_bounded() {
        let quota = Arc::new(Quota::new(100));
        let gw = gateway("ns/gw");
        let take = |user, source: &str| quota.take(&gw, user, source.parse().unwrap(), [0, 2]);
        let held = [take("a", "192.0.2.1").unwrap(), take("b", "192.0.2.1").unwrap()];
        assert_eq!(take("c", "192.0.2.1").unwrap_err(), Denial::Address);
        assert!(take("c", "192.0.2.2").is_ok());
        let _six = [take("a", "2001:db8::1").unwrap(), take("a", "2001:db8::2").unwrap()];
        assert_eq!(take("a", "2001:db8:0:0:ffff::3").unwrap_err(), Denial::Address);
        assert!(take("a", "2001:db8:0:1::3").is_ok());
        drop(held);
        assert!(take("c", "192.0.2.1").is_ok());
    }
}
