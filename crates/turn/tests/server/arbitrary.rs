//! Whatever arrives: nothing panics, and without credentials nothing grows.

use proptest::collection::vec;
use proptest::prelude::*;
use turn::server::{Output, Verdict};

use crate::support::*;

/// Bytes that look like something: noise, ChannelData, and messages with arbitrary attributes.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(vec![
        0x0001_u16, 0x0003, 0x0004, 0x0008, 0x0009, 0x000a, 0x000b, 0x0016, 0x0017,
    ]);
    let kind = prop_oneof![
        4 => prop::sample::select(
            stun::attribute::types::ALL.iter().map(|(kind, _)| *kind).collect::<Vec<_>>()
        ),
        1 => any::<u16>(),
    ];
    let attribute = (kind, vec(any::<u8>(), 0..40));
    let message = (method, any::<[u8; 12]>(), vec(attribute, 0..8)).prop_map(|(method, id, attributes)| {
        let mut packet = method.to_be_bytes().to_vec();
        packet.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
        packet.extend(id);
        for (kind, value) in attributes {
            packet.extend(kind.to_be_bytes());
            packet.extend((value.len() as u16).to_be_bytes());
            packet.extend(&value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        let len = (packet.len() - 20) as u16;
        packet[2..4].copy_from_slice(&len.to_be_bytes());
        packet
    });
    prop_oneof![
        1 => vec(any::<u8>(), 0..100),
        1 => (0x40_u8..0x50, vec(any::<u8>(), 0..50)).prop_map(|(first, rest)| [&[first][..], &rest].concat()),
        4 => message,
    ]
}

/// A well-formed, signed request with some bytes overwritten.
fn damaged(packet: &[u8], damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    for (at, byte) in damage {
        let at = at.index(packet.len());
        packet[at] = *byte;
    }
    packet
}

proptest! {
    #[test]
    fn arbitrary_packets_of_strangers_change_nothing(packets in vec(packets(), 1..20)) {
        let mut world = World::new();
        world.allocate("alice");
        world.bind("alice", 0x4000, "192.0.2.7:9");
        let deadline = world.deadline();
        let bob = world.client("bob");
        for packet in packets {
            let verdict = world.server.handle_client(bob, &packet, &world.rules, world.now);
            prop_assert!(matches!(verdict, Verdict::Control | Verdict::Dropped(_)));
            while let Some(output) = world.server.poll_output() {
                match output {
                    Output::Send { client, message } => {
                        prop_assert_eq!(client, bob);
                        stun::Message::parse(&message).unwrap();
                    }
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
        prop_assert_eq!(world.server.allocations(), 1);
        prop_assert_eq!(world.deadline(), deadline);
        prop_assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    }

    #[test]
    fn arbitrary_packets_on_the_5_tuple_of_a_client_ask_for_nothing_in_its_name(
        packets in vec(packets(), 1..20),
    ) {
        let mut world = World::new();
        world.allocate("alice");
        world.permit("alice", &["192.0.2.7"]);
        let deadline = world.deadline();
        let alice = world.client("alice");
        for packet in packets {
            let _ = world.server.handle_client(alice, &packet, &world.rules, world.now);
            while let Some(output) = world.server.poll_output() {
                prop_assert!(matches!(output, Output::Send { .. }), "{:?}", output);
            }
        }
        prop_assert_eq!(world.deadline(), deadline);
    }

    #[test]
    fn damaged_requests_never_pass_for_whole_ones(
        which in 0..5_usize,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut world = World::new();
        world.allocate("alice");
        let asks = [refresh(0), refresh(60), permit(&["192.0.2.7"]), bind(0x4000, "192.0.2.7:9"), allocate()];
        let whole = world.packet("alice", &asks[which]);
        let damaged = damaged(&whole, &damage);
        prop_assume!(damaged != whole);
        let deadline = world.deadline();
        let alice = world.client("alice");
        let _ = world.server.handle_client(alice, &damaged, &world.rules, world.now);
        while let Some(output) = world.server.poll_output() {
            let is_harmless = matches!(output, Output::Send { .. } | Output::Refused(_));
            prop_assert!(is_harmless, "{:?}", output);
        }
        prop_assert_eq!(world.deadline(), deadline);
        prop_assert_eq!(world.server.allocations(), 1);
    }

    #[test]
    fn arbitrary_datagrams_of_peers_reach_only_those_who_permitted_them(
        peer in any::<std::net::SocketAddr>(),
        payload in vec(any::<u8>(), 0..200),
    ) {
        let mut world = World::new();
        world.allocate("alice");
        world.permit("alice", &["192.0.2.7"]);
        let relay = world.relay(1);
        let verdict = world.server.handle_peer(relay, peer, &payload, world.now);
        let is_permitted = peer.ip().to_canonical() == addr("192.0.2.7:0").ip();
        prop_assert_eq!(matches!(verdict, Verdict::ToClient { .. }), is_permitted);
        prop_assert!(world.server.poll_output().is_none());
    }
}
