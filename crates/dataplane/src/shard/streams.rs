//! Clients on TCP and TLS connections: accepting, reading frames, writing, closing.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Instant;

use net::{Event, Flush, Interest, Read, Slot, Span, StreamMessage, TcpStream};
use turn::addr::{Client, ListenerId};
use turn::server::{DropReason, Verdict};

use super::datagrams::offset_in;
use super::headless::Payload;
use super::{ACCEPT_BATCH, ACCEPT_PAUSE, ForStream, Joint, STREAM_QUEUE, Shard, Source, Turn};
use crate::metrics::{HandshakeEnd, Meter};
use crate::pipe::Pipe;
use crate::stream::{Piece, READ_BUDGET, Stream};

impl Shard {
    pub(super) fn accept(&mut self, slot: usize, turn: Turn<'_>) {
        for _ in 0..ACCEPT_BATCH {
            let Some(port) = self.sockets.tcp.get(slot).and_then(Option::as_ref) else { return };
            match port.socket.accept() {
                Ok(Some(tcp)) => {
                    let meter = Arc::clone(&port.meter);
                    self.adopt(ListenerId(slot as u16), tcp, meter, turn);
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(target: "stunner", "worker {}: accepting rests: {error}", self.index);
                    self.listen_for_connections(Interest::Nothing);
                    self.accept_again = Some(turn.now.mono + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    pub(super) fn listen_for_connections(&self, interest: Interest) {
        for (slot, port) in self.sockets.tcp.iter().enumerate() {
            if let Some(port) = port {
                // It cannot fail for a socket that is in the queue.
                let _ = self.poller.change(&port.socket, Source::Tcp(slot).token(), interest);
            }
        }
    }

    /// Takes charge of a connection, unless there are as many as there may be: then it is closed again.
    fn adopt(&mut self, id: ListenerId, tcp: TcpStream, meter: Arc<Meter>, turn: Turn<'_>) {
        let Some(place) = turn.view.quota.connect() else { return };
        let client = Client::new(id, tcp.remote(), tcp.local());
        let listener = turn.view.get(id);
        let Ok(pipe) = Pipe::accept(tcp, listener.and_then(|listener| listener.security.tls())) else {
            return;
        };
        if pipe.is_handshaking()
            && let Some(limits) = listener.map(|listener| listener.handshakes)
            && let Some((_, oldest)) = self.handshakes.in_the_way(client.remote().ip(), limits)
        {
            self.end_stream(oldest, HandshakeEnd::Displaced, turn);
        }
        let entry = self.streams.vacant_entry();
        let key = entry.key();
        if self.poller.add(&pipe, Source::Stream(key).token(), Interest::Read).is_err() {
            return;
        }
        meter.of(self.index).opened.add(1);
        self.next_serial += 1;
        let (serial, now) = (self.next_serial, turn.now.mono);
        let stream = entry.insert(Stream::new(pipe, client, (meter, place), serial, self.timeouts, now));
        let (deadline, handshaking) = (stream.deadline(), stream.handshaking);
        self.stream_of.insert(client, key);
        deadline.into_iter().for_each(|deadline| self.watch_idle(deadline, key));
        if handshaking {
            self.handshakes.begin(serial, key, client.remote().ip());
        }
    }

    pub(super) fn handle_stream(&mut self, key: usize, event: Event, turn: Turn<'_>) {
        if let Some(joint) = self.streams.get(key).and_then(|stream| stream.joint) {
            return self.handle_joined(key, joint, event, turn);
        }
        if event.writable && !self.flush_stream(key) {
            self.close_stream(key, turn);
        }
        if event.readable && !self.read(key, turn) {
            self.close_stream(key, turn);
        }
    }

    /// Whether the connection is still of use.
    fn read(&mut self, key: usize, turn: Turn<'_>) -> bool {
        loop {
            if !self.read_once(key, turn) {
                return false;
            }
            // What is decrypted already is not announced by the kernel.
            if !self
                .streams
                .get_mut(key)
                .is_some_and(|stream| stream.joint.is_none() && stream.pipe.has_unread())
            {
                return true;
            }
        }
    }

    fn read_once(&mut self, key: usize, turn: Turn<'_>) -> bool {
        self.make_room(1, turn);
        let Some(stream) = self.streams.get_mut(key) else { return true };
        if let Some(joint) = stream.joint {
            return self.carry_from_client(key, joint, turn);
        }
        if stream.handshaking && !self.handshakes.may_go_on() {
            return true;
        }
        let Some(slot) = self.arena.take() else { return true };
        let buffer = self.arena.payload_mut(slot);
        let mut filled = stream.restore(buffer);
        let budget = buffer.len().min(filled + READ_BUDGET);
        match stream.pipe.read(&mut self.ciphertext, &mut buffer[filled..budget]) {
            Ok(Read::Data(len)) => filled += len,
            Ok(Read::Nothing) => {}
            Ok(Read::End) | Err(_) => return false,
        }
        if stream.handshaking && !stream.pipe.is_handshaking() {
            stream.handshaking = false;
            stream.meter.of(self.index).handshakes[HandshakeEnd::Completed as usize].add(1);
            self.handshakes.end(stream.serial);
        }
        // TLS answers by itself.
        let is_flushed = stream.pipe.is_flushed();
        (is_flushed || self.await_room(key, Flush::Pending)) && self.handle_frames(key, slot, filled, turn)
    }

    fn handle_frames(&mut self, key: usize, slot: Slot, filled: usize, turn: Turn<'_>) -> bool {
        let mut at = 0;
        // A frame may end the connection it came on.
        while let Some(stream) = self.streams.get_mut(key) {
            let bytes = &self.arena.payload(slot)[at..filled];
            if stream.joint.is_some() {
                return at == filled || self.carry_to_peer(key, Span::payload(slot, at, filled - at), turn);
            }
            match stream.next(bytes) {
                Piece::Frame { len, taken } => {
                    if !self.handle_frame(key, slot, at, len, turn) {
                        return false;
                    }
                    if let Some(to) = self.moving.take() {
                        let unread = self.arena.payload(slot)[at..filled].to_vec();
                        self.hand_over(key, to, unread, turn);
                        return true;
                    }
                    at += taken;
                }
                Piece::Unfinished => {
                    stream.keep(bytes);
                    return true;
                }
                Piece::Garbage => return false,
            }
        }
        true
    }

    fn handle_frame(&mut self, key: usize, slot: Slot, at: usize, len: usize, turn: Turn<'_>) -> bool {
        let stream = &mut self.streams[key];
        let frame = &self.arena.payload(slot)[at..at + len];
        stream.meter.of(self.index).rx.count(len);
        match self.server.handle_client(stream.client, frame, turn.view, turn.now) {
            Verdict::ToPeer { relay, peer, payload, cluster, dont_fragment } => {
                let data = Payload::new(slot, at, offset_in(frame, payload), payload.len());
                self.send_to_peer(relay, peer, data, dont_fragment, cluster, turn);
            }
            Verdict::Control => {
                let earlier = stream.touch(turn.now.mono);
                earlier.into_iter().for_each(|deadline| self.watch_idle(deadline, key));
            }
            Verdict::ToClient { .. } => {}
            Verdict::Dropped(reason) => {
                self.counters_changed = true;
                if matches!(reason, DropReason::NotTurn | DropReason::Malformed) {
                    return false;
                }
            }
        }
        self.carry_out(turn);
        true
    }

    /// Handles what another worker has read.
    pub(super) fn handle_unread(&mut self, key: usize, unread: &[u8], turn: Turn<'_>) -> bool {
        self.make_room(1, turn);
        let Some(slot) = self.arena.take() else { return false };
        self.arena.payload_mut(slot)[..unread.len()].copy_from_slice(unread);
        self.handle_frames(key, slot, unread.len(), turn)
    }

    /// Carries bytes of a connection that is none of messages any more.
    fn handle_joined(&mut self, key: usize, joint: Joint, event: Event, turn: Turn<'_>) {
        let is_flushed = event.writable && !matches!(self.streams[key].pipe.flush(), Ok(Flush::Pending));
        match joint {
            Joint::Ending if is_flushed || event.readable => self.close_stream(key, turn),
            Joint::Ending => {}
            Joint::Peer(peer) => {
                // An event that was not asked for: the connection was reset.
                let is_alive =
                    !event.readable || self.streams[key].reads() && self.carry_from_client(key, joint, turn);
                if is_alive { self.balance(peer) } else { self.close_stream(key, turn) }
            }
        }
    }

    /// Takes bytes from a client to its peer for as long as the peer has room. Whether the connection is still of use.
    pub(super) fn carry_from_client(&mut self, key: usize, joint: Joint, turn: Turn<'_>) -> bool {
        while self.may_carry(joint) {
            self.make_room(1, turn);
            let (Some(slot), Some(stream)) = (self.arena.take(), self.streams.get_mut(key)) else {
                return true;
            };
            let buffer = self.arena.payload_mut(slot);
            let budget = buffer.len().min(READ_BUDGET);
            let len = match stream.pipe.read(&mut self.ciphertext, &mut buffer[..budget]) {
                Ok(Read::Data(len)) => len,
                Ok(Read::Nothing) => return true,
                Ok(Read::End) | Err(_) => return false,
            };
            stream.meter.of(self.index).rx.count(len);
            let more = stream.pipe.has_unread();
            if !self.carry_to_peer(key, Span::payload(slot, 0, len), turn) {
                return false;
            }
            if !more {
                break;
            }
        }
        true
    }

    /// Waits for something of a joined connection.
    pub(super) fn watch_stream(&mut self, key: usize, interest: Interest) {
        let Some(stream) = self.streams.get_mut(key) else { return };
        if stream.wants(interest) {
            // It cannot fail for a connection that is in the queue.
            let _ = self.poller.change(&stream.pipe, Source::Stream(key).token(), interest);
        }
    }

    /// Notes a message for a connection; it is written at the end of the turn, together with others.
    pub(super) fn write_to_stream(&mut self, key: usize, message: StreamMessage) {
        if self.for_streams.len() == STREAM_QUEUE {
            self.write_streams();
        }
        self.streams[key].meter.of(self.index).tx.count(message.parts.len());
        let place = self.for_streams.len() as u32;
        self.for_streams.push(ForStream { key: key as u32, place, message });
    }

    /// Writes what was noted for connections, one call for each as a rule. Those of no further use are closed by
    /// [`Self::close_broken_streams`].
    pub(super) fn write_streams(&mut self) {
        if self.for_streams.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.for_streams);
        waiting.sort_unstable_by_key(|entry| (entry.key, entry.place));
        for own in waiting.chunk_by(|a, b| a.key == b.key) {
            self.stream_messages.clear();
            self.stream_messages.extend(own.iter().map(|entry| entry.message));
            let key = own[0].key as usize;
            let Some(stream) = self.streams.get_mut(key) else { continue };
            let alive = match stream.pipe.write(&self.arena, &self.stream_messages) {
                Ok(written) => {
                    self.metrics.worker(self.index).slow_reader.add(written.dropped as u64);
                    self.await_room(key, written.flush)
                }
                Err(_) => false,
            };
            if !alive {
                self.broken_streams.push(key);
            }
        }
        waiting.clear();
        self.for_streams = waiting;
    }

    pub(super) fn close_broken_streams(&mut self, turn: Turn<'_>) {
        while let Some(key) = self.broken_streams.pop() {
            self.close_stream(key, turn);
        }
    }

    /// Writes what a connection was slow to take. Whether it is still of use.
    fn flush_stream(&mut self, key: usize) -> bool {
        let Some(stream) = self.streams.get_mut(key) else { return true };
        stream.pipe.flush().is_ok_and(|flush| self.await_room(key, flush))
    }

    /// Asks for an event when there is room to write again, if some is needed. Whether that is possible.
    fn await_room(&mut self, key: usize, flush: Flush) -> bool {
        let Some(stream) = self.streams.get_mut(key) else { return true };
        let awaits_room = flush == Flush::Pending;
        if stream.awaits_room == awaits_room {
            return true;
        }
        stream.awaits_room = awaits_room;
        let interest = if awaits_room { Interest::ReadWrite } else { Interest::Read };
        self.poller.change(&stream.pipe, Source::Stream(key).token(), interest).is_ok()
    }

    /// Ends a connection and with it its allocation.
    pub(super) fn close_stream(&mut self, key: usize, turn: Turn<'_>) {
        self.end_stream(key, HandshakeEnd::Failed, turn);
    }

    /// The same, with what there is to say about its handshake if that has not come to an end.
    fn end_stream(&mut self, key: usize, end: HandshakeEnd, turn: Turn<'_>) {
        // What is for this connection must not reach the next one in its place.
        self.write_streams();
        self.broken_streams.retain(|broken| *broken != key);
        let Some(mut stream) = self.streams.try_remove(key) else { return };
        if stream.handshaking {
            stream.meter.of(self.index).handshakes[end as usize].add(1);
            self.handshakes.end(stream.serial);
        }
        stream.pipe.say_goodbye();
        stream.meter.of(self.index).closed.add(1);
        let client = stream.client;
        self.stream_of.remove(&client);
        let joint = stream.joint;
        // The descriptor leaves the event queue as it is closed.
        drop(stream);
        if let Some(joint) = joint {
            self.end_client_side(joint, turn);
        }
        self.server.handle_client_closed(client, turn.now);
        self.carry_out(turn);
    }

    pub(super) fn watch_idle(&mut self, at: Instant, key: usize) {
        if let Some(stream) = self.streams.get(key) {
            self.idle.push(Reverse((at, key, stream.serial)));
        }
    }

    /// Closes connections that have been without an allocation for too long. A deadline that was put off
    /// since it was noted is noted again.
    pub(super) fn close_idle_streams(&mut self, turn: Turn<'_>) {
        while let Some(Reverse((at, key, serial))) = self.idle.peek().copied()
            && at <= turn.now.mono
        {
            self.idle.pop();
            let same = self.streams.get(key).filter(|stream| stream.serial == serial);
            match same.and_then(Stream::deadline) {
                Some(deadline) if deadline <= turn.now.mono => {
                    self.end_stream(key, HandshakeEnd::TimedOut, turn);
                }
                Some(deadline) => self.watch_idle(deadline, key),
                None => {}
            }
        }
    }
}
