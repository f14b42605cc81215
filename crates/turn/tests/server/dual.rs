//! One relay of each family for one client: ADDITIONAL-ADDRESS-FAMILY, RFC 8656 sections 7.2 and 8.

use stun::attribute::{EvenPort, Family, Lifetime};
use turn::server::{Denial, RejectReason};

use crate::support::*;

const OPEN_BOTH: [&str; 2] =
    ["open relay 1 for listener 1, V4, any port", "open relay 2 for listener 1, V6, any port"];

fn both() -> Ask {
    allocate().with(additional(Family::V6))
}

/// A listener with relays of both families, and peers of both.
fn world() -> World {
    let mut world = World::new();
    for id in [1, 2] {
        world.rules.listener_mut(id).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
    }
    world.rules.routes.push(route("2001:db8:7::/48", 2));
    world
}

/// Alice has relay 1 for IPv4 and relay 2 for IPv6.
fn allocated() -> World {
    let mut world = world();
    assert_eq!(world.ask("alice", both()), OPEN_BOTH);
    assert_eq!(world.opens(1, 50_001), [""; 0]);
    assert_eq!(world.opens(2, 50_002).len(), 3);
    world
}

const ANSWER: &str = "alice <- Allocate ok: relayed 203.0.113.1:50001, relayed [2001:db8:f::1]:50002, \
    lifetime 600, mapped 198.51.100.1:5000, signed";

#[test]
fn two_families_asked_for_are_two_relayed_addresses_whichever_socket_is_first() {
    for order in [[1, 2], [2, 1]] {
        let mut world = world();
        assert_eq!(world.ask("alice", both()), OPEN_BOTH);
        assert_eq!(world.opens(order[0], 50_000 + order[0] as u16), [""; 0], "the answer waits for both");
        assert_eq!(world.server.allocations(), 0);
        let mut lines = world.opens(order[1], 50_000 + order[1] as u16);
        lines[..2].sort_unstable();
        let created = [
            "created alice: relay 1 at 203.0.113.1:50001",
            "created alice: relay 2 at [2001:db8:f::1]:50002",
        ];
        assert_eq!(lines, [&created[..], &[ANSWER]].concat());
        assert_eq!(world.server.allocations(), 2);
    }
}

#[test]
fn repeated_allocate_for_two_families_is_answered_with_the_same_bytes() {
    let mut world = world();
    world.greet("alice");
    let packet = world.packet("alice", &both());
    world.sends("alice", &packet);
    assert_eq!(world.sends("alice", &packet), ["drop AllocatePending"]);
    world.opens(2, 50_002);
    assert_eq!(world.sends("alice", &packet), ["drop AllocatePending"]);
    world.opens(1, 50_001);
    let first = world.replies[0].clone();
    assert_eq!(world.sends("alice", &packet), [ANSWER]);
    assert_eq!(world.replies[0], first);
    let another = ["refused alice: Allocate for AllocationExists", "alice <- Allocate 437: signed"];
    assert_eq!(world.ask("alice", both()), another);
}

#[test]
fn family_that_is_not_served_is_refused_beside_the_one_that_is() {
    let mut world = World::new();
    assert_eq!(world.ask("alice", both()), [OPEN_BOTH[0]]);
    assert_eq!(
        world.opens(1, 50_001)[1],
        "alice <- Allocate ok: relayed 203.0.113.1:50001, lifetime 600, mapped 198.51.100.1:5000, no V6 440, signed"
    );
    let mut world = self::world();
    world.rules.listener_mut(1).relay_v4 = None;
    assert_eq!(world.ask("bob", both()), ["open relay 1 for listener 1, V6, any port"]);
    assert_eq!(
        world.opens(1, 50_002)[1],
        "bob <- Allocate ok: relayed [2001:db8:f::1]:50002, lifetime 600, mapped 198.51.100.2:5000, no V4 440, signed"
    );
}

