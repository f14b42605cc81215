//! A TURN server on no sockets, with clients that have allocations.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::RngCore;
use stun::attribute::{Data, XorPeerAddress};
use stun::{Class, Method, TransactionId, Writer};
use turn::addr::{Client, ClusterId, ListenerId, PeerAddr, RelayId, Transport};
use turn::credentials::{Authority, Realm};
use turn::nonce::NonceKey;
use turn::server::{
    AllocationRequest, Denial, Flow, Grant, Limits, ListenerPolicy, Output, PeerProtocol, Policy, Ports,
    QuotaUnit, Server, Settings, Verdict,
};
use turn::time::Now;

use super::{SPEECH, channel_data};
use crate::place;
use crate::server::login;
use crate::session::{Login, Outcome, Session, Stage};

const CLIENTS_PORT: u16 = 40_000;
const PEERS_PORT: u16 = 50_000;
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3478);

/// Between two new clients: 20 000 of them come before the first loses its permission.
const PAUSE: Duration = Duration::from_millis(3);

/// A server and its clients.
pub(super) struct Bed {
    server: Server<Numbers>,
    policy: Everywhere,
    now: Now,
    login: Arc<Login>,
    clients: Vec<Client>,
    relays: Vec<RelayId>,
    sessions: Vec<Session>,
    /// The peer of each client.
    peer: fn(usize) -> SocketAddr,
    next: usize,
}

/// Numbers that look random and are the same every time, so that counts are, too.
struct Numbers(u64);

impl RngCore for Numbers {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        into.chunks_mut(8)
            .for_each(|chunk| chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]));
    }
}

/// One listener, whose clients may reach everybody.
struct Everywhere(ListenerPolicy);

impl Policy for Everywhere {
    fn listener(&self, _: ListenerId) -> Option<&ListenerPolicy> {
        Some(&self.0)
    }

    fn peer(&self, _: ListenerId, _: IpAddr) -> Grant {
        let all = Flow { ports: Ports::ALL, protocol: PeerProtocol::Udp, cluster: ClusterId(0) };
        Grant::from_iter([all])
    }

    fn allocation(&self, _: AllocationRequest<'_>) -> Result<QuotaUnit, Denial> {
        Ok(QuotaUnit::none())
    }
}

impl Bed {
    /// A server with so many clients, each with a channel to a peer of its own.
    pub(super) fn new(clients: usize) -> Self {
        Self::with(clients, Stage::Bound, peer)
    }

    /// The same with permissions, but without channels.
    pub(super) fn without_channels(clients: usize) -> Self {
        Self::with(clients, Stage::Permitted, peer)
    }

