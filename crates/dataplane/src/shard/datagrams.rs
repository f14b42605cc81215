//! The packet lane: datagrams from clients and peers, and where the TURN server wants them to go.

use std::io;
use std::ops::Range;

use net::{IcmpError, Outgoing, Parts, Slot, Span, StreamMessage, Worth};
use stun::attribute::Icmp;
use turn::addr::{Client, ClusterId, ListenerId, PeerAddr, RelayId};
use turn::server::{Verdict, Via};

use super::headless::Payload;
use super::{CLIENT_BATCHES, ICMP_BATCH, PEER_BATCHES, Shard, Sockets, Turn, local_address};

/// The headers of one packet's datagrams.
struct Heads {
    /// The last one, for what, and for which length.
    last: Option<(Via, usize, Span)>,
    /// Where those are that have no room in front of their datagram, and how many bytes they take.
    elsewhere: Option<(Slot, usize)>,
    /// They must be sent from there before anything else happens.
    at_once: bool,
}

impl Heads {
    const NONE: Self = Self { last: None, elsewhere: None, at_once: false };

    /// Room for another one.
    fn room(&mut self, len: usize, take: impl FnOnce() -> (Slot, bool)) -> (Slot, usize) {
        let (slot, at) = self.elsewhere.unwrap_or_else(|| {
            let (slot, at_once) = take();
            self.at_once = at_once;
            (slot, 0)
        });
        self.elsewhere = Some((slot, at + len));
        (slot, at)
    }
}

impl Shard {
    pub(super) fn receive_from_clients(&mut self, slot: usize, turn: Turn<'_>) {
        self.make_room(CLIENT_BATCHES[1], turn);
        let Some(port) = self.sockets.udp.get(slot).and_then(Option::as_ref) else { return };
        let batch = self.batch(port.full_at, CLIENT_BATCHES);
        match self.arena.receive(&port.socket, batch) {
            Ok(packets) => {
                if packets.len() == batch
                    && let Some(port) = &mut self.sockets.udp[slot]
                {
                    port.full_at = self.turn;
                }
                let id = ListenerId(slot as u16);
                packets.for_each(|packet| self.handle_client_packet(id, packet, turn));
            }
            Err(error) => self.report_broken("listener", &error),
        }
    }

    /// The same for the second port of a listener, where little comes in.
    pub(super) fn receive_at_second_port(&mut self, slot: usize, turn: Turn<'_>) {
        self.make_room(CLIENT_BATCHES[0], turn);
        let Some(port) = self.sockets.second.get(slot).and_then(Option::as_ref) else { return };
        match self.arena.receive(&port.socket, CLIENT_BATCHES[0]) {
            Ok(packets) => packets.for_each(|packet| self.handle_packet_at_second_port(slot, packet, turn)),
            Err(error) => self.report_broken("listener", &error),
        }
    }

    fn handle_packet_at_second_port(&mut self, listener: usize, slot: Slot, turn: Turn<'_>) {
        let Some(port) = self.sockets.second.get(listener).and_then(Option::as_ref) else { return };
        let packet = self.arena.packet(slot);
        let places = packet.places();
        port.meter.of(self.index).rx.count_all(places.len(), packet.bytes.len());
        let local = local_address(&port.socket, packet.to);
        let client = Client::new(ListenerId(listener as u16), packet.from, local);
        for place in places {
            self.handle_client_datagram(client, slot, place, turn);
        }
    }

    /// Handles what one client sent: a datagram, or a train of them.
    fn handle_client_packet(&mut self, id: ListenerId, slot: Slot, turn: Turn<'_>) {
        let Some(port) = self.sockets.udp.get(usize::from(id.0)).and_then(Option::as_ref) else { return };
        let packet = self.arena.packet(slot);
        let places = packet.places();
        let is_sealed = self.speaks_dtls(id);
        if !is_sealed {
            port.meter.of(self.index).rx.count_all(places.len(), packet.bytes.len());
        }
        if packet.truncated {
            self.metrics.worker(self.index).truncated.add(1);
            return;
        }
        let client = Client::new(id, packet.from, local_address(&port.socket, packet.to));
        for place in places {
            if is_sealed {
                self.handle_dtls_datagram(client, slot, place, turn);
            } else {
                self.handle_client_datagram(client, slot, place, turn);
            }
        }
    }