#[test]
fn family_without_a_port_is_refused_beside_the_one_with_one() {
    // Whichever it is, and whenever it turns out.
    for (fails, opens, is_first) in [(1, 2, true), (1, 2, false), (2, 1, true), (2, 1, false)] {
        let mut world = world();
        world.ask("alice", both());
        let mut lines = Vec::new();
        if is_first {
            lines.extend(world.fails_to_open(fails));
        }
        lines.extend(world.opens(opens, 50_009));
        if !is_first {
            lines.extend(world.fails_to_open(fails));
        }
        let (relayed, refused) = match fails {
            1 => ("[2001:db8:f::1]:50009", "V4"),
            _ => ("203.0.113.1:50009", "V6"),
        };
        let expected = [
            format!("created alice: relay {opens} at {relayed}"),
            format!(
                "alice <- Allocate ok: relayed {relayed}, lifetime 600, mapped 198.51.100.1:5000, no {refused} 508, signed"
            ),
        ];
        assert_eq!(lines, expected);
        assert_eq!((world.server.allocations(), world.rules.used(USER)), (1, 1));
    }
}

#[test]
fn without_a_port_of_either_family_the_request_is_refused_once() {
    let mut world = world();
    world.ask("alice", both());
    assert_eq!(world.fails_to_open(2), [""; 0]);
    let expected = ["refused alice: Allocate for NoRelay", "alice <- Allocate 508: signed"];
    assert_eq!(world.fails_to_open(1), expected);
    assert_eq!(world.server.counters().rejects(RejectReason::NoRelay), 1);
    assert_eq!(world.rules.used(USER), 0);
    assert!(!world.server.has_allocation(&world.client("alice")));
}

#[test]
fn socket_that_takes_too_long_leaves_the_client_with_the_other_one() {
    let mut world = world();
    world.ask("alice", both());
    world.opens(1, 50_001);
    let lines = world.pass(seconds(10));
    let answer = "alice <- Allocate ok: relayed 203.0.113.1:50001, lifetime 600, mapped 198.51.100.1:5000, no V6 508, signed";
    assert_eq!(lines, ["created alice: relay 1 at 203.0.113.1:50001", answer, "close relay 2"]);

    let mut world = self::world();
    world.ask("alice", both());
    let refused = ["refused alice: Allocate for NoRelay", "alice <- Allocate 508: signed"];
    let mut lines = world.pass(seconds(10));
    lines.sort_unstable();
    assert_eq!(lines, [refused[1], "close relay 1", "close relay 2", refused[0]]);
}

#[test]
fn socket_that_breaks_while_the_other_is_waited_for_is_closed_and_the_other_is_all_there_is() {
    let mut world = world();
    world.ask("alice", both());
    world.opens(1, 50_001);
    assert_eq!(world.relay_fails(1), ["close relay 1"]);
    let lines = world.opens(2, 50_002);
    assert!(lines[1].contains("relayed [2001:db8:f::1]:50002, lifetime") && lines[1].contains("no V4 508"));
}

#[test]
fn each_family_is_a_unit_of_the_quota() {
    let mut world = world();
    world.rules.quota = 3;
    world.ask("alice", both());
    world.opens(1, 50_001);
    world.opens(2, 50_002);
    assert_eq!(world.rules.used(USER), 2);
    assert_eq!(world.ask("bob", both()), ["open relay 3 for listener 1, V4, any port"]);
    assert!(world.opens(3, 50_003)[1].contains("no V6 508"));
    world.ask("alice", refresh(0).with(requested(Family::V6)));
    assert_eq!(world.rules.used(USER), 2);
    world.ask("alice", refresh(0));
    assert_eq!(world.rules.used(USER), 1);
    world.rules.denial = Some(Denial::Draining);
    let refused = ["refused alice: Allocate for Draining", "alice <- Allocate 508: signed"];
    assert_eq!(world.ask("alice", both()), refused);
}

