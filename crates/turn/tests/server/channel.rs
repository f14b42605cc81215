//! ChannelBind and ChannelData, RFC 8656 section 12.

use stun::attribute::{XorPeerAddress, types};
use turn::server::{RejectReason, Verdict};

use crate::support::*;

const OK: &str = "alice <- ChannelBind ok: signed";

fn refused(reason: RejectReason, peer: Option<&str>) -> [String; 2] {
    let about = peer.map(|peer| format!(" about {peer}")).unwrap_or_default();
    let code = reason.code();
    [
        format!("refused alice: ChannelBind for {reason:?}{about}"),
        format!("alice <- ChannelBind {code}: signed"),
    ]
}

fn allocated() -> World {
    let mut world = World::new();
    world.allocate("alice");
    world
}

#[test]
fn channel_carries_data_in_both_directions() {
    let mut world = allocated();
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["drop UnboundChannel"]);
    assert_eq!(world.ask("alice", bind(0x4000, "192.0.2.7:9")), [OK]);
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- channel 0x4000: ho (cluster 1)"]);
    assert_eq!(world.sends_on("alice", 0x4001, b"hi"), ["drop UnboundChannel"]);
}

#[test]
fn channel_brings_a_permission_for_the_whole_address() {
    let mut world = allocated();
    world.bind("alice", 0x4000, "192.0.2.7:9");
    assert_eq!(world.ask("alice", send("192.0.2.7:10", b"hi")), ["relay 1 -> 192.0.2.7:10: hi (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:10", b"ho"), ["alice <- 192.0.2.7:10: ho (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.8:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn peer_with_a_channel_can_still_be_sent_to_by_address() {
    let mut world = allocated();
    world.bind("alice", 0x4000, "192.0.2.7:9");
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
}

#[test]
fn empty_channel_data_is_relayed() {
    let mut world = allocated();
    world.bind("alice", 0x4000, "192.0.2.7:9");
    assert_eq!(world.sends("alice", &[0x40, 0, 0, 0]), ["relay 1 -> 192.0.2.7:9:  (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b""), ["alice <- channel 0x4000:  (cluster 1)"]);
}

#[test]
fn padding_of_channel_data_is_optional_and_not_relayed() {
    let mut world = allocated();
    world.bind("alice", 0x4000, "192.0.2.7:9");
    for packet in [&[0x40, 0, 0, 1, b'x'][..], &[0x40, 0, 0, 1, b'x', 0, 0, 0]] {
        assert_eq!(world.sends("alice", packet), ["relay 1 -> 192.0.2.7:9: x (cluster 1)"]);
    }
}

/// RFC 8656 section 12.5: on a stream the next message begins on a multiple of four bytes.
#[test]
fn channel_data_for_the_client_ends_on_a_multiple_of_four_bytes() {
    let mut world = allocated();
    world.bind("alice", 0x4000, "192.0.2.7:9");
    for len in 0..9 {
        let (relay, payload) = (world.relay(1), &b"12345678"[..len]);
        match world.server.handle_peer(relay, addr("192.0.2.7:9"), payload, world.now) {
            Verdict::ToClient { via, peer, payload, .. } => {
                assert_eq!((via.header_len(peer), payload.len()), (4, len));
                assert_eq!(4 + len + via.padding_len(len), 4 + len.next_multiple_of(4));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn channel_number_is_0x4000_to_0x7fff() {
    let mut world = allocated();
    for number in [0, 0x3fff, 0x8000, 0xffff] {
        let lines = world.ask("alice", bind(number, "192.0.2.7:9"));
        assert_eq!(lines, refused(RejectReason::InvalidChannel, None), "{number:#x}");
    }
    world.bind("alice", 0x7fff, "192.0.2.7:9");
    assert_eq!(world.sends_on("alice", 0x7fff, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
}

#[test]
fn channel_bind_needs_a_number_and_a_peer() {
    let mut world = allocated();
    let ask = request(stun::Method::ChannelBind).with(XorPeerAddress(addr("192.0.2.7:9")));
    assert_eq!(world.ask("alice", ask), refused(RejectReason::MissingAttribute, None));
    let ask = request(stun::Method::ChannelBind).with_raw(types::CHANNEL_NUMBER, &[0x40, 0, 0, 0]);
    assert_eq!(world.ask("alice", ask), refused(RejectReason::MissingAttribute, None));
    let ask = request(stun::Method::ChannelBind)
        .with_raw(types::CHANNEL_NUMBER, &[0x40, 0, 0, 0])
        .with_raw(types::XOR_PEER_ADDRESS, b"xx");
    assert_eq!(world.ask("alice", ask), refused(RejectReason::MalformedAttribute, None));
    let lines = world.ask("alice", bind(0x4000, "192.0.2.7:0"));
    assert_eq!(lines, refused(RejectReason::MalformedAttribute, Some("192.0.2.7:0")));
}

#[test]
fn number_is_bound_to_one_peer_and_peer_to_one_number() {
    let mut world = allocated();
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.bind("alice", 0x4001, "192.0.2.8:9");
    world.bind("alice", 0x4002, "192.0.2.7:10");
    for (number, peer) in [(0x4000, "192.0.2.8:9"), (0x4000, "192.0.2.9:9"), (0x4003, "192.0.2.7:9")] {
        let lines = world.ask("alice", bind(number, peer));
        assert_eq!(lines, refused(RejectReason::ChannelConflict, Some(peer)), "{number:#x} {peer}");
    }
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- channel 0x4000: ho (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.9:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn binding_again_refreshes_the_channel_and_its_permission() {
    let mut world = allocated();
    world.ask("alice", refresh(3600));
    for _ in 0..10 {
        world.bind("alice", 0x4000, "192.0.2.7:9");
        world.wait(seconds(299));
        assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    }
}

#[test]
fn repeated_channel_bind_is_answered_with_the_same_bytes() {
    let mut world = allocated();
    let packet = world.packet("alice", &bind(0x4000, "192.0.2.7:9"));
    world.sends("alice", &packet);
    let first = world.replies[0].clone();
    assert_eq!(world.sends("alice", &packet), [OK]);
    assert_eq!(world.replies[0], first);
}

#[test]
fn same_number_is_another_channel_in_another_allocation() {
    let mut world = allocated();
    world.allocate("bob");
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.bind("bob", 0x4000, "192.0.2.8:9");
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    assert_eq!(world.sends_on("bob", 0x4000, b"hi"), ["relay 2 -> 192.0.2.8:9: hi (cluster 1)"]);
    assert_eq!(world.peer_sends(2, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn channel_to_a_peer_nobody_allows_is_refused_by_name() {
    let mut world = allocated();
    for (peer, reason) in [
        ("10.0.0.1:9", RejectReason::PeerRefused),
        ("[2001:db8::1]:9", RejectReason::FamilyMismatch),
        ("0.0.0.0:9", RejectReason::PeerForbidden),
    ] {
        let lines = world.ask("alice", bind(0x4000, peer));
        assert_eq!(lines, refused(reason, Some(peer)));
    }
    world.bind("alice", 0x4000, "192.0.2.7:9");
}

#[test]
fn channel_to_a_port_no_cluster_consents_to_carries_nothing() {
    let mut world = allocated();
    world.rules.routes = vec![route("192.0.2.0/24", 1).ports(1000, 1999)];
    world.bind("alice", 0x4000, "192.0.2.7:9");
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["drop PeerRefused"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop PeerRefused"]);
    world.bind("alice", 0x4001, "192.0.2.7:1000");
    assert_eq!(world.sends_on("alice", 0x4001, b"hi"), ["relay 1 -> 192.0.2.7:1000: hi (cluster 1)"]);
}

#[test]
fn channel_without_an_allocation_is_a_mismatch() {
    let mut world = World::new();
    let lines = world.ask("alice", bind(0x4000, "192.0.2.7:9"));
    assert_eq!(lines, refused(RejectReason::NoAllocation, None));
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["drop NoAllocation"]);
}

#[test]
fn weakness_channels_of_an_allocation_are_bounded() {
    let mut world = World::new();
    world.rules.listener_mut(1).limits.channels = 2;
    world.allocate("alice");
    world.bind("alice", 0x4000, "192.0.2.7:1");
    world.bind("alice", 0x4001, "192.0.2.7:2");
    let lines = world.ask("alice", bind(0x4002, "192.0.2.7:3"));
    assert_eq!(lines, refused(RejectReason::TooManyChannels, None));
    world.bind("alice", 0x4001, "192.0.2.7:2");
    world.ask("alice", refresh(3600));
    world.wait(seconds(600));
    world.bind("alice", 0x4002, "192.0.2.7:3");
}

#[test]
fn relayed_address_is_found_by_whoever_wants_to_take_the_short_cut() {
    let mut world = World::new();
    world.rules.routes = vec![route("203.0.113.1/32", 1)];
    world.allocate("alice");
    world.allocate("bob");
    world.bind("alice", 0x4000, "203.0.113.1:50002");
    world.bind("bob", 0x4001, "203.0.113.1:50001");

    let (table, now) = (world.server.forwarding(), world.now.mono);
    let channel = stun::ChannelNumber::new(0x4000).unwrap();
    let out = table.by_channel(&world.client("alice"), channel, now).unwrap();
    let relay = table.relay_at(out.peer.get()).unwrap();
    assert_eq!(relay, world.relay(2));
    let source = turn::addr::PeerAddr::new(table.relayed_addr(out.relay).unwrap().get()).unwrap();
    let back = table.by_peer(relay, source, now).unwrap();
    assert_eq!((back.client, back.channel), (world.client("bob"), stun::ChannelNumber::new(0x4001)));

    assert_eq!(table.relay_at(addr("203.0.113.1:50003")), None);
    world.ask("bob", refresh(0));
    assert_eq!(world.server.forwarding().relay_at(addr("203.0.113.1:50002")), None);
}
