//! TCP between relays and peers, RFC 6062, over TCP and TLS listeners.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{EPHEMERAL, Gateway, STATIC, Text, address, await_that, code, listener, static_user};
use kit::{AllocateOptions, Allocation, Credentials, Event, Stream, TcpEchoPeer, TurnClient};
use stun::attribute::{ConnectionId, Realm, Username};
use stun::frame::Frame;
use stun::{Class, Key, Message, Method, TransactionId, Writer};

/// What routes TCP to all of 127.0.0.0/8, and UDP nowhere.
fn text() -> Text {
    Text::new().clusters(&[("tcp", "protocol: TCP, endpoints: [127.0.0.0/8]")])
}

fn allocate_tcp(client: &mut TurnClient) -> Result<Allocation, kit::Failure> {
    client.allocate_with(&AllocateOptions { transport: Some(6), ..AllocateOptions::default() })
}

/// A connection to `peer` through the gateway, over a second connection of the client's.
fn reach(client: &mut TurnClient, peer: SocketAddr, fresh: TurnClient) -> impl Stream + use<> {
    let id = client.connect(peer).unwrap();
    let stream = client.connection_bind(id, fresh).unwrap();
    stream.set_read_timeout(kit::PATIENCE).unwrap();
    stream
}

#[track_caller]
fn echoes(stream: &mut impl Stream, count: usize) {
    for number in 0..count {
        let message = format!("message {number}");
        stream.write_all(message.as_bytes()).unwrap();
        let mut answer = vec![0; message.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, message.as_bytes());
    }
}

#[track_caller]
fn await_end(stream: &mut impl Read) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "still open: {error}"),
    }
}

#[test]
fn a05_tcp_clients_of_both_kinds_of_credentials_reach_a_tcp_peer() {
    for (auth, credentials) in
        [(STATIC, static_user()), (EPHEMERAL, Credentials::ephemeral("my-secret", "4000000000:user"))]
    {
        let gateway = Gateway::start(&text().auth(auth));
        let peer = TcpEchoPeer::start();
        let mut client = TurnClient::tcp(gateway.address()).with(credentials);
        let relayed = allocate_tcp(&mut client).unwrap().relayed;
        let mut stream = reach(&mut client, peer.address(), TurnClient::tcp(gateway.address()));
        echoes(&mut stream, 8);
        assert_eq!(peer.sources(), [relayed]);
        client.refresh(0).unwrap();
        await_end(&mut stream);
    }
}

/// The address that relays are advertised by may be a load balancer's: nothing binds it.
#[test]
fn w15_a_relay_advertised_by_another_machine_s_address_connects_to_peers() {
    let text = text();
    let elsewhere = text.listeners.iter().map(|listener| listener.replace("127.0.0.1", "192.0.2.9"));
    let elsewhere: Vec<_> = elsewhere.collect();
    let gateway = Gateway::start(&text.listeners(&elsewhere));
    let peer = TcpEchoPeer::start();
    let mut client = gateway.tcp();
    assert_eq!(allocate_tcp(&mut client).unwrap().relayed.ip().to_string(), "192.0.2.9");
    echoes(&mut reach(&mut client, peer.address(), gateway.tcp()), 8);
}

#[test]
fn a05_without_a_tcp_cluster_or_over_udp_there_is_no_tcp_allocation() {
    let gateway = Gateway::start(&Text::new());
    assert_eq!(code(allocate_tcp(&mut gateway.tcp())), 508);
    let gateway = Gateway::start(&text());
    assert_eq!(code(allocate_tcp(&mut gateway.udp())), 400);
}

#[test]
fn a05_p06_peers_and_ports_that_are_not_routed_over_tcp_are_refused() {
    let peer = TcpEchoPeer::start();
    let port = peer.address().port();
    let endpoints = format!("protocol: TCP, endpoints: ['127.0.0.1:<{port}-{port}>']");
    let text = Text::new().clusters(&[("tcp", &endpoints), ("udp", "endpoints: [127.0.0.2]")]);
    let gateway = Gateway::start(&text);
    let mut client = gateway.tcp();
    allocate_tcp(&mut client).unwrap();
    let refused = [
        SocketAddr::from(([127, 0, 0, 1], port ^ 1)),
        SocketAddr::from(([127, 0, 0, 2], port)),
        SocketAddr::from(([127, 0, 0, 3], port)),
    ];
    for peer in refused {
        assert_eq!(code(client.connect(peer)), 403, "{peer}");
    }
    echoes(&mut reach(&mut client, peer.address(), gateway.tcp()), 8);
}

#[test]
fn a05_data_connections_find_the_worker_that_has_the_peer() {
    let gateway = Gateway::with_workers(&text(), 4);
    for _ in 0..4 {
        let mut client = gateway.tcp();
        allocate_tcp(&mut client).unwrap();
        // The kernel gives one in four of them to the worker of the client.
        for number in 0..6 {
            let peer = TcpEchoPeer::start();
            let mut stream = reach(&mut client, peer.address(), gateway.tcp());
            echoes(&mut stream, 3);
            drop(stream);
            if number % 2 == 1 {
                assert_eq!(client.binding().unwrap(), client.local());
            }
        }
    }
}

