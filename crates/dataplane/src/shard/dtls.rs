//! Clients on DTLS: what comes from a listener's socket is decrypted where it lies and then handled as any datagram;
//! what is for a client is encrypted into a slot that all of them share.

use std::ops::Range;

use net::{
    DTLS_BEHIND, DTLS_IN_FRONT, DtlsEndpoint, DtlsEvent, DtlsPeer, Expired, HandshakeId, Outgoing, Parts,
    SLOT_CAPACITY, Slot, Span, dtls_record_len,
};
use turn::addr::{Client, ListenerId};

use super::handshakes::Handshakes;
use super::{Shard, Sockets, Turn};
use crate::metrics::{HandshakeEnd, Traffic};
use crate::security::Security;
use crate::view::{ListenerView, slot_of};

/// Clients of one listener at one worker, at most. Sessions take about a kilobyte each, and no file.
const MOST_CLIENTS: usize = 1 << 16;

/// The DTLS clients of a listener at one worker.
pub(super) struct Dtls {
    endpoint: DtlsEndpoint,
    handshakes: Handshakes,
}

impl Dtls {
    pub(super) fn next_turn(&mut self) {
        self.handshakes.next_turn();
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<std::time::Instant> {
        self.endpoint.poll_timeout()
    }

    fn handshake_is_over(&mut self, id: Option<HandshakeId>) {
        if let Some(id) = id {
            self.handshakes.end(id.serial);
        }
    }
}

/// What speaks DTLS at a listener, if that does.
fn speaker(all: &mut [Option<Dtls>], id: ListenerId) -> Option<&mut Dtls> {
    all.get_mut(usize::from(id.0))?.as_mut()
}

fn peer_of(client: Client) -> DtlsPeer {
    DtlsPeer { remote: client.remote(), local: client.local() }
}

impl Shard {
    /// Makes a listener one that speaks DTLS, if that is what it is.
    pub(super) fn open_dtls(&mut self, id: ListenerId, listener: &ListenerView, turn: Turn<'_>) {
        let Security::Dtls { identity } = &listener.security else { return };
        let endpoint = DtlsEndpoint::new(identity.clone(), &self.cookie_secret, turn.now.mono);
        let dtls = Dtls { endpoint, handshakes: Handshakes::default() };
        *slot_of(&mut self.dtls, usize::from(id.0)) = Some(dtls);
    }

    /// Shows new clients the certificates of a new configuration.
    pub(super) fn renew_identities(&mut self, turn: Turn<'_>) {
        for (slot, dtls) in self.dtls.iter_mut().enumerate() {
            if let Some(dtls) = dtls
                && let Some(listener) = turn.view.get(ListenerId(slot as u16))
                && let Security::Dtls { identity } = &listener.security
            {
                dtls.endpoint.set_identity(identity.clone());
            }
        }
    }

    /// Ends all sessions of a listener, if it is one that has some.
    pub(super) fn close_dtls(&mut self, id: ListenerId, turn: Turn<'_>) -> bool {
        let Some(dtls) = speaker(&mut self.dtls, id) else { return false };
        let peers: Vec<DtlsPeer> = dtls.endpoint.peers().collect();
        peers.iter().for_each(|peer| dtls.endpoint.close(peer));
        self.transmit_dtls(id);
        self.dtls[usize::from(id.0)] = None;
        for peer in peers {
            self.session_is_over(Client::new(id, peer.remote, peer.local), true, turn);
        }
        true
    }

    pub(super) fn speaks_dtls(&self, id: ListenerId) -> bool {
        self.dtls.get(usize::from(id.0)).is_some_and(Option::is_some)
    }

    /// Handles a datagram of one client: a record, or several.
    pub(super) fn handle_dtls_datagram(
        &mut self,
        client: Client,
        slot: Slot,
        place: Range<usize>,
        turn: Turn<'_>,
    ) {
        let mut at = place.start;
        while at < place.end {
            let datagram = &mut self.arena.payload_mut(slot)[at..place.end];
            let Some(len) = dtls_record_len(datagram) else {
                self.metrics.worker(self.index).stray_record.add(1);
                break;
            };
            let Some(dtls) = speaker(&mut self.dtls, client.listener()) else {
                return;
            };
            let event = dtls.endpoint.handle(peer_of(client), &mut datagram[..len], turn.now.mono);
            self.handle_dtls_event(client, slot, at..at + len, event, turn);
            at += len;
        }
        self.transmit_dtls(client.listener());
    }

