//! ICMP errors for clients, [RFC 8656 section 11.5](https://www.rfc-editor.org/rfc/rfc8656#section-11.5).
//!
//! Anybody who knows a relayed address can forge them, so a client is told of no more than it needs to give up on a
//! peer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_core::RngCore;
use stun::attribute::{Icmp, XorPeerAddress};
use stun::{Class, Method, Tail};

use super::Server;
use super::admission::PeerProtocol;
use super::counters::DropReason;
use super::respond::{self, Head};
use crate::addr::{Client, Family, PeerAddr, RelayId};
use crate::time::Now;

/// One error in this time is passed on, for each relay.
const INTERVAL: Duration = Duration::from_millis(100);
/// Those of this time may come at once.
const SAVED: Duration = Duration::from_secs(1);

/// How much of its share of errors a client has had.
#[derive(Clone, Copy, Default)]
pub(super) struct IcmpBudget {
    /// When it will have had none.
    settled: Option<Instant>,
}

impl IcmpBudget {
    /// Takes one error out of the share, or says that there is none left.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let settled = self.settled.map_or(now, |settled| settled.max(now));
        let is_left = settled < now + SAVED;
        if is_left {
            self.settled = Some(settled + INTERVAL);
        }
        is_left
    }
}

impl<R: RngCore> Server<R> {
    /// Takes an ICMP error about a datagram that was sent to `peer` from a relay socket. The client is told if it has
    /// a permission for the peer; where the error itself came from does not matter.
    pub fn handle_icmp(&mut self, relay: RelayId, peer: SocketAddr, icmp: Icmp, now: Now) {
        match self.judge_icmp(relay, peer, icmp, now) {
            Ok((client, peer, icmp)) => {
                let transaction = self.transaction();
                let head = Head { client, class: Class::Indication, method: Method::Data, transaction };
                respond::send(&mut self.outputs, head, Tail::default(), |writer| {
                    writer.put(&XorPeerAddress(peer.get()))?;
                    writer.put(&icmp)?;
                    Ok(())
                });
            }
            Err(reason) => self.counters.count_drop(reason),
        }
    }

    fn judge_icmp(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        icmp: Icmp,
        now: Now,
    ) -> Result<(Client, PeerAddr, Icmp), DropReason> {
        let peer = PeerAddr::new(peer).map_err(|_| DropReason::PeerForbidden)?;
        let is_too_long = match (peer.family(), icmp.kind) {
            // Destination unreachable, time exceeded.
            (Family::V4, 3) => icmp.code == 4,
            (Family::V4, 11) => false,
            // Destination unreachable, packet too big, time exceeded.
            (Family::V6, 1 | 3) => false,
            (Family::V6, 2) => true,
            (Family::V4 | Family::V6, _) => return Err(DropReason::IcmpKind),
        };
        let allocation = self.table.allocation(relay).ok_or(DropReason::UnknownRelay)?;
        let live =
            allocation.live().filter(|live| now.mono < live.expires).ok_or(DropReason::UnknownRelay)?;
        if live.family() != peer.family() {
            return Err(DropReason::PeerForbidden);
        }
        let client = allocation.client;
        self.table.permitted(relay, peer, PeerProtocol::Udp, now.mono)?;
        if !self.table.spend_icmp(relay, now.mono) {
            return Err(DropReason::IcmpBudget);
        }
        Ok((client, peer, Icmp { data: if is_too_long { icmp.data } else { 0 }, ..icmp }))
    }
}