    /// Pairs of clients, each of which has a channel to the relay of the other.
    pub(super) fn headless(clients: usize) -> Self {
        Self::with(clients, Stage::Bound, |number| SocketAddr::new(SERVER.ip(), relay_port(number ^ 1)))
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do: time stands still here")]
    fn with(clients: usize, stage: Stage, peer: fn(usize) -> SocketAddr) -> Self {
        let login = Arc::new(login());
        let realm = Realm::new("bench").unwrap_or_else(|_| unreachable!("it is short"));
        let policy = Everywhere(ListenerPolicy {
            transport: Transport::Udp,
            authority: Authority::fixed(realm, &login.username, &login.password),
            relay_v4: Some(Ipv4Addr::LOCALHOST),
            relay_v6: None,
            relays_tcp: false,
            limits: Limits::default(),
            mobility: false,
            discovery: None,
            alternate: None,
        });
        let now = Now::new(Instant::now(), 1_800_000_000);
        let mut numbers = Numbers(1);
        let settings = Settings::new(NonceKey::generate(&mut numbers));
        let mut bed = Self {
            server: Server::new(settings, numbers, now),
            policy,
            now,
            login,
            clients: Vec::new(),
            relays: Vec::new(),
            sessions: Vec::new(),
            peer,
            next: 0,
        };
        (0..clients).for_each(|_| bed.add(stage));
        bed
    }

    /// Time passes meanwhile, since unknown clients get only so many answers a second.
    fn add(&mut self, stage: Stage) {
        self.now.mono += PAUSE;
        let number = self.clients.len();
        let session = Session::new(Arc::clone(&self.login), number, (self.peer)(number));
        let remote = SocketAddr::new(place::client(number), CLIENTS_PORT);
        self.clients.push(Client::new(ListenerId(0), remote, SERVER));
        self.sessions.push(session);
        self.lead(number, stage);
    }

    /// Lets a client talk with the server until it has come as far as that.
    fn lead(&mut self, number: usize, goal: Stage) {
        self.sessions[number].aim(goal);
        let mut request = [0; 512];
        while !self.sessions[number].has_reached() {
            let len =
                self.sessions[number].request(&mut request).unwrap_or_else(|_| unreachable!("it is short"));
            let client = self.clients[number];
            let verdict = self.server.handle_client(client, &request[..len], &self.policy, self.now);
            assert_eq!(verdict, Verdict::Control, "client {number} on its way to {goal:?}");
            self.drain(number);
        }
    }

    fn drain(&mut self, number: usize) {
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Send { message, .. } => {
                    let outcome = self.sessions[number].answer(&message);
                    assert!(matches!(outcome, Outcome::More | Outcome::Reached), "{outcome:?}");
                }
                Output::OpenRelay { relay, .. } => {
                    self.server.handle_relay_opened(relay, Ok(relay_port(number)), self.now);
                }
                Output::AllocationCreated { relay, .. } => self.relays.push(relay),
                _ => {}
            }
        }
    }

    /// The clients one after the other, so that no look-up is like the last.
    fn step(&mut self) -> usize {
        self.next = (self.next + 1) % self.relays.len();
        self.next
    }

    fn take_from_client(&mut self, number: usize, packet: &[u8]) {
        let verdict = self.server.handle_client(self.clients[number], packet, &self.policy, self.now);
        assert!(matches!(black_box(verdict), Verdict::ToPeer { .. }));
    }

    fn take_from_peer(&mut self, number: usize, payload: &[u8], header: &mut [u8]) {
        let verdict = self.server.handle_peer(self.relays[number], peer(number), payload, self.now);
        let Verdict::ToClient { via, peer, payload, .. } = black_box(verdict) else {
            panic!("peer {number} may send");
        };
        black_box(via.write_header(peer, payload.len(), header).is_ok());
    }

    fn take_across(&mut self, number: usize, packet: &[u8], header: &mut [u8]) {
        let verdict = self.server.handle_client(self.clients[number], packet, &self.policy, self.now);
        let Verdict::ToPeer { relay, peer, payload, .. } = verdict else {
            panic!("client {number} may send");
        };
        let verdict = self.server.handle_own_peer(relay, peer, payload, self.now);
        let Some(Verdict::ToClient { via, peer, payload, .. }) = black_box(verdict) else {
            panic!("the partner of client {number} may receive");
        };
        black_box(via.write_header(peer, payload.len(), header).is_ok());
    }

    /// ChannelData from a client for another one, and the header in front of it.
    pub(super) fn short_cut(mut self) -> Box<dyn FnMut()> {
        let (packet, mut header) = (channel_data(), [0; 4]);
        Box::new(move || {
            let number = self.step();
            self.take_across(number, black_box(&packet), &mut header);
        })
    }

    /// ChannelData from a client.
    pub(super) fn client_channel(mut self) -> Box<dyn FnMut()> {
        let packet = channel_data();
        Box::new(move || {
            let number = self.step();
            self.take_from_client(number, black_box(&packet));
        })
    }

    /// A Send indication from a client.
    pub(super) fn client_indication(mut self) -> Box<dyn FnMut()> {
        let packets: Vec<Vec<u8>> = (0..self.clients.len()).map(send_indication).collect();
        Box::new(move || {
            let number = self.step();
            self.take_from_client(number, black_box(&packets[number]));
        })
    }

    /// A datagram from a peer, and the ChannelData header in front of it.
    pub(super) fn peer_channel(mut self) -> Box<dyn FnMut()> {
        let (payload, mut header) = ([0; SPEECH], [0; 4]);
        Box::new(move || {
            let number = self.step();
            self.take_from_peer(number, black_box(&payload), &mut header);
        })
    }

    /// A datagram from a peer, and the Data indication's header in front of it.
    pub(super) fn peer_indication(mut self) -> Box<dyn FnMut()> {
        let (payload, mut header) = ([0; SPEECH], [0; 48]);
        Box::new(move || {
            let number = self.step();
            self.take_from_peer(number, black_box(&payload), &mut header);
        })
    }

    /// A Refresh, checked and answered.
    pub(super) fn refresh(mut self) -> Box<dyn FnMut()> {
        let mut request = [0; 512];
        let mut write = |session: &mut Session| {
            session.aim(Stage::Refreshed);
            let len = session.request(&mut request).unwrap_or(0);
            request[..len].to_vec()
        };
        let requests: Vec<Vec<u8>> = self.sessions.iter_mut().map(&mut write).collect();
        Box::new(move || {
            let number = self.step();
            let request = black_box(&requests[number]);
            let verdict = self.server.handle_client(self.clients[number], request, &self.policy, self.now);
            assert_eq!(verdict, Verdict::Control);
            assert!(matches!(black_box(self.server.poll_output()), Some(Output::Send { .. })));
        })
    }

    /// A client that comes, allocates, gets a permission and a channel, and goes: five requests, written and
    /// understood by the client, too.
    pub(super) fn allocate_and_go(mut self) -> Box<dyn FnMut()> {
        Box::new(move || {
            self.add(Stage::Gone);
            self.relays.pop();
            self.clients.pop();
            self.sessions.pop();
        })
    }
}