#[test]
fn a05_a_tls_client_reaches_a_tcp_peer() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = BASE64_STANDARD.encode(signed.cert.pem());
    let key = BASE64_STANDARD.encode(signed.signing_key.serialize_pem());
    let port = kit::free_port();
    let tls = listener("tls", "TURN-TLS", port, "[tcp]");
    let mut text = text();
    text.listeners.push(tls.replacen('{', &format!("{{ cert: {cert}, key: {key}, "), 1));
    let gateway = Gateway::with_workers(&text, 2);
    let fresh = || TurnClient::tls(address(port)).with(static_user());
    let mut client = fresh();
    allocate_tcp(&mut client).unwrap();
    for _ in 0..4 {
        let peer = TcpEchoPeer::start();
        let mut stream = reach(&mut client, peer.address(), fresh());
        echoes(&mut stream, 8);
        carries(&mut stream, 300_000);
    }
    drop(client);
    gateway.await_allocations(0);
}

/// Writes so many bytes to an echo peer while reading them back, and expects every one.
#[track_caller]
fn carries(stream: &mut (impl Read + Write), total: usize) {
    let (mut sent, mut received) = (0, 0);
    while received < total {
        let end = total.min(sent + 10_000);
        let piece: Vec<u8> = (sent..end).map(|at| (at % 251) as u8).collect();
        stream.write_all(&piece).unwrap();
        sent = end;
        let mut back = vec![0; sent - received];
        stream.read_exact(&mut back).unwrap();
        assert!(back.iter().enumerate().all(|(at, byte)| *byte == ((received + at) % 251) as u8));
        received = sent;
    }
}

/// A signed ConnectionBind, with bytes right behind it in the same segment.
#[test]
fn pipelined_data_after_connection_bind_is_kept() {
    for workers in [1, 4] {
        let gateway = Gateway::with_workers(&text(), workers);
        let mut client = gateway.tcp();
        allocate_tcp(&mut client).unwrap();
        for _ in 0..6 {
            let peer = TcpEchoPeer::start();
            let id = client.connect(peer.address()).unwrap();
            let mut tcp = TcpStream::connect(gateway.address()).unwrap();
            tcp.set_read_timeout(Some(kit::PATIENCE)).unwrap();
            let nonce = challenge(&mut tcp);
            let mut packet = connection_bind(id, &nonce);
            packet.extend_from_slice(b"right behind");
            tcp.write_all(&packet).unwrap();
            let answer = read_message(&mut tcp);
            assert_eq!(Message::parse(&answer).unwrap().class(), Class::Success);
            let mut echo = [0; 12];
            tcp.read_exact(&mut echo).unwrap();
            assert_eq!(&echo, b"right behind");
        }
    }
}

fn challenge(tcp: &mut TcpStream) -> Vec<u8> {
    let mut packet = [0; 64];
    let id = TransactionId::new([1; 12]);
    let len = Writer::new(&mut packet, Class::Request, Method::ConnectionBind, id).unwrap().finish();
    tcp.write_all(&packet[..len]).unwrap();
    let answer = read_message(tcp);
    Message::parse(&answer).unwrap().raw(stun::attribute::types::NONCE).unwrap().to_vec()
}

fn connection_bind(connection: u32, nonce: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 512];
    let id = TransactionId::new([2; 12]);
    let mut writer = Writer::new(&mut packet, Class::Request, Method::ConnectionBind, id).unwrap();
    writer.put(&ConnectionId(connection)).unwrap().put(&Username::new("user").unwrap()).unwrap();
    writer.put(&Realm::new("r").unwrap()).unwrap();
    writer.put_raw(stun::attribute::types::NONCE, nonce).unwrap();
    let len = writer.finish_with_integrity(&Key::long_term("user", "r", "pass")).unwrap();
    packet.truncate(len);
    packet
}

fn read_message(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 20];
    tcp.read_exact(&mut bytes).unwrap();
    let (Frame::Incomplete { need } | Frame::Message(need)) = stun::frame::next(&bytes) else { panic!() };
    bytes.resize(need, 0);
    tcp.read_exact(&mut bytes[20..]).unwrap();
    bytes
}

#[test]
fn p07_a_peer_that_connects_is_announced_if_it_has_a_permission_and_closed_if_not() {
    let gateway = Gateway::start(&text());
    let mut client = gateway.tcp();
    let relayed = allocate_tcp(&mut client).unwrap().relayed;
    let mut stranger = TcpStream::connect(relayed).unwrap();
    stranger.set_read_timeout(Some(kit::PATIENCE)).unwrap();
    await_end(&mut stranger);

    client.create_permission(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut peer = TcpStream::connect(relayed).unwrap();
    peer.set_read_timeout(Some(kit::PATIENCE)).unwrap();
    peer.write_all(b"hello").unwrap();
    let Event::ConnectionAttempt { peer: from, id } = client.recv() else { panic!("no attempt") };
    assert_eq!(from, peer.local_addr().unwrap());
    let mut stream = client.connection_bind(id, gateway.tcp()).unwrap();
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"hello");
    stream.write_all(b"good day").unwrap();
    drop(stream);
    let mut answer = Vec::new();
    peer.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"good day", "what was sent before the end arrives");
}

