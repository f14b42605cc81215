//! The client: one allocation on one 5-tuple, kept alive until it is released.
//!
//! Like the server it is a value. Packets and the time go in; messages to send, events and the next deadline come
//! out. It knows neither names nor sockets: whoever drives it resolves, connects and, if it is told to, tries
//! another server.

mod deadlines;
mod event;
mod peers;
mod request;
mod session;
mod transaction;

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand_core::RngCore;
use stun::attribute::{Data, ErrorCode, Lifetime, XorMappedAddress, XorPeerAddress, XorRelayedAddress};
use stun::demux::{self, Kind};
use stun::{BufferTooSmall, ChannelData, ChannelNumber, Class, Message, Method, TransactionId, Writer};
use zeroize::Zeroizing;

pub use self::deadlines::{Deadline, DeadlineReason};
pub use self::event::{Allocated, End, Event, Failure, Output, Refusal};

use self::peers::Peers;
use self::request::{Asked, Purpose};
use self::session::{Challenged, Session, Trust};
use self::transaction::Transaction;
use crate::addr::{Family, Transport, unmapped};
use crate::time::DEFAULT_LIFETIME;

/// How often one request is asked again because the server wants other credentials or another nonce, before that
/// is taken for its answer.
const MAX_CHALLENGES: u8 = 3;

/// A user name and a password. Printed, they are `<SECRET>`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Credentials {
    /// What to log in with.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: Zeroizing::new(username.to_owned()), password: Zeroizing::new(password.to_owned()) }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(<SECRET>)")
    }
}

/// What a client is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What carries packets to the server: over a stream nothing is sent twice and ChannelData is padded.
    pub transport: Transport,
    /// Who asks.
    pub credentials: Credentials,
    /// From which family an address is allocated.
    pub family: Family,
    /// The lifetime to ask for. The server may grant another; the allocation is refreshed in time either way.
    pub lifetime: Duration,
    /// After how long an unanswered request is sent for the second time
    /// ([RFC 8489 section 6.2.1](https://www.rfc-editor.org/rfc/rfc8489#section-6.2.1)). It is given up after 79
    /// times as long.
    pub first_timeout: Duration,
}

impl Settings {
    /// An IPv4 address for 600 seconds, and a first timeout of 500 ms.
    pub const fn new(transport: Transport, credentials: Credentials) -> Self {
        Self {
            transport,
            credentials,
            family: Family::V4,
            lifetime: DEFAULT_LIFETIME,
            first_timeout: Duration::from_millis(500),
        }
    }
}

/// What a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'p> {
    /// Who sent it.
    pub peer: SocketAddr,
    /// What.
    pub payload: &'p [u8],
}

/// Why a payload cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotSend {
    /// There is no allocation, not yet or not any more.
    NotAllocated,
    /// The server has not, or not yet, permitted the peer; it would drop what is sent.
    NotPermitted,
    /// The packet does not fit into the caller's buffer, or into any packet.
    TooLong,
}

impl fmt::Display for CannotSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAllocated => "there is no allocation",
            Self::NotPermitted => "the server has not permitted this peer",
            Self::TooLong => "too long for one packet",
        })
    }
}

impl std::error::Error for CannotSend {}

/// A client of a TURN server with one allocation, which it asks for as soon as it is made.
///
/// The contract in one sentence: after every call that takes `now`, drain [`Client::poll_output`] in order, then
/// sleep until [`Client::poll_timeout`] or the next packet.
///
/// Permissions and channels may be asked for at any time; they are requested once the allocation exists, and
/// refreshed for as long as it does. The next deadline is found by looking at all of them: a client has one
/// allocation and few peers.
pub struct Client<R> {
    settings: Settings,
    rng: R,
    session: Session,
    state: State,
    peers: Peers,
    transactions: Vec<Transaction>,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Allocating,
    Allocated { refresh_at: Option<Instant> },
    Releasing,
    Ended,
}

