//! A small language for conversations with a server: named clients ask, numbered relays open, peers send, time
//! passes. Each input returns everything that came out of it as lines of text; nothing is left behind unseen.

#![allow(dead_code, reason = "not every test binary uses every word")]

mod ask;
mod rules;
mod tell;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use stun::attribute::{
    ConnectionId as ConnectionIdAttribute, ErrorCode, Icmp, ReservationToken, XorRelayedAddress, types,
};
use stun::{ChannelData, ChannelNumber, Class, Key, Message, TransactionId};
use turn::addr::{Client, ConnectionId, ListenerId, RelayId};
use turn::credentials::Realm;
use turn::nonce::NonceKey;
use turn::server::{
    Deadline, DropReason, Output, PeerProtocol, RelayError, RelayPort, Reply, Reservation, Reservations,
    Server, Settings, Verdict, Via,
};
use turn::time::Now;

pub(crate) use self::ask::*;
pub(crate) use self::rules::*;
use self::tell::{tell_attribute, text, unwrap};

#[expect(clippy::disallowed_methods, reason = "any instant will do for the beginning of time")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The wall clock at the beginning of every test.
pub(crate) const NOON: u64 = 1_800_000_000;

pub(crate) const REALM: &str = "example.org";
pub(crate) const USER: &str = "user";
pub(crate) const PASS: &str = "pass";

pub(crate) fn start() -> Now {
    Now::new(*START, NOON)
}

pub(crate) fn realm() -> Realm {
    Realm::new(REALM).unwrap()
}

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is not an address"))
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The lines that came out.
pub(crate) type Lines = Vec<String>;

pub(crate) struct World {
    pub(crate) server: Server<ChaCha20Rng>,
    pub(crate) rules: Rules,
    pub(crate) now: Now,
    clients: BTreeMap<&'static str, Conversation>,
    relays: Vec<RelayId>,
    connections: Vec<ConnectionId>,
    /// What is to be kept once these relays are open.
    pairs: BTreeMap<usize, Reservation>,
    pub(crate) reservations: Reservations<()>,
    transactions: u64,
    stranger_nonce: Vec<u8>,
    /// The replies of the last input, as they would be sent.
    pub(crate) replies: Vec<Reply>,
}

/// A client as the test sees it.
struct Conversation {
    client: Client,
    username: String,
    password: String,
    nonce: Option<Vec<u8>>,
    asked: Vec<TransactionId>,
}

/// A server can be given to a thread, and lives in a `Vec`.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Server<ChaCha20Rng>>();
};

