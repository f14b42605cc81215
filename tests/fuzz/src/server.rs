//! Bytes as what happens to a TURN server: packets, signed requests, peers, sockets, changes, time.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use stun::attribute::types;
use stun::{ChannelData, ChannelNumber, Class, Key, MAX_LEN, Message, Method, TransactionId, Writer};
use turn::addr::{Client, ClusterId, ConnectionId, ListenerId, RelayId, Transport};
use turn::credentials::{Authority, Realm};
use turn::nonce::NonceKey;
use turn::server::{
    AllocationRequest, Denial, Flow, Grant, Limits, ListenerPolicy, Output, PeerProtocol, Policy, Ports,
    QuotaUnit, RelayError, RelayPort, Reservations, Server, Settings, Verdict,
};
use turn::time::Now;

use crate::path_of;

/// Whole events, in the encoding of [`server`].
pub const WORDS: &[&[u8]] = &[
    // A signed Allocate of client 0 with REQUESTED-TRANSPORT, and its socket.
    b"\x01\x00\x00\x01\x19\x04\x11\x00\x00\x00",
    b"\x01\x01\x00\x02\x19\x04\x11\x00\x00\x00\x18\x01\x80",
    b"\x05\x00",
    // Permission and channel for peer 0, and data both ways.
    b"\x01\x00\x02\x01\x12\x08\x00\x01\x21\x1b\xe1\x12\xa6\x43",
    b"\x01\x00\x03\x02\x0c\x04\x40\x00\x00\x00\x12\x08\x00\x01\x21\x1b\xe1\x12\xa6\x43",
    b"\x03\x00\x00\x02",
    b"\x04\x00\x00\x02",
    b"\x02\x00\x00\x02",
    // A refresh, one that deletes, a closed connection, other routes, time.
    b"\x01\x00\x01\x01\x0d\x04\x00\x00\x02\x58",
    b"\x01\x00\x01\x01\x0d\x04\x00\x00\x00\x00",
    b"\x08\x00",
    b"\x09\x01",
    b"\x0a\x60",
    // The same for TCP: an Allocate, a Connect, the peer's answer, ConnectionBind, a peer that connects.
    b"\x01\x02\x00\x01\x19\x04\x06\x00\x00\x00",
    b"\x01\x02\x04\x01\x12\x08\x00\x01\x21\x1b\xe1\x12\xa6\x43",
    b"\x0c\x00\x00",
    b"\x0d\x00\x01",
    b"\x0b\x00\x00",
];

const METHODS: [Method; 8] = [
    Method::Allocate,
    Method::Refresh,
    Method::CreatePermission,
    Method::ChannelBind,
    Method::Connect,
    Method::ConnectionBind,
    Method::Binding,
    Method::Send,
];

const NOON: u64 = 1_800_000_000;

#[expect(clippy::disallowed_methods, reason = "any instant will do for the beginning of time")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What an operator would have configured.
struct Rules {
    listeners: [ListenerPolicy; 2],
    routes: u8,
}

impl Policy for Rules {
    fn listener(&self, id: ListenerId) -> Option<&ListenerPolicy> {
        // Without routes of its own, the second listener is gone.
        let is_there = id.0 == 0 || self.routes & 2 == 0;
        self.listeners.get(usize::from(id.0)).filter(|_| is_there)
    }

    fn peer(&self, _: ListenerId, peer: IpAddr) -> Grant {
        let is_routed = match peer {
            IpAddr::V4(v4) => v4.octets()[0] == 192 && self.routes & 1 == 0,
            IpAddr::V6(_) => self.routes & 4 == 0,
        };
        let protocols = [PeerProtocol::Udp, PeerProtocol::Tcp].into_iter().filter(|_| is_routed);
        protocols.map(|protocol| Flow { ports: Ports::ALL, protocol, cluster: ClusterId(1) }).collect()
    }

    fn allocation(&self, _: AllocationRequest<'_>) -> Result<QuotaUnit, Denial> {
        if self.routes & 8 == 0 { Ok(QuotaUnit::none()) } else { Err(Denial::Quota) }
    }
}

