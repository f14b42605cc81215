//! TCP between relays and peers: connections that are accepted and opened by relays, and bytes that are carried
//! between them and clients' connections.
//!
//! A side is read only while the other has nothing left to write, so that a slow one slows the other down and no byte
//! is lost or piles up here. When one side ends, the other is written what it still has to get, and ends as well.

use std::io;
use std::net::IpAddr;

use net::{Event, Flush, Interest, Read, Span, StreamMessage, TcpListener, TcpStream, Worth, Written};
use turn::addr::{Client, ClusterId, ConnectionId, PeerAddr, RelayId};
use turn::server::RelayError;

use super::{ACCEPT_BATCH, Order, Shard, Source, Turn};
use crate::quota::Place;
use crate::relay::{self, Range};
use crate::stream::{READ_BUDGET, Stream};
use crate::view::slot_of;

/// A relay that listens for peers.
#[derive(Debug)]
pub(super) struct TcpRelay {
    id: RelayId,
    listener: TcpListener,
}

/// A connection with a peer.
#[derive(Debug)]
pub(super) struct PeerStream {
    tcp: TcpStream,
    id: ConnectionId,
    stage: Stage,
    interest: Interest,
    _place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The peer has not answered.
    Connecting,
    /// Nobody reads it yet: what the peer sends waits in the kernel.
    Unbound,
    /// Bytes go to and from this client's connection.
    Joined { stream: usize, cluster: ClusterId },
    /// The same, but the client's connection is gone: what is left is written, and that was it.
    Ending,
}

/// The other end of a client's connection that has become one of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joint {
    /// The place of the connection with the peer.
    Peer(usize),
    /// The peer is gone: what is left is written, and that was it.
    Ending,
}

/// A client's connection on its way to another worker, with what was read and not handled yet.
#[derive(Debug)]
pub(crate) struct Moving {
    pub(crate) stream: Stream,
    pub(crate) unread: Vec<u8>,
}

/// Beginnings.
impl Shard {
    /// Opens the socket of a relay for TCP.
    pub(super) fn open_tcp_relay(
        &mut self,
        id: RelayId,
        ip: IpAddr,
        range: Range,
    ) -> Result<u16, RelayError> {
        let listener = relay::listening(ip, range)?;
        let (slot, port) = (id.slot(), listener.local_addr().port());
        if let Err(error) = self.poller.add(&listener, Source::TcpRelay(slot).token(), Interest::Read) {
            tracing::error!(target: "stunner", "worker {}: a relay is deaf: {error}", self.index);
        }
        *slot_of(&mut self.sockets.tcp_relays, slot) = Some(TcpRelay { id, listener });
        Ok(port)
    }

    pub(super) fn close_tcp_relay(&mut self, id: RelayId) {
        let entry = self.sockets.tcp_relays.get_mut(id.slot());
        drop(entry.and_then(|entry| entry.take_if(|relay| relay.id == id)));
    }

    /// Begins to connect to a peer.
    pub(super) fn connect(&mut self, relay: RelayId, id: ConnectionId, peer: PeerAddr, turn: Turn<'_>) {
        let entry = self.sockets.tcp_relays.get(relay.slot()).and_then(Option::as_ref);
        let from = entry.filter(|entry| entry.id == relay).map(|entry| entry.listener.local_addr());
        let begun = from.map(|from| TcpStream::begin_connect(from, peer.get()));
        let is_begun = match begun {
            Some(Ok(tcp)) => self.keep_peer(tcp, id, Stage::Connecting, turn).is_ok(),
            Some(Err(_)) | None => false,
        };
        if !is_begun {
            self.server.handle_connected(id, false, turn.now);
        }
    }

