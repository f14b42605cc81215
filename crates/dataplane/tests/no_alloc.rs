//! Relaying allocates nothing: counted over every thread of this process while packets go from a client to a
//! peer and back. The test's own side of it uses plain sockets and fixed buffers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use common::{Gateway, Text, address, static_user};
use kit::{PATIENCE, TurnClient, allocations};
use stun::attribute::{Data, XorPeerAddress};
use stun::{Class, Method, TransactionId, Writer};

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// Enough for every table and buffer to have reached its size.
const WARM_UP: usize = 300;
const ROUNDS: usize = 1000;
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
    (0..WARM_UP).for_each(|_| round(&message));
    let before = allocations::in_process();
    (0..ROUNDS).for_each(|_| round(&message));
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
