//! The clients of one socket.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Instant;

use hashbrown::HashMap;
use slab::Slab;

use super::DtlsPeer;
use super::cookie::Cookies;
use super::handshake::{Failure, Handshake, Session, alert};
use super::hello::{ClientHello, hello_verify_request};
use super::wire::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, CLOSE_NOTIFY, FATAL,
    FINISHED, HANDSHAKE, Message, RECORD_HEADER, Reader, RecordHeader, WARNING,
};
use crate::identity::{Identity, provider};

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DtlsEvent {
    /// It is dealt with.
    Handled,
    /// It is nothing that anybody waits for: dropped.
    Stray,
    /// The client has proved its address and wants to begin: see [`DtlsEndpoint::begin`].
    Proved,
    /// A message for whoever speaks inside of DTLS, in the record at this place.
    Data(Range<usize>),
    /// The client has proved that it knows the keys. If it had a session before, that has ended.
    Established {
        /// The handshake that is over.
        handshake: HandshakeId,
        /// There was a session before.
        replaced: bool,
    },
    /// The handshake ended without a session.
    Failed {
        /// The handshake that is over.
        handshake: HandshakeId,
        /// Nothing is left of the client.
        gone: bool,
    },
    /// The client has ended its session.
    Closed {
        /// A handshake that ended with it.
        handshake: Option<HandshakeId>,
    },
}

/// A handshake: its place, and a number that tells its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeId {
    /// Where it is, until it is over.
    pub key: usize,
    /// Later ones have higher numbers.
    pub serial: u64,
}

/// A client whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Who it was.
    pub peer: DtlsPeer,
    /// Its handshake, if it had not come to an end.
    pub handshake: Option<HandshakeId>,
    /// Nothing is left of it.
    pub gone: bool,
}

/// The DTLS clients of one socket.
///
/// After every call that may say something, send what [`Self::poll_transmit`] has; then wait until
/// [`Self::poll_timeout`] and call [`Self::poll_expired`] until it has nothing more.
#[derive(Debug)]
pub struct DtlsEndpoint {
    identity: Identity,
    cookies: Cookies,
    clients: Slab<Client>,
    by_peer: HashMap<DtlsPeer, usize, foldhash::fast::RandomState>,
    /// When something is to be done about whom.
    due: BTreeSet<(Instant, usize)>,
    next_serial: u64,
    /// Datagrams that wait to be sent, one behind the other.
    outgoing: Vec<u8>,
    waiting: VecDeque<(DtlsPeer, Range<usize>)>,
}

/// One client: a session, a handshake, or a handshake that is to replace the session.
#[derive(Debug)]
struct Client {
    peer: DtlsPeer,
    session: Option<Session>,
    pending: Option<Pending>,
    /// When the session ends if nobody prolongs it.
    ends_at: Option<Instant>,
    /// How often it is held.
    holds: u32,
    /// The entry in [`DtlsEndpoint::due`].
    due: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    handshake: Box<Handshake>,
    serial: u64,
    ends_at: Instant,
}