#[test]
fn even_ports_may_be_had_of_both_families_but_not_kept() {
    let mut world = world();
    let ask = both().with(EvenPort { reserve: false });
    let expected =
        ["open relay 1 for listener 1, V4, even port", "open relay 2 for listener 1, V6, even port"];
    assert_eq!(world.ask("alice", ask), expected);
    let ask = both().with(EvenPort { reserve: true });
    let refused = ["refused bob: Allocate for ConflictingAttributes", "bob <- Allocate 400: signed"];
    assert_eq!(world.ask("bob", ask), refused);
}

#[test]
fn family_of_the_peer_chooses_the_relay_in_every_request_and_both_directions() {
    let mut world = allocated();
    world.permit("alice", &["192.0.2.7", "2001:db8:7::7"]);
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"a")), ["relay 1 -> 192.0.2.7:9: a (cluster 1)"]);
    let six = "[2001:db8:7::7]:9";
    assert_eq!(world.ask("alice", send(six, b"b")), ["relay 2 -> [2001:db8:7::7]:9: b (cluster 2)"]);
    assert_eq!(world.ask("alice", send("192.0.2.8:9", b"a")), ["drop NoPermission"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"c"), ["alice <- 192.0.2.7:9: c (cluster 1)"]);
    assert_eq!(world.peer_sends(2, six, b"d"), ["alice <- [2001:db8:7::7]:9: d (cluster 2)"]);

    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.bind("alice", 0x4001, six);
    assert_eq!(world.sends_on("alice", 0x4000, b"e"), ["relay 1 -> 192.0.2.7:9: e (cluster 1)"]);
    assert_eq!(world.sends_on("alice", 0x4001, b"f"), ["relay 2 -> [2001:db8:7::7]:9: f (cluster 2)"]);
    assert_eq!(world.peer_sends(2, six, b"g"), ["alice <- channel 0x4001: g (cluster 2)"]);
    // The relays are two sockets: what is for one peer does not come in at the other.
    assert_eq!(world.peer_sends(1, six, b"h"), ["drop NoPermission"]);
}

#[test]
fn channel_number_is_the_client_s_whatever_the_family() {
    let mut world = allocated();
    world.bind("alice", 0x4000, "192.0.2.7:9");
    let refused = |peer: &str| {
        [
            format!("refused alice: ChannelBind for ChannelConflict about {peer}"),
            "alice <- ChannelBind 400: signed".into(),
        ]
    };
    assert_eq!(world.ask("alice", bind(0x4000, "[2001:db8:7::7]:9")), refused("[2001:db8:7::7]:9"));
    assert_eq!(world.ask("alice", bind(0x4001, "192.0.2.7:9")), refused("192.0.2.7:9"));
    world.bind("alice", 0x4001, "[2001:db8:7::7]:9");
}

#[test]
fn peer_of_a_family_that_is_not_allocated_is_a_mismatch() {
    let mut world = allocated();
    world.ask("alice", refresh(0).with(requested(Family::V4)));
    let refused = |method: &str| {
        [
            format!(
                "refused alice: {method} for FamilyMismatch about 192.0.2.7:{}",
                if method == "ChannelBind" { 9 } else { 0 }
            ),
            format!("alice <- {method} 443: signed"),
        ]
    };
    assert_eq!(world.ask("alice", permit(&["2001:db8:7::7", "192.0.2.7"])), refused("CreatePermission"));
    assert_eq!(world.ask("alice", bind(0x4000, "192.0.2.7:9")), refused("ChannelBind"));
    assert_eq!(world.ask("alice", send("[2001:db8:7::7]:9", b"x")), ["drop NoPermission"], "none of them");
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"x")), ["drop NoPermission"]);
}

#[test]
fn each_family_has_its_own_limit_of_permissions() {
    let mut world = allocated();
    world.rules.listener_mut(1).limits.permissions = 1;
    world.permit("alice", &["192.0.2.7", "2001:db8:7::7"]);
    let refused =
        ["refused alice: CreatePermission for TooManyPermissions", "alice <- CreatePermission 508: signed"];
    assert_eq!(world.ask("alice", permit(&["2001:db8:7::8"])), refused);
    assert_eq!(world.ask("alice", permit(&["192.0.2.8"])), refused);
}

