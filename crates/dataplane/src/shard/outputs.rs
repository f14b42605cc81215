//! Carrying out what the TURN server wants: replies, relay sockets, news about allocations.

use net::{Interest, Span, Worth};
use turn::addr::{Client, Family, ListenerId, RelayId};
use turn::server::{Claim, Output, PeerProtocol, RelayPort};

use super::{Shard, Source, Turn};
use crate::relay::{self, Relay};
use crate::view::slot_of;

impl Shard {
    /// Drains the server's output queue.
    pub(super) fn carry_out(&mut self, turn: Turn<'_>) {
        // An address that is about to be free must not be found any more.
        self.publish_changes();
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send { client, message } => self.reply(client, &message),
                Output::OpenRelay { relay, listener, protocol, family, port } => {
                    self.open_relay(relay, listener, (protocol, family), port, turn);
                }
                Output::CloseRelay { relay } => self.close_relay(relay),
                Output::Connect { relay, connection, peer } => self.connect(relay, connection, peer, turn),
                Output::Join { connection, client, cluster } => self.join(connection, client, cluster),
                Output::CloseConnection { connection } => self.close_connection(connection, turn),
                Output::MoveClient { to, .. } => self.moving = Some(to),
                Output::AllocationCreated { client, .. } => {
                    if let Some(&key) = self.stream_of.get(&client) {
                        self.streams[key].allocated();
                    } else {
                        self.hold_session(client);
                    }
                }
                Output::AllocationEnded { client, .. } => self.allocation_ended(client, turn),
                Output::ClientMoved { from, to, .. } => {
                    self.allocation_ended(from, turn);
                    if let Some(&key) = self.stream_of.get(&to) {
                        self.streams[key].allocated();
                    }
                }
                Output::ClientGone { client } => self.release_mover(client),
                Output::Refused(refusal) => {
                    self.counters_changed = true;
                    self.refusals.write(&refusal, turn.view, turn.now.unix);
                }
            }
            self.publish_changes();
        }
    }

    /// Puts a message behind the packets that already wait for the same client.
    fn reply(&mut self, client: Client, message: &[u8]) {
        self.counters_changed = true;
        let (slot, at_once) = self.take_slot();
        self.arena.payload_mut(slot)[..message.len()].copy_from_slice(message);
        self.send_to_client(client, Span::payload(slot, 0, message.len()).into(), Worth::Lasting);
        if at_once {
            self.send_all();
        }
    }

    fn open_relay(
        &mut self,
        id: RelayId,
        listener: ListenerId,
        (protocol, family): (PeerProtocol, Family),
        port: RelayPort,
        turn: Turn<'_>,
    ) {
        let listener = turn.view.get(listener);
        let bind = listener.and_then(|listener| listener.bind);
        let range = listener.and_then(|listener| listener.relay_ports);
        let keeps_errors = listener.is_some_and(|listener| listener.icmp_errors);
        let ip = relay::local_address(family, bind);
        if protocol == PeerProtocol::Tcp {
            let opened = self.open_tcp_relay(id, ip, range);
            return self.server.handle_relay_opened(id, opened, turn.now);
        }
        let opened = match port {
            RelayPort::Any => relay::any(ip, range),
            RelayPort::Even => relay::even(ip, range),
            RelayPort::EvenPair(reservation) => relay::pair(ip, range).map(|(socket, next)| {
                let expires = self.reserve.keep(reservation, next, turn.now.mono);
                self.reserve_ends.push_back(expires);
                socket
            }),
            RelayPort::Reserved(claim) => return self.claim_relay(id, &claim, keeps_errors, turn),
        };
        let opened = opened.map(|socket| self.own(Relay { id, socket, full_at: 0 }, keeps_errors));
        self.server.handle_relay_opened(id, opened, turn.now);
    }

    /// Takes over a socket that this or another worker has opened.
    fn claim_relay(&mut self, id: RelayId, claim: &Claim, keeps_errors: bool, turn: Turn<'_>) {
        let claimed = self.reserve.claim(claim, turn.now.mono).map(|(socket, claimed)| {
            self.own(Relay { id, socket, full_at: 0 }, keeps_errors);
            claimed
        });
        self.server.handle_relay_claimed(id, claimed, turn.now);
    }

    /// Receives from a socket from now on. Returns its port.
    fn own(&mut self, relay: Relay, keeps_errors: bool) -> u16 {
        let slot = relay.id.slot();
        if keeps_errors && let Err(error) = relay.socket.keep_errors() {
            tracing::error!(target: "stunner", "worker {}: a relay hears of no ICMP: {error}", self.index);
        }
        let port = relay.socket.local_addr().port();
        if let Err(error) = self.poller.add(&relay.socket, Source::Relay(slot).token(), Interest::Read) {
            tracing::error!(target: "stunner", "worker {}: a relay is deaf: {error}", self.index);
        }
        *slot_of(&mut self.sockets.relays, slot) = Some(relay);
        port
    }

    fn close_relay(&mut self, id: RelayId) {
        self.close_tcp_relay(id);
        let entry = self.sockets.relays.get(id.slot()).and_then(Option::as_ref);
        if entry.is_some_and(|relay| relay.id == id) {
            // What waits for this socket must not leave from the next one in its slot.
            self.flush_datagrams();
            self.sockets.relays[id.slot()] = None;
        }
    }

    fn allocation_ended(&mut self, client: Client, turn: Turn<'_>) {
        if let Some(&key) = self.stream_of.get(&client)
            && let Some(deadline) = self.streams[key].deallocated(turn.now.mono)
        {
            self.watch_idle(deadline, key);
        }
        if !self.server.has_allocation(&client) {
            self.release_session(client, turn);
        }
        self.release_mover(client);
    }
}
