//! How much one visitor may ask for. Visitors are anonymous here, so these limits are all that stands between a
//! script and an endless supply of TURN credentials.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The limits, per client address (IPv6: per /64) or per connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections of one address. Generous, because a load balancer may hide all visitors behind one.
    pub connections_per_address: usize,
    /// Questions to the authentication service on behalf of one address.
    pub queries_per_address: Rate,
    /// Frames of one WebSocket connection.
    pub frames_per_session: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_address: 256,
            queries_per_address: Rate { burst: 120, per_second: 2 },
            frames_per_session: Rate { burst: 400, per_second: 50 },
        }
    }
}

/// A token bucket's measures.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// How many per second in the long run.
    pub per_second: u32,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), filled: now }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.rate.burst)
    }

    fn fill(&mut self, now: Instant) {
        let gain = now.saturating_duration_since(self.filled).as_secs_f64() * f64::from(self.rate.per_second);
        self.tokens = f64::from(self.rate.burst).min(self.tokens + gain);
        self.filled = self.filled.max(now);
    }
}

/// The [`Doorkeeper`] that all tasks share.
#[derive(Clone, Debug)]
pub(crate) struct Door(Arc<Mutex<Doorkeeper>>);

impl Door {
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Mutex::new(Doorkeeper::new(limits))))
    }

    /// A place for one more connection of `address`, if there is one.
    pub(crate) fn enter(&self, address: IpAddr, now: Instant) -> Option<Place> {
        self.keeper().enter(address, now).then(|| Place { door: self.clone(), address })
    }

    /// Whether the authentication service may be asked on behalf of `address`.
    pub(crate) fn may_query(&self, address: IpAddr, now: Instant) -> bool {
        self.keeper().may_query(address, now)
    }

    fn keeper(&self) -> std::sync::MutexGuard<'_, Doorkeeper> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Place {
    door: Door,
    address: IpAddr,
}

impl Place {
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.keeper().left(self.address);
    }
}

/// Counts what each address uses.
#[derive(Debug)]
struct Doorkeeper {
    limits: Limits,
    visitors: BTreeMap<IpAddr, Visitor>,
}

#[derive(Debug)]
struct Visitor {
    connections: usize,
    queries: Bucket,
}

impl Doorkeeper {
    fn new(limits: Limits) -> Self {
        Self { limits, visitors: BTreeMap::new() }
    }

    /// A connection from `address` wants in. If this says yes, say [`left`](Self::left) in the end.
    fn enter(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.visitors.len() >= FORGET_ABOVE {
            self.visitors.retain(|_, visitor| visitor.connections > 0 || !visitor.queries.is_full(now));
        }
        let limit = self.limits.connections_per_address;
        let visitor = self.visitor(address, now);
        let welcome = visitor.connections < limit;
        if welcome {
            visitor.connections += 1;
        }
        welcome
    }

    /// A connection from `address` is gone.
    fn left(&mut self, address: IpAddr) {
        if let Some(visitor) = self.visitors.get_mut(&source(address)) {
            visitor.connections = visitor.connections.saturating_sub(1);
        }
    }

    /// Whether the authentication service may be asked on behalf of `address`.
    fn may_query(&mut self, address: IpAddr, now: Instant) -> bool {
        self.visitor(address, now).queries.take(now)
    }

    fn visitor(&mut self, address: IpAddr, now: Instant) -> &mut Visitor {
        let rate = self.limits.queries_per_address;
        self.visitors
            .entry(source(address))
            .or_insert_with(|| Visitor { connections: 0, queries: Bucket::new(rate, now) })
    }
}

/// What counts as one visitor: an IPv4 address, or the /64 that one IPv6 household gets.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Idle visitors are forgotten when there are more than this many.
const FORGET_ABOVE: usize = 4096;

#[cfg(test)]
mod tests;
