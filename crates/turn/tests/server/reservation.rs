//! EVEN-PORT and RESERVATION-TOKEN, RFC 8656 section 7.2.

use stun::attribute::{EvenPort, Family, Lifetime, ReservationToken};
use turn::server::RejectReason;

use crate::support::*;

fn refused(name: &str, reason: RejectReason) -> [String; 2] {
    let code = reason.code();
    [format!("refused {name}: Allocate for {reason:?}"), format!("{name} <- Allocate {code}: signed")]
}

fn pair() -> Ask {
    allocate().with(EvenPort { reserve: true })
}

/// A world in which alice has relay 1 on port 50000, and relay 2 above it is in reserve.
fn reserved() -> (World, ReservationToken) {
    let mut world = World::new();
    world.ask("alice", pair());
    world.opens(1, 50_000);
    let token = token(&world);
    (world, token)
}

#[test]
fn even_port_is_asked_of_the_owner_of_the_sockets() {
    let mut world = World::new();
    let ask = allocate().with(EvenPort { reserve: false });
    assert_eq!(world.ask("alice", ask), ["open relay 1 for listener 1, V4, even port"]);
    let answer =
        "alice <- Allocate ok: relayed 203.0.113.1:50000, lifetime 600, mapped 198.51.100.1:5000, signed";
    assert_eq!(world.opens(1, 50_000), ["created alice: relay 1 at 203.0.113.1:50000", answer]);
}

#[test]
fn next_port_is_kept_for_whoever_brings_the_token() {
    let mut world = World::new();
    let asked = ["open relay 1 for listener 1, V4, even port and relay 2 above it"];
    assert_eq!(world.ask("alice", pair()), asked);
    let answer = "alice <- Allocate ok: relayed 203.0.113.1:50000, lifetime 600, mapped 198.51.100.1:5000, token, signed";
    assert_eq!(world.opens(1, 50_000), ["created alice: relay 1 at 203.0.113.1:50000", answer]);
    assert_eq!(world.server.allocations(), 1);

    let token = token(&world);
    world.wait(millis(29_999));
    let answer =
        "bob <- Allocate ok: relayed 203.0.113.1:50001, lifetime 60, mapped 198.51.100.2:5000, signed";
    assert_eq!(
        world.ask("bob", allocate().with(token).with(Lifetime(60))),
        ["created bob: relay 2 at 203.0.113.1:50001", answer]
    );
    assert_eq!(world.server.allocations(), 2);
    world.permit("bob", &["192.0.2.7"]);
    assert_eq!(world.ask("bob", send("192.0.2.7:9", b"hi")), ["relay 2 -> 192.0.2.7:9: hi (cluster 1)"]);
}

#[test]
fn claimed_port_relays_for_as_long_as_its_allocation_lasts() {
    let (mut world, token) = reserved();
    world.ask("bob", allocate().with(token));
    world.pass(seconds(599));
    world.permit("bob", &["192.0.2.7"]);
    assert_eq!(world.ask("bob", send("192.0.2.7:9", b"hi")), ["relay 2 -> 192.0.2.7:9: hi (cluster 1)"]);
    world.wait(seconds(1));
    assert_eq!(world.ask("bob", send("192.0.2.7:9", b"hi")), ["drop NoAllocation"]);
}

#[test]
fn repeated_allocate_gets_the_same_token_and_a_repeated_claim_the_same_answer() {
    let mut world = World::new();
    world.greet("alice");
    let packet = world.packet("alice", &pair());
    world.sends("alice", &packet);
    world.opens(1, 50_000);
    let (first, token) = (world.replies[0].clone(), token(&world));
    world.sends("alice", &packet);
    assert_eq!(world.replies[0], first);

    world.greet("bob");
    let packet = world.packet("bob", &allocate().with(token));
    world.sends("bob", &packet);
    let first = world.replies[0].clone();
    assert_eq!(world.sends("bob", &packet).len(), 1);
    assert_eq!(world.replies[0], first);
}

#[test]
fn reserved_port_is_given_back_after_thirty_seconds() {
    let (mut world, token) = reserved();
    assert_eq!(world.deadline().as_deref(), Some("Reservation in 30s"));
    assert_eq!(world.pass(millis(29_999)), [""; 0]);
    assert_eq!(world.pass(millis(1)), ["close relay 2"]);
    let lines = world.ask("bob", allocate().with(token));
    assert_eq!(lines, refused("bob", RejectReason::UnknownReservation));
}