struct World {
    server: Server<ChaCha8Rng>,
    rules: Rules,
    reservations: Reservations<()>,
    now: Now,
    nonces: [Vec<u8>; 4],
    key: Key,
    transactions: u64,
    /// Relays that were asked for, in order.
    relays: Vec<RelayId>,
    /// Those that have a socket, or wait for one.
    held: BTreeSet<u64>,
    waiting: Vec<(RelayId, Option<turn::server::Reservation>)>,
    connections: BTreeSet<ConnectionId>,
    created: usize,
    ended: usize,
    seen: Vec<u8>,
}

/// The bytes of the events.
struct Events<'a>(&'a [u8]);

impl<'a> Events<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn piece(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (piece, rest) = self.0.split_at(len);
        self.0 = rest;
        piece
    }
}

/// Plays the events. Whatever they are: every message is one, every socket is closed once, the books are in order, and
/// in the end nothing is left.
pub fn server(bytes: &[u8]) -> u64 {
    let mut world = World::new();
    let mut events = Events(&bytes[..bytes.len().min(1500)]);
    while !events.0.is_empty() {
        world.event(&mut events);
        assert_eq!(world.server.allocations(), world.created - world.ended);
        assert!(world.server.allocations() <= world.held.len());
    }
    world.wait(Duration::from_secs(2 * 3600));
    let left = (world.server.allocations(), world.held.len(), world.connections.len());
    assert_eq!(left, (0, 0, 0), "something is left");
    assert_eq!(world.server.poll_timeout(), None);
    world.seen.truncate(24);
    path_of(&world.seen)
}

fn client(number: u8) -> Client {
    let number = number % 4;
    let remote = SocketAddr::from(([198, 51, 100, 1 + number], 5000));
    Client::new(ListenerId(u16::from(number / 2)), remote, SocketAddr::from(([203, 0, 113, 1], 3478)))
}

fn peer(number: u8) -> SocketAddr {
    match number % 4 {
        0 => SocketAddr::from(([192, 0, 2, 1], 9)),
        1 => SocketAddr::from(([192, 0, 2, 2], 9)),
        2 => SocketAddr::from(([10, 0, 0, 1], 9)),
        _ => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9)),
    }
}

impl World {
    fn new() -> Self {
        let realm = Realm::new("r").unwrap();
        let listener = |transport| ListenerPolicy {
            transport,
            authority: Authority::fixed(realm.clone(), "user", "pass"),
            relay_v4: Some(Ipv4Addr::new(203, 0, 113, 1)),
            relay_v6: Some([0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 1].into()),
            relays_tcp: true,
            limits: Limits { permissions: 3, channels: 3, connections: 3 },
            mobility: true,
            discovery: None,
            alternate: None,
        };
        let now = Now::new(*START, NOON);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let settings = Settings::new(NonceKey::generate(&mut rng));
        let mut world = Self {
            server: Server::new(settings, rng, now),
            rules: Rules { listeners: [listener(Transport::Udp), listener(Transport::Tcp)], routes: 0 },
            reservations: Reservations::new(),
            now,
            nonces: Default::default(),
            key: Key::long_term("user", "r", "pass"),
            transactions: 0,
            relays: Vec::new(),
            held: BTreeSet::new(),
            waiting: Vec::new(),
            connections: BTreeSet::new(),
            created: 0,
            ended: 0,
            seen: Vec::new(),
        };
        for number in 0..4 {
            let hello = world.request(number, Method::Refresh, &mut Events(&[]), false);
            world.packet(number, &hello);
        }
        world.seen.clear();
        world
    }