    /// Returns whether it was signalling that makes sense.
    pub(super) fn handle_client_datagram(
        &mut self,
        client: Client,
        slot: Slot,
        place: Range<usize>,
        turn: Turn<'_>,
    ) -> bool {
        if let Some(worker) = self.movers.worker_of(&client) {
            self.pass_to_worker(worker, client, slot, place);
            return false;
        }
        let mut is_control = false;
        let datagram = &self.arena.payload(slot)[place.clone()];
        match self.server.handle_client(client, datagram, turn.view, turn.now) {
            Verdict::ToPeer { relay, peer, payload, cluster, dont_fragment } => {
                let front = offset_in(datagram, payload);
                let data = Payload::new(slot, place.start, front, payload.len());
                self.send_to_peer(relay, peer, data, dont_fragment, cluster, turn);
            }
            Verdict::Control => is_control = true,
            Verdict::ToClient { .. } => {}
            Verdict::Dropped(_) => self.counters_changed = true,
        }
        self.carry_out(turn);
        if let Some(to) = self.moving.take() {
            self.pass_on_from_now(client, to, slot, place);
        }
        is_control
    }

    pub(super) fn receive_from_peers(&mut self, slot: usize, turn: Turn<'_>) {
        self.make_room(PEER_BATCHES[1], turn);
        let Some(relay) = self.sockets.relays.get(slot).and_then(Option::as_ref) else { return };
        let id = relay.id;
        let batch = self.batch(relay.full_at, PEER_BATCHES);
        match self.arena.receive(&relay.socket, batch) {
            Ok(packets) => {
                if packets.len() == batch
                    && let Some(relay) = &mut self.sockets.relays[slot]
                {
                    relay.full_at = self.turn;
                }
                packets.for_each(|packet| self.handle_peer_packet(id, packet, turn));
            }
            Err(error) => {
                self.report_broken("relay", &error);
                self.server.handle_relay_failed(id, turn.now);
                self.carry_out(turn);
            }
        }
    }

    /// Tells a client what ICMP has to say about what it sent to its peers. The rest of it comes up again.
    pub(super) fn receive_icmp(&mut self, slot: usize, turn: Turn<'_>) {
        for _ in 0..ICMP_BATCH {
            let Some(relay) = self.sockets.relays.get(slot).and_then(Option::as_ref) else { break };
            let Some(IcmpError { to, kind, code, mtu }) = relay.socket.take_error() else { break };
            let icmp = Icmp { kind, code: code.into(), data: mtu };
            self.server.handle_icmp(relay.id, to, icmp, turn.now);
            self.counters_changed = true;
        }
        self.carry_out(turn);
    }

    /// Handles what one peer sent: a datagram, or a train of them.
    fn handle_peer_packet(&mut self, relay: RelayId, slot: Slot, turn: Turn<'_>) {
        let packet = self.arena.packet(slot);
        if packet.truncated {
            self.metrics.worker(self.index).truncated.add(1);
            return;
        }
        let mut heads = Heads::NONE;
        for place in packet.places() {
            let packet = self.arena.packet(slot);
            match self.server.handle_peer(relay, packet.from, &packet.bytes[place.clone()], turn.now) {
                Verdict::ToClient { client, via, peer, payload, cluster } => {
                    if let Some(meter) = turn.view.cluster(cluster) {
                        meter.of(self.index).rx.count(payload.len());
                    }
                    if let Some(parts) = self.message(via, peer, slot, place, &mut heads) {
                        self.send_to_client(client, parts, Worth::Fleeting);
                    }
                }
                Verdict::ToPeer { .. } | Verdict::Control => {}
                Verdict::Dropped(_) => self.counters_changed = true,
            }
        }
        self.carry_out(turn);
        if heads.at_once {
            self.send_all();
        }
    }