#[test]
fn token_is_of_no_use_once_expired_even_if_nobody_has_noticed_yet() {
    let (mut world, token) = reserved();
    world.wait(seconds(30));
    let [refusal, answer] = refused("bob", RejectReason::UnknownReservation);
    assert_eq!(world.ask("bob", allocate().with(token)), ["close relay 2".into(), refusal, answer]);
}

#[test]
fn token_is_good_once() {
    let (mut world, token) = reserved();
    assert_eq!(world.ask("bob", allocate().with(token)).len(), 2);
    world.meet("carol", 1, "198.51.100.3:5000");
    let lines = world.ask("carol", allocate().with(token));
    assert_eq!(lines, refused("carol", RejectReason::UnknownReservation));
}

#[test]
fn token_is_of_no_use_to_another_user_or_at_another_listener() {
    let (mut world, token) = reserved();
    world.rules.listener_mut(1).authority =
        turn::credentials::Authority::fixed(realm(), "somebody else", PASS);
    world.signs_as("bob", "somebody else", PASS);
    let lines = world.ask("bob", allocate().with(token));
    assert_eq!(lines, refused("bob", RejectReason::UnknownReservation));
    world.meet("carol", 2, "198.51.100.3:5000");
    let lines = world.ask("carol", allocate().with(token));
    assert_eq!(lines, refused("carol", RejectReason::UnknownReservation));
}

#[test]
fn token_excludes_what_was_settled_when_it_was_made() {
    let (mut world, token) = reserved();
    for ask in [
        allocate().with(token).with(EvenPort { reserve: false }),
        allocate().with(token).with(requested(Family::V4)),
        allocate().with(token).with(additional(Family::V6)),
    ] {
        assert_eq!(world.ask("bob", ask), refused("bob", RejectReason::ConflictingAttributes));
    }
    assert_eq!(world.ask("bob", allocate().with(token)).len(), 2);
}

#[test]
fn reservation_outlives_the_allocation_it_was_made_with() {
    let (mut world, token) = reserved();
    let expected =
        ["ended alice: relay 1, Deleted", "close relay 1", "alice <- Refresh ok: lifetime 0, signed"];
    assert_eq!(world.ask("alice", refresh(0)), expected);
    let lines = world.ask("alice", allocate().with(token));
    assert_eq!(lines[0], "created alice: relay 2 at 203.0.113.1:50001");
}

#[test]
fn port_in_reserve_relays_nothing() {
    let (mut world, _) = reserved();
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.peer_sends(2, "192.0.2.7:9", b"hello"), ["drop UnknownRelay"]);
}

#[test]
fn pair_that_cannot_be_opened_leaves_nothing_behind() {
    let mut world = World::new();
    world.ask("alice", pair());
    assert_eq!(world.fails_to_open(1), refused("alice", RejectReason::NoRelay));
    assert_eq!(world.deadline(), None);
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn pair_that_takes_too_long_is_closed_whole() {
    let mut world = World::new();
    world.ask("alice", pair());
    let [refusal, answer] = refused("alice", RejectReason::NoRelay);
    let expected = [refusal, answer, "close relay 1".into(), "close relay 2".into()];
    assert_eq!(world.pass(seconds(10)), expected);
}

#[test]
fn pair_is_closed_whole_when_the_client_leaves_before_it_is_open() {
    let mut world = World::new();
    world.ask("alice", pair());
    assert_eq!(world.closes("alice"), ["close relay 1", "close relay 2"]);
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn reserved_port_whose_socket_breaks_is_given_back() {
    let (mut world, token) = reserved();
    assert_eq!(world.relay_fails(2), ["close relay 2"]);
    let lines = world.ask("bob", allocate().with(token));
    assert_eq!(lines, refused("bob", RejectReason::UnknownReservation));
}

#[test]
fn reserved_port_that_breaks_before_it_is_open_is_nobody_elses_later() {
    let mut world = World::new();
    world.ask("alice", pair());
    assert_eq!(world.relay_fails(2), ["close relay 2"]);
    assert_eq!(world.ask("bob", allocate()), ["open relay 3 for listener 1, V4, any port"]);
    assert_eq!(world.relay(2).slot(), world.relay(3).slot());
    world.opens(1, 50_000);
    let token = token(&world);
    assert_eq!(world.opens(3, 50_003)[0], "created bob: relay 3 at 203.0.113.1:50003");
    world.meet("carol", 1, "198.51.100.3:5000");
    let lines = world.ask("carol", allocate().with(token));
    assert_eq!(lines, refused("carol", RejectReason::UnknownReservation));
}