    fn event(&mut self, events: &mut Events<'_>) {
        let (kind, who) = (events.byte() % 14, events.byte());
        match kind {
            0 => self.packet(who, events.piece()),
            1 => {
                let method = METHODS[usize::from(events.byte()) % METHODS.len()];
                let request = self.request(who, method, events, true);
                self.packet(who, &request);
            }
            2 => {
                let (peer, data) = (peer(events.byte()), events.piece());
                let send = self.message(Class::Indication, Method::Send, |writer| {
                    writer.put(&stun::attribute::XorPeerAddress(peer)).unwrap();
                    writer.put_raw(types::DATA, data).unwrap();
                });
                self.packet(who, &send);
            }
            3 => {
                let channel = ChannelNumber::new(0x4000 + u16::from(events.byte() % 4)).unwrap();
                let mut packet = [0; 300];
                let len = ChannelData { channel, data: events.piece() }.write(&mut packet).unwrap();
                self.packet(who, &packet[..len]);
            }
            4 => {
                let Some(relay) = self.relay(who) else { return };
                let (peer, data) = (peer(events.byte()), events.piece());
                match self.server.handle_peer(relay, peer, data, self.now) {
                    Verdict::ToClient { payload, peer: from, .. } => {
                        assert_eq!((payload, from.get()), (data, peer));
                        self.seen.push(0xa0);
                    }
                    Verdict::Dropped(reason) => self.seen.push(0xb0 + reason as u8),
                    other => panic!("{other:?}"),
                }
            }
            5 | 6 => self.open_first(kind == 5, who),
            7 => {
                if let Some(relay) = self.relay(who) {
                    self.server.handle_relay_failed(relay, self.now);
                }
            }
            8 => self.server.handle_client_closed(client(who), self.now),
            9 => {
                self.rules.routes = who;
                self.server.reconfigure(&self.rules, self.now);
                let rules = &self.rules;
                self.reservations.retain(|id| rules.listener(id).is_some());
            }
            10 => self.wait(Duration::from_secs(u64::from(who) * 3)),
            11 => {
                let (Some(relay), peer) = (self.relay(who), peer(events.byte())) else { return };
                if let Ok(connection) = self.server.handle_accepted(relay, peer, &self.rules, self.now) {
                    assert!(self.connections.insert(connection));
                }
            }
            12 => {
                let Some(connection) = self.connections.iter().nth(usize::from(who)).copied() else { return };
                let is_open = events.byte().is_multiple_of(2);
                if !is_open {
                    self.connections.remove(&connection);
                }
                self.server.handle_connected(connection, is_open, self.now);
            }
            _ => {
                let Some(connection) = self.connections.iter().nth(usize::from(who)).copied() else { return };
                match events.byte() % 2 {
                    0 => {
                        self.connections.remove(&connection);
                        self.server.handle_connection_closed(connection, self.now);
                    }
                    _ => {
                        let number = connection.0.to_be_bytes();
                        let attribute = [&[1, 0x2a, 4][..], &number].concat();
                        let request =
                            self.request(who, Method::ConnectionBind, &mut Events(&attribute), true);
                        self.packet(who, &request);
                    }
                }
            }
        }
        self.carry_out();
    }

    fn relay(&self, number: u8) -> Option<RelayId> {
        self.relays.get(usize::from(number)).copied()
    }

    fn open_first(&mut self, succeeds: bool, port: u8) {
        if self.waiting.is_empty() {
            return;
        }
        let (relay, reservation) = self.waiting.remove(0);
        let port = 50_000 + 2 * u16::from(port);
        if succeeds {
            if let Some(reservation) = reservation {
                self.reservations.keep(reservation, port + 1, (), self.now.mono);
            }
            self.server.handle_relay_opened(relay, Ok(port), self.now);
        } else {
            self.held.remove(&relay.to_u64());
            self.server.handle_relay_opened(relay, Err(RelayError::NoPort), self.now);
        }
    }

    /// Time passes as an event loop sees it.
    fn wait(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(next) = self.server.poll_timeout().filter(|next| next.at <= end) {
            self.at(next.at.max(self.now.mono));
            self.server.handle_timeout(self.now);
            self.carry_out();
        }
        self.at(end);
        self.reservations.expire(end);
    }

    fn at(&mut self, moment: Instant) {
        self.now = Now::new(moment, NOON + moment.duration_since(*START).as_secs());
    }

