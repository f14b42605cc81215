//! Ports in reserve, [RFC 8656 section 7.2](https://www.rfc-editor.org/rfc/rfc8656#section-7.2): the upper half of a
//! pair waits for whoever brings its token, at whichever server of the process.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use hashbrown::HashMap;
use stun::attribute::ReservationToken;

use super::admission::QuotaUnit;
use crate::addr::ListenerId;
use crate::time::RESERVATION_LIFETIME;

/// A port that is to be kept, as the server that was asked for it describes it.
#[derive(Debug)]
pub struct Reservation {
    pub(super) claim: Claim,
    /// The address to advertise it by.
    pub(super) ip: IpAddr,
    /// A reserved port is a resource like any other. Goes over to the allocation that claims it.
    pub(super) unit: QuotaUnit,
}

/// A token, and who brings it where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub(super) token: ReservationToken,
    pub(super) listener: ListenerId,
    pub(super) user: Box<str>,
}

/// A port that was in reserve, for the server that asked for it.
#[derive(Debug)]
pub struct Claimed {
    /// The port of the socket.
    pub(super) port: u16,
    pub(super) reservation: Reservation,
}

/// The ports in reserve of all servers of a process, with their sockets. Belongs to the owner of the sockets, as a
/// client may bring its token to another server than the one that made it.
///
/// A port leaves once: with its claimant, at its end, or with its listener.
#[derive(Debug)]
pub struct Reservations<S> {
    kept: HashMap<[u8; 8], Kept<S>, foldhash::fast::RandomState>,
    /// All last equally long, so the first to come is the first to go. May name some that are gone.
    ends: VecDeque<(Instant, [u8; 8])>,
}

#[derive(Debug)]
struct Kept<S> {
    socket: S,
    expires: Instant,
    claimed: Claimed,
}

impl<S> Reservations<S> {
    /// None.
    pub fn new() -> Self {
        Self { kept: HashMap::default(), ends: VecDeque::new() }
    }

    /// Keeps a socket for 30 seconds. Returns when to call [`Reservations::expire`].
    pub fn keep(&mut self, reservation: Reservation, port: u16, socket: S, now: Instant) -> Instant {
        let token = reservation.claim.token.0;
        let expires = now + RESERVATION_LIFETIME;
        self.kept.insert(token, Kept { socket, expires, claimed: Claimed { port, reservation } });
        self.ends.push_back((expires, token));
        expires
    }

    /// Gives a socket to whoever brings its token in time: the same user, at the same listener.
    pub fn claim(&mut self, claim: &Claim, now: Instant) -> Option<(S, Claimed)> {
        let kept = self.kept.get(&claim.token.0)?;
        if kept.claimed.reservation.claim != *claim || now >= kept.expires {
            return None;
        }
        let kept = self.kept.remove(&claim.token.0)?;
        Some((kept.socket, kept.claimed))
    }

    /// Closes what nobody has claimed in time.
    pub fn expire(&mut self, now: Instant) {
        while let Some((expires, token)) = self.ends.front().copied()
            && expires <= now
        {
            self.ends.pop_front();
            self.kept.remove(&token);
        }
    }

    /// Closes what is kept for the clients of listeners that are gone.
    pub fn retain(&mut self, lives: impl Fn(ListenerId) -> bool) {
        self.kept.retain(|_, kept| lives(kept.claimed.reservation.claim.listener));
    }

    /// The number of ports in reserve.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Nothing is in reserve.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl<S> Default for Reservations<S> {
    fn default() -> Self {
        Self::new()
    }
}