impl<R: RngCore> Client<R> {
    /// Asks for an allocation.
    pub fn new(settings: Settings, rng: R, now: Instant) -> Self {
        let mut client = Self {
            session: Session::new(settings.credentials.clone()),
            settings,
            rng,
            state: State::Allocating,
            peers: Peers::default(),
            transactions: Vec::new(),
            outputs: VecDeque::new(),
        };
        client.ask(Purpose::Allocate, now);
        client
    }

    /// Signs from now on with these: what ephemeral credentials need before they expire.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.session.set_credentials(credentials);
    }

    /// Lets a host reach the allocation, and the allocation the host
    /// ([RFC 8656 section 10](https://www.rfc-editor.org/rfc/rfc8656#section-10)). Answered by
    /// [`Event::Permitted`] or [`Event::Refused`].
    pub fn permit(&mut self, peer: IpAddr, now: Instant) {
        if self.peers.want_permission(peer) && self.is_allocated() {
            self.ask(Purpose::Permit(peer), now);
        }
    }

    /// Lets a peer be reached, and binds a channel to it
    /// ([RFC 8656 section 12](https://www.rfc-editor.org/rfc/rfc8656#section-12)). Answered by [`Event::Bound`] or
    /// [`Event::Refused`]. Beyond 4096 peers there are no channels left, and only a permission is asked for.
    pub fn bind(&mut self, peer: SocketAddr, now: Instant) {
        let peer = unmapped(peer);
        self.permit(peer.ip(), now);
        if let Some(channel) = self.peers.want_channel(peer)
            && self.is_allocated()
        {
            self.ask(Purpose::Bind(peer, channel), now);
        }
    }

    /// Gives the allocation back. [`Event::Ended`] follows when the server has answered, or has not for too long.
    pub fn release(&mut self, now: Instant) {
        match self.state {
            State::Allocated { .. } => {
                self.transactions.clear();
                self.state = State::Releasing;
                self.ask(Purpose::Refresh { lifetime: Duration::ZERO }, now);
            }
            State::Allocating => self.end(End::Released),
            State::Releasing | State::Ended => {}
        }
    }

    /// Takes a packet from the server: a datagram, or a frame cut from a stream. Gives what it carries from a peer;
    /// packets nobody asked for are ignored.
    pub fn handle_input<'p>(&mut self, packet: &'p [u8], now: Instant) -> Option<Received<'p>> {
        match demux::classify(packet) {
            Kind::ChannelData => {
                let ChannelData { channel, data } = ChannelData::parse(packet).ok()?;
                let peer = self.peers.on_channel(channel)?;
                Some(Received { peer, payload: data })
            }
            Kind::Stun => {
                let message = Message::parse(packet).ok()?;
                match message.class() {
                    Class::Indication => data_indication(&message),
                    Class::Success | Class::Error => {
                        self.handle_response(&message, now);
                        None
                    }
                    Class::Request => None,
                }
            }
            Kind::Dtls | Kind::Other => None,
        }
    }

    /// Sends again and refreshes what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.retransmit(now);
        if let State::Allocated { refresh_at: Some(at) } = self.state
            && at <= now
        {
            self.state = State::Allocated { refresh_at: None };
            self.ask(Purpose::Refresh { lifetime: self.settings.lifetime }, now);
        }
        if self.is_allocated() {
            while let Some(purpose) = self.peers.next_due(now) {
                self.ask(purpose, now);
            }
        }
    }

    /// When [`Client::handle_timeout`] wants to be called, and what for.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let retransmit =
            self.transactions.iter().map(|it| Deadline::new(it.due(), DeadlineReason::Retransmit));
        let refresh = match self.state {
            State::Allocated { refresh_at: Some(at) } => Some(Deadline::new(at, DeadlineReason::Refresh)),
            _ => None,
        };
        let peers = if self.is_allocated() { self.peers.due() } else { None };
        retransmit.chain(refresh).chain(peers).min_by_key(|deadline| deadline.at)
    }

    /// The next message to send, or the next thing to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether there is an allocation to send through.
    pub const fn is_allocated(&self) -> bool {
        matches!(self.state, State::Allocated { .. })
    }

    /// The most bytes that [`Client::write`] puts around a payload: a Send indication to an IPv6 peer, padded.
    pub const MAX_OVERHEAD: usize = 20 + 24 + 4 + 3;

    /// Writes the packet that carries `payload` to `peer` and gives its length: ChannelData if a channel is bound,
    /// a Send indication if not.
    ///
    /// # Errors
    /// The server would drop it, or it does not fit.
    pub fn write(&mut self, peer: SocketAddr, payload: &[u8], into: &mut [u8]) -> Result<usize, CannotSend> {
        if !self.is_allocated() {
            return Err(CannotSend::NotAllocated);
        }
        let peer = unmapped(peer);
        if let Some(channel) = self.peers.channel_to(peer) {
            let padded =
                ChannelData { channel, data: payload }.write(into).map_err(|_| CannotSend::TooLong)?;
            let exact = stun::channel_data::HEADER_LEN + payload.len();
            return Ok(if self.settings.transport.is_stream() { padded } else { exact });
        }
        if !self.peers.is_permitted(peer.ip()) {
            return Err(CannotSend::NotPermitted);
        }
        let id = transaction_id(&mut self.rng);
        send_indication(id, peer, payload, into).map_err(|_| CannotSend::TooLong)
    }

    fn retransmit(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(transaction) = self.transactions.get_mut(at) {
            if transaction.due() > now {
                at += 1;
            } else if let Some(message) = transaction.send_again(now) {
                self.outputs.push_back(Output::Send(message));
                at += 1;
            } else {
                let purpose = self.transactions.swap_remove(at).asked.purpose;
                self.failed(purpose, Failure::NoAnswer { method: purpose.method() });
            }
        }
    }

    fn handle_response(&mut self, message: &Message<'_>, now: Instant) {
        let is_answer = |it: &Transaction| {
            it.asked.id == message.transaction_id() && it.asked.purpose.method() == message.method()
        };
        let Some(at) = self.transactions.iter().position(is_answer) else { return };
        let asked = self.transactions[at].asked;
        // A forged answer is as good as none: the true one may still come.
        let trust = self.session.judge(message, asked.is_signed);
        if trust == Trust::Forged {
            return;
        }
        self.transactions.swap_remove(at);
        if message.class() == Class::Success {
            return self.succeeded(asked.purpose, message, now);
        }
        let refusal = Refusal::read(message);
        if matches!(refusal.code, UNAUTHENTICATED | STALE_NONCE) && asked.challenges < MAX_CHALLENGES {
            match self.session.take_challenge(message, &asked) {
                Challenged::AskAgain => return self.ask_again(asked, now),
                Challenged::Weakened => return self.end(End::Weakened),
                Challenged::Refused => {}
            }
        }
        // Who follows strangers to other servers gives them his packets.
        if refusal.code == TRY_ALTERNATE
            && asked.purpose == Purpose::Allocate
            && (trust == Trust::Proved || !asked.is_signed)
            && let Some(end) = event::redirected(message)
        {
            return self.end(end);
        }
        self.failed(asked.purpose, Failure::Refused(refusal));
    }

    fn succeeded(&mut self, purpose: Purpose, message: &Message<'_>, now: Instant) {
        let lifetime = match message.get::<Lifetime>() {
            Ok(Some(Lifetime(seconds))) => Duration::from_secs(seconds.into()),
            Ok(None) | Err(_) => self.settings.lifetime,
        };
        match purpose {
            Purpose::Allocate => match message.get::<XorRelayedAddress>() {
                Ok(Some(XorRelayedAddress(relayed))) => self.allocated(relayed, lifetime, message, now),
                Ok(None) | Err(_) => self.end(End::Malformed),
            },
            Purpose::Refresh { .. } if matches!(self.state, State::Releasing) => self.end(End::Released),
            Purpose::Refresh { .. } => {
                self.state = State::Allocated { refresh_at: Some(deadlines::renewal(lifetime, now)) };
            }
            Purpose::Permit(ip) => {
                if self.peers.permitted(ip, now) {
                    self.outputs.push_back(Output::Event(Event::Permitted(ip)));
                }
            }
            Purpose::Bind(peer, channel) => {
                if self.peers.bound(channel, now) {
                    self.outputs.push_back(Output::Event(Event::Bound { peer, channel }));
                }
            }
        }
    }

    fn allocated(&mut self, relayed: SocketAddr, lifetime: Duration, message: &Message<'_>, now: Instant) {
        self.state = State::Allocated { refresh_at: Some(deadlines::renewal(lifetime, now)) };
        let mapped = message.get::<XorMappedAddress>().ok().flatten().map(|it| it.0);
        self.outputs.push_back(Output::Event(Event::Allocated(Allocated { relayed, mapped, lifetime })));
        for purpose in self.peers.wanted() {
            self.ask(purpose, now);
        }
    }

    fn failed(&mut self, purpose: Purpose, failure: Failure) {
        match purpose {
            Purpose::Refresh { .. } if matches!(self.state, State::Releasing) => self.end(End::Released),
            Purpose::Allocate | Purpose::Refresh { .. } => self.end(End::Failed(failure)),
            Purpose::Permit(ip) => {
                self.peers.refused_permission(ip);
                self.outputs.push_back(Output::Event(Event::Refused { peer: ip, failure }));
            }
            Purpose::Bind(peer, channel) => {
                self.peers.refused_channel(channel);
                self.outputs.push_back(Output::Event(Event::Refused { peer: peer.ip(), failure }));
            }
        }
    }

    fn end(&mut self, end: End) {
        self.state = State::Ended;
        self.transactions.clear();
        self.outputs.push_back(Output::Event(Event::Ended(end)));
    }

    fn ask(&mut self, purpose: Purpose, now: Instant) {
        let id = transaction_id(&mut self.rng);
        self.send(Asked { id, purpose, challenges: 0, is_signed: false }, now);
    }

    fn ask_again(&mut self, asked: Asked, now: Instant) {
        let id = transaction_id(&mut self.rng);
        self.send(Asked { id, challenges: asked.challenges + 1, ..asked }, now);
    }

    fn send(&mut self, mut asked: Asked, now: Instant) {
        asked.is_signed = self.session.can_sign();
        let message = request::write(&asked, &self.settings, &self.session);
        let transaction = Transaction::new(asked, message.clone(), &self.settings, now);
        self.transactions.push(transaction);
        self.outputs.push_back(Output::Send(message));
    }
}

