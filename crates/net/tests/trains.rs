//! Trains of datagrams: what is sent together arrives as it would have one by one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use net::{
    Arena, Events, Interest, Outgoing, Poller, SendQueue, Slot, Span, Token, Trains, UdpOptions, UdpSocket,
};

const TOGETHER: UdpOptions =
    UdpOptions { receive_trains: Trains::Always, send_trains: true, ..UdpOptions::LISTENER };
const APART: UdpOptions =
    UdpOptions { receive_trains: Trains::Never, send_trains: false, ..UdpOptions::LISTENER };

fn bind(ip: &str, options: &UdpOptions) -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(ip.parse().unwrap(), 0), options).unwrap()
}

/// Every datagram that arrives until there are `count`, and how many packets they came in.
fn receive(socket: &UdpSocket, count: usize) -> (Vec<Vec<u8>>, usize) {
    let poller = Poller::new().unwrap();
    poller.add(socket, Token(0), Interest::Read).unwrap();
    let mut events = Events::new(1);
    let mut arena = Arena::new(64);
    let (mut datagrams, mut packets) = (Vec::new(), 0);
    while datagrams.len() < count {
        poller.wait(&mut events, Some(Duration::from_secs(10))).unwrap();
        assert_eq!(events.iter().count(), 1, "datagrams arrive");
        for slot in arena.receive(socket, 8).unwrap() {
            packets += 1;
            datagrams.extend(arena.packet(slot).datagrams().map(|(_, bytes)| bytes.to_vec()));
        }
        arena.clear();
    }
    assert_eq!(datagrams.len(), count, "and no more");
    (datagrams, packets)
}

/// What a length lacks to be a multiple of four.
fn padding(len: usize) -> u8 {
    len.wrapping_neg() as u8 & 3
}

/// Sends datagrams of these lengths, each filled with its number; if there is a `head`, behind it and padded.
fn send(from: &UdpSocket, to: SocketAddr, lens: &[usize], head: &[u8]) -> Vec<Vec<u8>> {
    let mut arena = Arena::new(2);
    let (heads, bodies): (Slot, Slot) = (arena.take().unwrap(), arena.take().unwrap());
    arena.payload_mut(heads)[..head.len()].copy_from_slice(head);
    let mut queue = SendQueue::new(lens.len());
    let (mut at, mut sent) = (0, Vec::new());
    for (&len, number) in lens.iter().zip(0_u8..) {
        arena.payload_mut(bodies)[at..at + len].fill(number);
        let outgoing = Outgoing {
            socket: 0,
            span: Span::payload(bodies, at, len),
            to,
            from: None,
            dont_fragment: false,
        };
        if head.is_empty() {
            queue.push(outgoing);
        } else {
            queue.push_parts(Some(Span::payload(heads, 0, head.len())), outgoing, padding(len));
        }
        let padding = if head.is_empty() { 0 } else { padding(len) };
        sent.push([head, &vec![number; len], &[0; 3][..usize::from(padding)]].concat());
        at += len;
    }
    let result = queue.flush(&arena, |_| Some(from));
    assert_eq!((result.sent, result.split), (lens.len(), 0), "{result:?}");
    sent
}

#[test]
fn whoever_sends_and_receives_together_or_apart_the_datagrams_are_the_same() {
    let lens = [1200, 1200, 1200, 701, 1201, 1201, 1201, 1200, 0, 3, 0, 0, 1200, 2400, 100, 100, 100];
    for ip in ["127.0.0.1", "::1"] {
        for (sends, receives) in [(APART, APART), (APART, TOGETHER), (TOGETHER, APART), (TOGETHER, TOGETHER)]
        {
            for head in [&b""[..], b"HEAD"] {
                let (from, to) = (bind(ip, &sends), bind(ip, &receives));
                let sent = send(&from, to.local_addr(), &lens, head);
                assert_eq!(receive(&to, lens.len()).0, sent);
            }
        }
    }
}

