//! Ports in reserve, with their sockets, of all workers: the kernel chooses the worker a client's next socket talks
//! to, so a token may come to another than the one that made it.
//!
//! Locked when a pair is opened, claimed or given up. No worker reads from these sockets: what peers send to them
//! waits in the kernel, and is refused by the allocation that gets the socket, which has no permissions yet.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use net::UdpSocket;
use turn::addr::ListenerId;
use turn::server::{Claim, Claimed, Reservation, Reservations};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Reserve(Mutex<Reservations<UdpSocket>>);

impl Reserve {
    /// Keeps a socket. Returns when to call [`Self::expire`].
    pub(crate) fn keep(&self, reservation: Reservation, socket: UdpSocket, now: Instant) -> Instant {
        let port = socket.local_addr().port();
        self.lock().keep(reservation, port, socket, now)
    }

    /// Gives a socket to whoever has a right to it.
    pub(crate) fn claim(&self, claim: &Claim, now: Instant) -> Option<(UdpSocket, Claimed)> {
        self.lock().claim(claim, now)
    }

    /// Closes what nobody has claimed in time.
    pub(crate) fn expire(&self, now: Instant) {
        self.lock().expire(now);
    }

    /// Closes what belongs to listeners that are gone.
    pub(crate) fn retain(&self, lives: impl Fn(ListenerId) -> bool) {
        self.lock().retain(lives);
    }

    fn lock(&self) -> MutexGuard<'_, Reservations<UdpSocket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
