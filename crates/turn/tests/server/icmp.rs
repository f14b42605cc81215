//! ICMP errors, RFC 8656 section 11.5.

use stun::Method;
use stun::attribute::Family;
use turn::server::DropReason;

use crate::support::*;

const PEER: &str = "192.0.2.7:9";
const SIX: &str = "[2001:db8:7::7]:9";

/// Alice has relay 1 for IPv4 and relay 2 for IPv6, and permissions for a peer of each family.
fn world() -> World {
    let mut world = World::new();
    world.rules.listener_mut(1).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
    world.rules.routes.push(route("2001:db8:7::/48", 2));
    world.ask("alice", allocate().with(additional(Family::V6)));
    world.opens(1, 50_001);
    world.opens(2, 50_002);
    world.permit("alice", &["192.0.2.7", "2001:db8:7::7"]);
    world
}

fn told(peer: &str, icmp: &str) -> [String; 1] {
    [format!("alice <- Data Indication: peer {peer}, ICMP {icmp}")]
}

#[test]
fn error_about_a_permitted_peer_is_told_with_its_type_and_code_and_an_mtu_where_it_has_one() {
    for (kind, data, expected) in
        [([3, 3], 0, "3/3/0"), ([3, 3], 77, "3/3/0"), ([3, 4], 1280, "3/4/1280"), ([11, 0], 9, "11/0/0")]
    {
        assert_eq!(world().icmp(1, PEER, kind, data), told(PEER, expected));
    }
    for (kind, data, expected) in
        [([1, 4], 0, "1/4/0"), ([2, 0], 1280, "2/0/1280"), ([3, 0], 0, "3/0/0"), ([1, 0], 5, "1/0/0")]
    {
        assert_eq!(world().icmp(2, SIX, kind, data), told(SIX, expected));
    }
}

#[test]
fn error_of_another_kind_is_dropped() {
    let mut world = world();
    for (relay, peer, kind) in
        [(1, PEER, [5, 0]), (1, PEER, [12, 0]), (1, PEER, [4, 0]), (2, SIX, [4, 1]), (2, SIX, [128, 0])]
    {
        assert_eq!(world.icmp(relay, peer, kind, 0), [""; 0]);
    }
    assert_eq!(world.dropped(DropReason::IcmpKind), 5);
}

#[test]
fn permission_for_the_peer_is_what_counts_not_its_port() {
    let mut world = world();
    assert_eq!(world.icmp(1, "192.0.2.7:1", [3, 3], 0), told("192.0.2.7:1", "3/3/0"));
    assert_eq!(world.icmp(1, "192.0.2.8:9", [3, 3], 0), [""; 0]);
    assert_eq!(world.dropped(DropReason::NoPermission), 1);
    // A channel without a permission forwards nothing, and neither does it carry errors.
    world.bind("alice", 0x4000, PEER);
    world.pass(seconds(299));
    world.ask("alice", refresh(600));
    assert_eq!(world.icmp(1, PEER, [3, 3], 0), told(PEER, "3/3/0"));
    world.pass(seconds(1));
    assert_eq!(world.icmp(1, PEER, [3, 3], 0), [""; 0]);
    assert_eq!(world.dropped(DropReason::NoPermission), 2);
}

#[test]
fn error_about_a_peer_whose_route_is_withdrawn_is_dropped() {
    let mut world = world();
    world.rules.routes.clear();
    world.reconfigures();
    assert_eq!(world.icmp(1, PEER, [3, 3], 0), [""; 0]);
    assert_eq!(world.dropped(DropReason::PeerRefused), 1);
}

#[test]
fn error_for_a_relay_that_is_gone_or_of_another_family_is_dropped() {
    let mut world = world();
    assert_eq!(world.icmp(2, PEER, [3, 3], 0), [""; 0]);
    world.ask("alice", refresh(0));
    assert_eq!(world.icmp(1, PEER, [3, 3], 0), [""; 0]);
    assert_eq!(world.dropped(DropReason::UnknownRelay), 1);
    assert_eq!(world.dropped(DropReason::PeerForbidden), 1);
}

#[test]
fn weakness_a_client_is_told_of_few_errors_however_many_are_forged() {
    let mut world = world();
    let told = |world: &mut World| (0..1000).filter(|_| !world.icmp(1, PEER, [3, 1], 0).is_empty()).count();
    assert_eq!(told(&mut world), 10);
    world.pass(millis(200));
    assert_eq!(told(&mut world), 2);
    world.pass(seconds(3600 / 12));
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(told(&mut world), 10);
    assert_eq!(world.dropped(DropReason::IcmpBudget), 3000 - 22);
}

#[test]
fn error_is_shorter_than_what_would_have_caused_it_and_carries_none_of_it() {
    let mut world = world();
    world.icmp(1, PEER, [3, 3], 0);
    assert_eq!(world.replies[0].len(), 20 + 12 + 12);
    let message = stun::Message::parse(&world.replies[0]).unwrap();
    assert_eq!((message.method(), message.raw(stun::attribute::types::DATA)), (Method::Data, None));
}
