//! A small language for conversations with a server: named clients ask, numbered relays open, peers send, time
//! passes. Each input returns everything that came out of it as lines of text; nothing is left behind unseen.

#![allow(dead_code, reason = "not every test binary uses every word")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use stun::attribute::{
    AdditionalAddressFamily, AddressErrorCode, Attribute, Data, ErrorCode, Family, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, UnknownAttributes, XorMappedAddress,
    XorPeerAddress, XorRelayedAddress, types,
};
use stun::{ChannelData, ChannelNumber, Class, Key, Message, Method, Tail, TransactionId, Writer};
use turn::addr::{Client, ClusterId, ListenerId, RelayId, Transport};
use turn::credentials::{Authority, Realm};
use turn::nonce::NonceKey;
use turn::server::{
    AllocationRequest, Deadline, Denial, Flow, Grant, ListenerPolicy, Output, PeerProtocol, Policy, Ports,
    QuotaUnit, RelayError, RelayPort, Reply, Server, Settings, Verdict, Via,
};
use turn::time::Now;

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
        assert_eq!(lines, [format!("{name} <- Refresh 401: nonce, realm")]);
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
        let channel = ChannelNumber::new(channel).unwrap();
        let mut packet = vec![0; 2048];
        let len = ChannelData { channel, data }.write(&mut packet).unwrap();
        self.sends(name, &packet[..len])
    }

    /// A peer sends to a relay.
    pub(crate) fn peer_sends(&mut self, relay: usize, peer: &str, data: &[u8]) -> Lines {
        let verdict = self.server.handle_peer(self.relay(relay), addr(peer), data, self.now);
        let verdict = self.tell(verdict);
        self.drain(verdict)
    }

    pub(crate) fn opens(&mut self, relay: usize, port: u16) -> Lines {
        self.server.handle_relay_opened(self.relay(relay), Ok(port), self.now);
        self.drain(None)
    }

    pub(crate) fn fails_to_open(&mut self, relay: usize) -> Lines {
        self.server.handle_relay_opened(self.relay(relay), Err(RelayError::NoPort), self.now);
        self.drain(None)
    }

    pub(crate) fn relay_fails(&mut self, relay: usize) -> Lines {
        self.server.handle_relay_failed(self.relay(relay), self.now);
        self.drain(None)
    }

    pub(crate) fn closes(&mut self, name: &str) -> Lines {
        self.server.handle_client_closed(self.client(name), self.now);
        self.drain(None)
    }

    pub(crate) fn reconfigures(&mut self) -> Lines {
        self.server.reconfigure(&self.rules, self.now);
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

    fn tell(&self, verdict: Verdict<'_>) -> Option<String> {
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
            Output::OpenRelay { relay, listener, family, port } => {
                self.relays.push(relay);
                let number = self.relays.len();
                let port = match port {
                    RelayPort::Any => "any port".into(),
                    RelayPort::Even => "even port".into(),
                    RelayPort::EvenPair { next } => {
                        self.relays.push(next);
                        format!("even port and relay {} above it", number + 1)
                    }
                };
                format!("open relay {number} for listener {}, {family:?}, {port}", listener.0)
            }
            Output::CloseRelay { relay } => format!("close relay {}", self.number(relay)),
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
        let key = Key::long_term(&conversation.username, REALM, &conversation.password);
        let mut attributes: Vec<String> =
            message.attributes().map(|(kind, _)| tell_attribute(&message, kind, &key)).collect();
        if !conversation.asked.contains(&message.transaction_id()) {
            attributes.push("NOBODY'S TRANSACTION".into());
        }
        let outcome = match message.class() {
            Class::Success => "ok".into(),
            Class::Error => message.get::<ErrorCode<'_>>().unwrap().unwrap().code().to_string(),
            class => format!("{class:?}"),
        };
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

fn numbered(number: u64) -> TransactionId {
    let mut id = [0x5a; 12];
    id[..8].copy_from_slice(&number.to_be_bytes());
    TransactionId::new(id)
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// What a client makes of a packet that carries a peer's data.
fn unwrap(packet: &[u8]) -> String {
    if let Ok(ChannelData { channel, data }) = ChannelData::parse(packet) {
        return format!("channel {:#x}: {}", channel.get(), text(data));
    }
    let message = Message::parse(packet).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::Data));
    let kinds: Vec<u16> = message.attributes().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [types::XOR_PEER_ADDRESS, types::DATA]);
    let XorPeerAddress(peer) = message.get().unwrap().unwrap();
    let Data(data) = message.get().unwrap().unwrap();
    format!("{peer}: {}", text(data))
}

