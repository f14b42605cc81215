//! Send and Data indications, RFC 8656 section 11, and what becomes of data nobody wants.

use stun::attribute::Family::{V4, V6};
use stun::attribute::{DontFragment, XorPeerAddress, types};
use stun::{Class, Method};
use turn::server::DropReason;

use crate::support::*;

fn permitted() -> World {
    let mut world = World::new();
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    world
}

fn indication() -> Ask {
    Ask::new(Class::Indication, Method::Send)
}

#[test]
fn send_indication_needs_no_signature() {
    let mut world = permitted();
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
}

#[test]
fn send_indication_may_be_empty() {
    let mut world = permitted();
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"")), ["relay 1 -> 192.0.2.7:9:  (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b""), ["alice <- 192.0.2.7:9:  (cluster 1)"]);
}

#[test]
fn send_indication_may_ask_not_to_be_fragmented() {
    let mut world = permitted();
    let ask = send("192.0.2.7:9", b"hi").with(DontFragment);
    assert_eq!(world.ask("alice", ask), ["relay 1 -> 192.0.2.7:9: hi (cluster 1), unfragmented"]);
}

/// RFC 8656 section 13: only between IPv4 datagrams, and from a stream, does the client decide.
#[test]
fn wish_not_to_be_fragmented_is_ignored_between_datagrams_of_which_one_is_ipv6() {
    let mut world = World::new();
    world.rules.routes.push(route("2001:db8::/32", 1));
    for listener in [1, 2] {
        world.rules.listener_mut(listener).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
    }
    let remotes = ["198.51.100.3:5000", "[2001:db8::c]:5000"];
    let cases = [(1, 0, V4, true), (1, 0, V6, false), (1, 1, V4, false), (1, 1, V6, false)];
    let streams = [(2, 0, V4, true), (2, 0, V6, true), (2, 1, V4, true), (2, 1, V6, true)];
    for (number, (listener, remote, family, heeded)) in cases.into_iter().chain(streams).enumerate() {
        world.meet("carol", listener, remotes[remote]);
        world.ask("carol", allocate().with(requested(family)));
        world.opens(number + 1, 50_000);
        let ip = if family == V4 { "192.0.2.7" } else { "2001:db8::7" };
        world.permit("carol", &[ip]);
        let peer = std::net::SocketAddr::new(ip.parse().unwrap(), 9).to_string();
        let lines = world.ask("carol", send(&peer, b"hi").with(DontFragment));
        let unfragmented = if heeded { ", unfragmented" } else { "" };
        let expected = format!("relay {} -> {peer}: hi (cluster 1){unfragmented}", number + 1);
        assert_eq!(lines, [expected], "listener {listener}, client {}", remotes[remote]);
        world.ask("carol", refresh(0));
    }
}

#[test]
fn incomplete_send_indication_is_dropped() {
    let mut world = permitted();
    let peer = XorPeerAddress(addr("192.0.2.7:9"));
    assert_eq!(world.ask("alice", indication().with(peer)), ["drop MissingAttribute"]);
    let data = indication().with_raw(types::DATA, b"hi");
    assert_eq!(world.ask("alice", data), ["drop MissingAttribute"]);
    let broken = indication().with_raw(types::XOR_PEER_ADDRESS, b"xx").with_raw(types::DATA, b"hi");
    assert_eq!(world.ask("alice", broken), ["drop Malformed"]);
    let strange = send("192.0.2.7:9", b"hi").with_raw(0x7777, b"x");
    assert_eq!(world.ask("alice", strange), ["drop UnknownAttribute"]);
    let harmless = send("192.0.2.7:9", b"hi").with_raw(0x8777, b"x");
    assert_eq!(world.ask("alice", harmless), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
}

#[test]
fn first_of_several_peers_or_data_counts() {
    let mut world = permitted();
    let ask = send("192.0.2.7:9", b"first")
        .with(XorPeerAddress(addr("10.0.0.1:1")))
        .with_raw(types::DATA, b"second");
    assert_eq!(world.ask("alice", ask), ["relay 1 -> 192.0.2.7:9: first (cluster 1)"]);
}

#[test]
fn data_for_nobody_is_dropped() {
    let mut world = permitted();
    assert_eq!(world.ask("alice", send("192.0.2.7:0", b"hi")), ["drop PeerForbidden"]);
    assert_eq!(world.ask("alice", send("0.0.0.0:9", b"hi")), ["drop PeerForbidden"]);
    assert_eq!(world.ask("alice", send("[2001:db8::1]:9", b"hi")), ["drop NoPermission"]);
    assert_eq!(world.ask("bob", send("192.0.2.7:9", b"hi")), ["drop NoAllocation"]);
}

#[test]
fn data_indication_comes_with_a_transaction_of_its_own() {
    let mut world = permitted();
    world.allocate("bob");
    let mut ids = Vec::new();
    for _ in 0..50 {
        let relay = world.relay(1);
        match world.server.handle_peer(relay, addr("192.0.2.7:9"), b"ho", world.now) {
            turn::server::Verdict::ToClient { via: turn::server::Via::DataIndication(id), .. } => {
                ids.push(id);
            }
            other => panic!("{other:?}"),
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 50);
}

#[test]
fn datagram_of_a_dual_stack_socket_comes_from_the_ipv4_peer() {
    let mut world = permitted();
    let lines = world.peer_sends(1, "[::ffff:192.0.2.7]:9", b"ho");
    assert_eq!(lines, ["alice <- 192.0.2.7:9: ho (cluster 1)"]);
}

#[test]
fn payload_is_padded_for_the_client_up_to_four_bytes() {
    let mut world = permitted();
    for data in [&b"h"[..], b"he", b"hel", b"hell", b"hello"] {
        let lines = world.peer_sends(1, "192.0.2.7:9", data);
        assert_eq!(lines, [format!("alice <- 192.0.2.7:9: {} (cluster 1)", str::from_utf8(data).unwrap())]);
    }
}

#[test]
fn every_drop_is_counted_by_its_reason_and_nothing_else_is() {
    let mut world = permitted();
    world.ask("alice", send("192.0.2.8:9", b"hi"));
    world.ask("alice", send("192.0.2.8:9", b"hi"));
    world.sends("alice", b"\xff");
    world.peer_sends(1, "192.0.2.7:9", b"ho");
    let counters = world.server.counters();
    for reason in DropReason::ALL {
        let expected = match reason {
            DropReason::NoPermission => 2,
            DropReason::NotTurn => 1,
            _ => 0,
        };
        assert_eq!(counters.drops(reason), expected, "{reason:?}");
    }
}
