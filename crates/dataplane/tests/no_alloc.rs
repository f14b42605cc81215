//! Relaying allocates nothing: counted over every thread of this process while packets go from a client to a
//! peer and back, or from one client of the gateway to another. The test's own side of it uses plain sockets and
//! fixed buffers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use common::{Gateway, Pair, Text, address, static_user};
use kit::{AllocateOptions, PATIENCE, Stream, TurnClient, allocations};
use net::{Arena, Events, Interest, Outgoing, Poller, SendQueue, Span, Token, UdpOptions};
use stun::attribute::{Data, XorPeerAddress};
use stun::{Class, Method, TransactionId, Writer};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Enough for every table and buffer to have reached its size.
const WARM_UP: usize = 120;
const ROUNDS: usize = 240;
/// Packets under way at a time, so that batches form.
const BURST: usize = 16;

const CHANNEL: u16 = 0x4000;
const PAYLOAD: [u8; 160] = [7; 160];

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// ChannelData with the payload, as a client sends and gets it.
fn channel_data() -> Vec<u8> {
    [&[0x40, 0, 0, 160][..], &PAYLOAD].concat()
}

/// A Send indication with the payload. A Data indication has the same length.
fn send_indication(peer: SocketAddr) -> Vec<u8> {
    let mut buffer = [0; 256];
    let id = TransactionId::new([9; 12]);
    let mut writer = Writer::new(&mut buffer, Class::Indication, Method::Send, id).unwrap();
    writer.put(&XorPeerAddress(peer)).unwrap();
    writer.put(&Data(&PAYLOAD)).unwrap();
    let len = writer.finish();
    buffer[..len].to_vec()
}

/// A burst out and back: `send` and `receive` are the client's.
fn round(peer: &UdpSocket, message: &[u8], mut send: impl FnMut(&[u8]), mut receive: impl FnMut(&mut [u8])) {
    let mut buffer = [0; 2048];
    for _ in 0..BURST {
        send(message);
    }
    for _ in 0..BURST {
        let (len, relay) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..len], PAYLOAD);
        peer.send_to(&PAYLOAD, relay).unwrap();
    }
    for _ in 0..BURST {
        let answer = &mut buffer[..message.len()];
        receive(answer);
        assert!(answer.ends_with(&PAYLOAD));
    }
}

#[track_caller]
fn allocates_nothing(what: &str, message: Vec<u8>, round: impl Fn(&[u8])) {
    none_allocates(1, what, message, round);
}

/// A round is one of each of so many pairs.
#[track_caller]
fn none_allocates(pairs: usize, what: &str, message: Vec<u8>, round: impl Fn(&[u8])) {
    (0..WARM_UP / pairs).for_each(|_| round(&message));
    let before = allocations::in_process();
    (0..ROUNDS / pairs).for_each(|_| round(&message));
    assert_eq!(allocations::in_process() - before, 0, "{what}: {} packets", ROUNDS * BURST * 2);
}

/// An allocation with a channel to the peer.
fn set_up(mut client: TurnClient, peer: SocketAddr) -> TurnClient {
    client.allocate().unwrap();
    client.channel_bind(CHANNEL, peer).unwrap();
    client
}

/// One test, since what another one allocates would count.
#[test]
fn relaying_allocates_nothing() {
    let gateway = Gateway::start(&Text::new());
    over_udp(&gateway);
    over_tcp(&gateway);
    in_trains(&gateway);
    drop(gateway);
    to_tcp_peers();
    over_dtls();
    // Hardly can all pairs be on one worker each, or on two.
    for (workers, pairs) in [(1, 1), (4, 12)] {
        let gateway = Gateway::with_workers(&Text::new(), workers);
        headless_over_udp(&gateway, pairs);
        headless_to_tcp(&gateway, pairs);
    }
}

fn over_udp(gateway: &Gateway) {
    let peer = socket();
    let peer_addr = peer.local_addr().unwrap();
    // The kit makes the allocation; then the test takes over its address.
    let local = address(kit::free_port());
    let client = TurnClient::udp_from(local, gateway.address()).with(static_user());
    drop(set_up(client, peer_addr));
    let client = UdpSocket::bind(local).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(gateway.address()).unwrap();
    let send = |message: &[u8]| assert_eq!(client.send(message).unwrap(), message.len());
    let receive = |answer: &mut [u8]| assert_eq!(client.recv(answer).unwrap(), answer.len());
    allocates_nothing("ChannelData over UDP", channel_data(), |message| round(&peer, message, send, receive));

    // Without a channel both directions go in indications.
    let unbound = socket();
    let mut permitted =
        TurnClient::udp_from(address(kit::free_port()), gateway.address()).with(static_user());
    permitted.allocate().unwrap();
    permitted.create_permission(unbound.local_addr().unwrap()).unwrap();
    let local = permitted.local();
    drop(permitted);
    let client = UdpSocket::bind(local).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(gateway.address()).unwrap();
    let send = |message: &[u8]| assert_eq!(client.send(message).unwrap(), message.len());
    let receive = |answer: &mut [u8]| assert_eq!(client.recv(answer).unwrap(), answer.len());
    let message = send_indication(unbound.local_addr().unwrap());
    allocates_nothing("indications over UDP", message, |message| round(&unbound, message, send, receive));
}