    /// Takes connections from peers that the server lets in, and closes others.
    pub(super) fn accept_peers(&mut self, slot: usize, turn: Turn<'_>) {
        for _ in 0..ACCEPT_BATCH {
            let Some(relay) = self.sockets.tcp_relays.get(slot).and_then(Option::as_ref) else { return };
            let id = relay.id;
            match relay.listener.accept() {
                Ok(Some(tcp)) => self.welcome(id, tcp, turn),
                Ok(None) => return,
                Err(error) => {
                    self.report_broken("relay", &error);
                    self.server.handle_relay_failed(id, turn.now);
                    return self.carry_out(turn);
                }
            }
        }
    }

    fn welcome(&mut self, relay: RelayId, tcp: TcpStream, turn: Turn<'_>) {
        match self.server.handle_accepted(relay, tcp.remote(), turn.view, turn.now) {
            Ok(id) => {
                if self.keep_peer(tcp, id, Stage::Unbound, turn).is_err() {
                    self.server.handle_connection_closed(id, turn.now);
                }
            }
            Err(_) => self.counters_changed = true,
        }
        self.carry_out(turn);
    }

    fn keep_peer(
        &mut self,
        tcp: TcpStream,
        id: ConnectionId,
        stage: Stage,
        turn: Turn<'_>,
    ) -> io::Result<()> {
        // It is an open file like any other.
        let place = turn.view.quota.connect().ok_or(io::ErrorKind::QuotaExceeded)?;
        let interest = if stage == Stage::Connecting { Interest::Write } else { Interest::Nothing };
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        self.poller.add(&tcp, Source::Peer(key).token(), interest)?;
        entry.insert(PeerStream { tcp, id, stage, interest, _place: place });
        self.peer_of.insert(id, key);
        Ok(())
    }

    /// Carries bytes from now on.
    pub(super) fn join(&mut self, id: ConnectionId, client: Client, cluster: ClusterId) {
        // The answer goes first.
        self.write_streams();
        let (Some(&key), Some(&stream)) = (self.peer_of.get(&id), self.stream_of.get(&client)) else {
            return;
        };
        self.peers[key].stage = Stage::Joined { stream, cluster };
        self.streams[stream].join(key);
        self.balance(key);
    }
}