#[test]
fn a_peer_that_ends_the_connection_ends_the_client_s_and_nothing_is_lost() {
    let gateway = Gateway::start(&text());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = gateway.tcp();
    allocate_tcp(&mut client).unwrap();
    let mut stream = reach(&mut client, server.local_addr().unwrap(), gateway.tcp());
    let (mut peer, _) = server.accept().unwrap();
    let sent: Vec<u8> = (0..2_000_000_u32).map(|at| (at % 251) as u8).collect();
    let writing = std::thread::spawn({
        let sent = sent.clone();
        move || peer.write_all(&sent).unwrap()
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
}

/// Whoever does not read slows its peer down: the gateway holds a few hundred kilobytes and takes no more.
#[test]
fn a_client_that_does_not_read_stops_its_peer_and_gets_everything_in_the_end() {
    let gateway = Gateway::start(&text());
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = gateway.tcp();
    allocate_tcp(&mut client).unwrap();
    let mut stream = reach(&mut client, server.local_addr().unwrap(), gateway.tcp());
    let (mut peer, _) = server.accept().unwrap();
    peer.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let chunk = vec![7; 1 << 16];
    let mut sent = 0_usize;
    while sent < 256 << 20 {
        match peer.write(&chunk) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent < 256 << 20, "nothing stopped the peer");
    drop(peer);
    let mut received = vec![];
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), sent);
}

/// A listener whose queue is full lets connections wait, as a host does that answers nothing.
struct Silent {
    _listener: TcpListener,
    _filling: Vec<TcpStream>,
    address: SocketAddr,
}

impl Silent {
    fn start() -> Option<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut filling = Vec::new();
        for _ in 0..4096 {
            match TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
                Ok(stream) => filling.push(stream),
                Err(_) => return Some(Self { _listener: listener, _filling: filling, address }),
            }
        }
        None
    }
}

#[test]
fn a_slow_or_refusing_tcp_peer_stalls_other_clients() {
    let Some(silent) = Silent::start() else { panic!("the queue of a listener has no end") };
    let gateway = Gateway::start(&text());
    let echo = TcpEchoPeer::start();
    let mut slow = gateway.tcp();
    slow.set_patience(Duration::from_millis(200));
    allocate_tcp(&mut slow).unwrap();
    assert_eq!(slow.connect(silent.address).unwrap_err(), kit::Failure::Timeout);
    // A second one for the same peer is refused at once, while the first is on its way.
    slow.set_patience(kit::PATIENCE);
    assert_eq!(code(slow.connect(silent.address)), 446);

    let mut client = gateway.tcp();
    allocate_tcp(&mut client).unwrap();
    let nobody = SocketAddr::from(([127, 0, 0, 1], kit::free_port()));
    assert_eq!(code(client.connect(nobody)), 447);
    echoes(&mut reach(&mut client, echo.address(), gateway.tcp()), 8);
    echoes(&mut reach(&mut slow, echo.address(), gateway.tcp()), 8);
}

#[test]
fn a_withdrawn_route_ends_tcp_connections_and_not_the_client_s() {
    let text = text();
    let gateway = Gateway::start(&text);
    let echo = TcpEchoPeer::start();
    let mut client = gateway.tcp();
    allocate_tcp(&mut client).unwrap();
    let mut stream = reach(&mut client, echo.address(), gateway.tcp());
    echoes(&mut stream, 1);
    gateway.apply(&text.clone().clusters(&[("tcp", "protocol: TCP, endpoints: [10.0.0.1]")]));
    await_end(&mut stream);
    client.refresh(600).unwrap();
    assert_eq!(code(client.connect(echo.address())), 403);
    gateway.apply(&text);
    // The former connection's addresses are not free again at once.
    let another = TcpEchoPeer::start();
    echoes(&mut reach(&mut client, another.address(), gateway.tcp()), 1);
}

#[test]
fn closing_the_control_connection_closes_data_connections() {
    let gateway = Gateway::with_workers(&text(), 2);
    let mut client = gateway.tcp();
    allocate_tcp(&mut client).unwrap();
    let mut streams: Vec<_> =
        (0..4).map(|_| reach(&mut client, TcpEchoPeer::start().address(), gateway.tcp())).collect();
    streams.iter_mut().for_each(|stream| echoes(stream, 1));
    drop(client);
    streams.iter_mut().for_each(await_end);
    await_that("the allocation is gone", || gateway.dataplane.allocations() == 0);
}
