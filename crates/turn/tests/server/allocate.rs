//! Allocate, RFC 8656 section 7.

use stun::attribute::{DontFragment, EvenPort, Family, Lifetime, RequestedTransport, types};
use turn::server::{DropReason, RejectReason};

use crate::support::*;

/// What a refused Allocate of alice's looks like.
fn refused(reason: RejectReason) -> [String; 2] {
    let code = reason.code();
    [format!("refused alice: Allocate for {reason:?}"), format!("alice <- Allocate {code}: signed")]
}

fn serve_ipv6(world: &mut World) {
    world.rules.listener_mut(1).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
}

#[test]
fn allocation_is_created_when_its_socket_is_open() {
    let mut world = World::new();
    assert_eq!(world.ask("alice", allocate()), ["open relay 1 for listener 1, V4, any port"]);
    assert_eq!(world.server.allocations(), 0);
    assert_eq!(
        world.opens(1, 50_001),
        [
            "created alice: relay 1 at 203.0.113.1:50001",
            "alice <- Allocate ok: relayed 203.0.113.1:50001, lifetime 600, mapped 198.51.100.1:5000, signed",
        ]
    );
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn weakness_the_owner_of_the_sockets_chooses_the_port() {
    let mut world = World::new();
    assert_eq!(world.ask("alice", allocate()), ["open relay 1 for listener 1, V4, any port"]);
    assert_eq!(world.ask("bob", allocate()), ["open relay 2 for listener 1, V4, any port"]);
}

#[test]
fn lifetime_is_granted_as_asked_up_to_an_hour() {
    for (asked, granted) in
        [(None, 600), (Some(0), 600), (Some(1), 1), (Some(599), 599), (Some(3600), 3600), (Some(3601), 3600)]
    {
        let mut world = World::new();
        let ask = match asked {
            None => allocate(),
            Some(asked) => allocate().with(Lifetime(asked)),
        };
        world.ask("alice", ask);
        let lines = world.opens(1, 50_001);
        assert!(lines[1].contains(&format!("lifetime {granted},")), "{asked:?}: {lines:?}");
        assert_eq!(world.pass(seconds(granted - 1)), [""; 0]);
        assert_eq!(world.pass(seconds(1)), ["ended alice: relay 1, Expired", "close relay 1"]);
    }
}

#[test]
fn largest_lifetime_there_is_does_no_harm() {
    let mut world = World::new();
    world.ask("alice", allocate().with(Lifetime(u32::MAX)));
    assert!(world.opens(1, 50_001)[1].contains("lifetime 3600,"));
}

#[test]
fn requested_transport_must_be_there_and_be_udp() {
    let mut world = World::new();
    assert_eq!(world.ask("alice", bare_allocate()), refused(RejectReason::MissingAttribute));
    let broken = bare_allocate().with_raw(types::REQUESTED_TRANSPORT, b"xx");
    assert_eq!(world.ask("alice", broken), refused(RejectReason::MalformedAttribute));
    for protocol in [RequestedTransport(0), RequestedTransport(132)] {
        let ask = bare_allocate().with(protocol);
        assert_eq!(world.ask("alice", ask), refused(RejectReason::UnsupportedTransport));
    }
}

#[test]
fn second_allocate_on_a_5_tuple_is_a_mismatch() {
    let mut world = World::new();
    world.ask("alice", allocate());
    assert_eq!(world.ask("alice", allocate()), refused(RejectReason::AllocationExists));
    world.opens(1, 50_001);
    assert_eq!(world.ask("alice", allocate()), refused(RejectReason::AllocationExists));
    world.ask("alice", refresh(0));
    assert_eq!(world.ask("alice", allocate()), ["open relay 2 for listener 1, V4, any port"]);
}

#[test]
fn allocations_of_one_client_at_two_listeners_are_two() {
    let mut world = World::new();
    world.meet("alice by tcp", 2, "198.51.100.1:5000");
    world.allocate("alice");
    let lines = world.ask("alice by tcp", allocate());
    assert_eq!(lines, ["open relay 2 for listener 2, V4, any port"]);
}

#[test]
fn repeated_allocate_is_answered_with_the_same_bytes() {
    let mut world = World::new();
    world.greet("alice");
    let packet = world.packet("alice", &allocate().with(Lifetime(900)));
    world.sends("alice", &packet);
    world.opens(1, 50_001);
    let first = world.replies[0].clone();
    world.wait(seconds(30));
    let again =
        "alice <- Allocate ok: relayed 203.0.113.1:50001, lifetime 900, mapped 198.51.100.1:5000, signed";
    assert_eq!(world.sends("alice", &packet), [again]);
    assert_eq!(world.replies[0], first);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn allocate_of_another_user_is_no_repetition() {
    let mut world = World::new();
    world.ask("alice", allocate().transaction(7));
    world.opens(1, 50_001);
    world.rules.listener_mut(1).authority = turn::credentials::Authority::fixed(realm(), "another", PASS);
    world.signs_as("alice", "another", PASS);
    let lines = world.ask("alice", allocate().transaction(7));
    assert_eq!(lines, refused(RejectReason::AllocationExists));
}

#[test]
fn allocate_repeated_while_its_socket_is_being_opened_opens_no_second_one() {
    let mut world = World::new();
    world.greet("alice");
    let packet = world.packet("alice", &allocate());
    assert_eq!(world.sends("alice", &packet), ["open relay 1 for listener 1, V4, any port"]);
    assert_eq!(world.sends("alice", &packet), ["drop AllocatePending"]);
    assert_eq!(world.opens(1, 50_001).len(), 2);
    assert_eq!(world.server.counters().drops(DropReason::AllocatePending), 1);
}

#[test]
fn allocation_without_its_socket_is_no_allocation_yet() {
    let mut world = World::new();
    world.ask("alice", allocate());
    let expected = ["refused alice: Refresh for NoAllocation", "alice <- Refresh 437: signed"];
    assert_eq!(world.ask("alice", refresh(600)), expected);
    assert_eq!(world.sends_on("alice", 0x4000, b"hello"), ["drop NoAllocation"]);
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hello")), ["drop NoAllocation"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"hello"), ["drop UnknownRelay"]);
}

#[test]
fn client_is_told_when_there_is_no_socket_and_may_try_again() {
    let mut world = World::new();
    world.ask("alice", allocate());
    assert_eq!(world.fails_to_open(1), refused(RejectReason::NoRelay));
    assert_eq!(world.ask("alice", allocate()), ["open relay 2 for listener 1, V4, any port"]);
    assert_eq!(world.opens(2, 50_002).len(), 2);
}

#[test]
fn client_is_told_when_the_socket_takes_too_long() {
    let mut world = World::new();
    world.ask("alice", allocate());
    assert_eq!(world.deadline().as_deref(), Some("RelayOpening in 10s"));
    assert_eq!(world.pass(seconds(9)), [""; 0]);
    let [refusal, answer] = refused(RejectReason::NoRelay);
    assert_eq!(world.pass(seconds(1)), [refusal, answer, "close relay 1".into()]);
    assert_eq!(world.deadline(), None);
}

#[test]
fn socket_that_comes_too_late_is_ignored() {
    let mut world = World::new();
    world.ask("alice", allocate());
    assert_eq!(world.closes("alice"), ["close relay 1"]);
    assert_eq!(world.opens(1, 50_001), [""; 0]);
    world.ask("bob", allocate());
    assert_eq!(world.relay(1).slot(), world.relay(2).slot());
    assert_eq!(world.opens(1, 50_001), [""; 0]);
    assert_eq!(world.fails_to_open(1), [""; 0]);
    assert_eq!(world.opens(2, 50_002).len(), 2);
    assert_eq!(world.opens(2, 50_003), [""; 0]);
    assert_eq!(world.fails_to_open(2), [""; 0]);
}

#[test]
fn allocation_ends_when_its_socket_breaks() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.relay_fails(1), ["ended alice: relay 1, RelayFailed", "close relay 1"]);
    assert_eq!(world.relay_fails(1), [""; 0]);
    let expected = ["refused alice: Refresh for NoAllocation", "alice <- Refresh 437: signed"];
    assert_eq!(world.ask("alice", refresh(600)), expected);
}

