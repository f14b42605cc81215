//! The short cut: a packet for a peer that is a relay of this process goes to that relay's client at once, without
//! passing the two relay sockets.
//!
//! Whatever a packet would have met on the long way it meets here: the sender's entry has been asked already, the
//! receiver's is asked next, both clusters and both listeners count it, and the receiver is told that it comes from
//! the address the sender is relayed at. What does not fit takes the long way.

use std::sync::Arc;

use net::{Parts, Slot, Span, Waker, Worth};
use turn::addr::{Client, ClusterId, PeerAddr, RelayId, Transport};
use turn::server::{Change, Inbound, Verdict, Via};

use super::{Shard, Turn};
use crate::neighbours::{Entry, Letter, Neighbours};

/// The largest payload of a UDP datagram in IPv4. A longer one could not be sent from a relay socket either.
const LONGEST: usize = 65_507;

/// A client's data in the arena.
#[derive(Clone, Copy)]
pub(super) struct Payload {
    slot: Slot,
    /// Where it begins in its slot.
    at: usize,
    len: usize,
    /// How many bytes in front of it belong to it: the header it came with, which nobody needs any more.
    front: usize,
}

/// Who gets a packet, and how.
struct Receiver {
    client: Client,
    via: Via,
    peer: PeerAddr,
    cluster: ClusterId,
}

/// What becomes of a packet for a client of this process.
enum Passed {
    /// It is to be sent from here.
    Here(Receiver),
    /// It is with the other worker, or was dropped.
    Done,
    /// The long way is the only one.
    Not,
}

/// What a worker needs for the short cut.
pub(super) struct ShortCut {
    is_on: bool,
    neighbours: Option<Arc<Neighbours>>,
    /// By worker, who has got mail in this turn.
    to_ring: Vec<bool>,
    /// The slot of headers that stand apart from what they belong to, and how many of its bytes are in use.
    headers: Option<(Slot, usize)>,
}

impl ShortCut {
    pub(super) fn new(is_on: bool, neighbours: Option<Arc<Neighbours>>) -> Self {
        let workers = neighbours.as_ref().map_or(0, |neighbours| neighbours.count());
        Self { is_on, neighbours, to_ring: vec![false; workers], headers: None }
    }

    /// Lets other workers wake this one.
    pub(super) fn receive_mail(&self, worker: usize, waker: Waker) {
        if let Some(neighbours) = &self.neighbours {
            neighbours.mailbox(worker).belongs_to(waker);
        }
    }

    /// Wakes the workers that have got mail in this turn.
    pub(super) fn ring(&mut self) {
        let Some(neighbours) = &self.neighbours else { return };
        for (worker, to_ring) in self.to_ring.iter_mut().enumerate() {
            if std::mem::take(to_ring) {
                neighbours.mailbox(worker).ring();
            }
        }
    }

    /// Puts a client's datagram into another worker's mailbox. Says whether that left all in there that was.
    pub(super) fn post_datagram(&mut self, to: usize, from: usize, client: Client, datagram: &[u8]) -> bool {
        let Some(neighbours) = &self.neighbours else { return false };
        let Some(to_ring) = self.to_ring.get_mut(to) else { return false };
        *to_ring = true;
        neighbours.mailbox(to).post_datagram(from, client, datagram).is_ok()
    }

    /// The arena's slots are given back.
    pub(super) fn forget_headers(&mut self) {
        self.headers = None;
    }
}

impl Payload {
    /// Data behind a header of `front` bytes.
    pub(super) fn new(slot: Slot, header_at: usize, front: usize, len: usize) -> Self {
        Self { slot, at: header_at + front, len, front }
    }

    pub(super) fn span(&self) -> Span {
        Span::payload(self.slot, self.at, self.len)
    }
}

impl Shard {
    /// Passes a packet on to the client whose relay the peer is. Says whether that is what the peer is.
    pub(super) fn take_short_cut(
        &mut self,
        relay: RelayId,
        peer: PeerAddr,
        data: Payload,
        turn: Turn<'_>,
    ) -> bool {
        if !self.short_cut.is_on || data.len > LONGEST || !turn.view.advertises(peer.ip()) {
            return false;
        }
        let payload = &self.arena.payload(data.slot)[data.at..data.at + data.len];
        let passed = match self.server.handle_own_peer(relay, peer, payload, turn.now) {
            Some(verdict) => Passed::by(verdict),
            None => self.ask_neighbours(relay, peer, data, turn),
        };
        match passed {
            Passed::Here(to) => self.pass_on(to, data, turn),
            Passed::Done => self.counters_changed = true,
            Passed::Not => return false,
        }
        true
    }

