//! Bursts: datagrams that arrive together leave together, and every one of them is what it would have been alone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use common::{Gateway, Text, address, static_user};
use kit::{Deadline, PATIENCE, TurnClient, Way};
use net::{
    Arena, Events, Interest, Outgoing, Poller, SendQueue, Slot, Span, Token, Trains, UdpOptions, UdpSocket,
};
use stun::attribute::{Data, XorPeerAddress};
use stun::{ChannelData, Class, Message, Method, TransactionId, Writer};

/// A socket that sends and receives trains.
struct Wire {
    socket: UdpSocket,
    poller: Poller,
}

/// Datagrams with where they go to, or where they came from.
type Datagrams = Vec<(SocketAddr, Vec<u8>)>;

impl Wire {
    fn new(local: SocketAddr) -> Self {
        let socket =
            UdpSocket::bind(local, &UdpOptions { receive_trains: Trains::Always, ..UdpOptions::RELAY })
                .unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&socket, Token(0), Interest::Read).unwrap();
        Self { socket, poller }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    fn send(&self, datagrams: &[(SocketAddr, Vec<u8>)]) {
        let mut arena = Arena::new(4);
        let mut slot = arena.take().unwrap();
        let mut at = 0;
        let mut queue = SendQueue::new(datagrams.len());
        for (to, bytes) in datagrams {
            if at + bytes.len() > net::SLOT_CAPACITY {
                (slot, at) = (arena.take().unwrap(), 0);
            }
            arena.payload_mut(slot)[at..at + bytes.len()].copy_from_slice(bytes);
            let span = Span::payload(slot, at, bytes.len());
            queue.push(Outgoing { socket: 0, span, to: *to, from: None, dont_fragment: false });
            at += bytes.len();
        }
        let sent = queue.flush(&arena, |_| Some(&self.socket));
        assert_eq!((sent.sent, sent.split), (datagrams.len(), 0));
    }

    /// So many datagrams, and the number of packets they came in.
    fn receive(&self, count: usize) -> (Datagrams, usize) {
        let mut arena = Arena::new(16);
        let (mut datagrams, mut packets) = (Vec::new(), 0);
        while datagrams.len() < count {
            let mut events = Events::new(1);
            self.poller.wait(&mut events, Some(PATIENCE)).unwrap();
            assert_eq!(events.iter().count(), 1, "{} of {count} datagrams came", datagrams.len());
            let slots: Vec<Slot> = arena.receive(&self.socket, 16).unwrap().collect();
            packets += slots.len();
            for slot in slots {
                let packet = arena.packet(slot);
                datagrams.extend(packet.datagrams().map(|(_, bytes)| (packet.from, bytes.to_vec())));
            }
            arena.clear();
        }
        assert_eq!(datagrams.len(), count, "and no more");
        (datagrams, packets)
    }
}

/// A client's wire, and the address that peers see.
fn client(gateway: &Gateway, set_up: impl FnOnce(&mut TurnClient)) -> (Wire, SocketAddr) {
    // The kit signals; then the test takes over its address.
    let local = address(kit::free_port());
    let mut client = TurnClient::udp_from(local, gateway.address()).with(static_user());
    let relayed = client.allocate().unwrap().relayed;
    set_up(&mut client);
    drop(client);
    (Wire::new(local), relayed)
}

fn channel_data(channel: u16, payload: &[u8]) -> Vec<u8> {
    [&channel.to_be_bytes()[..], &(payload.len() as u16).to_be_bytes(), payload].concat()
}

fn send_indication(peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; payload.len() + 100];
    let id = TransactionId::new([9; 12]);
    let mut writer = Writer::new(&mut buffer, Class::Indication, Method::Send, id).unwrap();
    writer.put(&XorPeerAddress(peer)).unwrap();
    writer.put(&Data(payload)).unwrap();
    let len = writer.finish();
    buffer[..len].to_vec()
}

/// Which channel or peer a client's datagram is from, and its payload.
fn unwrap(datagram: &[u8]) -> (String, Vec<u8>) {
    if let Ok(ChannelData { channel, data }) = ChannelData::parse(datagram) {
        return (format!("{:#x}", u16::from(channel)), data.to_vec());
    }
    let message = Message::parse(datagram).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::Data));
    let XorPeerAddress(peer) = message.get().unwrap().unwrap();
    let Data(payload) = message.get().unwrap().unwrap();
    (peer.to_string(), payload.to_vec())
}