impl<R> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("state", &self.state)
            .field("transactions", &self.transactions.len())
            .finish_non_exhaustive()
    }
}

const TRY_ALTERNATE: u16 = ErrorCode::TRY_ALTERNATE.code();
const UNAUTHENTICATED: u16 = ErrorCode::UNAUTHENTICATED.code();
const STALE_NONCE: u16 = ErrorCode::STALE_NONCE.code();

fn data_indication<'p>(message: &Message<'p>) -> Option<Received<'p>> {
    if message.method() != Method::Data {
        return None;
    }
    let XorPeerAddress(peer) = message.get().ok()??;
    let Data(payload) = message.get().ok()??;
    Some(Received { peer: unmapped(peer), payload })
}

fn send_indication(
    id: TransactionId,
    peer: SocketAddr,
    payload: &[u8],
    into: &mut [u8],
) -> Result<usize, BufferTooSmall> {
    let mut writer = Writer::new(into, Class::Indication, Method::Send, id)?;
    writer.put(&XorPeerAddress(peer))?.put(&Data(payload))?;
    Ok(writer.finish())
}

fn transaction_id(rng: &mut impl RngCore) -> TransactionId {
    let mut id = [0; 12];
    rng.fill_bytes(&mut id);
    TransactionId::new(id)
}

/// The first of the channels that [RFC 8656 section 12](https://www.rfc-editor.org/rfc/rfc8656#section-12) leaves to
/// clients, and the last.
const CHANNELS: std::ops::RangeInclusive<u16> = ChannelNumber::MIN.get()..=0x4FFF;
