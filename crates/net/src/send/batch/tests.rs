//! Trains that the kernel refuses.

use std::net::SocketAddr;

use super::*;
use crate::{Outgoing, SendQueue, Slot, Span, UdpOptions};

/// A socket without checksums: the kernel sends its datagrams, but takes no train apart.
fn refusing() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    crate::udp::set_option(&socket, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    socket
}

fn receiver() -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn datagram(slot: Slot, number: usize, len: usize, to: SocketAddr) -> Outgoing {
    Outgoing { socket: 0, span: Span::payload(slot, number, len), to, from: None, dont_fragment: false }
}

#[test]
fn a_refused_train_arrives_datagram_by_datagram_in_order() {
    let socket = refusing();
    let (receiver, to) = receiver();
    let (other, other_to) = self::receiver();
    let mut arena = Arena::new(1);
    let slot = arena.take().unwrap();
    (0..100).for_each(|number| arena.payload_mut(slot)[number] = number as u8);
    let mut queue = SendQueue::new(32);
    for number in 0..10 {
        queue.push(datagram(slot, number, 50, to));
        queue.push(datagram(slot, number, 40, other_to));
    }
    let sent = queue.flush(&arena, |_| Some(&socket));
    assert_eq!((sent.sent, sent.full, sent.failed), (20, 0, 0));
    assert!(sent.split >= 10, "{sent:?}");
    for (receiver, len) in [(receiver, 50), (other, 40)] {
        for number in 0..10 {
            let mut buffer = [0; 100];
            assert_eq!(receiver.recv(&mut buffer).unwrap(), len);
            assert_eq!(usize::from(buffer[0]), number);
        }
    }
}

#[test]
fn a_length_that_was_refused_is_not_tried_again() {
    let socket = refusing();
    let (_receiver, to) = receiver();
    let mut arena = Arena::new(1);
    let slot = arena.take().unwrap();
    let mut queue = SendQueue::new(32);
    let mut send = |len| {
        (0..4).for_each(|number| queue.push(datagram(slot, number, len, to)));
        queue.flush(&arena, |_| Some(&socket)).split
    };
    assert_eq!(send(50), 4);
    assert_eq!(socket.longest_in_train(), 49);
    assert_eq!((send(50), send(60)), (0, 0));
    socket.refuse_trains(10, &io::Error::from_raw_os_error(libc::EIO));
    assert_eq!(send(1), 0, "without checksums in hardware no length will ever do");
}

#[test]
fn what_cannot_be_sent_at_all_says_nothing_about_trains() {
    let socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &UdpOptions::RELAY).unwrap();
    let nowhere = "127.0.0.1:0".parse().unwrap();
    let mut arena = Arena::new(1);
    let slot = arena.take().unwrap();
    let mut queue = SendQueue::new(4);
    (0..4).for_each(|number| queue.push(datagram(slot, number, 50, nowhere)));
    assert_eq!(queue.flush(&arena, |_| Some(&socket)), Sent { failed: 4, ..Sent::default() });
    assert_eq!(socket.longest_in_train(), u16::MAX);
}