/// Payloads of these lengths that are all different.
fn payloads(lens: &[usize], seed: u8) -> Vec<Vec<u8>> {
    let fill = |(len, number): (&usize, u8)| (0..*len).map(|at| at as u8 ^ number ^ seed).collect();
    lens.iter().zip(0_u8..).map(fill).collect()
}

#[test]
fn a_burst_is_one_packet_in_and_one_packet_out_both_ways() {
    let gateway = Gateway::start(&Text::new());
    let peer = Wire::new(address(0));
    let (client, relayed) = client(&gateway, |client| client.channel_bind(0x4000, peer.address()).unwrap());
    for lens in [[1200; 10], [1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 333]] {
        let payloads = payloads(&lens, 0);
        let up = payloads.iter().map(|payload| (gateway.address(), channel_data(0x4000, payload)));
        client.send(&up.collect::<Vec<_>>());
        let expected = payloads.iter().map(|payload| (relayed, payload.clone())).collect();
        assert_eq!(peer.receive(lens.len()), (expected, 1));

        until_one_packet(|| {
            let down = payloads.iter().map(|payload| (relayed, payload.clone()));
            peer.send(&down.collect::<Vec<_>>());
            let (datagrams, packets) = client.receive(lens.len());
            for ((_, datagram), payload) in datagrams.iter().zip(&payloads) {
                assert_eq!(unwrap(datagram), ("0x4000".to_owned(), payload.clone()));
            }
            packets
        });
    }
}

/// A relay asks the kernel for bursts in one packet once it has seen one in several.
#[track_caller]
fn until_one_packet(mut burst: impl FnMut() -> usize) {
    let deadline = Deadline::default();
    loop {
        let packets = burst();
        if packets == 1 {
            return;
        }
        assert!(deadline.left().is_some(), "bursts still arrive in {packets} packets");
    }
}

/// The receiver has a permission and no channel in one direction, and a channel in the other: headers of both kinds
/// are changed into the other.
#[test]
fn a_burst_from_client_to_client_is_one_packet_in_and_one_packet_out() {
    for (workers, pairs) in [(1, 1), (4, 8)] {
        let gateway = Gateway::with_workers(&Text::new(), workers);
        for _ in 0..pairs {
            let (bob, at_bob) = client(&gateway, |bob| bob.create_permission(address(1)).unwrap());
            let (alice, at_alice) = client(&gateway, |alice| alice.channel_bind(0x4000, at_bob).unwrap());
            for lens in [&[1200; 10][..], &[1200, 1200, 1200, 333], &MIXED] {
                let payloads = payloads(lens, 0);
                let to_bob = payloads.iter().map(|payload| channel_data(0x4000, payload));
                let to_alice = payloads.iter().map(|payload| send_indication(at_alice, payload));
                passes(&gateway, &alice, to_bob.collect(), &bob, &at_alice.to_string(), &payloads);
                passes(&gateway, &bob, to_alice.collect(), &alice, "0x4000", &payloads);
            }
        }
    }
}

/// What one client sends reaches the other: in one packet, unless lengths differ.
fn passes(
    gateway: &Gateway,
    from: &Wire,
    messages: Vec<Vec<u8>>,
    to: &Wire,
    source: &str,
    payloads: &[Vec<u8>],
) {
    let sent: Vec<_> = messages.into_iter().map(|message| (gateway.address(), message)).collect();
    let burst = || {
        from.send(&sent);
        let (datagrams, packets) = to.receive(payloads.len());
        for ((sender, datagram), payload) in datagrams.iter().zip(payloads) {
            assert_eq!(*sender, gateway.address());
            assert_eq!(unwrap(datagram), (source.to_owned(), payload.clone()));
        }
        packets
    };
    if payloads.len() == MIXED.len() {
        burst();
    } else if Way::chosen().takes_short_cut {
        assert_eq!(burst(), 1);
    } else {
        until_one_packet(burst);
    }
}

/// Lengths of which some neighbours are equal: trains, their shorter ends, and datagrams on their own. Some lack
/// bytes to a multiple of four, so that padding must not run into what follows.
const MIXED: [usize; 24] = [
    1200, 1200, 1200, 700, 171, 171, 171, 171, 2, 1, 1, 1, 1200, 1200, 1199, 1199, 1199, 3, 3, 3, 3, 3, 500,
    1200,
];

