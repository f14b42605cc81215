//! The server: its public type, its contract, and the dispatch of inputs to the rooms that handle them.

mod admission;
mod counters;
mod forwarding;
mod output;
mod reject;
mod wire;

use std::net::SocketAddr;

use rand_core::RngCore;

pub use self::admission::{
    AllocationRequest, Denial, Flow, Grant, ListenerPolicy, PeerProtocol, Policy, Ports, QuotaUnit,
};
pub use self::counters::{Counters, DropReason};
pub use self::output::{
    Deadline, DeadlineReason, EndReason, Output, Refusal, RelayError, RelayPort, Reply, Verdict, Via,
};
pub use self::reject::RejectReason;
pub use self::wire::{ChannelNumber, Method, TransactionId};
use crate::addr::{Client, RelayId};
use crate::nonce::{NonceKey, Nonces};
use crate::time::Now;

/// What a server is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The secret of the nonces, the same for all workers of the process.
    pub nonce_key: NonceKey,
    /// How many permissions an allocation may have at a time; the next is refused with 508.
    pub max_permissions: u16,
    /// How many channels an allocation may have at a time; the next is refused with 508.
    pub max_channels: u16,
    /// How many error responses per second one source address gets over UDP before it has proved that it is there.
    /// It may save up two seconds' worth.
    pub unproved_replies_per_second: u16,
}

impl Settings {
    /// The defaults: 256 permissions, 256 channels, 500 unproved replies per second.
    pub const fn new(nonce_key: NonceKey) -> Self {
        Self { nonce_key, max_permissions: 256, max_channels: 256, unproved_replies_per_second: 500 }
    }
}

/// The TURN server of one worker, for all listeners of the process.
///
/// The contract in one sentence: after every `handle_*` and `reconfigure`, carry out the returned [`Verdict`] if
/// there is one, drain [`Server::poll_output`] in order, then sleep until [`Server::poll_timeout`] or the next input.
///
/// A client's packets must always reach the same server, and so must those of the relay sockets it asked for.
pub struct Server<R> {
    rng: R,
    nonces: Nonces,
    counters: Counters,
}

impl<R: RngCore> Server<R> {
    /// A server without allocations. `rng` must be a cryptographic generator seeded by the operating system: tokens
    /// and transaction ids come from it.
    pub fn new(settings: Settings, rng: R, now: Now) -> Self {
        let _ = now;
        Self { rng, nonces: Nonces::new(settings.nonce_key), counters: Counters::new() }
    }

    /// Takes one packet from a client: a datagram, or one frame of a stream.
    pub fn handle_client<'p>(
        &mut self,
        client: Client,
        packet: &'p [u8],
        policy: &impl Policy,
        now: Now,
    ) -> Verdict<'p> {
        let _ = (client, packet, policy, now, &mut self.rng, &mut self.nonces);
        self.drop(DropReason::NoAllocation)
    }

    /// Takes one datagram that `peer` sent to a relay socket.
    pub fn handle_peer<'p>(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        payload: &'p [u8],
        now: Now,
    ) -> Verdict<'p> {
        let _ = (relay, peer, payload, now);
        self.drop(DropReason::UnknownRelay)
    }

    /// Takes the answer to [`Output::OpenRelay`]: the socket's port, or why there is none. An answer for a relay that
    /// has been closed in the meantime is ignored.
    pub fn handle_relay_opened(&mut self, relay: RelayId, opened: Result<u16, RelayError>, now: Now) {
        let _ = (relay, opened, now);
    }

    /// Takes the news that a relay socket broke. Its allocation ends; the socket is still to be closed.
    pub fn handle_relay_failed(&mut self, relay: RelayId, now: Now) {
        let _ = (relay, now);
    }

    /// Takes the news that a client's connection is closed. Its allocation ends at once.
    pub fn handle_client_closed(&mut self, client: Client, now: Now) {
        let _ = (client, now);
    }

    /// Ends what has expired. Calling it early does no harm, and calling it late none either: what has expired is of
    /// no effect from that moment on.
    pub fn handle_timeout(&mut self, now: Now) {
        let _ = now;
    }

    /// Asks the policy anew about every peer of every allocation, after the configuration has changed.
    ///
    /// What is withdrawn stops at once; what is granted (again) to a living permission or channel flows at once.
    /// Allocations of listeners that are gone end. Changed credentials end nothing: an allocation lives on until its
    /// lifetime is over, but whatever its client asks for next must be asked with the new ones.
    pub fn reconfigure(&mut self, policy: &impl Policy, now: Now) {
        let _ = (policy, now);
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When to call [`Server::handle_timeout`] at the latest, and what for.
    pub fn poll_timeout(&mut self) -> Option<Deadline> {
        None
    }

    /// The number of allocations that were created and have not ended.
    pub fn allocations(&self) -> usize {
        0
    }

    /// What was dropped and refused so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn drop(&mut self, reason: DropReason) -> Verdict<'static> {
        self.counters.count_drop(reason);
        Verdict::Dropped(reason)
    }
}