impl DtlsEndpoint {
    /// An endpoint without clients. `secret` must be unpredictable.
    pub fn new(identity: Identity, secret: &[u8; 32], now: Instant) -> Self {
        Self {
            identity,
            cookies: Cookies::new(secret, now),
            clients: Slab::new(),
            by_peer: HashMap::default(),
            due: BTreeSet::new(),
            next_serial: 0,
            outgoing: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// What clients are shown that begin from now on. Sessions go on.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// Clients, with sessions and without.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Takes one record, see [`super::dtls_record_len`], and decrypts it in place.
    pub fn handle(&mut self, peer: DtlsPeer, record: &mut [u8], now: Instant) -> DtlsEvent {
        let Some(header) = RecordHeader::read(record) else { return DtlsEvent::Stray };
        match (header.epoch(), header.kind) {
            (0, HANDSHAKE) => self.handle_plain(peer, header, &record[RECORD_HEADER..], now),
            // The next epoch says the same, and cannot be forged.
            (0, CHANGE_CIPHER_SPEC) if self.by_peer.contains_key(&peer) => DtlsEvent::Handled,
            (1, _) => self.handle_sealed(peer, header, record),
            _ => DtlsEvent::Stray,
        }
    }

    /// Begins a handshake with the client whose hello [`Self::handle`] has called proved. It has until `ends_at`.
    pub fn begin(
        &mut self,
        peer: DtlsPeer,
        record: &[u8],
        ends_at: Instant,
        now: Instant,
    ) -> Option<HandshakeId> {
        let header = RecordHeader::read(record)?;
        let message = Message::read(&mut Reader(record.get(RECORD_HEADER..)?))?;
        let hello = ClientHello::read(message)?;
        let cryptography = provider();
        let identity = self.identity.certified();
        let begun = Handshake::begin(&hello, message, header.sequence, identity, &cryptography, now);
        let handshake = match begun {
            Ok(handshake) => Box::new(handshake),
            Err(failure) => {
                self.transmit(peer, &alert(failure, header.sequence));
                return None;
            }
        };
        self.next_serial += 1;
        let serial = self.next_serial;
        let key = *self.by_peer.entry(peer).or_insert_with(|| {
            let (session, pending) = (None, None);
            self.clients.insert(Client { peer, session, pending, ends_at: None, holds: 0, due: None })
        });
        self.clients[key].pending = Some(Pending { handshake, serial, ends_at });
        self.say(key);
        self.rearm(key);
        Some(HandshakeId { key, serial })
    }

    /// The handshake that a client has begun and not ended.
    pub fn handshake_of(&self, peer: &DtlsPeer) -> Option<HandshakeId> {
        let key = *self.by_peer.get(peer)?;
        self.clients[key].pending.as_ref().map(|pending| HandshakeId { key, serial: pending.serial })
    }

    /// Ends a handshake. Returns whose it was, and whether nothing is left of that client.
    pub fn abandon(&mut self, id: HandshakeId) -> Option<(DtlsPeer, bool)> {
        let client = self.clients.get_mut(id.key)?;
        client.pending.take_if(|pending| pending.serial == id.serial)?;
        let peer = client.peer;
        Some((peer, self.tidy(id.key)))
    }

    /// Ends a client's session and handshake, and tells it so.
    pub fn close(&mut self, peer: &DtlsPeer) {
        if let Some(&key) = self.by_peer.get(peer) {
            self.say_goodbye(key);
            self.remove(key);
        }
    }

    /// All clients.
    pub fn peers(&self) -> impl Iterator<Item = DtlsPeer> {
        self.clients.iter().map(|(_, client)| client.peer)
    }

    /// Puts the end of a session off, unless it is held.
    pub fn prolong(&mut self, peer: &DtlsPeer, ends_at: Instant) {
        let Some(&key) = self.by_peer.get(peer) else { return };
        let client = &mut self.clients[key];
        if client.holds == 0 {
            client.ends_at = Some(ends_at);
            self.rearm(key);
        }
    }

    /// Keeps a session until it is released as often.
    pub fn hold(&mut self, peer: &DtlsPeer) {
        let Some(&key) = self.by_peer.get(peer) else { return };
        let client = &mut self.clients[key];
        client.holds += 1;
        client.ends_at = None;
        self.rearm(key);
    }

    /// Lets a session end at that time.
    pub fn release(&mut self, peer: &DtlsPeer, ends_at: Instant) {
        let Some(&key) = self.by_peer.get(peer) else { return };
        let client = &mut self.clients[key];
        client.holds = client.holds.saturating_sub(1);
        if client.holds == 0 {
            client.ends_at = Some(ends_at);
            self.rearm(key);
        }
    }

    /// Encrypts a message for a client where it lies: behind [`super::DTLS_IN_FRONT`] bytes and in front of
    /// [`super::DTLS_BEHIND`]. Returns where the record is; there is none for a client without a session.
    pub fn seal(&mut self, peer: &DtlsPeer, bytes: &mut [u8]) -> Option<Range<usize>> {
        let key = *self.by_peer.get(peer)?;
        let longest = super::DTLS_IN_FRONT + super::DTLS_LONGEST + super::DTLS_BEHIND;
        let session = self.clients[key].session.as_mut().filter(|_| bytes.len() <= longest)?;
        session.channel.seal(APPLICATION_DATA, bytes)
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self) -> Option<(DtlsPeer, &[u8])> {
        let Some((peer, place)) = self.waiting.pop_front() else {
            self.outgoing.clear();
            return None;
        };
        Some((peer, &self.outgoing[place]))
    }

    /// When something is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Does what is due. Returns a client whose handshake or session is over by that.
    pub fn poll_expired(&mut self, now: Instant) -> Option<Expired> {
        while let Some(&(at, key)) = self.due.first()
            && at <= now
        {
            let client = &mut self.clients[key];
            let (peer, mut handshake, mut is_over) = (client.peer, None, false);
            if let Some(pending) = client.pending.take_if(|pending| pending.ends_at <= now) {
                handshake = Some(HandshakeId { key, serial: pending.serial });
            }
            if client.session.is_some() && client.ends_at.is_some_and(|at| at <= now) {
                self.say_goodbye(key);
                self.clients[key].session = None;
                is_over = true;
            }
            let client = &mut self.clients[key];
            if let Some(pending) = &mut client.pending
                && pending.handshake.repeat_at() <= now
            {
                pending.handshake.wait_longer(now);
                self.say(key);
            }
            let gone = self.tidy(key);
            if handshake.is_some() || is_over {
                return Some(Expired { peer, handshake, gone });
            }
        }
        None
    }

    fn handle_plain(
        &mut self,
        peer: DtlsPeer,
        header: RecordHeader,
        contents: &[u8],
        now: Instant,
    ) -> DtlsEvent {
        let mut reader = Reader(contents);
        let mut event = DtlsEvent::Stray;
        while let Some(message) = Message::read(&mut reader) {
            event = match message.kind {
                CLIENT_HELLO => return self.handle_hello(peer, header, message, now),
                CLIENT_KEY_EXCHANGE => self.handle_key_exchange(peer, message),
                _ => DtlsEvent::Stray,
            };
        }
        event
    }

    fn handle_hello(
        &mut self,
        peer: DtlsPeer,
        header: RecordHeader,
        message: Message<'_>,
        now: Instant,
    ) -> DtlsEvent {
        if ClientHello::is_outdated(message) {
            // Shorter than any hello, so that whoever did not send one is not hurt.
            self.transmit(peer, &alert(Failure::Outdated, header.sequence));
            return DtlsEvent::Handled;
        }
        let Some(hello) = ClientHello::read(message) else { return DtlsEvent::Stray };
        if !self.cookies.check(&peer, &hello, now) {
            let (cookie, from) = (self.cookies.make(&peer, &hello, now), self.outgoing.len());
            hello_verify_request(header.sequence, &cookie, &mut self.outgoing);
            self.waiting.push_back((peer, from..self.outgoing.len()));
            return DtlsEvent::Handled;
        }
        if let Some(&key) = self.by_peer.get(&peer)
            && let Some(pending) = &mut self.clients[key].pending
            && pending.handshake.is_with(&hello)
        {
            if pending.handshake.may_repeat() {
                self.say(key);
            }
            return DtlsEvent::Handled;
        }
        DtlsEvent::Proved
    }

    fn handle_key_exchange(&mut self, peer: DtlsPeer, message: Message<'_>) -> DtlsEvent {
        let Some(&key) = self.by_peer.get(&peer) else { return DtlsEvent::Stray };
        let Some(pending) = &mut self.clients[key].pending else { return DtlsEvent::Stray };
        match pending.handshake.client_key_exchange(message) {
            Ok(()) => DtlsEvent::Handled,
            Err(failure) => self.fail(key, failure),
        }
    }

    fn handle_sealed(&mut self, peer: DtlsPeer, header: RecordHeader, record: &mut [u8]) -> DtlsEvent {
        let Some(&key) = self.by_peer.get(&peer) else { return DtlsEvent::Stray };
        let client = &mut self.clients[key];
        if client.pending.is_some() {
            return self.handle_proof(key, header, record);
        }
        let Some(session) = &mut client.session else { return DtlsEvent::Stray };
        match session.channel.open(header, record) {
            Some(contents) => self.handle_contents(key, header.kind, record, contents),
            None => DtlsEvent::Stray,
        }
    }

    /// A record of a client in a handshake: for that, or for the session there was before.
    fn handle_proof(&mut self, key: usize, header: RecordHeader, record: &mut [u8]) -> DtlsEvent {
        let client = &mut self.clients[key];
        if let Some(session) = &mut client.session {
            // Decryption destroys what it fails at.
            let mut copy = record.to_vec();
            if let Some(contents) = session.channel.open(header, &mut copy) {
                record.copy_from_slice(&copy);
                return self.handle_contents(key, header.kind, record, contents);
            }
        }
        let Some(pending) = &mut client.pending else { return DtlsEvent::Stray };
        let handshake = HandshakeId { key, serial: pending.serial };
        match pending.handshake.finished(header, record) {
            Ok(None) => DtlsEvent::Stray,
            Ok(Some(mut session)) => {
                client.ends_at = Some(pending.ends_at);
                client.holds = 0;
                client.pending = None;
                let mut proof = Vec::new();
                session.prove(&mut proof);
                let (replaced, peer) = (client.session.replace(session).is_some(), client.peer);
                self.transmit(peer, &proof);
                self.rearm(key);
                DtlsEvent::Established { handshake, replaced }
            }
            Err(failure) => self.fail(key, failure),
        }
    }

    fn handle_contents(&mut self, key: usize, kind: u8, record: &[u8], contents: Range<usize>) -> DtlsEvent {
        match kind {
            APPLICATION_DATA => DtlsEvent::Data(contents),
            ALERT => self.handle_alert(key, &record[contents]),
            HANDSHAKE => {
                let message = Message::read(&mut Reader(&record[contents]));
                if message.is_some_and(|message| message.kind == FINISHED)
                    && let Some(session) = &mut self.clients[key].session
                {
                    let mut proof = Vec::new();
                    session.prove_again(&mut proof);
                    self.transmit(self.clients[key].peer, &proof);
                }
                // Nothing is renegotiated.
                DtlsEvent::Handled
            }
            _ => DtlsEvent::Stray,
        }
    }

    fn handle_alert(&mut self, key: usize, alert: &[u8]) -> DtlsEvent {
        match alert {
            [FATAL, _] | [_, CLOSE_NOTIFY] => {
                self.say_goodbye(key);
                let client = self.remove(key);
                let handshake = client.pending.map(|pending| HandshakeId { key, serial: pending.serial });
                DtlsEvent::Closed { handshake }
            }
            _ => DtlsEvent::Handled,
        }
    }

    /// Gives a handshake up and says so. There is an answer only to those who have proved their address.
    fn fail(&mut self, key: usize, failure: Failure) -> DtlsEvent {
        let client = &mut self.clients[key];
        let Some(pending) = client.pending.take() else { return DtlsEvent::Stray };
        let (peer, handshake) = (client.peer, HandshakeId { key, serial: pending.serial });
        self.transmit(peer, &alert(failure, u64::from(u8::MAX)));
        let gone = self.tidy(key);
        DtlsEvent::Failed { handshake, gone }
    }

    fn say(&mut self, key: usize) {
        let client = &mut self.clients[key];
        let Some(pending) = &mut client.pending else { return };
        let (outgoing, waiting, peer) = (&mut self.outgoing, &mut self.waiting, client.peer);
        pending.handshake.repeat(|datagram| {
            let from = outgoing.len();
            outgoing.extend(datagram);
            waiting.push_back((peer, from..outgoing.len()));
        });
    }

    fn say_goodbye(&mut self, key: usize) {
        let client = &mut self.clients[key];
        let Some(session) = &mut client.session else { return };
        let (mut record, peer) = (Vec::new(), client.peer);
        session.channel.record(ALERT, &[WARNING, CLOSE_NOTIFY], &mut record);
        self.transmit(peer, &record);
    }

    fn transmit(&mut self, peer: DtlsPeer, datagram: &[u8]) {
        if !datagram.is_empty() {
            let from = self.outgoing.len();
            self.outgoing.extend(datagram);
            self.waiting.push_back((peer, from..self.outgoing.len()));
        }
    }

    /// Removes a client that has neither a session nor a handshake. Whether it was one.
    fn tidy(&mut self, key: usize) -> bool {
        let client = &self.clients[key];
        if client.session.is_none() && client.pending.is_none() {
            self.remove(key);
            return true;
        }
        self.rearm(key);
        false
    }

    fn remove(&mut self, key: usize) -> Client {
        let client = self.clients.remove(key);
        self.by_peer.remove(&client.peer);
        if let Some(at) = client.due {
            self.due.remove(&(at, key));
        }
        client
    }

    fn rearm(&mut self, key: usize) {
        let client = &mut self.clients[key];
        let of_session = client.session.as_ref().and(client.ends_at);
        let of_handshake =
            client.pending.as_ref().map(|pending| pending.ends_at.min(pending.handshake.repeat_at()));
        let due = [of_session, of_handshake].into_iter().flatten().min();
        if client.due != due {
            if let Some(at) = client.due {
                self.due.remove(&(at, key));
            }
            if let Some(at) = due {
                self.due.insert((at, key));
            }
            client.due = due;
        }
    }
}