#[test]
fn bursts_of_mixed_lengths_channels_and_peers_arrive_whole_and_in_order() {
    for workers in [1, 2, 4] {
        let gateway = Gateway::with_workers(&Text::new(), workers);
        let peers: Vec<_> = (0..3).map(|_| Wire::new(address(0))).collect();
        // The last peer has no channel.
        let (client, relayed) = client(&gateway, |client| {
            client.channel_bind(0x4000, peers[0].address()).unwrap();
            client.channel_bind(0x4001, peers[1].address()).unwrap();
            client.create_permission(peers[2].address()).unwrap();
        });
        let wrap = |peer: usize, payload: &[u8]| match peer {
            2 => send_indication(peers[2].address(), payload),
            number => channel_data(0x4000 + number as u16, payload),
        };
        for runs in [1, 4, MIXED.len()] {
            let payloads = payloads(&MIXED, runs as u8);
            // Runs of `runs` datagrams for one peer after the other.
            let peer_of = |number: usize| number / runs % 3;
            let up = payloads.iter().enumerate();
            let up = up.map(|(number, payload)| (gateway.address(), wrap(peer_of(number), payload)));
            client.send(&up.collect::<Vec<_>>());
            let mut expected: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
            for (number, peer) in peers.iter().enumerate() {
                let own = payloads.iter().enumerate().filter(|(place, _)| peer_of(*place) == number);
                let own: Vec<Vec<u8>> = own.map(|(_, payload)| payload.clone()).collect();
                let datagrams: Datagrams = own.iter().map(|payload| (relayed, payload.clone())).collect();
                assert_eq!(peer.receive(own.len()).0, datagrams, "{workers} workers, runs of {runs}");
                peer.send(&datagrams);
                let name =
                    if number == 2 { peer.address().to_string() } else { format!("{:#x}", 0x4000 + number) };
                if !own.is_empty() {
                    expected.insert(name, own);
                }
            }
            let mut received: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
            for (from, datagram) in client.receive(MIXED.len()).0 {
                assert_eq!(from, gateway.address());
                let (name, payload) = unwrap(&datagram);
                received.entry(name).or_default().push(payload);
            }
            assert_eq!(received, expected, "{workers} workers, runs of {runs}");
        }
    }
}

#[test]
fn bursts_for_a_client_on_a_stream_arrive_whole_and_in_order() {
    let gateway = Gateway::start(&Text::new());
    let (bound, unbound) = (Wire::new(address(0)), Wire::new(address(0)));
    let mut client = gateway.tcp();
    let relayed = client.allocate().unwrap().relayed;
    client.channel_bind(0x4000, bound.address()).unwrap();
    client.create_permission(unbound.address()).unwrap();
    let payloads = payloads(&MIXED, 0);
    for peer in [&bound, &unbound] {
        let down = payloads.iter().map(|payload| (relayed, payload.clone()));
        peer.send(&down.collect::<Vec<_>>());
        for payload in &payloads {
            assert_eq!(client.recv().data(), payload);
        }
    }
    // One write, many frames: what goes to one peer leaves as trains.
    let frames: Vec<Vec<u8>> = payloads
        .iter()
        .map(|payload| {
            [&channel_data(0x4000, payload)[..], &[0; 3][..payload.len().wrapping_neg() & 3]].concat()
        })
        .collect();
    client.send_raw(&frames.concat());
    let expected: Datagrams = payloads.iter().map(|payload| (relayed, payload.clone())).collect();
    assert_eq!(bound.receive(MIXED.len()).0, expected);
}

#[test]
fn requests_and_data_in_one_burst_are_both_served() {
    let gateway = Gateway::start(&Text::new());
    let peer = Wire::new(address(0));
    let (client, relayed) = client(&gateway, |client| client.channel_bind(0x4000, peer.address()).unwrap());
    // Equal lengths, so that they travel as one train: 20 bytes are a Binding request, or 16 of payload.
    let mut request = [0; 20];
    Writer::new(&mut request, Class::Request, Method::Binding, TransactionId::new([1; 12])).unwrap().finish();
    let data = channel_data(0x4000, &[5; 16]);
    let burst: Datagrams = (0..60)
        .map(|number| (gateway.address(), if number % 2 == 0 { data.clone() } else { request.to_vec() }))
        .collect();
    client.send(&burst);
    assert_eq!(peer.receive(30).0, vec![(relayed, vec![5; 16]); 30]);
    for (_, answer) in client.receive(30).0 {
        let message = Message::parse(&answer).unwrap();
        assert_eq!((message.class(), message.method()), (Class::Success, Method::Binding));
    }
}
