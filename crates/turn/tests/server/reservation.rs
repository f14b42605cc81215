//! EVEN-PORT and RESERVATION-TOKEN, RFC 8656 section 7.2.

use stun::attribute::{EvenPort, Family, Lifetime, ReservationToken};
use turn::server::{Output, RejectReason, RelayPort};

use crate::support::*;

fn refused(name: &str, reason: RejectReason) -> [String; 2] {
    let code = reason.code();
    [format!("refused {name}: Allocate for {reason:?}"), format!("{name} <- Allocate {code}: signed")]
}

fn pair() -> Ask {
    allocate().with(EvenPort { reserve: true })
}

const CLAIMED: &str = "open relay 2 for listener 1, V4, port in reserve";

/// What is said to bob if the token he brings is of no use.
fn turned_away() -> [String; 3] {
    let [refusal, answer] = refused("bob", RejectReason::UnknownReservation);
    [CLAIMED.into(), refusal, answer]
}

/// A world in which alice has relay 1 on port 50000, and port 50001 is in reserve.
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
    let asked = ["open relay 1 for listener 1, V4, even port and the next in reserve"];
    assert_eq!(world.ask("alice", pair()), asked);
    let answer = "alice <- Allocate ok: relayed 203.0.113.1:50000, lifetime 600, mapped 198.51.100.1:5000, token, signed";
    assert_eq!(world.opens(1, 50_000), ["created alice: relay 1 at 203.0.113.1:50000", answer]);
    assert_eq!((world.server.allocations(), world.reservations.len()), (1, 1));

    let token = token(&world);
    world.wait(millis(29_999));
    let answer =
        "bob <- Allocate ok: relayed 203.0.113.1:50001, lifetime 60, mapped 198.51.100.2:5000, signed";
    assert_eq!(
        world.ask("bob", allocate().with(token).with(Lifetime(60))),
        [CLAIMED, "created bob: relay 2 at 203.0.113.1:50001", answer]
    );
    assert_eq!((world.server.allocations(), world.reservations.len()), (2, 0));
    world.permit("bob", &["192.0.2.7"]);
    assert_eq!(world.ask("bob", send("192.0.2.7:9", b"hi")), ["relay 2 -> 192.0.2.7:9: hi (cluster 1)"]);
}

#[test]
fn token_is_good_at_every_server_of_the_process() {
    let (mut world, token) = reserved();
    let mut other = World::new();
    std::mem::swap(&mut other.reservations, &mut world.reservations);
    let lines = other.ask("bob", allocate().with(token));
    assert_eq!(lines[1], "created bob: relay 1 at 203.0.113.1:50001");
    assert_eq!((world.rules.used(USER), other.rules.used(USER)), (2, 0));
    assert_eq!(other.ask("bob", refresh(0)).len(), 3);
    assert_eq!(world.rules.used(USER), 1);
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
    world.pass(millis(29_999));
    assert_eq!((world.reservations.len(), world.rules.used(USER)), (1, 2));
    world.pass(millis(1));
    assert_eq!((world.reservations.len(), world.rules.used(USER)), (0, 1));
    assert_eq!(world.ask("bob", allocate().with(token)), turned_away());
}

#[test]
fn token_is_of_no_use_once_expired_even_if_nobody_has_noticed_yet() {
    let (mut world, token) = reserved();
    world.wait(seconds(30));
    assert_eq!(world.reservations.len(), 1);
    assert_eq!(world.ask("bob", allocate().with(token)), turned_away());
}

#[test]
fn token_is_good_once() {
    let (mut world, token) = reserved();
    assert_eq!(world.ask("bob", allocate().with(token)).len(), 3);
    world.meet("carol", 1, "198.51.100.3:5000");
    let lines = world.ask("carol", allocate().with(token));
    assert_eq!(lines[1..], refused("carol", RejectReason::UnknownReservation));
}

#[test]
fn token_nobody_made_is_of_no_use() {
    let (mut world, _) = reserved();
    assert_eq!(world.ask("bob", allocate().with(ReservationToken([7; 8]))), turned_away());
    assert_eq!((world.reservations.len(), world.rules.used(USER)), (1, 2));
}

#[test]
fn token_is_of_no_use_to_another_user_or_at_another_listener() {
    let (mut world, token) = reserved();
    let theirs = turn::credentials::Authority::fixed(realm(), "somebody else", PASS);
    let ours = std::mem::replace(&mut world.rules.listener_mut(1).authority, theirs);
    world.signs_as("bob", "somebody else", PASS);
    assert_eq!(world.ask("bob", allocate().with(token)), turned_away());
    world.meet("carol", 2, "198.51.100.3:5000");
    let lines = world.ask("carol", allocate().with(token));
    assert_eq!(lines[1..], refused("carol", RejectReason::UnknownReservation));
    // And is as good as before to whom it is for.
    world.rules.listener_mut(1).authority = ours;
    world.signs_as("bob", USER, PASS);
    let lines = world.ask("bob", allocate().with(token));
    assert_eq!(lines[1], "created bob: relay 4 at 203.0.113.1:50001");
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
    assert_eq!(world.ask("bob", allocate().with(token)).len(), 3);
}

#[test]
fn reservation_outlives_the_allocation_it_was_made_with() {
    let (mut world, token) = reserved();
    let expected =
        ["ended alice: relay 1, Deleted", "close relay 1", "alice <- Refresh ok: lifetime 0, signed"];
    assert_eq!(world.ask("alice", refresh(0)), expected);
    let lines = world.ask("alice", allocate().with(token));
    assert_eq!(lines[1], "created alice: relay 2 at 203.0.113.1:50001");
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
    assert_eq!(world.pass(seconds(10)), [refusal, answer, "close relay 1".into()]);
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn pair_is_closed_whole_when_the_client_leaves_before_it_is_open() {
    let mut world = World::new();
    world.ask("alice", pair());
    assert_eq!(world.closes("alice"), ["close relay 1"]);
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn claim_answered_too_late_gives_the_port_back() {
    let (mut world, token) = reserved();
    world.greet("bob");
    let packet = world.packet("bob", &allocate().with(token));
    let bob = world.client("bob");
    let _ = world.server.handle_client(bob, &packet, &world.rules, world.now);
    let Some(Output::OpenRelay { relay, port: RelayPort::Reserved(claim), .. }) = world.server.poll_output()
    else {
        panic!("no claim");
    };
    world.server.handle_client_closed(bob, world.now);
    assert!(matches!(world.server.poll_output(), Some(Output::CloseRelay { .. })));
    let claimed = world.reservations.claim(&claim, world.now.mono).map(|((), claimed)| claimed);
    world.server.handle_relay_claimed(relay, claimed, world.now);
    assert!(world.server.poll_output().is_none());
    assert_eq!(world.rules.used(USER), 1);
}

#[test]
fn answers_to_another_question_than_was_asked_are_ignored() {
    let mut world = World::new();
    world.ask("alice", allocate());
    world.server.handle_relay_claimed(world.relay(1), None, world.now);
    assert!(world.server.poll_output().is_none());
    assert_eq!(world.opens(1, 50_000).len(), 2);
}
