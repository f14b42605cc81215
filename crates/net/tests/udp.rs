//! UDP sockets on real loopback interfaces.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use net::{Arena, Events, Interest, Outgoing, Packet, Poller, SendQueue, Sent, Slot, Span, Token};
use net::{UdpOptions, UdpSocket, addr};

fn std_socket(addr: &str) -> std::net::UdpSocket {
    let socket = std::net::UdpSocket::bind(addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Waits for exactly `count` datagrams.
fn receive(socket: &UdpSocket, arena: &mut Arena, count: usize) -> Vec<Slot> {
    let poller = Poller::new().unwrap();
    poller.add(socket, Token(0), Interest::Read).unwrap();
    let mut events = Events::new(1);
    let mut slots = Vec::new();
    while slots.len() < count {
        poller.wait(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert_eq!(events.iter().count(), 1, "datagrams arrive");
        slots.extend(arena.receive(socket, count - slots.len()).unwrap());
    }
    slots
}

fn loopback(socket: &UdpSocket, ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), socket.local_addr().port())
}

fn out(span: Span, to: SocketAddr) -> Outgoing {
    Outgoing { socket: 0, span, to, from: None, dont_fragment: false }
}

#[test]
fn a_dual_stack_wildcard_serves_both_families_under_canonical_addresses() {
    let server = UdpSocket::bind(addr::dual_stack(0), &UdpOptions::LISTENER).unwrap();
    let mut arena = Arena::new(4);
    for ip in ["127.0.0.1", "::1"] {
        let client = std_socket(&SocketAddr::new(ip.parse().unwrap(), 0).to_string());
        client.send_to(b"ping", loopback(&server, ip)).unwrap();
        let slots = receive(&server, &mut arena, 1);
        let Packet { bytes, from, to, truncated, .. } = arena.packet(slots[0]);
        assert_eq!((bytes, from, truncated), (&b"ping"[..], client.local_addr().unwrap(), false));
        assert_eq!(to, Some(ip.parse().unwrap()));
    }
}

#[test]
fn a_reply_leaves_from_the_address_the_request_came_to() {
    let server = UdpSocket::bind(addr::dual_stack(0), &UdpOptions::LISTENER).unwrap();
    let mut arena = Arena::new(4);
    let mut queue = SendQueue::new(4);
    let client = std_socket("127.0.0.1:0");
    for ip in ["127.0.0.2", "127.0.0.3"] {
        client.send_to(b"ping", loopback(&server, ip)).unwrap();
        let slots = receive(&server, &mut arena, 1);
        let packet = arena.packet(slots[0]);
        assert_eq!(packet.to, Some(ip.parse::<IpAddr>().unwrap()));
        queue.push(Outgoing { from: packet.to, ..out(Span::payload(slots[0], 0, 4), packet.from) });
        assert_eq!(queue.flush(&arena, |_| Some(&server)), Sent { sent: 1, ..Sent::default() });
        let mut buffer = [0; 16];
        let (len, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"ping"[..], loopback(&server, ip)));
    }
}

/// Those that are bound to one address have nothing to report, and nothing to choose.
#[test]
fn a_socket_of_one_family_reports_and_chooses_addresses_too() {
    for (bound, ip) in [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1")] {
        let options = UdpOptions { dual_stack: false, ..UdpOptions::LISTENER };
        let server = UdpSocket::bind(SocketAddr::new(bound.parse().unwrap(), 0), &options).unwrap();
        let address = loopback(&server, ip);
        let client = std_socket(&SocketAddr::new(ip.parse().unwrap(), 0).to_string());
        client.send_to(b"ping", address).unwrap();
        let mut arena = Arena::new(1);
        let slots = receive(&server, &mut arena, 1);
        let packet = arena.packet(slots[0]);
        assert_eq!(packet.to, (bound != ip).then_some(address.ip()));
        let mut queue = SendQueue::new(1);
        let from = Some(address.ip());
        queue.push(Outgoing { from, ..out(Span::payload(slots[0], 0, 4), packet.from) });
        assert_eq!(queue.flush(&arena, |_| Some(&server)).sent, 1);
        let mut buffer = [0; 16];
        assert_eq!(client.recv_from(&mut buffer).unwrap(), (4, address));
    }
}

