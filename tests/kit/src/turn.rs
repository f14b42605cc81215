//! A blocking TURN client: what a browser does, one call a step, on UDP, TCP, TLS and DTLS.
//!
//! ```no_run
//! use kit::{Credentials, EchoPeer, TurnClient};
//!
//! let peer = EchoPeer::start();
//! let mut client = TurnClient::udp("127.0.0.1:3478".parse()?).with(Credentials::fixed("user", "pass"));
//! let relayed = client.allocate()?.relayed;
//! client.create_permission(peer.address())?;
//! client.send(peer.address(), b"hello");
//! assert_eq!(client.recv().data(), b"hello");
//! assert_eq!(peer.sources(), [relayed]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod credentials;
mod pipe;
mod request;
mod tls;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use stun::attribute::{
    ConnectionId, Data, ErrorCode, Icmp, Lifetime, RequestedTransport, XorMappedAddress, XorPeerAddress,
    XorRelayedAddress, types,
};
use stun::{ChannelData, ChannelNumber, Class, Key, Message, Method, TransactionId};

use crate::{Deadline, PATIENCE};
use wire::Wire;

pub use answer::{Allocation, Answer, Event, Failure, Refusal};
pub use credentials::Credentials;
pub use request::{AllocateOptions, Request};
pub use tls::{trusting_tls, trusting_tls_1_2};
pub use wire::{Closed, Stream};

/// How long a UDP client waits before it says the same again (RFC 8489 §6.2.1).
const RETRANSMIT: Duration = Duration::from_millis(500);

/// How often a request is tried with a new nonce before the server's 438 is believed.
const NONCES: usize = 3;

/// One TURN client on one 5-tuple. It has at most one allocation, as the protocol says.
#[derive(Debug)]
pub struct TurnClient {
    wire: Wire,
    server: SocketAddr,
    patience: Duration,
    credentials: Option<Credentials>,
    challenge: Option<Challenge>,
    channels: BTreeMap<u16, SocketAddr>,
    arrived: VecDeque<Event>,
    transactions: Transactions,
}

/// What the server wants to hear in every signed request, and the key to sign it with.
#[derive(Clone, Debug)]
struct Challenge {
    username: String,
    realm: String,
    nonce: String,
    key: Key,
}

// === Connecting ===

impl TurnClient {
    /// A client on a UDP socket of its own on the loopback address of the server's family.
    #[track_caller]
    pub fn udp(server: SocketAddr) -> Self {
        Self::udp_from(wire::loopback(server), server)
    }

    /// A client on a UDP socket bound to `local`.
    #[track_caller]
    pub fn udp_from(local: SocketAddr, server: SocketAddr) -> Self {
        Self::on(Wire::udp(local, server), server)
    }

    /// A client on a TCP connection.
    #[track_caller]
    pub fn tcp(server: SocketAddr) -> Self {
        Self::over(wire::connect(server), server)
    }

    /// A client on a TLS connection; any certificate will do.
    #[track_caller]
    pub fn tls(server: SocketAddr) -> Self {
        Self::over(tls::connect(server), server)
    }

    /// A client on a DTLS 1.2 connection made by the `openssl` part, which is nobody's here.
    ///
    /// The program passes on whatever is in its pipe as one record: wait for an answer before sending more.
    #[track_caller]
    pub fn dtls(openssl: &crate::Part, server: SocketAddr) -> Self {
        Self::over(pipe::openssl_dtls(openssl, server), server)
    }

    /// A client on any stream of bytes to `server`.
    pub fn over(stream: impl Stream + 'static, server: SocketAddr) -> Self {
        Self::on(Wire::stream(stream), server)
    }

    fn on(wire: Wire, server: SocketAddr) -> Self {
        Self {
            wire,
            server,
            patience: PATIENCE,
            credentials: None,
            challenge: None,
            channels: BTreeMap::new(),
            arrived: VecDeque::new(),
            transactions: Transactions::new(),
        }
    }

    /// The same client with a name and a password; without, the server's 401 is the answer.
    #[must_use]
    pub fn with(mut self, credentials: Credentials) -> Self {
        self.log_in(credentials);
        self
    }

    /// Other credentials from the next request on; the nonce is kept.
    pub fn log_in(&mut self, credentials: Credentials) {
        if let Some(known) = self.challenge.take() {
            self.challenge = Some(credentials.answer(known.realm, known.nonce));
        }
        self.credentials = Some(credentials);
    }