fn tell_attribute(message: &Message<'_>, kind: u16, key: &Key) -> String {
    match kind {
        types::ERROR_CODE => {
            assert_eq!(message.get::<ErrorCode<'_>>().unwrap().unwrap().reason(), "");
            String::new()
        }
        types::XOR_MAPPED_ADDRESS => {
            format!("mapped {}", message.get::<XorMappedAddress>().unwrap().unwrap().0)
        }
        types::XOR_RELAYED_ADDRESS => {
            format!("relayed {}", message.get::<XorRelayedAddress>().unwrap().unwrap().0)
        }
        types::LIFETIME => format!("lifetime {}", message.get::<Lifetime>().unwrap().unwrap().0),
        types::NONCE => "nonce".into(),
        types::REALM => {
            assert_eq!(message.raw(types::REALM), Some(REALM.as_bytes()));
            "realm".into()
        }
        types::RESERVATION_TOKEN => "token".into(),
        types::UNKNOWN_ATTRIBUTES => {
            let unknown = message.get::<UnknownAttributes<'_>>().unwrap().unwrap();
            let unknown: Vec<String> = unknown.iter().map(|kind| format!("{kind:#06x}")).collect();
            format!("unknown {}", unknown.join(" "))
        }
        types::ADDRESS_ERROR_CODE => {
            let refused = message.get::<AddressErrorCode<'_>>().unwrap().unwrap();
            format!("no {:?} {}", refused.family, refused.error.code())
        }
        types::MESSAGE_INTEGRITY if message.verify_integrity(key).is_ok() => "signed".into(),
        types::MESSAGE_INTEGRITY => "SIGNED BY SOMEBODY ELSE".into(),
        types::FINGERPRINT => {
            message.verify_fingerprint().unwrap();
            "fingerprint".into()
        }
        other => types::Display(other).to_string(),
    }
}

/// The token of the last Allocate answer.
pub(crate) fn token(world: &World) -> ReservationToken {
    let message = Message::parse(world.replies.last().unwrap()).unwrap();
    message.get().unwrap().unwrap()
}

type Put = Box<dyn Fn(&mut Writer<'_>)>;

/// A message to be sent by a client.
pub(crate) struct Ask {
    class: Class,
    method: Method,
    attributes: Vec<Put>,
    transaction: Option<TransactionId>,
    is_signed: bool,
    has_fingerprint: bool,
    without: Option<u16>,
    unprotected: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(class: Class, method: Method) -> Self {
        Self {
            class,
            method,
            attributes: Vec::new(),
            transaction: None,
            is_signed: false,
            has_fingerprint: false,
            without: None,
            unprotected: Vec::new(),
        }
    }

    fn request(method: Method) -> Self {
        Self { is_signed: true, ..Self::new(Class::Request, method) }
    }

    pub(crate) fn with<A: for<'v> Attribute<'v> + 'static>(mut self, attribute: A) -> Self {
        self.attributes.push(Box::new(move |writer| {
            writer.put(&attribute).unwrap();
        }));
        self
    }

    pub(crate) fn with_raw(mut self, kind: u16, value: &[u8]) -> Self {
        let value = value.to_vec();
        self.attributes.push(Box::new(move |writer| {
            writer.put_raw(kind, &value).unwrap();
        }));
        self
    }

    pub(crate) fn unsigned(self) -> Self {
        Self { is_signed: false, ..self }
    }

    pub(crate) fn fingerprint(self) -> Self {
        Self { has_fingerprint: true, ..self }
    }

    /// With this transaction id.
    pub(crate) fn transaction(self, id: u8) -> Self {
        Self { transaction: Some(TransactionId::new([id; 12])), ..self }
    }

    /// Without one of the credential attributes.
    pub(crate) fn without(self, kind: u16) -> Self {
        Self { without: Some(kind), ..self }
    }

    /// With an attribute after MESSAGE-INTEGRITY, where anybody could have put it.
    pub(crate) fn unprotected<A: for<'v> Attribute<'v>>(mut self, attribute: A) -> Self {
        let mut buffer = [0; 64];
        let id = self.transaction.unwrap();
        let mut writer = Writer::new(&mut buffer, self.class, self.method, id).unwrap();
        writer.put(&attribute).unwrap();
        let len = writer.finish();
        self.unprotected.extend_from_slice(&buffer[stun::HEADER_LEN..len]);
        self
    }

    fn encode(&self, id: TransactionId, conversation: &Conversation) -> Vec<u8> {
        let mut packet = vec![0; 2048];
        let mut writer = Writer::new(&mut packet, self.class, self.method, id).unwrap();
        for put in &self.attributes {
            put(&mut writer);
        }
        let key = Key::long_term(&conversation.username, REALM, &conversation.password);
        if self.is_signed {
            let nonce = conversation.nonce.as_deref().unwrap();
            let username = conversation.username.as_bytes();
            let credentials =
                [(types::USERNAME, username), (types::REALM, REALM.as_bytes()), (types::NONCE, nonce)];
            for (kind, value) in credentials {
                if self.without != Some(kind) {
                    writer.put_raw(kind, value).unwrap();
                }
            }
        }
        let sha1 = self.is_signed.then_some(&key);
        let len =
            writer.finish_with(Tail { sha1, fingerprint: self.has_fingerprint, ..Tail::default() }).unwrap();
        packet.truncate(len);
        packet.extend_from_slice(&self.unprotected);
        let attributes_len = (packet.len() - stun::HEADER_LEN) as u16;
        packet[2..4].copy_from_slice(&attributes_len.to_be_bytes());
        packet
    }
}

pub(crate) fn binding() -> Ask {
    Ask::new(Class::Request, Method::Binding)
}

/// An Allocate for UDP.
pub(crate) fn allocate() -> Ask {
    bare_allocate().with(RequestedTransport::UDP)
}

/// An Allocate that does not say for what.
pub(crate) fn bare_allocate() -> Ask {
    Ask::request(Method::Allocate)
}

pub(crate) fn refresh(seconds: u32) -> Ask {
    Ask::request(Method::Refresh).with(Lifetime(seconds))
}

pub(crate) fn request(method: Method) -> Ask {
    Ask::request(method)
}

/// A CreatePermission for peers written as addresses, with any port.
pub(crate) fn permit(peers: &[&str]) -> Ask {
    let ask = Ask::request(Method::CreatePermission);
    peers.iter().fold(ask, |ask, peer| {
        let ip: IpAddr = peer.parse().unwrap();
        ask.with(XorPeerAddress(SocketAddr::new(ip, 0)))
    })
}

pub(crate) fn bind(channel: u16, peer: &str) -> Ask {
    let number = channel.to_be_bytes();
    Ask::request(Method::ChannelBind)
        .with_raw(types::CHANNEL_NUMBER, &[number[0], number[1], 0, 0])
        .with(XorPeerAddress(addr(peer)))
}

/// A Send indication.
pub(crate) fn send(peer: &str, data: &[u8]) -> Ask {
    Ask::new(Class::Indication, Method::Send).with(XorPeerAddress(addr(peer))).with_raw(types::DATA, data)
}

pub(crate) fn requested(family: Family) -> RequestedAddressFamily {
    RequestedAddressFamily(family)
}

pub(crate) fn additional(family: Family) -> AdditionalAddressFamily {
    AdditionalAddressFamily(family)
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What an operator would have configured.
pub(crate) struct Rules {
    pub(crate) listeners: BTreeMap<u16, ListenerPolicy>,
    pub(crate) routes: Vec<Route>,
    /// How many allocations a user may have.
    pub(crate) quota: usize,
    /// Refuses every allocation.
    pub(crate) denial: Option<Denial>,
    used: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A network that may be reached.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub(crate) net: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) ports: Ports,
    pub(crate) protocol: PeerProtocol,
    pub(crate) cluster: u16,
}

pub(crate) fn route(net: &str, cluster: u16) -> Route {
    let (ip, prefix) = net.split_once('/').unwrap();
    Route {
        net: ip.parse().unwrap(),
        prefix: prefix.parse().unwrap(),
        ports: Ports::ALL,
        protocol: PeerProtocol::Udp,
        cluster,
    }
}

impl Route {
    pub(crate) fn ports(self, first: u16, last: u16) -> Self {
        Self { ports: Ports { first, last }, ..self }
    }

    pub(crate) fn tcp(self) -> Self {
        Self { protocol: PeerProtocol::Tcp, ..self }
    }

    fn contains(&self, peer: IpAddr) -> bool {
        match (self.net, peer) {
            (IpAddr::V4(net), IpAddr::V4(peer)) => {
                (net.to_bits() ^ peer.to_bits()).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(peer)) => {
                (net.to_bits() ^ peer.to_bits()).checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Rules {
    fn new() -> Self {
        Self {
            listeners: BTreeMap::from([(1, listener(Transport::Udp)), (2, listener(Transport::Tcp))]),
            routes: vec![route("192.0.2.0/24", 1)],
            quota: usize::MAX,
            denial: None,
            used: Arc::default(),
        }
    }

    pub(crate) fn listener_mut(&mut self, id: u16) -> &mut ListenerPolicy {
        self.listeners.get_mut(&id).unwrap()
    }

    /// How many units of the quota a user has.
    pub(crate) fn used(&self, user: &str) -> usize {
        self.used.lock().unwrap().get(user).copied().unwrap_or(0)
    }
}

pub(crate) fn listener(transport: Transport) -> ListenerPolicy {
    ListenerPolicy {
        transport,
        authority: Authority::fixed(realm(), USER, PASS),
        relay_v4: Some(Ipv4Addr::new(203, 0, 113, 1)),
        relay_v6: None,
    }
}

impl Policy for Rules {
    fn listener(&self, id: ListenerId) -> Option<&ListenerPolicy> {
        self.listeners.get(&id.0)
    }

    fn peer(&self, _: ListenerId, peer: IpAddr) -> Grant {
        let routes = self.routes.iter().filter(|route| route.contains(peer));
        routes
            .map(|route| Flow {
                ports: route.ports,
                protocol: route.protocol,
                cluster: ClusterId(route.cluster),
            })
            .collect()
    }

    fn allocation(&self, request: AllocationRequest<'_>) -> Result<QuotaUnit, Denial> {
        if let Some(denial) = self.denial {
            return Err(denial);
        }
        let mut used = self.used.lock().unwrap();
        let count = used.entry(request.user.into()).or_default();
        if *count >= self.quota {
            return Err(Denial::Quota);
        }
        *count += 1;
        Ok(QuotaUnit::holding(Unit { user: request.user.into(), used: Arc::clone(&self.used) }))
    }
}

struct Unit {
    user: String,
    used: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Drop for Unit {
    fn drop(&mut self) {
        *self.used.lock().unwrap().get_mut(&self.user).unwrap() -= 1;
    }
}