#[test]
fn a_burst_passes_the_kernel_as_one_packet() {
    let (from, to) = (bind("127.0.0.1", &TOGETHER), bind("127.0.0.1", &TOGETHER));
    let sent = send(&from, to.local_addr(), &[1200; 10], b"");
    assert_eq!(receive(&to, 10), (sent, 1));
    let sent = send(&from, to.local_addr(), &[1200; 10], b"HEAD");
    assert_eq!(receive(&to, 10), (sent, 1));
}

#[test]
fn a_long_queue_leaves_in_trains_as_long_as_the_kernel_takes() {
    let (from, to) = (bind("127.0.0.1", &TOGETHER), bind("127.0.0.1", &TOGETHER));
    let sent = send(&from, to.local_addr(), &[100; 200], b"");
    assert_eq!(receive(&to, 200), (sent, 4), "64 at a time");
    let sent = send(&from, to.local_addr(), &[1200; 54], b"");
    assert_eq!(receive(&to, 54), (sent, 1));
    let sent = send(&from, to.local_addr(), &[10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 5_000], b"");
    assert_eq!(receive(&to, 7), (sent, 2), "65 507 bytes at a time");
}

#[test]
fn trains_to_several_destinations_leave_together_and_in_order() {
    let from = bind("127.0.0.1", &TOGETHER);
    let to: Vec<_> = (0..5).map(|_| bind("127.0.0.1", &TOGETHER)).collect();
    let mut arena = Arena::new(1);
    let slot = arena.take().unwrap();
    let mut queue = SendQueue::new(50);
    for number in 0..50 {
        arena.payload_mut(slot)[number * 10..(number + 1) * 10].fill(number as u8);
        let span = Span::payload(slot, number * 10, 10);
        let to = to[number % 5].local_addr();
        queue.push(Outgoing { socket: 0, span, to, from: None, dont_fragment: false });
    }
    assert_eq!(queue.flush(&arena, |_| Some(&from)).sent, 50);
    for (number, to) in to.iter().enumerate() {
        let (datagrams, packets) = receive(to, 10);
        let expected: Vec<_> = (0..10).map(|round| vec![(round * 5 + number) as u8; 10]).collect();
        assert_eq!((datagrams, packets), (expected, 1));
    }
}

#[test]
fn replies_to_a_train_leave_from_the_address_it_came_to() {
    let server = bind("0.0.0.0", &TOGETHER);
    let client = bind("127.0.0.1", &TOGETHER);
    let to = SocketAddr::new("127.0.0.9".parse().unwrap(), server.local_addr().port());
    let sent = send(&client, to, &[50; 3], b"");
    let poller = Poller::new().unwrap();
    poller.add(&server, Token(0), Interest::Read).unwrap();
    poller.wait(&mut Events::new(1), Some(Duration::from_secs(10))).unwrap();
    let mut arena = Arena::new(1);
    let slot = arena.receive(&server, 1).unwrap().next().unwrap();
    let packet = arena.packet(slot);
    assert_eq!((packet.segment, packet.to), (50, Some(to.ip())));
    let mut queue = SendQueue::new(3);
    for (at, datagram) in packet.datagrams() {
        let span = Span::payload(slot, at, datagram.len());
        let (to, from) = (packet.from, packet.to);
        queue.push(Outgoing { socket: 0, span, to, from, dont_fragment: false });
    }
    assert_eq!(queue.flush(&arena, |_| Some(&server)).sent, 3);
    assert_eq!(receive(&client, 3), (sent, 1));
}

#[test]
fn a_single_datagram_is_a_train_of_one() {
    let (from, to) = (bind("127.0.0.1", &TOGETHER), bind("127.0.0.1", &TOGETHER));
    for len in [0, 1, 1200, 65_507] {
        from.send_to(&vec![1; len], to.local_addr()).unwrap();
        assert_eq!(receive(&to, 1), (vec![vec![1; len]], 1));
    }
}