#[test]
fn refresh_is_for_both_families_or_for_the_one_it_names() {
    let mut world = allocated();
    world.permit("alice", &["192.0.2.7", "2001:db8:7::7"]);
    let ok = |seconds: u32| [format!("alice <- Refresh ok: lifetime {seconds}, signed")];
    assert_eq!(world.ask("alice", refresh(100)), ok(100));
    assert_eq!(world.ask("alice", refresh(200).with(requested(Family::V6))), ok(200));
    let four = ["ended alice: relay 1, Expired", "close relay 1"];
    assert_eq!(world.pass(seconds(100)), four);
    // The other one's permission is untouched.
    let six = "[2001:db8:7::7]:9";
    assert_eq!(world.ask("alice", send(six, b"x")), ["relay 2 -> [2001:db8:7::7]:9: x (cluster 2)"]);
    let mismatch = ["refused alice: Refresh for FamilyMismatch", "alice <- Refresh 443: signed"];
    assert_eq!(world.ask("alice", refresh(50).with(requested(Family::V4))), mismatch);
    assert_eq!(world.ask("alice", refresh(50)), ok(50));
    assert_eq!(world.pass(seconds(50)), ["ended alice: relay 2, Expired", "close relay 2"]);
    assert_eq!(world.deadline(), None);
}

#[test]
fn deletion_without_a_family_deletes_both() {
    let mut world = allocated();
    let expected = [
        "ended alice: relay 1, Deleted",
        "close relay 1",
        "ended alice: relay 2, Deleted",
        "close relay 2",
        "alice <- Refresh ok: lifetime 0, signed",
    ];
    assert_eq!(world.ask("alice", refresh(0)), expected);
    assert_eq!(world.server.allocations(), 0);
    assert_eq!(world.ask("alice", allocate()), ["open relay 3 for listener 1, V4, any port"]);
}

#[test]
fn everything_of_a_client_ends_with_it_and_with_its_listener() {
    let mut world = allocated();
    assert_eq!(world.closes("alice").len(), 4);
    assert_eq!((world.server.allocations(), world.rules.used(USER)), (0, 0));

    // Half open: both sockets are closed and nobody is told.
    world.ask("alice", both());
    world.opens(3, 50_003);
    let mut lines = world.closes("alice");
    lines.sort_unstable();
    assert_eq!(lines, ["close relay 3", "close relay 4"]);
    assert_eq!(world.deadline(), None);

    let mut world = allocated();
    world.rules.listeners.remove(&1);
    assert_eq!(world.reconfigures().len(), 4);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn broken_socket_ends_its_family_and_not_the_other() {
    let mut world = allocated();
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.relay_fails(2), ["ended alice: relay 2, RelayFailed", "close relay 2"]);
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"x")), ["relay 1 -> 192.0.2.7:9: x (cluster 1)"]);
    assert!(world.server.has_allocation(&world.client("alice")));
}

#[test]
fn lifetime_is_that_of_both() {
    let mut world = world();
    world.ask("alice", both().with(Lifetime(60)));
    world.opens(1, 50_001);
    assert!(world.opens(2, 50_002)[2].contains("lifetime 60,"));
    assert_eq!(world.pass(seconds(60)).len(), 4);
}

#[test]
fn tcp_relays_may_be_of_both_families_too() {
    let mut world = world();
    world.rules.routes = vec![route("192.0.2.0/24", 1).tcp(), route("2001:db8:7::/48", 2).tcp()];
    world.meet("carol", 2, "198.51.100.3:5000");
    world.ask("carol", allocate_tcp().with(additional(Family::V6)));
    world.opens(1, 50_001);
    world.opens(2, 50_002);
    assert_eq!(world.ask("carol", connect("192.0.2.7:80")), ["connect 1 from relay 1 to 192.0.2.7:80"]);
    let six = "[2001:db8:7::7]:80";
    assert_eq!(world.ask("carol", connect(six)), [format!("connect 2 from relay 2 to {six}")]);
}