    fn ask_neighbours(&mut self, relay: RelayId, peer: PeerAddr, data: Payload, turn: Turn<'_>) -> Passed {
        let ShortCut { neighbours: Some(neighbours), to_ring, .. } = &mut self.short_cut else {
            return Passed::Not;
        };
        let Some(from) = self.server.forwarding().relayed_addr(relay) else { return Passed::Not };
        let payload = &self.arena.payload(data.slot)[data.at..data.at + data.len];
        let (sockets, server) = (&self.sockets.udp, &mut self.server);
        let stats = self.metrics.worker(self.index);
        let pass_to = |Entry { worker, relay, about: inbound }: &Entry<Inbound>| {
            let id = inbound.client().listener();
            match turn.view.get(id).map(|listener| listener.policy.transport) {
                // From a socket of this worker that has the same address.
                Some(Transport::Udp) if sockets.get(usize::from(id.0)).is_some_and(Option::is_some) => {
                    Passed::by(server.handle_neighbour(from, inbound, payload, turn.now))
                }
                // Whoever has the connection decides.
                Some(Transport::Tcp | Transport::Tls | Transport::Dtls) => {
                    if neighbours.mailbox(*worker).post(*relay, from.get(), payload).is_err() {
                        stats.mailbox_full.add(1);
                    }
                    to_ring[*worker] = true;
                    Passed::Done
                }
                Some(Transport::Udp) | None => Passed::Not,
            }
        };
        neighbours.relays.look_up(peer.get(), pass_to).unwrap_or(Passed::Not)
    }

    /// Sends data to a client behind a new header: in the place of the old one, or elsewhere if that is too short.
    fn pass_on(&mut self, to: Receiver, data: Payload, turn: Turn<'_>) {
        let Receiver { client, via, peer, cluster } = to;
        let Payload { slot, at, len, front } = data;
        if let Some(meter) = turn.view.cluster(cluster) {
            meter.of(self.index).rx.count(len);
        }
        let header_len = via.header_len(peer);
        let padding = via.padding_len(len) as u8;
        let in_place = header_len <= front;
        let ((place, start), at_once) =
            if in_place { ((slot, at - header_len), false) } else { self.room_for_header(header_len) };
        let header = &mut self.arena.payload_mut(place)[start..start + header_len];
        // A payload of this length always fits the length field of its header.
        if via.write_header(peer, len, header).is_err() {
            return;
        }
        let header = Span::payload(place, start, header_len);
        let parts = if in_place {
            Parts { head: None, body: Span::payload(slot, start, header_len + len), padding }
        } else {
            Parts { head: Some(header), body: data.span(), padding }
        };
        self.send_to_client(client, parts, Worth::Fleeting);
        if at_once {
            self.send_all();
        }
    }

    /// Room for a header in a slot that many share, and whether it must be sent at once.
    fn room_for_header(&mut self, len: usize) -> ((Slot, usize), bool) {
        let used = self.short_cut.headers.filter(|(_, used)| used + len <= net::SLOT_CAPACITY);
        let ((slot, used), at_once) = match used {
            Some(used) => (used, false),
            None => {
                let (slot, at_once) = self.take_slot();
                ((slot, 0), at_once)
            }
        };
        self.short_cut.headers = (!at_once).then_some((slot, used + len));
        ((slot, used), at_once)
    }

    /// Lets other workers know what this one's relays let through now.
    pub(super) fn publish_changes(&mut self) {
        let Some(neighbours) = self.short_cut.neighbours.as_ref().filter(|_| self.short_cut.is_on) else {
            return;
        };
        while let Some(change) = self.server.poll_change() {
            match change {
                Change::Changed(relay) => {
                    if let Some((relayed, inbound)) = self.server.inbound(relay) {
                        neighbours.relays.publish(relayed.get(), self.index, relay, inbound);
                    }
                }
                Change::Ended(relay, relayed) => {
                    neighbours.relays.withdraw(relayed.get(), self.index, relay);
                }
            }
        }
    }

    /// Handles what other workers have for clients of this one.
    pub(super) fn read_mail(&mut self, turn: Turn<'_>) {
        let Some(neighbours) = self.short_cut.neighbours.clone() else { return };
        neighbours.mailbox(self.index).empty(|letter| self.deliver(letter, turn));
    }

    fn deliver(&mut self, letter: &Letter, turn: Turn<'_>) {
        if let Some((from, client)) = letter.passed_on {
            return self.handle_passed_datagram(from, client, &letter.payload, turn);
        }
        self.make_room(1, turn);
        let (slot, at_once) = self.take_slot();
        let data = Payload::new(slot, 0, Via::MAX_HEADER_LEN, letter.payload.len());
        self.arena.payload_mut(slot)[data.at..data.at + data.len].copy_from_slice(&letter.payload);
        let verdict = self.server.handle_peer(letter.relay, letter.from, &letter.payload, turn.now);
        match Passed::by(verdict) {
            Passed::Here(to) => {
                self.pass_on(to, data, turn);
                if at_once {
                    self.send_all();
                }
            }
            Passed::Done | Passed::Not => self.counters_changed = true,
        }
    }
}

impl Passed {
    fn by(verdict: Verdict<'_>) -> Self {
        match verdict {
            Verdict::ToClient { client, via, peer, cluster, .. } => {
                Self::Here(Receiver { client, via, peer, cluster })
            }
            Verdict::Dropped(_) | Verdict::Control | Verdict::ToPeer { .. } => Self::Done,
        }
    }
}
