//! The packet lane: datagrams from clients and peers, and where the TURN server wants them to go.

use std::io;

use net::{Outgoing, Slot, Span};
use turn::addr::{Client, ClusterId, ListenerId, PeerAddr, RelayId};
use turn::server::{Verdict, Via};

use super::{CLIENT_BATCH, PEER_BATCH, Shard, Sockets, Turn, local_address};

impl Shard {
    pub(super) fn receive_from_clients(&mut self, slot: usize, turn: Turn<'_>) {
        self.make_room(CLIENT_BATCH, turn);
        let Some(port) = self.sockets.udp.get(slot).and_then(Option::as_ref) else { return };
        match self.arena.receive(&port.socket, CLIENT_BATCH) {
            Ok(packets) => {
                let id = ListenerId(slot as u16);
                packets.for_each(|packet| self.handle_client_datagram(id, packet, turn));
            }
            Err(error) => self.report_broken("listener", &error),
        }
    }

    fn handle_client_datagram(&mut self, id: ListenerId, slot: Slot, turn: Turn<'_>) {
        let Some(port) = self.sockets.udp.get(usize::from(id.0)).and_then(Option::as_ref) else { return };
        let packet = self.arena.packet(slot);
        port.meter.of(self.index).rx.count(packet.bytes.len());
        if packet.truncated {
            self.metrics.worker(self.index).truncated.add(1);
            return;
        }
        let client = Client::new(id, packet.from, local_address(&port.socket, packet.to));
        let verdict = self.server.handle_client(client, packet.bytes, turn.view, turn.now);
        match verdict {
            Verdict::ToPeer { relay, peer, payload, cluster, dont_fragment } => {
                let span = Span::payload(slot, offset_in(packet.bytes, payload), payload.len());
                self.send_to_peer(relay, peer, span, dont_fragment, cluster, turn);
            }
            Verdict::ToClient { .. } | Verdict::Control => {}
            Verdict::Dropped(_) => self.counters_changed = true,
        }
        self.carry_out(turn);
    }

    pub(super) fn receive_from_peers(&mut self, slot: usize, turn: Turn<'_>) {
        self.make_room(PEER_BATCH, turn);
        let Some(relay) = self.sockets.relays.get(slot).and_then(Option::as_ref) else { return };
        let id = relay.id;
        match self.arena.receive(&relay.socket, PEER_BATCH) {
            Ok(packets) => packets.for_each(|packet| self.handle_peer_datagram(id, packet, turn)),
            Err(error) => {
                self.report_broken("relay", &error);
                self.server.handle_relay_failed(id, turn.now);
                self.carry_out(turn);
            }
        }
    }

    fn handle_peer_datagram(&mut self, relay: RelayId, slot: Slot, turn: Turn<'_>) {
        let packet = self.arena.packet(slot);
        if packet.truncated {
            self.metrics.worker(self.index).truncated.add(1);
            return;
        }
        match self.server.handle_peer(relay, packet.from, packet.bytes, turn.now) {
            Verdict::ToClient { client, via, peer, payload, cluster } => {
                let len = payload.len();
                self.send_to_client(client, via, peer, slot, len);
                if let Some(meter) = turn.view.cluster(cluster) {
                    meter.of(self.index).rx.count(len);
                }
            }
            Verdict::ToPeer { .. } | Verdict::Control => {}
            Verdict::Dropped(_) => self.counters_changed = true,
        }
        self.carry_out(turn);
    }

    /// Sends a payload, which may be part of a larger packet, from a relay socket.
    ///
    /// The peer may be a relay of this process. Then the datagram makes its way through the kernel to that
    /// relay's socket, which is where a short cut would begin.
    pub(super) fn send_to_peer(
        &mut self,
        relay: RelayId,
        peer: PeerAddr,
        span: Span,
        dont_fragment: bool,
        cluster: ClusterId,
        turn: Turn<'_>,
    ) {
        if let Some(meter) = turn.view.cluster(cluster) {
            meter.of(self.index).tx.count(span.len());
        }
        let socket = Sockets::relay_number(relay);
        self.enqueue(Outgoing { socket, span, to: peer.get(), from: None, dont_fragment });
    }

    /// Sends what a peer sent, the whole packet in a slot, to a client: the header goes into the headroom.
    fn send_to_client(&mut self, client: Client, via: Via, peer: PeerAddr, slot: Slot, len: usize) {
        let header_len = via.header_len(peer);
        // A UDP payload always fits the length field of its header.
        if via.write_header(peer, len, self.arena.headroom(slot, header_len)).is_err() {
            return;
        }
        let padding = via.padding_len(len);
        self.arena.pad(slot, len, padding);
        self.send_span(client, Span::with_header(slot, header_len, len + padding));
    }

    /// Sends bytes of the arena to a client, whatever it is connected by.
    pub(super) fn send_span(&mut self, client: Client, span: Span) {
        if !self.stream_of.is_empty()
            && let Some(&key) = self.stream_of.get(&client)
        {
            self.write_to_stream(key, span);
            return;
        }
        let id = client.listener();
        if let Some(port) = self.sockets.udp.get(usize::from(id.0)).and_then(Option::as_ref) {
            port.meter.of(self.index).tx.count(span.len());
        }
        self.enqueue(Outgoing {
            socket: Sockets::listener_number(id),
            span,
            to: client.remote(),
            from: Some(client.local().ip()),
            dont_fragment: false,
        });
    }

    fn enqueue(&mut self, outgoing: Outgoing) {
        if self.queue.free() == 0 {
            self.flush_datagrams();
        }
        self.queue.push(outgoing);
    }

    fn report_broken(&self, what: &str, error: &io::Error) {
        tracing::error!(target: "stunner", "worker {}: receiving from a {what} socket: {error}", self.index);
    }
}

/// Where a part of some bytes begins in them.
pub(super) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}