    /// How long to wait for each answer, instead of [`PATIENCE`]: short where none is expected.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Where the client sends from.
    pub fn local(&self) -> SocketAddr {
        self.wire.local()
    }

    /// The server's nonce, once it gave one.
    pub fn nonce(&self) -> Option<&str> {
        self.challenge.as_ref().map(|challenge| challenge.nonce.as_str())
    }

    /// Another nonce than the server's, from the next request on.
    ///
    /// # Panics
    /// The server gave none yet.
    #[track_caller]
    pub fn set_nonce(&mut self, nonce: &str) {
        self.challenge.as_mut().expect("a nonce of the server's").nonce = nonce.to_owned();
    }
}

// === Requests ===

impl TurnClient {
    /// Asks where the server sees the client.
    pub fn binding(&mut self) -> Result<SocketAddr, Failure> {
        let answer = self.request_plain(&Request::new(Method::Binding))?;
        Ok(answer.expect::<XorMappedAddress>().0)
    }

    /// Asks for a UDP relay.
    pub fn allocate(&mut self) -> Result<Allocation, Failure> {
        self.allocate_with(&AllocateOptions::default())
    }

    /// Asks for a relay.
    pub fn allocate_with(&mut self, options: &AllocateOptions) -> Result<Allocation, Failure> {
        let answer = self.request(&options.request())?;
        let relayed = answer.all::<XorRelayedAddress>();
        let [first, more @ ..] = relayed.as_slice() else { panic!("no XOR-RELAYED-ADDRESS: {answer:?}") };
        Ok(Allocation {
            relayed: first.0,
            second: more.first().map(|address| address.0),
            mapped: answer.expect::<XorMappedAddress>().0,
            lifetime: answer.expect::<Lifetime>().0,
            token: answer.get::<stun::attribute::ReservationToken>().map(|token| token.0),
        })
    }

    /// Asks to keep the allocation for `lifetime` seconds, 0 to end it; gives the lifetime granted.
    pub fn refresh(&mut self, lifetime: u32) -> Result<u32, Failure> {
        let answer = self.request(&Request::new(Method::Refresh).with(Lifetime(lifetime)))?;
        Ok(answer.expect::<Lifetime>().0)
    }

    /// Asks for a UDP relay that may move, and a ticket for it (RFC 8016).
    pub fn allocate_mobile(&mut self) -> Result<Answer, Failure> {
        let request = Request::new(Method::Allocate).with(RequestedTransport::UDP);
        self.request(&request.with_raw(types::MOBILITY_TICKET, b""))
    }

    /// Takes over the relay that the ticket is for, and gets the next ticket.
    pub fn refresh_mobile(&mut self, ticket: &[u8]) -> Result<Answer, Failure> {
        let request = Request::new(Method::Refresh).with(Lifetime(600));
        self.request(&request.with_raw(types::MOBILITY_TICKET, ticket))
    }

    /// Asks for leave to exchange data with the peer's IP address.
    pub fn create_permission(&mut self, peer: SocketAddr) -> Result<(), Failure> {
        self.create_permissions(&[peer])
    }

    /// Asks for leave to exchange data with several IP addresses, all or none.
    pub fn create_permissions(&mut self, peers: &[SocketAddr]) -> Result<(), Failure> {
        let request = Request::new(Method::CreatePermission);
        let request = peers.iter().fold(request, |request, &peer| request.with(XorPeerAddress(peer)));
        self.request(&request).map(drop)
    }

    /// Binds a channel, 0x4000 to 0x7FFF, to a peer. Other numbers are sent as they are: servers refuse them.
    pub fn channel_bind(&mut self, channel: u16, peer: SocketAddr) -> Result<(), Failure> {
        let [high, low] = channel.to_be_bytes();
        let request = Request::new(Method::ChannelBind)
            .with_raw(types::CHANNEL_NUMBER, &[high, low, 0, 0])
            .with(XorPeerAddress(peer));
        self.request(&request)?;
        self.channels.insert(channel, peer);
        Ok(())
    }

    /// Asks a TCP relay to connect to a peer (RFC 6062); gives the number of the connection.
    pub fn connect(&mut self, peer: SocketAddr) -> Result<u32, Failure> {
        let answer = self.request(&Request::new(Method::Connect).with(XorPeerAddress(peer)))?;
        Ok(answer.expect::<ConnectionId>().0)
    }