/// Bytes.
impl Shard {
    pub(super) fn handle_peer_stream(&mut self, key: usize, event: Event, turn: Turn<'_>) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        match peer.stage {
            Stage::Connecting => self.finish_connecting(key, turn),
            // It was reset.
            Stage::Unbound => self.close_peer(key, turn),
            Stage::Ending => {
                if !matches!(peer.tcp.flush(), Ok(Flush::Pending)) || event.readable && !event.writable {
                    self.close_peer(key, turn);
                }
            }
            Stage::Joined { .. } => {
                let is_alive = peer.tcp.flush().is_ok() && (!event.readable || self.read_peer(key, turn));
                match is_alive {
                    true => self.go_on(key, turn),
                    false => self.end_peer_side(key, turn),
                }
            }
        }
    }

    /// What a client has said and the kernel does not announce goes on its way as soon as there is room.
    fn go_on(&mut self, key: usize, turn: Turn<'_>) {
        if let Some(PeerStream { stage: Stage::Joined { stream, .. }, .. }) = self.peers.get(key) {
            let (stream, joint) = (*stream, Joint::Peer(key));
            let waits = self.streams.get_mut(stream).is_some_and(|stream| stream.pipe.has_unread());
            if waits && !self.carry_from_client(stream, joint, turn) {
                return self.close_stream(stream, turn);
            }
        }
        self.balance(key);
    }

    fn finish_connecting(&mut self, key: usize, turn: Turn<'_>) {
        let peer = &mut self.peers[key];
        let id = peer.id;
        match peer.tcp.is_connected() {
            Ok(false) => return,
            Ok(true) => {
                peer.stage = Stage::Unbound;
                self.watch_peer(key, Interest::Nothing);
                self.server.handle_connected(id, true, turn.now);
            }
            Err(_) => {
                self.forget_peer(key);
                self.server.handle_connected(id, false, turn.now);
            }
        }
        self.carry_out(turn);
    }

    /// Takes bytes from a peer to its client. Whether there may be more.
    fn read_peer(&mut self, key: usize, turn: Turn<'_>) -> bool {
        self.make_room(1, turn);
        let Some(PeerStream { tcp, stage: Stage::Joined { stream, cluster }, interest, .. }) =
            self.peers.get_mut(key)
        else {
            return true;
        };
        // An event that was not asked for: the connection was reset.
        if *interest == Interest::Nothing || *interest == Interest::Write {
            return false;
        }
        let (Some(slot), Some(stream)) = (self.arena.take(), self.streams.get_mut(*stream)) else {
            return true;
        };
        let buffer = self.arena.payload_mut(slot);
        let budget = buffer.len().min(READ_BUDGET);
        let len = match tcp.read(&mut buffer[..budget]) {
            Ok(Read::Data(len)) => len,
            Ok(Read::Nothing) => return true,
            Ok(Read::End) | Err(_) => return false,
        };
        if let Some(meter) = turn.view.cluster(*cluster) {
            meter.of(self.index).rx.count(len);
        }
        stream.meter.of(self.index).tx.count(len);
        is_kept(stream.pipe.write(&self.arena, &[lasting(Span::payload(slot, 0, len))]))
    }

    /// Takes bytes from a client to its peer. Whether the connection is still of use.
    pub(super) fn carry_to_peer(&mut self, stream: usize, bytes: Span, turn: Turn<'_>) -> bool {
        let Some(Joint::Peer(key)) = self.streams.get(stream).and_then(|stream| stream.joint) else {
            return true;
        };
        let Some(peer) = self.peers.get_mut(key) else { return false };
        if let Stage::Joined { cluster, .. } = peer.stage
            && let Some(meter) = turn.view.cluster(cluster)
        {
            meter.of(self.index).tx.count(bytes.len());
        }
        let is_alive = is_kept(peer.tcp.write(&self.arena, &[lasting(bytes)]));
        self.balance(key);
        is_alive
    }

    /// Whether a client's connection may be read: its peer has taken what came before.
    pub(super) fn may_carry(&self, joint: Joint) -> bool {
        match joint {
            Joint::Peer(key) => self.peers.get(key).is_some_and(|peer| peer.tcp.is_flushed()),
            Joint::Ending => false,
        }
    }

    /// Waits for each side's bytes if the other has room for them, and for room where there is none.
    pub(super) fn balance(&mut self, key: usize) {
        let Some(PeerStream { tcp, stage: Stage::Joined { stream, .. }, .. }) = self.peers.get(key) else {
            return;
        };
        let (stream, peer_is_flushed) = (*stream, tcp.is_flushed());
        let client_is_flushed = self.streams.get(stream).is_some_and(|stream| stream.pipe.is_flushed());
        self.watch_peer(key, interest(client_is_flushed, !peer_is_flushed));
        self.watch_stream(stream, interest(peer_is_flushed, !client_is_flushed));
    }

    fn watch_peer(&mut self, key: usize, interest: Interest) {
        let peer = &mut self.peers[key];
        if peer.interest != interest {
            peer.interest = interest;
            // It cannot fail for a connection that is in the queue.
            let _ = self.poller.change(&peer.tcp, Source::Peer(key).token(), interest);
        }
    }
}

/// Ends.
impl Shard {
    /// The server ends a connection with a peer.
    pub(super) fn close_connection(&mut self, id: ConnectionId, turn: Turn<'_>) {
        let Some(&key) = self.peer_of.get(&id) else { return };
        if let Some(PeerStream { stage: Stage::Joined { stream, .. }, .. }) = self.forget_peer(key) {
            self.close_stream(stream, turn);
        }
    }