fn over_tcp(gateway: &Gateway) {
    let peer = socket();
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let shared = stream.try_clone().unwrap();
    let client = TurnClient::over(shared, gateway.address()).with(static_user());
    let _client = set_up(client, peer.local_addr().unwrap());
    let send = |message: &[u8]| (&stream).write_all(message).unwrap();
    let receive = |answer: &mut [u8]| (&stream).read_exact(answer).unwrap();
    allocates_nothing("ChannelData over TCP", channel_data(), |message| round(&peer, message, send, receive));
}

/// The payload, from one end of a connection to the other.
fn carry(from: &mut impl Stream, to: &mut impl Stream) {
    let mut arrived = [0; PAYLOAD.len()];
    from.write_all(&PAYLOAD).unwrap();
    to.read_exact(&mut arrived).unwrap();
    assert_eq!(arrived, PAYLOAD);
}

/// Bytes of a connection to a peer, RFC 6062.
fn to_tcp_peers() {
    let gateway =
        Gateway::start(&Text::new().clusters(&[("tcp", "protocol: TCP, endpoints: [127.0.0.0/8]")]));
    let listener = TcpListener::bind(address(0)).unwrap();
    let mut client = gateway.tcp();
    client.allocate_with(&AllocateOptions { transport: Some(6), ..AllocateOptions::default() }).unwrap();
    let id = client.connect(listener.local_addr().unwrap()).unwrap();
    let mut ours = client.connection_bind(id, gateway.tcp()).unwrap();
    let mut theirs = listener.accept().unwrap().0;
    ours.set_read_timeout(PATIENCE).unwrap();
    Stream::set_read_timeout(&theirs, PATIENCE).unwrap();
    let mut round = || {
        carry(&mut ours, &mut theirs);
        carry(&mut theirs, &mut ours);
    };
    (0..WARM_UP).for_each(|_| round());
    let before = allocations::in_process();
    (0..ROUNDS).for_each(|_| round());
    assert_eq!(allocations::in_process() - before, 0, "bytes to and from a peer over TCP");
}

/// Encrypted by another program, which makes one record of whatever it finds: so one message at a time.
fn over_dtls() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (mut text, port, peer) = (Text::new(), kit::free_port(), socket());
    text.listeners.push(Pair::new().listener("secure", "TURN-DTLS", port));
    let _gateway = Gateway::start(&text);
    let listener = TcpListener::bind(address(0)).unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let theirs = OwnedFd::from(listener.accept().unwrap().0);
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    ours.set_nodelay(true).unwrap();
    let mut program = openssl.command("openssl");
    program.args(["s_client", "-quiet", "-dtls1_2", "-connect", &address(port).to_string()]);
    program.stdin(theirs.try_clone().unwrap()).stdout(theirs).stderr(Stdio::null());
    let mut program = program.spawn().unwrap();
    let client = TurnClient::over(ours.try_clone().unwrap(), address(port)).with(static_user());
    let client = set_up(client, peer.local_addr().unwrap());
    let mut buffer = [0; 2048];
    let (message, answer) = (channel_data(), &mut [0; 164]);
    let mut round = || {
        (&ours).write_all(&message).unwrap();
        let (len, relay) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer[..len], PAYLOAD);
        peer.send_to(&PAYLOAD, relay).unwrap();
        (&ours).read_exact(answer).unwrap();
    };
    (0..WARM_UP).for_each(|_| round());
    let before = allocations::in_process();
    (0..ROUNDS).for_each(|_| round());
    assert_eq!(allocations::in_process() - before, 0, "ChannelData over DTLS");
    drop((client, ours));
    program.kill().unwrap();
    program.wait().unwrap();
}

/// A socket that sends and receives trains, with all the memory it needs.
struct Wire {
    socket: net::UdpSocket,
    poller: Poller,
    events: Events,
    arena: Arena,
    queue: SendQueue,
}

impl Wire {
    fn new(local: SocketAddr) -> Self {
        let socket = net::UdpSocket::bind(local, &UdpOptions::RELAY).unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&socket, Token(0), Interest::Read).unwrap();
        let (events, arena, queue) = (Events::new(1), Arena::new(2 * BURST as u16), SendQueue::new(BURST));
        Self { socket, poller, events, arena, queue }
    }

    /// As many trains as there are messages of different lengths.
    fn send<'m>(&mut self, messages: impl Iterator<Item = &'m [u8]>, to: SocketAddr) {
        self.arena.clear();
        for message in messages {
            let slot = self.arena.take().unwrap();
            self.arena.payload_mut(slot)[..message.len()].copy_from_slice(message);
            let span = Span::payload(slot, 0, message.len());
            self.queue.push(Outgoing { socket: 0, span, to, from: None, dont_fragment: false });
        }
        self.queue.flush(&self.arena, |_| Some(&self.socket));
    }

    /// Waits for a burst. Returns where it came from.
    fn receive(&mut self) -> SocketAddr {
        let (mut count, mut sender) = (0, None);
        while count < BURST {
            self.arena.clear();
            self.poller.wait(&mut self.events, Some(PATIENCE)).unwrap();
            for slot in self.arena.receive(&self.socket, BURST).unwrap() {
                let packet = self.arena.packet(slot);
                count += packet.places().len();
                sender = Some(packet.from);
            }
        }
        sender.unwrap()
    }
}