    /// Sends a client's data from a relay socket, unless the peer is a relay of this process.
    pub(super) fn send_to_peer(
        &mut self,
        relay: RelayId,
        peer: PeerAddr,
        data: Payload,
        dont_fragment: bool,
        cluster: ClusterId,
        turn: Turn<'_>,
    ) {
        let span = data.span();
        if let Some(meter) = turn.view.cluster(cluster) {
            meter.of(self.index).tx.count(span.len());
        }
        if self.take_short_cut(relay, peer, data, turn) {
            return;
        }
        let socket = Sockets::relay_number(relay);
        self.make_room_in_queue();
        self.queue.push(Outgoing { socket, span, to: peer.get(), from: None, dont_fragment });
    }

    /// Puts a header in front of a datagram from a peer: where there is room if it is the first of its packet,
    /// elsewhere if another one ends there. Datagrams of one length on one channel share theirs.
    fn message(
        &mut self,
        via: Via,
        peer: PeerAddr,
        slot: Slot,
        place: Range<usize>,
        heads: &mut Heads,
    ) -> Option<Parts> {
        let len = place.len();
        let body = Span::payload(slot, place.start, len);
        let padding = via.padding_len(len) as u8;
        if let Some((last, last_len, head)) = heads.last
            && (last, last_len) == (via, len)
        {
            return Some(Parts { head: Some(head), body, padding });
        }
        let header_len = via.header_len(peer);
        let (bytes, head) = if place.start == 0 {
            (self.arena.headroom(slot, header_len), Span::with_header(slot, header_len, 0))
        } else {
            let (elsewhere, at) = heads.room(header_len, || self.take_slot());
            let bytes = &mut self.arena.payload_mut(elsewhere)[at..at + header_len];
            (bytes, Span::payload(elsewhere, at, header_len))
        };
        // A UDP payload always fits the length field of its header.
        via.write_header(peer, len, bytes).ok()?;
        heads.last = Some((via, len, head));
        Some(Parts { head: Some(head), body, padding })
    }

    /// A slot for bytes of our own. It may be the one that must be sent from at once, as the second value tells.
    pub(super) fn take_slot(&mut self) -> (Slot, bool) {
        self.arena.take().map_or_else(|| (self.arena.spare(), true), |slot| (slot, false))
    }

    /// Sends bytes of the arena to a client, whatever it is connected by.
    pub(super) fn send_to_client(&mut self, client: Client, parts: Parts, worth: Worth) {
        if !self.stream_of.is_empty()
            && let Some(&key) = self.stream_of.get(&client)
        {
            self.write_to_stream(key, StreamMessage { parts, worth });
            return;
        }
        let id = client.listener();
        if let Some(port) = self.sockets.udp.get(usize::from(id.0)).and_then(Option::as_ref) {
            port.meter.of(self.index).tx.count(parts.len());
        }
        if self.speaks_dtls(id) {
            self.send_sealed(client, &parts);
            return;
        }
        self.make_room_in_queue();
        let second = self.sockets.second_number(id, client.local());
        let outgoing = Outgoing {
            socket: second.unwrap_or_else(|| Sockets::listener_number(id)),
            span: parts.body,
            to: client.remote(),
            from: Some(client.local().ip()),
            dont_fragment: false,
        };
        self.queue.push_parts(parts.head, outgoing, parts.padding);
    }

    pub(super) fn make_room_in_queue(&mut self) {
        if self.queue.free() == 0 {
            self.flush_datagrams();
        }
    }

    pub(super) fn report_broken(&self, what: &str, error: &io::Error) {
        tracing::error!(target: "stunner", "worker {}: receiving from a {what} socket: {error}", self.index);
    }
}

/// Where a part of some bytes begins in them.
pub(super) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}
