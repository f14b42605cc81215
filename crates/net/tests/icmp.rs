//! ICMP errors about what a socket has sent.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use net::{
    Arena, Events, IcmpError, Interest, Outgoing, Poller, SendQueue, Span, Token, UdpOptions, UdpSocket,
};

/// A port that the kernel gives to nobody, and that nobody here has.
const CLOSED: u16 = 1;

/// The errors there are, once the event queue says that there are some; `again` is for when it does not.
fn errors(socket: &UdpSocket, mut again: impl FnMut()) -> Vec<IcmpError> {
    let poller = Poller::new().unwrap();
    poller.add(socket, Token(0), Interest::Read).unwrap();
    let mut events = Events::new(1);
    for _ in 0..100 {
        poller.wait(&mut events, Some(Duration::from_millis(100))).unwrap();
        let all: Vec<_> = std::iter::from_fn(|| socket.take_error()).collect();
        if !all.is_empty() {
            assert!(events.iter().all(|event| event.failed));
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            assert!(events.iter().all(|event| !event.failed), "all were taken");
            return all;
        }
        // The kernel sends no more than so many errors per second, whoever causes them.
        again();
    }
    panic!("no error arrives");
}

#[test]
fn an_error_says_whom_the_datagram_was_for_and_what_was_wrong() {
    for (ip, kind, code) in [("127.0.0.1", 3, 3), ("::1", 1, 4)] {
        let socket = UdpSocket::bind(SocketAddr::new(ip.parse().unwrap(), 0), &UdpOptions::RELAY).unwrap();
        socket.keep_errors().unwrap();
        let closed = SocketAddr::new(ip.parse().unwrap(), CLOSED);
        let send = || drop(socket.send_to(b"anybody?", closed));
        send();
        let expected = IcmpError { to: closed, kind, code, mtu: 0 };
        assert!(errors(&socket, send).iter().all(|error| *error == expected));
    }
}

#[test]
fn errors_about_one_destination_lose_nothing_of_what_is_for_another() {
    for dont_fragment in [false, true] {
        for ip in ["127.0.0.1", "::1"] {
            let at = |port| SocketAddr::new(ip.parse().unwrap(), port);
            let peer = std::net::UdpSocket::bind(at(0)).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let socket = UdpSocket::bind(at(0), &UdpOptions::RELAY).unwrap();
            socket.keep_errors().unwrap();
            let (mut arena, mut queue) = (Arena::new(8), SendQueue::new(64));
            let slot = arena.take().unwrap();
            for round in 0..200_u8 {
                arena.payload_mut(slot)[0] = round;
                let out = |to| Outgoing {
                    socket: 0,
                    span: Span::payload(slot, 0, 1),
                    to,
                    from: None,
                    dont_fragment,
                };
                // Alone, in a batch, and in one whose first ones are for nobody.
                let for_peer = 1 + usize::from(round) % 3;
                queue.push(out(at(CLOSED)));
                queue.flush(&arena, |_| Some(&socket));
                (0..for_peer).for_each(|_| queue.push(out(peer.local_addr().unwrap())));
                (0..round % 2).for_each(|_| queue.push(out(at(CLOSED))));
                let sent = queue.flush(&arena, |_| Some(&socket));
                assert_eq!((sent.failed, sent.full, sent.split), (0, 0, 0), "round {round}: {sent:?}");
                for _ in 0..for_peer {
                    let mut heard = [0; 2];
                    assert_eq!(peer.recv(&mut heard).unwrap(), 1);
                    assert_eq!(heard[0], round);
                }
                // What is read in between is nothing, and no failure either.
                assert_eq!(arena.receive(&socket, 1).unwrap().len(), 0);
            }
            assert!(socket.longest_in_train() > 0, "no train was refused");
        }
    }
}

#[test]
fn a_socket_that_keeps_no_errors_has_none() {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    for _ in 0..20 {
        socket.send_to(b"anybody?", SocketAddr::from(([127, 0, 0, 1], CLOSED))).unwrap();
        assert_eq!(socket.take_error(), None);
    }
}