/// Lengths change within a burst, so that there are several trains and several headers in one.
fn in_trains(gateway: &Gateway) {
    let local = address(kit::free_port());
    let mut peer = Wire::new(address(0));
    let client = TurnClient::udp_from(local, gateway.address()).with(static_user());
    drop(set_up(client, peer.socket.local_addr()));
    let mut client = Wire::new(local);
    let long = channel_data();
    let short = [&[0x40, 0, 0, 63][..], &PAYLOAD[..63]].concat();
    let lens = |number: usize| if number % 8 == 7 { &short } else { &long };
    let mut round = || {
        client.send((0..BURST).map(|number| lens(number).as_slice()), gateway.address());
        let relay = peer.receive();
        peer.send((0..BURST).map(|number| &lens(number)[4..]), relay);
        client.receive();
    };
    (0..WARM_UP).for_each(|_| round());
    let before = allocations::in_process();
    (0..ROUNDS).for_each(|_| round());
    assert_eq!(allocations::in_process() - before, 0, "trains: {} packets", ROUNDS * BURST * 2);
}

/// A client whose allocation, at an address the test takes over, has a channel to whoever is named later.
struct End {
    turn: TurnClient,
    relayed: SocketAddr,
}

impl End {
    fn new(client: TurnClient) -> Self {
        let mut turn = client.with(static_user());
        let relayed = turn.allocate().unwrap().relayed;
        Self { turn, relayed }
    }

    fn udp(gateway: &Gateway) -> Self {
        Self::new(TurnClient::udp_from(address(kit::free_port()), gateway.address()))
    }

    /// Its socket, once it has a channel to its peer.
    fn connected_to(mut self, peer: SocketAddr, gateway: &Gateway) -> UdpSocket {
        self.turn.channel_bind(CHANNEL, peer).unwrap();
        let local = self.turn.local();
        drop(self);
        let socket = UdpSocket::bind(local).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(gateway.address()).unwrap();
        socket
    }
}

/// A burst from one end to the other.
fn across(message: &[u8], send: impl Fn(&[u8]), mut receive: impl FnMut(&mut [u8])) {
    let mut buffer = [0; 2048];
    (0..BURST).for_each(|_| send(message));
    for _ in 0..BURST {
        let answer = &mut buffer[..message.len()];
        receive(answer);
        assert_eq!(answer, message);
    }
}

fn headless_over_udp(gateway: &Gateway, pairs: usize) {
    let pairs: Vec<_> = (0..pairs)
        .map(|_| {
            let (first, second) = (End::udp(gateway), End::udp(gateway));
            let (one, other) = (first.relayed, second.relayed);
            (first.connected_to(other, gateway), second.connected_to(one, gateway))
        })
        .collect();
    none_allocates(pairs.len(), "ChannelData from client to client", channel_data(), |message| {
        for (first, second) in &pairs {
            for (from, to) in [(first, second), (second, first)] {
                let send = |message: &[u8]| assert_eq!(from.send(message).unwrap(), message.len());
                across(message, send, |answer| assert_eq!(to.recv(answer).unwrap(), answer.len()));
            }
        }
    });
}

/// From UDP clients to clients on connections, and back.
fn headless_to_tcp(gateway: &Gateway, pairs: usize) {
    let pairs: Vec<_> = (0..pairs)
        .map(|_| {
            let stream = TcpStream::connect(gateway.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_nodelay(true).unwrap();
            let first = End::udp(gateway);
            let mut second = End::new(TurnClient::over(stream.try_clone().unwrap(), gateway.address()));
            second.turn.channel_bind(CHANNEL, first.relayed).unwrap();
            let first = first.connected_to(second.relayed, gateway);
            (first, stream, second.turn)
        })
        .collect();
    none_allocates(pairs.len(), "ChannelData between UDP and TCP clients", channel_data(), |message| {
        for (udp, tcp, _) in &pairs {
            let send = |message: &[u8]| assert_eq!(udp.send(message).unwrap(), message.len());
            across(message, send, |answer| (&*tcp).read_exact(answer).unwrap());
            let send = |message: &[u8]| (&*tcp).write_all(message).unwrap();
            across(message, send, |answer| assert_eq!(udp.recv(answer).unwrap(), answer.len()));
        }
    });
}
