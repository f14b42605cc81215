//! The packet lane: ChannelData and Send indications from clients, datagrams from peers. Nothing here writes to the
//! table, allocates, or looks at anything but the packet, the table and the time; only a wish not to be fragmented asks
//! what the listener speaks.

use std::net::SocketAddr;

use rand_core::RngCore;
use stun::attribute::{Data, XorPeerAddress, types};
use stun::{ChannelData, Message, TransactionId};

use super::Server;
use super::admission::Policy;
use super::counters::DropReason;
use super::forwarding::{Inbound, ToClient, ToPeer};
use super::output::{Verdict, Via};
use super::request::is_known;
use crate::addr::{Client, Family, PeerAddr, RelayId};
use crate::time::Now;

impl<R: RngCore> Server<R> {
    /// ChannelData from a client,
    /// [RFC 8656 section 12.6](https://www.rfc-editor.org/rfc/rfc8656#section-12.6).
    pub(super) fn channel_data<'p>(&mut self, client: &Client, packet: &'p [u8], now: Now) -> Verdict<'p> {
        let Ok(ChannelData { channel, data }) = ChannelData::parse(packet) else {
            return self.drop(DropReason::Malformed);
        };
        let mut found = self.table.forwarding().by_channel(client, channel, now.mono);
        if found == Err(DropReason::NoAllocation) && self.complete_move(client) {
            found = self.table.forwarding().by_channel(client, channel, now.mono);
        }
        match found {
            Ok(ToPeer { relay, peer, cluster }) => {
                Verdict::ToPeer { relay, peer, payload: data, cluster, dont_fragment: false }
            }
            Err(reason) => self.drop(reason),
        }
    }

    /// A Send indication, [RFC 8656 section 11.2](https://www.rfc-editor.org/rfc/rfc8656#section-11.2).
    pub(super) fn send_indication<'p>(
        &mut self,
        client: &Client,
        message: &Message<'p>,
        policy: &impl Policy,
        now: Now,
    ) -> Verdict<'p> {
        let mut sent = self.sent(client, message, policy, now);
        if sent == Err(DropReason::NoAllocation) && self.complete_move(client) {
            sent = self.sent(client, message, policy, now);
        }
        sent.unwrap_or_else(|reason| self.drop(reason))
    }

    fn sent<'p>(
        &self,
        client: &Client,
        message: &Message<'p>,
        policy: &impl Policy,
        now: Now,
    ) -> Result<Verdict<'p>, DropReason> {
        if message.unknown_required(is_known).next().is_some() {
            return Err(DropReason::UnknownAttribute);
        }
        let peer = message.get::<XorPeerAddress>().map_err(|_| DropReason::Malformed)?;
        let XorPeerAddress(peer) = peer.ok_or(DropReason::MissingAttribute)?;
        let Data(payload) = message
            .get::<Data<'p>>()
            .map_err(|_| DropReason::Malformed)?
            .ok_or(DropReason::MissingAttribute)?;
        if peer.port() == 0 {
            return Err(DropReason::PeerForbidden);
        }
        let peer = PeerAddr::new(peer).map_err(|_| DropReason::PeerForbidden)?;
        let ToPeer { relay, peer, cluster } = self.table.forwarding().by_address(client, peer, now.mono)?;
        let dont_fragment = message.has(types::DONT_FRAGMENT) && heeds_fragmentation(client, peer, policy);
        Ok(Verdict::ToPeer { relay, peer, payload, cluster, dont_fragment })
    }

    /// A datagram from a peer, [RFC 8656 section 11.3](https://www.rfc-editor.org/rfc/rfc8656#section-11.3) and
    /// [section 12.7](https://www.rfc-editor.org/rfc/rfc8656#section-12.7).
    pub(super) fn peer_data<'p>(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        payload: &'p [u8],
        now: Now,
    ) -> Verdict<'p> {
        let Ok(peer) = PeerAddr::new(peer) else { return self.drop(DropReason::PeerForbidden) };
        let found = self.table.forwarding().by_peer(relay, peer, now.mono);
        self.judged(found, peer, payload)
    }

    /// The same, by another server's entries.
    pub(super) fn peer_data_for<'p>(
        &mut self,
        inbound: &Inbound,
        peer: SocketAddr,
        payload: &'p [u8],
        now: Now,
    ) -> Verdict<'p> {
        let Ok(peer) = PeerAddr::new(peer) else { return self.drop(DropReason::PeerForbidden) };
        self.judged(inbound.by_peer(peer, now.mono), peer, payload)
    }

    fn judged<'p>(
        &mut self,
        found: Result<ToClient, DropReason>,
        peer: PeerAddr,
        payload: &'p [u8],
    ) -> Verdict<'p> {
        match found {
            Ok(ToClient { client, channel, cluster }) => {
                let via = channel.map_or_else(|| Via::DataIndication(self.transaction()), Via::Channel);
                Verdict::ToClient { client, via, peer, payload, cluster }
            }
            Err(reason) => self.drop(reason),
        }
    }

    pub(super) fn transaction(&mut self) -> TransactionId {
        let mut id = [0; 12];
        self.rng.fill_bytes(&mut id);
        TransactionId::new(id)
    }
}

/// Whether the client may ask for the don't-fragment bit. Between datagrams of which either is IPv6 it may not
/// ([RFC 8656 section 13](https://www.rfc-editor.org/rfc/rfc8656#section-13)).
fn heeds_fragmentation(client: &Client, peer: PeerAddr, policy: &impl Policy) -> bool {
    let is_ipv4 = client.remote().is_ipv4() && peer.family() == Family::V4;
    is_ipv4 || policy.listener(client.listener()).is_some_and(|listener| listener.transport.is_stream())
}
