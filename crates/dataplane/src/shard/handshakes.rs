//! Handshakes in flight: how many there may be, and how many may cost something in one turn.
//!
//! A client that has proved nothing may hold a connection until its first message is due. When there are more of
//! these than a worker puts up with, in all or from one source, the one that has taken longest makes room: a real
//! handshake takes a few round trips, so a flood has to fill the table within that time before it displaces anybody.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use hashbrown::HashMap;

use crate::HandshakeLimits;

/// Connections in their handshake that are read from in one turn. A signature may take a millisecond, and relayed
/// packets wait for the end of the turn.
const PER_TURN: usize = 8;

/// The handshakes of one worker. Each has the serial number of its connection, which tells its age, too.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    begun: BTreeMap<u64, Begun>,
    of_source: HashMap<IpAddr, usize, foldhash::fast::RandomState>,
    this_turn: usize,
}

/// A connection's place, and who is charged with it.
#[derive(Debug, Clone, Copy)]
struct Begun {
    key: usize,
    source: IpAddr,
}

impl Handshakes {
    /// Whether one more may be read from in this turn; the others are ready in the next one, too.
    pub(super) fn may_go_on(&mut self) -> bool {
        self.this_turn += 1;
        self.this_turn <= PER_TURN
    }

    pub(super) fn next_turn(&mut self) {
        self.this_turn = 0;
    }

    /// The serial number and the place of the connection that has to make room before one from this address can
    /// begin, by what its listener puts up with now.
    pub(super) fn in_the_way(&self, remote: IpAddr, limits: HandshakeLimits) -> Option<(u64, usize)> {
        let source = source(remote);
        let from_there = self.of_source.get(&source).copied().unwrap_or(0);
        let mut oldest_first = self.begun.iter();
        let oldest = if from_there >= limits.per_source {
            oldest_first.find(|(_, begun)| begun.source == source)
        } else if self.begun.len() >= limits.per_worker {
            oldest_first.next()
        } else {
            None
        };
        oldest.map(|(serial, begun)| (*serial, begun.key))
    }

    /// One begins, at this place. Serial numbers ascend.
    pub(super) fn begin(&mut self, serial: u64, key: usize, remote: IpAddr) {
        let source = source(remote);
        self.begun.insert(serial, Begun { key, source });
        *self.of_source.entry(source).or_default() += 1;
    }

    /// One is over, whatever its outcome.
    pub(super) fn end(&mut self, serial: u64) {
        let Some(Begun { source, .. }) = self.begun.remove(&serial) else { return };
        if let Some(count) = self.of_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.of_source.remove(&source);
            }
        }
    }
}

/// Whoever has one IPv6 address has its /64.
fn source(remote: IpAddr) -> IpAddr {
    match remote {
        IpAddr::V4(_) => remote,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HandshakeLimits = HandshakeLimits { per_worker: 5, per_source: 3 };

    fn v4(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn the_oldest_of_a_source_makes_room_when_the_source_has_its_share() {
        let mut handshakes = Handshakes::default();
        handshakes.begin(1, 10, v4(1));
        for serial in 2..5 {
            assert_eq!(handshakes.in_the_way(v4(2), LIMITS), None);
            handshakes.begin(serial, 10 * serial as usize, v4(2));
        }
        assert_eq!(handshakes.in_the_way(v4(2), LIMITS), Some((2, 20)));
        assert_eq!(handshakes.in_the_way(v4(1), LIMITS), None);
        handshakes.end(3);
        assert_eq!(handshakes.in_the_way(v4(2), LIMITS), None);
    }

    #[test]
    fn other_limits_are_in_force_at_once() {
        let mut handshakes = Handshakes::default();
        (0..2).for_each(|serial| handshakes.begin(serial, 0, v4(1)));
        assert_eq!(handshakes.in_the_way(v4(1), LIMITS), None);
        assert_eq!(handshakes.in_the_way(v4(1), HandshakeLimits { per_source: 2, ..LIMITS }), Some((0, 0)));
        assert_eq!(handshakes.in_the_way(v4(2), HandshakeLimits { per_worker: 2, ..LIMITS }), Some((0, 0)));
    }

    #[test]
    fn the_oldest_of_all_makes_room_when_all_have_their_share() {
        let mut handshakes = Handshakes::default();
        (0..5).for_each(|number| handshakes.begin(u64::from(number), number.into(), v4(number)));
        assert_eq!(handshakes.in_the_way(v4(9), LIMITS), Some((0, 0)));
        handshakes.end(0);
        assert_eq!(handshakes.in_the_way(v4(9), LIMITS), None);
        handshakes.begin(7, 7, v4(9));
        assert_eq!(handshakes.in_the_way(v4(9), LIMITS), Some((1, 1)));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let mut handshakes = Handshakes::default();
        let of =
            |host: u16, network: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host));
        (0..3).for_each(|host| handshakes.begin(host.into(), host.into(), of(host, 1)));
        assert_eq!(handshakes.in_the_way(of(99, 1), LIMITS), Some((0, 0)));
        assert_eq!(handshakes.in_the_way(of(99, 2), LIMITS), None);
    }

    #[test]
    fn nothing_is_kept_of_handshakes_that_are_over() {
        let mut handshakes = Handshakes::default();
        (0..3).for_each(|serial| handshakes.begin(serial, 0, v4(serial as u8)));
        (0..3).for_each(|serial| handshakes.end(serial));
        handshakes.end(2);
        assert!(handshakes.begun.is_empty() && handshakes.of_source.is_empty());
    }
}