    fn handle_dtls_event(
        &mut self,
        client: Client,
        slot: Slot,
        record: Range<usize>,
        event: DtlsEvent,
        turn: Turn<'_>,
    ) {
        match event {
            DtlsEvent::Handled => {}
            DtlsEvent::Stray => self.metrics.worker(self.index).stray_record.add(1),
            DtlsEvent::Data(contents) => {
                if let Some(traffic) = self.traffic(client.listener()) {
                    traffic.rx.count(contents.len());
                }
                let place = record.start + contents.start..record.start + contents.end;
                if self.handle_client_datagram(client, slot, place, turn) {
                    self.touch_session(client, turn);
                }
            }
            DtlsEvent::Proved => self.begin_dtls(client, slot, record, turn),
            DtlsEvent::Established { handshake, replaced } => {
                self.dtls_handshake_ended(client, Some(handshake), HandshakeEnd::Completed);
                if replaced {
                    self.session_is_over(client, false, turn);
                }
            }
            DtlsEvent::Failed { handshake, gone } => {
                self.dtls_handshake_ended(client, Some(handshake), HandshakeEnd::Failed);
                if gone {
                    self.session_is_over(client, true, turn);
                }
            }
            DtlsEvent::Closed { handshake } => {
                self.dtls_handshake_ended(client, handshake, HandshakeEnd::Failed);
                self.session_is_over(client, true, turn);
            }
        }
    }

    /// Lets a client begin that has proved its address, if there is room, or room can be made.
    fn begin_dtls(&mut self, client: Client, slot: Slot, record: Range<usize>, turn: Turn<'_>) {
        let (id, remote, peer) = (client.listener(), client.remote().ip(), peer_of(client));
        let Some(limits) = turn.view.get(id).map(|listener| listener.handshakes) else { return };
        let Some(dtls) = speaker(&mut self.dtls, id) else { return };
        // Whoever is not served in this turn says it again.
        if dtls.endpoint.len() >= MOST_CLIENTS || !dtls.handshakes.may_go_on() {
            return;
        }
        let in_the_way = dtls.handshakes.in_the_way(remote, limits);
        let in_the_way = in_the_way.map(|(serial, key)| HandshakeId { key, serial });
        for displaced in [dtls.endpoint.handshake_of(&peer), in_the_way].into_iter().flatten() {
            self.displace(id, displaced, turn);
        }
        let Some(dtls) = speaker(&mut self.dtls, id) else { return };
        let clients = dtls.endpoint.len();
        let ends_at = turn.now.mono + self.timeouts.first_message;
        let record = &self.arena.payload(slot)[record];
        let begun = dtls.endpoint.begin(peer, record, ends_at, turn.now.mono);
        let is_new = dtls.endpoint.len() > clients;
        if let Some(HandshakeId { key, serial }) = begun {
            dtls.handshakes.begin(serial, key, remote);
        } else {
            self.count_handshake(id, HandshakeEnd::Failed);
        }
        if is_new && let Some(traffic) = self.traffic(id) {
            traffic.opened.add(1);
        }
    }

    fn displace(&mut self, id: ListenerId, handshake: HandshakeId, turn: Turn<'_>) {
        let Some(dtls) = speaker(&mut self.dtls, id) else { return };
        let Some((peer, gone)) = dtls.endpoint.abandon(handshake) else { return };
        let client = Client::new(id, peer.remote, peer.local);
        self.dtls_handshake_ended(client, Some(handshake), HandshakeEnd::Displaced);
        if gone {
            self.session_is_over(client, true, turn);
        }
    }

    fn dtls_handshake_ended(&mut self, client: Client, handshake: Option<HandshakeId>, end: HandshakeEnd) {
        let id = client.listener();
        if let Some(dtls) = speaker(&mut self.dtls, id) {
            dtls.handshake_is_over(handshake);
        }
        if handshake.is_some() {
            self.count_handshake(id, end);
        }
    }

    fn count_handshake(&self, id: ListenerId, end: HandshakeEnd) {
        if let Some(traffic) = self.traffic(id) {
            traffic.handshakes[end as usize].add(1);
        }
    }

    /// What this worker counts for a listener.
    fn traffic(&self, id: ListenerId) -> Option<&Traffic> {
        let port = self.sockets.udp.get(usize::from(id.0))?.as_ref()?;
        Some(port.meter.of(self.index))
    }

    /// The TURN server forgets a client whose session has ended. Nothing may be left of it at all.
    fn session_is_over(&mut self, client: Client, gone: bool, turn: Turn<'_>) {
        if gone && let Some(traffic) = self.traffic(client.listener()) {
            traffic.closed.add(1);
        }
        self.server.handle_client_closed(client, turn.now);
        self.carry_out(turn);
    }