    fn packet(&mut self, who: u8, packet: &[u8]) {
        match self.server.handle_client(client(who), packet, &self.rules, self.now) {
            Verdict::ToPeer { relay, payload, .. } => {
                assert!(self.held.contains(&relay.to_u64()));
                assert!(payload.len() <= packet.len());
                self.seen.push(0xc0);
            }
            Verdict::Dropped(reason) => self.seen.push(0xd0 + reason as u8),
            Verdict::Control => {}
            Verdict::ToClient { .. } => panic!("a client's packet for a client"),
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send { client: to, message } => self.reply(to, &message),
                Output::OpenRelay { relay, port, .. } => self.open(relay, port),
                Output::CloseRelay { relay } => {
                    self.waiting.retain(|(waiting, _)| *waiting != relay);
                    assert!(self.held.remove(&relay.to_u64()), "{relay:?} is closed twice");
                }
                Output::Connect { connection, .. } => {
                    assert!(self.connections.insert(connection), "{connection:?} is opened twice");
                }
                Output::Join { connection, .. } => {
                    assert!(self.connections.contains(&connection));
                    self.seen.push(0xe0);
                }
                Output::CloseConnection { connection } => {
                    assert!(self.connections.remove(&connection), "{connection:?} is closed twice");
                }
                Output::MoveClient { .. } => panic!("there is one server"),
                Output::ClientMoved { .. } | Output::ClientGone { .. } => self.seen.push(0xe1),
                Output::AllocationCreated { .. } => self.created += 1,
                Output::AllocationEnded { .. } => self.ended += 1,
                Output::Refused(refusal) => self.seen.push(refusal.reason as u8),
            }
        }
    }

    fn open(&mut self, relay: RelayId, port: RelayPort) {
        assert!(self.held.insert(relay.to_u64()), "{relay:?} is opened twice");
        self.relays.push(relay);
        match port {
            RelayPort::Any | RelayPort::Even => self.waiting.push((relay, None)),
            RelayPort::EvenPair(reservation) => self.waiting.push((relay, Some(reservation))),
            RelayPort::Reserved(claim) => {
                let claimed = self.reservations.claim(&claim, self.now.mono).map(|((), claimed)| claimed);
                if claimed.is_none() {
                    self.held.remove(&relay.to_u64());
                }
                self.server.handle_relay_claimed(relay, claimed, self.now);
            }
        }
    }

    fn reply(&mut self, to: Client, bytes: &[u8]) {
        let message = Message::parse(bytes).unwrap();
        let who = (0..4).find(|number| client(*number) == to).unwrap();
        if let Some(nonce) = message.raw(types::NONCE) {
            self.nonces[usize::from(who)] = nonce.into();
        }
        assert!(!message.has_integrity() || message.verify_integrity(&self.key).is_ok());
        self.seen.push(0x80 | message.class() as u8 | (message.method().number() as u8) << 2);
    }

    /// A request with attributes as the events have them, and with good credentials.
    fn request(&mut self, who: u8, method: Method, events: &mut Events<'_>, signed: bool) -> Vec<u8> {
        let nonce = self.nonces[usize::from(who % 4)].clone();
        let key = self.key.clone();
        let mut attributes = Vec::new();
        for _ in 0..events.byte() % 8 {
            let kind = u16::from(events.byte());
            attributes.push((if kind < 0x80 { kind } else { 0x7f80 + kind }, events.piece().to_vec()));
        }
        let mut buffer = vec![0; MAX_LEN];
        let mut writer = Writer::new(&mut buffer, Class::Request, method, self.transaction()).unwrap();
        for (kind, value) in attributes {
            if !matches!(
                kind,
                types::MESSAGE_INTEGRITY | types::MESSAGE_INTEGRITY_SHA256 | types::FINGERPRINT
            ) {
                writer.put_raw(kind, &value).unwrap();
            }
        }
        let len = match signed {
            false => writer.finish(),
            true => {
                for (kind, value) in
                    [(types::USERNAME, &b"user"[..]), (types::REALM, b"r"), (types::NONCE, &nonce)]
                {
                    writer.put_raw(kind, value).unwrap();
                }
                writer.finish_with_integrity(&key).unwrap()
            }
        };
        buffer.truncate(len);
        buffer
    }

    fn message(&mut self, class: Class, method: Method, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = vec![0; MAX_LEN];
        let mut writer = Writer::new(&mut buffer, class, method, self.transaction()).unwrap();
        write(&mut writer);
        let len = writer.finish();
        buffer.truncate(len);
        buffer
    }

    fn transaction(&mut self) -> TransactionId {
        // Few of them, so that some come twice.
        self.transactions += 1;
        TransactionId::new([(self.transactions % 61) as u8; 12])
    }
}