#[test]
fn allocation_ends_with_the_connection_it_belongs_to() {
    let mut world = World::new();
    world.meet("carol", 2, "198.51.100.3:5000");
    world.ask("carol", allocate());
    world.opens(1, 50_001);
    assert_eq!(world.closes("carol"), ["ended carol: relay 1, ClientClosed", "close relay 1"]);
    assert_eq!(world.closes("carol"), [""; 0]);
    assert_eq!(world.server.allocations(), 0);
}

#[test]
fn requested_family_is_served_if_the_listener_has_it() {
    let mut world = World::new();
    let ask = || allocate().with(requested(Family::V6));
    assert_eq!(world.ask("alice", ask()), refused(RejectReason::UnsupportedFamily));
    serve_ipv6(&mut world);
    assert_eq!(world.ask("alice", ask()), ["open relay 1 for listener 1, V6, any port"]);
    assert_eq!(
        world.opens(1, 50_001),
        [
            "created alice: relay 1 at [2001:db8:f::1]:50001",
            "alice <- Allocate ok: relayed [2001:db8:f::1]:50001, lifetime 600, mapped 198.51.100.1:5000, signed",
        ]
    );
    let ask = allocate().with(requested(Family::V4));
    assert_eq!(world.ask("bob", ask), ["open relay 2 for listener 1, V4, any port"]);
}