    /// A session of no use ends a while after the last message that made sense.
    fn touch_session(&mut self, client: Client, turn: Turn<'_>) {
        let ends_at = turn.now.mono + self.timeouts.idle;
        if let Some(dtls) = speaker(&mut self.dtls, client.listener()) {
            dtls.endpoint.prolong(&peer_of(client), ends_at);
        }
    }

    /// A session with an allocation does not end by itself.
    pub(super) fn hold_session(&mut self, client: Client) {
        if let Some(dtls) = speaker(&mut self.dtls, client.listener()) {
            dtls.endpoint.hold(&peer_of(client));
        }
    }

    pub(super) fn release_session(&mut self, client: Client, turn: Turn<'_>) {
        let ends_at = turn.now.mono + self.timeouts.idle;
        if let Some(dtls) = speaker(&mut self.dtls, client.listener()) {
            dtls.endpoint.release(&peer_of(client), ends_at);
        }
    }

    /// Repeats what was not answered, and ends what took too long.
    pub(super) fn handle_dtls_deadlines(&mut self, turn: Turn<'_>) {
        for slot in 0..self.dtls.len() {
            let id = ListenerId(slot as u16);
            while let Some(dtls) = &mut self.dtls[slot]
                && let Some(Expired { peer, handshake, gone }) = dtls.endpoint.poll_expired(turn.now.mono)
            {
                let client = Client::new(id, peer.remote, peer.local);
                let had_session = handshake.is_none();
                self.dtls_handshake_ended(client, handshake, HandshakeEnd::TimedOut);
                if had_session || gone {
                    self.session_is_over(client, gone, turn);
                }
            }
            self.transmit_dtls(id);
        }
    }

    /// Sends what the endpoint has to say by itself.
    fn transmit_dtls(&mut self, id: ListenerId) {
        loop {
            // The slot is found first: the endpoint lends its bytes.
            let Some(dtls) = speaker(&mut self.dtls, id) else { return };
            let Some((peer, datagram)) = dtls.endpoint.poll_transmit() else { return };
            let len = datagram.len();
            let (slot, at, at_once) = room(&mut self.arena, &mut self.sealed, len);
            self.arena.payload_mut(slot)[at..at + len].copy_from_slice(datagram);
            self.send_from(id, peer, Span::payload(slot, at, len));
            if at_once {
                self.flush_datagrams();
            }
        }
    }

    /// Encrypts a message for a client and sends it.
    pub(super) fn send_sealed(&mut self, client: Client, parts: &Parts) {
        let id = client.listener();
        let (len, peer) = (parts.len(), peer_of(client));
        let whole = DTLS_IN_FRONT + len + DTLS_BEHIND;
        if len > net::DTLS_LONGEST {
            self.metrics.worker(self.index).not_sendable.add(1);
            return;
        }
        let (slot, at, at_once) = room(&mut self.arena, &mut self.sealed, whole);
        self.arena.gather(parts, slot, at + DTLS_IN_FRONT);
        let bytes = &mut self.arena.payload_mut(slot)[at..at + whole];
        let Some(dtls) = speaker(&mut self.dtls, id) else { return };
        let Some(record) = dtls.endpoint.seal(&peer, bytes) else {
            self.metrics.worker(self.index).not_sendable.add(1);
            return;
        };
        self.send_from(id, peer, Span::payload(slot, at + record.start, record.len()));
        if at_once {
            self.flush_datagrams();
        }
    }

    fn send_from(&mut self, id: ListenerId, peer: DtlsPeer, span: Span) {
        self.make_room_in_queue();
        self.queue.push(Outgoing {
            socket: Sockets::listener_number(id),
            span,
            to: peer.remote,
            from: Some(peer.local.ip()),
            dont_fragment: false,
        });
    }
}

/// Room in the slot that records share, in the next one if that is full, or in the one that must be sent from at
/// once. In there, others use the first half.
fn room(arena: &mut net::Arena, shared: &mut Option<(Slot, usize)>, len: usize) -> (Slot, usize, bool) {
    let slot = match shared.filter(|(_, used)| used + len <= SLOT_CAPACITY) {
        Some(slot) => Some(slot),
        None => arena.take().map(|slot| (slot, 0)),
    };
    match slot {
        Some((slot, at)) => {
            *shared = Some((slot, at + len));
            (slot, at, false)
        }
        None => (arena.spare(), SLOT_CAPACITY / 2, true),
    }
}