impl World {
    /// One UDP listener with one user, relays at 203.0.113.1, peers in 192.0.2.0/24, and two clients.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(NonceKey::generate(&mut rng(1)));
        adjust(&mut settings);
        let mut world = Self {
            server: Server::new(settings, rng(2), start()),
            rules: Rules::new(),
            now: start(),
            clients: BTreeMap::new(),
            relays: Vec::new(),
            connections: Vec::new(),
            pairs: BTreeMap::new(),
            reservations: Reservations::new(),
            transactions: 0,
            stranger_nonce: Vec::new(),
            replies: Vec::new(),
        };
        world.meet("alice", 1, "198.51.100.1:5000");
        world.meet("bob", 1, "198.51.100.2:5000");
        world
    }

    /// Names a client at a listener.
    pub(crate) fn meet(&mut self, name: &'static str, listener: u16, remote: &str) {
        let local = if addr(remote).is_ipv4() { "203.0.113.1:3478" } else { "[2001:db8:f::1]:3478" };
        let conversation = Conversation {
            client: Client::new(ListenerId(listener), addr(remote), addr(local)),
            username: USER.into(),
            password: PASS.into(),
            nonce: None,
            asked: Vec::new(),
        };
        self.clients.insert(name, conversation);
    }

    pub(crate) fn client(&self, name: &str) -> Client {
        self.clients[name].client
    }

    /// Gives a client other credentials; it keeps its nonce.
    pub(crate) fn signs_as(&mut self, name: &str, username: &str, password: &str) {
        let conversation = self.clients.get_mut(name).unwrap();
        conversation.username = username.into();
        conversation.password = password.into();
    }

    pub(crate) fn nonce_of(&self, name: &str) -> Vec<u8> {
        self.clients[name].nonce.clone().unwrap()
    }

    pub(crate) fn set_nonce(&mut self, name: &str, nonce: &[u8]) {
        self.clients.get_mut(name).unwrap().nonce = Some(nonce.into());
    }

    /// The relay that was asked for as the `number`th, from 1.
    pub(crate) fn relay(&self, number: usize) -> RelayId {
        self.relays[number - 1]
    }

    /// A client sends a message. Those that are signed take the nonce last offered, after asking for one if there is
    /// none yet.
    pub(crate) fn ask(&mut self, name: &str, ask: Ask) -> Lines {
        if ask.is_signed && self.clients[name].nonce.is_none() {
            self.greet(name);
        }
        let packet = self.packet(name, &ask);
        self.sends(name, &packet)
    }

    /// A client asks for a nonce.
    pub(crate) fn greet(&mut self, name: &str) {
        let lines = self.ask(name, refresh(600).unsigned());
        assert_eq!(lines, [format!("{name} <- Refresh 401: nonce, realm, algorithms")]);
    }

    /// The bytes of a message, which counts as asked.
    pub(crate) fn packet(&mut self, name: &str, ask: &Ask) -> Vec<u8> {
        self.transactions += 1;
        let conversation = self.clients.get_mut(name).unwrap();
        let id = ask.transaction.unwrap_or_else(|| numbered(self.transactions));
        conversation.asked.push(id);
        ask.encode(id, conversation)
    }

    /// The bytes of a message of a client without a name, with the nonce last learnt.
    pub(crate) fn packet_from(&mut self, client: Client, ask: &Ask) -> Vec<u8> {
        self.transactions += 1;
        let nonce = self.stranger_nonce.clone();
        let conversation = Conversation {
            client,
            username: USER.into(),
            password: PASS.into(),
            nonce: Some(nonce),
            asked: Vec::new(),
        };
        ask.encode(numbered(self.transactions), &conversation)
    }

    /// Takes the nonce of a reply to a client without a name.
    pub(crate) fn learn_nonce(&mut self, reply: &[u8]) {
        if let Some(nonce) = Message::parse(reply).unwrap().raw(types::NONCE) {
            self.stranger_nonce = nonce.into();
        }
    }

    /// A client sends bytes.
    pub(crate) fn sends(&mut self, name: &str, packet: &[u8]) -> Lines {
        let client = self.clients[name].client;
        let verdict = self.server.handle_client(client, packet, &self.rules, self.now);
        let verdict = self.tell(verdict);
        self.drain(verdict)
    }

    /// A client sends ChannelData.
    pub(crate) fn sends_on(&mut self, name: &str, channel: u16, data: &[u8]) -> Lines {
        self.sends(name, &channel_data(channel, data))
    }

    /// A peer sends to a relay.
    pub(crate) fn peer_sends(&mut self, relay: usize, peer: &str, data: &[u8]) -> Lines {
        let verdict = self.server.handle_peer(self.relay(relay), addr(peer), data, self.now);
        let verdict = self.tell(verdict);
        self.drain(verdict)
    }

    pub(crate) fn opens(&mut self, relay: usize, port: u16) -> Lines {
        if let Some(reservation) = self.pairs.remove(&relay) {
            self.reservations.keep(reservation, port + 1, (), self.now.mono);
        }
        self.server.handle_relay_opened(self.relay(relay), Ok(port), self.now);
        self.drain(None)
    }

    pub(crate) fn fails_to_open(&mut self, relay: usize) -> Lines {
        self.pairs.remove(&relay);
        self.server.handle_relay_opened(self.relay(relay), Err(RelayError::NoPort), self.now);
        self.drain(None)
    }

    pub(crate) fn relay_fails(&mut self, relay: usize) -> Lines {
        self.server.handle_relay_failed(self.relay(relay), self.now);
        self.drain(None)
    }

    /// The connection that came about as the `number`th, from 1.
    pub(crate) fn connection(&self, number: usize) -> ConnectionId {
        self.connections[number - 1]
    }

    /// A peer takes a connection, or does not.
    pub(crate) fn peer_answers(&mut self, connection: usize, is_open: bool) -> Lines {
        self.server.handle_connected(self.connection(connection), is_open, self.now);
        self.drain(None)
    }

    /// A peer connects to a relay.
    pub(crate) fn peer_connects(&mut self, relay: usize, peer: &str) -> Lines {
        let accepted = self.server.handle_accepted(self.relay(relay), addr(peer), &self.rules, self.now);
        let verdict = match accepted {
            Ok(connection) => {
                self.connections.push(connection);
                format!("accept {}", self.connections.len())
            }
            Err(reason) => format!("refuse {reason:?}"),
        };
        self.drain(Some(verdict))
    }

    pub(crate) fn connection_closes(&mut self, connection: usize) -> Lines {
        self.server.handle_connection_closed(self.connection(connection), self.now);
        self.drain(None)
    }

    /// The network reports an error about what a relay has sent to a peer.
    pub(crate) fn icmp(&mut self, relay: usize, peer: &str, [kind, code]: [u8; 2], data: u32) -> Lines {
        let icmp = Icmp { kind, code: code.into(), data };
        self.server.handle_icmp(self.relay(relay), addr(peer), icmp, self.now);
        self.drain(None)
    }

    /// A refusal that is dropped without a word.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.server.counters().drops(reason)
    }

    fn connection_number(&self, id: ConnectionId) -> usize {
        let found = self.connections.iter().rposition(|candidate| *candidate == id);
        found.unwrap_or_else(|| panic!("{id:?} is nobody's")) + 1
    }

    pub(crate) fn closes(&mut self, name: &str) -> Lines {
        self.server.handle_client_closed(self.client(name), self.now);
        self.drain(None)
    }

    pub(crate) fn reconfigures(&mut self) -> Lines {
        self.server.reconfigure(&self.rules, self.now);
        self.reservations.retain(|id| self.rules.listeners.contains_key(&id.0));
        self.drain(None)
    }

    /// Calls the server, whether or not it wanted to be.
    pub(crate) fn timeout(&mut self) -> Lines {
        self.server.handle_timeout(self.now);
        self.drain(None)
    }

    /// Moves both clocks without telling the server.
    pub(crate) fn wait(&mut self, duration: Duration) {
        self.now.mono += duration;
        let passed = self.now.mono.duration_since(*START);
        self.now.unix = NOON + passed.as_secs();
    }

    /// Moves both clocks and calls the server at each of its deadlines on the way, as an event loop does.
    pub(crate) fn pass(&mut self, duration: Duration) -> Lines {
        let end = self.now.mono + duration;
        let mut lines = Lines::new();
        while let Some(Deadline { at, .. }) = self.server.poll_timeout().filter(|next| next.at <= end) {
            self.wait(at.saturating_duration_since(self.now.mono));
            self.server.handle_timeout(self.now);
            lines.extend(self.drain(None));
        }
        self.wait(end - self.now.mono);
        self.reservations.expire(self.now.mono);
        lines
    }

    /// When the server wants to be called next, in seconds from now, and why.
    pub(crate) fn deadline(&self) -> Option<String> {
        let Deadline { at, reason } = self.server.poll_timeout()?;
        Some(format!("{reason:?} in {:?}", at.saturating_duration_since(self.now.mono)))
    }

    /// Gives a client an allocation on the next relay, at port 50000 plus the number of the relay.
    pub(crate) fn allocate(&mut self, name: &str) -> usize {
        let number = self.relays.len() + 1;
        assert_eq!(self.ask(name, allocate()), [format!("open relay {number} for listener 1, V4, any port")]);
        let lines = self.opens(number, 50_000 + number as u16);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].contains("Allocate ok"), "{lines:?}");
        number
    }

    /// Gives a client permissions for these addresses.
    pub(crate) fn permit(&mut self, name: &str, peers: &[&str]) {
        let lines = self.ask(name, permit(peers));
        assert_eq!(lines, [format!("{name} <- CreatePermission ok: signed")]);
    }

    /// Gives a client a channel.
    pub(crate) fn bind(&mut self, name: &str, channel: u16, peer: &str) {
        let lines = self.ask(name, bind(channel, peer));
        assert_eq!(lines, [format!("{name} <- ChannelBind ok: signed")]);
    }

    /// Everything the server has to say, after what it has decided about the packet.
    fn drain(&mut self, verdict: Option<String>) -> Lines {
        self.replies.clear();
        let mut lines: Lines = verdict.into_iter().collect();
        while let Some(output) = self.server.poll_output() {
            let line = self.tell_output(output);
            lines.push(line);
        }
        lines
    }

    pub(crate) fn tell(&self, verdict: Verdict<'_>) -> Option<String> {
        Some(match verdict {
            Verdict::Control => return None,
            Verdict::Dropped(reason) => format!("drop {reason:?}"),
            Verdict::ToPeer { relay, peer, payload, cluster, dont_fragment } => {
                let relay = self.number(relay);
                let dont_fragment = if dont_fragment { ", unfragmented" } else { "" };
                format!("relay {relay} -> {peer}: {} (cluster {}){dont_fragment}", text(payload), cluster.0)
            }
            Verdict::ToClient { client, via, peer, payload, cluster } => {
                let mut packet = vec![0; Via::MAX_HEADER_LEN];
                let len = via.write_header(peer, payload.len(), &mut packet).unwrap();
                assert_eq!(len, via.header_len(peer));
                packet.truncate(len);
                packet.extend_from_slice(payload);
                packet.resize(packet.len() + via.padding_len(payload.len()), 0);
                let wrapped = unwrap(&packet);
                format!("{} <- {wrapped} (cluster {})", self.name(client), cluster.0)
            }
        })
    }

    fn tell_output(&mut self, output: Output) -> String {
        match output {
            Output::Send { client, message } => {
                let line = self.tell_reply(client, &message);
                self.replies.push(message);
                line
            }
            Output::OpenRelay { relay, listener, protocol, family, port } => {
                self.relays.push(relay);
                let number = self.relays.len();
                let port = match port {
                    RelayPort::Any => "any port",
                    RelayPort::Even => "even port",
                    RelayPort::EvenPair(reservation) => {
                        self.pairs.insert(number, reservation);
                        "even port and the next in reserve"
                    }
                    RelayPort::Reserved(claim) => {
                        let claimed =
                            self.reservations.claim(&claim, self.now.mono).map(|((), claimed)| claimed);
                        self.server.handle_relay_claimed(relay, claimed, self.now);
                        "port in reserve"
                    }
                };
                let tcp = if protocol == PeerProtocol::Tcp { ", TCP" } else { "" };
                format!("open relay {number} for listener {}, {family:?}{tcp}, {port}", listener.0)
            }
            Output::CloseRelay { relay } => {
                let number = self.number(relay);
                self.pairs.remove(&number);
                format!("close relay {number}")
            }
            Output::Connect { relay, connection, peer } => {
                self.connections.push(connection);
                let (relay, number) = (self.number(relay), self.connections.len());
                format!("connect {number} from relay {relay} to {peer}")
            }
            Output::Join { connection, client, cluster } => {
                let number = self.connection_number(connection);
                format!("join {number} with {} (cluster {})", self.name(client), cluster.0)
            }
            Output::CloseConnection { connection } => {
                format!("close connection {}", self.connection_number(connection))
            }
            Output::MoveClient { client, to } => format!("move {} to server {to}", self.name(client)),
            Output::ClientMoved { relay, from, to } => {
                format!("moved {} to {}: relay {}", self.name(from), self.name(to), self.number(relay))
            }
            Output::ClientGone { client } => format!("gone {}", self.name(client)),
            Output::AllocationCreated { client, relay, relayed } => {
                format!("created {}: relay {} at {}", self.name(client), self.number(relay), relayed.get())
            }
            Output::AllocationEnded { client, relay, reason } => {
                format!("ended {}: relay {}, {reason:?}", self.name(client), self.number(relay))
            }
            Output::Refused(refusal) => {
                assert_eq!(refusal.code, refusal.reason.code());
                let peer = refusal.peer.map(|peer| format!(" about {peer}")).unwrap_or_default();
                let name = self.name(refusal.client);
                format!("refused {name}: {:?} for {:?}{peer}", refusal.method, refusal.reason)
            }
        }
    }

    fn tell_reply(&mut self, client: Client, bytes: &[u8]) -> String {
        let message = Message::parse(bytes).unwrap();
        let name = self.name(client);
        let conversation = self.clients.get_mut(name).unwrap();
        if let Some(nonce) = message.raw(types::NONCE) {
            conversation.nonce = Some(nonce.into());
        }
        let Conversation { username, password, .. } = conversation;
        let keys =
            [Key::long_term(username, REALM, password), Key::long_term_sha256(username, REALM, password)];
        let mut relayed = message.all::<XorRelayedAddress>();
        let tell = |(kind, _)| match kind {
            types::XOR_RELAYED_ADDRESS => format!("relayed {}", relayed.next().unwrap().unwrap().0),
            kind => tell_attribute(&message, kind, &keys),
        };
        let mut attributes: Vec<String> = message.attributes().map(tell).collect();
        let is_indication = message.class() == Class::Indication;
        if !is_indication && !conversation.asked.contains(&message.transaction_id()) {
            attributes.push("NOBODY'S TRANSACTION".into());
        }
        let outcome = match message.class() {
            Class::Success => "ok".into(),
            Class::Error => message.get::<ErrorCode<'_>>().unwrap().unwrap().code().to_string(),
            class => format!("{class:?}"),
        };
        if let Some(ConnectionIdAttribute(id)) = message.get().unwrap() {
            let named = self.connections.iter().rposition(|candidate| candidate.0 == id);
            let place =
                attributes.iter_mut().find(|attribute| attribute.as_str() == "CONNECTION-ID").unwrap();
            *place =
                named.map_or_else(|| "A STRANGE CONNECTION".into(), |at| format!("connection {}", at + 1));
        }
        attributes.retain(|attribute| !attribute.is_empty());
        let colon = if attributes.is_empty() { "" } else { ": " };
        format!("{name} <- {:?} {outcome}{colon}{}", message.method(), attributes.join(", "))
    }

    fn name(&self, client: Client) -> &'static str {
        let found = self.clients.iter().find(|(_, conversation)| conversation.client == client);
        found.map(|(name, _)| *name).unwrap_or_else(|| panic!("{client:?} is nobody"))
    }

    fn number(&self, relay: RelayId) -> usize {
        let found = self.relays.iter().rposition(|candidate| *candidate == relay);
        found.unwrap_or_else(|| panic!("{relay:?} was never asked for")) + 1
    }
}

/// The bytes of ChannelData.
pub(crate) fn channel_data(channel: u16, data: &[u8]) -> Vec<u8> {
    let channel = ChannelNumber::new(channel).unwrap();
    let mut packet = vec![0; 2048];
    let len = ChannelData { channel, data }.write(&mut packet).unwrap();
    packet.truncate(len);
    packet
}

fn numbered(number: u64) -> TransactionId {
    let mut id = [0x5a; 12];
    id[..8].copy_from_slice(&number.to_be_bytes());
    TransactionId::new(id)
}

/// The ticket of the last answer.
pub(crate) fn ticket(world: &World) -> Vec<u8> {
    let message = Message::parse(world.replies.last().unwrap()).unwrap();
    message.raw(types::MOBILITY_TICKET).unwrap().to_vec()
}

/// The token of the last Allocate answer.
pub(crate) fn token(world: &World) -> ReservationToken {
    let message = Message::parse(world.replies.last().unwrap()).unwrap();
    message.get().unwrap().unwrap()
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