#[test]
fn family_nobody_knows_is_one_that_is_not_served() {
    let mut world = World::new();
    let ask = allocate().with_raw(types::REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0]);
    assert_eq!(world.ask("alice", ask), refused(RejectReason::UnsupportedFamily));
    let ask = allocate().with_raw(types::REQUESTED_ADDRESS_FAMILY, &[1]);
    assert_eq!(world.ask("alice", ask), refused(RejectReason::MalformedAttribute));
}

#[test]
fn without_a_requested_family_it_is_ipv4_or_what_there_is() {
    let mut world = World::new();
    serve_ipv6(&mut world);
    assert_eq!(world.ask("alice", allocate()), ["open relay 1 for listener 1, V4, any port"]);
    world.rules.listener_mut(1).relay_v4 = None;
    assert_eq!(world.ask("bob", allocate()), ["open relay 2 for listener 1, V6, any port"]);
    world.rules.listener_mut(1).relay_v6 = None;
    world.meet("carol", 1, "198.51.100.3:5000");
    let expected = ["refused carol: Allocate for UnsupportedFamily", "carol <- Allocate 440: signed"];
    assert_eq!(world.ask("carol", allocate()), expected);
}

#[test]
fn families_asked_for_in_ways_that_exclude_each_other_are_a_bad_request() {
    let mut world = World::new();
    for (ask, reason) in [
        (
            allocate().with(requested(Family::V4)).with(additional(Family::V6)),
            RejectReason::ConflictingAttributes,
        ),
        (
            allocate().with(EvenPort { reserve: true }).with(additional(Family::V6)),
            RejectReason::ConflictingAttributes,
        ),
        (allocate().with(additional(Family::V4)), RejectReason::MalformedAttribute),
    ] {
        assert_eq!(world.ask("alice", ask), refused(reason));
    }
}

#[test]
fn dont_fragment_is_supported() {
    let mut world = World::new();
    let ask = allocate().with(DontFragment);
    assert_eq!(world.ask("alice", ask), ["open relay 1 for listener 1, V4, any port"]);
}

#[test]
fn client_is_told_when_the_socket_breaks_before_it_is_open() {
    let mut world = World::new();
    world.ask("alice", allocate());
    let [refusal, answer] = refused(RejectReason::NoRelay);
    assert_eq!(world.relay_fails(1), [refusal, answer, "close relay 1".into()]);
    assert_eq!(world.ask("alice", allocate()), ["open relay 2 for listener 1, V4, any port"]);
}

/// RFC 8656 section 21.4: a tunnel and a relay could be made to send each other the same packet again and again.
#[test]
fn weakness_client_in_an_automatic_tunnel_gets_no_allocation() {
    let mut world = World::new();
    for remote in ["[2002:c000:207::1]:5000", "[2001::3fff:fdf8]:5000"] {
        world.meet("carol", 1, remote);
        assert_eq!(world.ask("carol", binding()), [format!("carol <- Binding ok: mapped {remote}")]);
        let expected = ["refused carol: Allocate for ClientForbidden", "carol <- Allocate 403: signed"];
        assert_eq!(world.ask("carol", allocate()), expected, "{remote}");
    }
    world.meet("carol", 1, "[2001:db8::c]:5000");
    assert_eq!(world.ask("carol", allocate()), ["open relay 1 for listener 1, V4, any port"]);
}

/// RFC 8489 section 10: signed, to those who are known, and only to a server of their family.
#[test]
fn clients_are_sent_to_another_server_where_one_is_configured() {
    let mut world = World::new();
    world.rules.listener_mut(1).alternate = Some(addr("198.51.100.99:3478"));
    let expected = ["alice <- Allocate 300: at 198.51.100.99:3478, signed"];
    assert_eq!(world.ask("alice", allocate()), expected);
    assert_eq!(
        world.ask("alice", allocate().unsigned()),
        ["alice <- Allocate 401: nonce, realm, algorithms"]
    );
    assert_eq!(world.ask("alice", binding()), ["alice <- Binding ok: mapped 198.51.100.1:5000"]);
    world.meet("dora", 1, "[2001:db8::5]:5000");
    assert_eq!(world.ask("dora", allocate()), ["open relay 1 for listener 1, V4, any port"]);
}