    /// Turns a fresh connection into the data connection of number `id` (RFC 6062), with the credentials and the
    /// nonce of this client: a stream to the peer. Bytes that came right behind the answer are the first that
    /// the stream reads.
    pub fn connection_bind(&self, id: u32, mut fresh: Self) -> Result<impl Stream + use<>, Failure> {
        fresh.credentials.clone_from(&self.credentials);
        fresh.challenge.clone_from(&self.challenge);
        fresh.request(&Request::new(Method::ConnectionBind).with(ConnectionId(id)))?;
        Ok(fresh.wire.into_stream())
    }

    /// Sends a request with the client's credentials and waits for its answer. A 401 that brings a realm and a
    /// nonce, and a 438 that brings a nonce, are followed by another try, as by any client.
    pub fn request(&mut self, request: &Request) -> Result<Answer, Failure> {
        let mut nonces = 0;
        loop {
            let challenge = self.challenge.clone();
            let packet = request.write(self.transactions.next(), challenge.as_ref());
            let refusal = match self.exchange(&packet)? {
                Ok(answer) => {
                    if let Some(challenge) = challenge {
                        let checked = answer.message().verify_integrity(&challenge.key);
                        checked.unwrap_or_else(|why| {
                            panic!("{why} in the answer to a signed request: {answer:?}")
                        });
                    }
                    return Ok(answer);
                }
                Err(refusal) => refusal,
            };
            nonces += 1;
            let first_challenge = refusal.code == 401 && challenge.is_none();
            let stale = refusal.code == 438 && nonces <= NONCES;
            if !(first_challenge || stale) || !self.take_challenge(&refusal) {
                return Err(Failure::Refused(refusal));
            }
        }
    }

    /// Sends a request without credentials and waits for its answer, whatever the client could do about it.
    pub fn request_plain(&mut self, request: &Request) -> Result<Answer, Failure> {
        let packet = request.write(self.transactions.next(), None);
        self.exchange(&packet)?.map_err(Failure::Refused)
    }

    /// Realm and nonce of a refusal, for the next try. False if there is nothing to try with.
    fn take_challenge(&mut self, refusal: &Refusal) -> bool {
        let realm =
            refusal.realm.clone().or_else(|| self.challenge.as_ref().map(|known| known.realm.clone()));
        let (Some(credentials), Some(realm), Some(nonce)) = (&self.credentials, realm, refusal.nonce.clone())
        else {
            return false;
        };
        self.challenge = Some(credentials.answer(realm, nonce));
        true
    }

    /// Sends a message that someone else wrote and waits for the answer with its transaction id, over UDP with
    /// retransmissions. What else arrives meanwhile is kept for [`TurnClient::recv`].
    pub fn exchange(&mut self, packet: &[u8]) -> Result<Result<Answer, Refusal>, Failure> {
        let id = stun::Header::peek(packet).expect("a request with a header").transaction_id;
        let deadline = Deadline::after(self.patience);
        loop {
            self.wire.send(packet)?;
            let pause = if self.wire.is_reliable() { deadline } else { deadline.sooner(RETRANSMIT) };
            while let Some(packet) = self.wire.recv(pause)? {
                match self.answer_to(id, packet) {
                    Some(answer) => return Ok(answer),
                    None => continue,
                }
            }
            if deadline.left().is_none() {
                return Err(Failure::Timeout);
            }
        }
    }

    /// The answer if `packet` is one to the transaction; else it is an event, and noted.
    fn answer_to(&mut self, id: TransactionId, packet: Vec<u8>) -> Option<Result<Answer, Refusal>> {
        let class =
            Message::parse(&packet).ok().filter(|message| message.transaction_id() == id).map(|m| m.class());
        match class {
            Some(Class::Success) => Some(Ok(Answer::new(packet))),
            Some(Class::Error) => Some(Err(Refusal::read(&Answer::new(packet)))),
            Some(Class::Request | Class::Indication) | None => {
                let event = self.event(packet);
                self.arrived.extend(event);
                None
            }
        }
    }
}

// === Data ===