    /// The peer has ended a joined connection.
    fn end_peer_side(&mut self, key: usize, turn: Turn<'_>) {
        let Some(peer) = self.forget_peer(key) else { return };
        if let Stage::Joined { stream, .. } = peer.stage
            && let Some(client) = self.streams.get_mut(stream)
        {
            client.joint = Some(Joint::Ending);
            match client.pipe.flush() {
                Ok(Flush::Pending) => self.watch_stream(stream, Interest::Write),
                Ok(Flush::Empty) | Err(_) => self.close_stream(stream, turn),
            }
        }
        self.server.handle_connection_closed(peer.id, turn.now);
        self.carry_out(turn);
    }

    /// The client has ended a joined connection.
    pub(super) fn end_client_side(&mut self, joint: Joint, turn: Turn<'_>) {
        let Joint::Peer(key) = joint else { return };
        let Some(peer) = self.peers.get_mut(key) else { return };
        match peer.tcp.flush() {
            Ok(Flush::Pending) => {
                peer.stage = Stage::Ending;
                self.watch_peer(key, Interest::Write);
            }
            Ok(Flush::Empty) | Err(_) => self.close_peer(key, turn),
        }
    }

    fn close_peer(&mut self, key: usize, turn: Turn<'_>) {
        let Some(peer) = self.forget_peer(key) else { return };
        self.server.handle_connection_closed(peer.id, turn.now);
        self.carry_out(turn);
    }

    fn forget_peer(&mut self, key: usize) -> Option<PeerStream> {
        let peer = self.peers.try_remove(key)?;
        self.peer_of.remove(&peer.id);
        Some(peer)
    }
}

/// Connections that change workers.
impl Shard {
    /// Gives a client's connection away, and `unread`, what it has said that was not handled.
    pub(super) fn hand_over(&mut self, key: usize, to: u8, unread: Vec<u8>, turn: Turn<'_>) {
        self.write_streams();
        let Some(stream) = self.streams.try_remove(key) else { return };
        self.stream_of.remove(&stream.client);
        self.broken_streams.retain(|broken| *broken != key);
        self.poller.remove(&stream.pipe);
        let moving = Box::new(Moving { stream, unread });
        if let Some((orders, waker)) = self.others.get().and_then(|others| others.get(usize::from(to))) {
            // A worker that has ended has no use for it.
            let _ = orders.send(Order::Adopt(moving));
            waker.wake();
        }
        self.carry_out(turn);
    }

    /// Takes over a client's connection from another worker.
    pub(super) fn take_over(&mut self, Moving { mut stream, unread }: Moving, turn: Turn<'_>) {
        let entry = self.streams.vacant_entry();
        let (key, client) = (entry.key(), stream.client);
        if self.poller.add(&stream.pipe, Source::Stream(key).token(), Interest::Read).is_err() {
            return;
        }
        self.next_serial += 1;
        stream.serial = self.next_serial;
        stream.awaits_room = false;
        let deadline = stream.deadline();
        entry.insert(stream);
        self.stream_of.insert(client, key);
        deadline.into_iter().for_each(|deadline| self.watch_idle(deadline, key));
        if !self.handle_unread(key, &unread, turn) {
            self.close_stream(key, turn);
        }
    }
}

/// Bytes of which none may be missing.
fn lasting(bytes: Span) -> StreamMessage {
    StreamMessage { parts: bytes.into(), worth: Worth::Lasting }
}

/// All of it is with the kernel or waits.
fn is_kept(written: io::Result<Written>) -> bool {
    written.is_ok_and(|written| written.dropped == 0)
}

const fn interest(reads: bool, writes: bool) -> Interest {
    match (reads, writes) {
        (true, true) => Interest::ReadWrite,
        (true, false) => Interest::Read,
        (false, true) => Interest::Write,
        (false, false) => Interest::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn a_side_without_room_stops_the_other() {
        assert_eq!(interest(false, true), Interest::Write);
        assert_eq!(interest(false, false), Interest::Nothing);
    }

    #[test]
    fn a_relay_listens_on_a_port_of_its_own() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (one, two) = (relay::listening(ip, None).unwrap(), relay::listening(ip, None).unwrap());
        assert_ne!(one.local_addr().port(), two.local_addr().port());
    }
}