fn relay_port(number: usize) -> u16 {
    10_000 + (number % 50_000) as u16
}

fn peer(number: usize) -> SocketAddr {
    let address = SocketAddr::new(place::peer(number), PEERS_PORT);
    PeerAddr::new(address).map_or(address, PeerAddr::get)
}

fn send_indication(number: usize) -> Vec<u8> {
    let mut packet = vec![0; 512];
    let write = |into: &mut [u8]| {
        let mut writer =
            Writer::new(into, Class::Indication, Method::Send, TransactionId::new([9; 12])).ok()?;
        writer.put(&XorPeerAddress(peer(number))).ok()?;
        writer.put(&Data(&[0; SPEECH])).ok()?;
        Some(writer.finish())
    };
    let len = write(&mut packet).unwrap_or(0);
    packet.truncate(len);
    packet
}

#[cfg(test)]
mod tests {
    use stun::ChannelData;

    use super::*;
    use crate::session::CHANNEL;

    #[test]
    fn packets_pass_both_ways() {
        let mut bed = Bed::new(3);
        let mut header = [0; 4];
        for number in 0..3 {
            bed.take_from_client(number, &channel_data());
            bed.take_from_client(number, &send_indication(number));
            bed.take_from_peer(number, &[0; SPEECH], &mut header);
            assert_eq!(ChannelData::parse(&[&header[..], &[0; SPEECH]].concat()).unwrap().channel, CHANNEL);
        }
    }

    #[test]
    fn packets_pass_between_clients() {
        let mut repeat = Bed::headless(4).short_cut();
        (0..10).for_each(|_| repeat());
    }

    #[test]
    fn allocations_are_prolonged() {
        let mut repeat = Bed::new(2).refresh();
        (0..10).for_each(|_| repeat());
    }

    #[test]
    fn clients_come_and_go() {
        let mut repeat = Bed::new(2).allocate_and_go();
        (0..10).for_each(|_| repeat());
    }
}