impl TurnClient {
    /// Sends data to a peer in a Send indication.
    #[track_caller]
    pub fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        let request = Request::new(Method::Send).with(XorPeerAddress(peer));
        let packet = request.with_raw(types::DATA, data).write_indication(self.transactions.next());
        self.send_raw(&packet);
    }

    /// Sends data over a channel, bound or not.
    #[track_caller]
    pub fn send_channel(&mut self, channel: u16, data: &[u8]) {
        let length = u16::try_from(data.len()).expect("ChannelData carries 65535 bytes at most");
        let mut packet = [channel.to_be_bytes(), length.to_be_bytes()].concat();
        packet.extend_from_slice(data);
        if self.wire.is_reliable() {
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        self.send_raw(&packet);
    }

    /// Sends bytes as they are: a datagram, or a piece of the stream.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.wire.send(bytes).unwrap_or_else(|Closed| panic!("{} closed the connection", self.server));
    }

    /// The next thing the server sends that is not an answer.
    ///
    /// # Panics
    /// Nothing comes in time, or the connection ends.
    #[track_caller]
    pub fn recv(&mut self) -> Event {
        self.recv_within(self.patience)
            .unwrap_or_else(|Closed| panic!("{} closed the connection", self.server))
            .unwrap_or_else(|| panic!("{} sent nothing", self.server))
    }

    /// The next thing the server sends that is not an answer, or `None` if nothing comes within `patience`.
    pub fn recv_within(&mut self, patience: Duration) -> Result<Option<Event>, Closed> {
        let deadline = Deadline::after(patience);
        loop {
            if let Some(event) = self.arrived.pop_front() {
                return Ok(Some(event));
            }
            let Some(packet) = self.wire.recv(deadline)? else { return Ok(None) };
            let event = self.event(packet);
            self.arrived.extend(event);
        }
    }

    /// What arrives up to the answer to a Binding request sent now: everything that the server had sent before,
    /// without waiting for time to pass. A peer's echo may still be on its way.
    pub fn settle(&mut self) -> Result<Vec<Event>, Failure> {
        self.binding()?;
        Ok(self.arrived.drain(..).collect())
    }

    /// Waits until the server ends the connection.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn await_close(&mut self) {
        let deadline = Deadline::after(self.patience);
        loop {
            match self.wire.recv(deadline) {
                Err(Closed) => return,
                Ok(Some(_)) => {}
                Ok(None) => panic!("{} keeps the connection open", self.server),
            }
        }
    }

    fn event(&self, packet: Vec<u8>) -> Option<Event> {
        if let Ok(ChannelData { channel, data }) = ChannelData::parse(&packet) {
            return Some(self.channel_event(channel, data));
        }
        let message = match Message::parse(&packet) {
            Ok(message) => message,
            Err(why) => panic!("{} sent what is not STUN ({why:?}): {packet:02x?}", self.server),
        };
        let peer = message.get::<XorPeerAddress>().expect("a readable XOR-PEER-ADDRESS").map(|peer| peer.0);
        match (message.class(), message.method()) {
            (Class::Indication, Method::Data) => {
                let peer = peer.expect("a Data indication names its peer");
                if let Some(icmp) = message.get::<Icmp>().expect("a readable ICMP") {
                    return Some(Event::Icmp { peer, icmp });
                }
                let data = message.get::<Data<'_>>().expect("a readable DATA").map(|data| data.0.to_vec());
                Some(Event::Data { peer, channel: None, data: data.unwrap_or_default() })
            }
            (Class::Indication, Method::ConnectionAttempt) => {
                let id = message.get::<ConnectionId>().expect("a readable CONNECTION-ID");
                let id = id.expect("a ConnectionAttempt has a number").0;
                Some(Event::ConnectionAttempt { peer: peer.expect("a ConnectionAttempt names its peer"), id })
            }
            // A retransmission was answered twice.
            (Class::Success | Class::Error, _) => None,
            (Class::Request | Class::Indication, _) => Some(Event::Other(Answer::new(packet))),
        }
    }

    fn channel_event(&self, channel: ChannelNumber, data: &[u8]) -> Event {
        let number = channel.get();
        let Some(&peer) = self.channels.get(&number) else {
            panic!("{} used channel {number:#x}, which this client never bound", self.server)
        };
        Event::Data { peer, channel: Some(number), data: data.to_vec() }
    }
}

/// Numbers for transactions: different in every client and every process, in order within one.
#[derive(Debug)]
struct Transactions {
    client: u64,
    count: u32,
}

impl Transactions {
    fn new() -> Self {
        Self { client: RandomState::new().hash_one(std::process::id()), count: 0 }
    }

    fn next(&mut self) -> TransactionId {
        self.count += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.client.to_be_bytes());
        id[8..].copy_from_slice(&self.count.to_be_bytes());
        TransactionId::new(id)
    }
}

/// The server's reason for saying no.
fn error_code(answer: &Answer) -> (u16, String) {
    let error = answer.message().get::<ErrorCode<'_>>().expect("a readable ERROR-CODE");
    let error = error.unwrap_or_else(|| panic!("an error without ERROR-CODE: {answer:?}"));
    (error.code(), error.reason().to_owned())
}