#[test]
fn a_batch_goes_to_many_destinations_with_headers_written_in_place() {
    let server = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    let clients: Vec<_> = (0..8).map(|_| std_socket("127.0.0.1:0")).collect();
    for (client, index) in clients.iter().zip(0_u8..) {
        client.send_to(&[index; 100], server.local_addr()).unwrap();
    }
    let mut arena = Arena::new(16);
    let slots = receive(&server, &mut arena, 8);
    let mut queue = SendQueue::new(16);
    for slot in slots {
        let from = arena.packet(slot).from;
        arena.headroom(slot, 4).copy_from_slice(b"HEAD");
        queue.push(out(Span::with_header(slot, 4, 100), from));
    }
    assert_eq!(queue.flush(&arena, |_| Some(&server)).sent, 8);
    assert!(queue.is_empty());
    for (client, index) in clients.iter().zip(0_u8..) {
        let mut buffer = [0; 200];
        let (len, _) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..4], b"HEAD");
        assert_eq!(&buffer[4..len], [index; 100]);
    }
}

#[test]
fn datagrams_for_different_sockets_keep_their_order_per_socket() {
    let sockets: Vec<_> = (0..2)
        .map(|_| UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap())
        .collect();
    let receiver = std_socket("127.0.0.1:0");
    let mut arena = Arena::new(8);
    let mut queue = SendQueue::new(8);
    for index in 0..8_u8 {
        let slot = arena.take().unwrap();
        arena.payload_mut(slot)[0] = index;
        let to = receiver.local_addr().unwrap();
        queue.push(Outgoing { socket: u32::from(index % 2), ..out(Span::payload(slot, 0, 1), to) });
    }
    assert_eq!(queue.free(), 0);
    assert_eq!(queue.flush(&arena, |index| sockets.get(index as usize)).sent, 8);
    let mut seen = [Vec::new(), Vec::new()];
    for _ in 0..8 {
        let mut buffer = [0; 4];
        let (_, from) = receiver.recv_from(&mut buffer).unwrap();
        let socket = sockets.iter().position(|socket| socket.local_addr() == from).unwrap();
        seen[socket].push(buffer[0]);
    }
    assert_eq!(seen, [vec![0, 2, 4, 6], vec![1, 3, 5, 7]]);
}

#[test]
fn one_refused_datagram_does_not_hold_up_the_others() {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    let receiver = std_socket("127.0.0.1:0");
    let mut arena = Arena::new(4);
    let mut queue = SendQueue::new(4);
    let slot = arena.take().unwrap();
    let good = receiver.local_addr().unwrap();
    let other_family = "[::1]:9".parse().unwrap();
    for to in [good, other_family, good] {
        queue.push(out(Span::payload(slot, 0, 5), to));
    }
    queue.push(Outgoing { socket: 7, ..out(Span::payload(slot, 0, 5), good) });
    let sent = queue.flush(&arena, |index| (index == 0).then_some(&socket));
    assert_eq!(sent, Sent { sent: 2, failed: 2, ..Sent::default() });
    let mut buffer = [0; 16];
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 5);
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 5);
}

#[test]
fn the_largest_datagram_passes_whole() {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    let client = std_socket("127.0.0.1:0");
    client.send_to(&[7; 65_507], socket.local_addr()).unwrap();
    let mut arena = Arena::new(1);
    let slots = receive(&socket, &mut arena, 1);
    let packet = arena.packet(slots[0]);
    assert!(!packet.truncated);
    assert_eq!(packet.bytes, [7; 65_507]);
}

#[test]
fn unfragmented_and_ordinary_datagrams_leave_in_order() {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    socket.allow_fragments().unwrap();
    let receiver = std_socket("127.0.0.1:0");
    let mut arena = Arena::new(1);
    let slot = arena.take().unwrap();
    let mut queue = SendQueue::new(4);
    let to = receiver.local_addr().unwrap();
    let large = Span::payload(slot, 0, 65_507);
    let small = Span::payload(slot, 0, 100);
    queue.push(Outgoing { dont_fragment: true, ..out(small, to) });
    queue.push(out(large, to));
    assert_eq!(queue.flush(&arena, |_| Some(&socket)).sent, 2);
    let mut buffer = vec![0; 70_000];
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 100);
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 65_507);
}

#[test]
fn a_port_held_by_another_socket_is_found_out_although_ports_can_be_shared() {
    let first = UdpSocket::bind(addr::dual_stack(0), &UdpOptions::LISTENER).unwrap();
    let taken = addr::dual_stack(first.local_addr().port());
    UdpSocket::bind(taken, &UdpOptions::LISTENER).expect("shared on purpose");
    assert_eq!(net::probe_udp(taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn an_empty_socket_yields_nothing_and_a_full_arena_takes_nothing() {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    let mut arena = Arena::new(1);
    assert_eq!(arena.receive(&socket, 8).unwrap().count(), 0);
    arena.take().unwrap();
    std_socket("127.0.0.1:0").send_to(b"x", socket.local_addr()).unwrap();
    assert_eq!(arena.receive(&socket, 8).unwrap().count(), 0);
    arena.clear();
    assert_eq!(receive(&socket, &mut arena, 1).len(), 1);
}
