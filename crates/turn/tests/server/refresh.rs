//! Refresh, RFC 8656 section 8.

use stun::attribute::{Family, types};

use crate::support::*;

#[test]
fn refresh_prolongs_the_allocation_from_now_on() {
    let mut world = World::new();
    world.allocate("alice");
    world.pass(seconds(599));
    assert_eq!(world.ask("alice", refresh(100)), ["alice <- Refresh ok: lifetime 100, signed"]);
    assert_eq!(world.pass(seconds(99)), [""; 0]);
    assert_eq!(world.pass(seconds(1)), ["ended alice: relay 1, Expired", "close relay 1"]);
}

#[test]
fn refresh_may_shorten_the_lifetime() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.ask("alice", refresh(5)), ["alice <- Refresh ok: lifetime 5, signed"]);
    assert_eq!(world.deadline().as_deref(), Some("Allocation in 5s"));
}

#[test]
fn refresh_lifetime_is_bounded_and_has_a_default() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.ask("alice", refresh(3601)), ["alice <- Refresh ok: lifetime 3600, signed"]);
    let bare = request(stun::Method::Refresh);
    assert_eq!(world.ask("alice", bare), ["alice <- Refresh ok: lifetime 600, signed"]);
}

#[test]
fn refresh_with_lifetime_zero_deletes_the_allocation() {
    let mut world = World::new();
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    world.bind("alice", 0x4000, "192.0.2.7:9");
    let expected =
        ["ended alice: relay 1, Deleted", "close relay 1", "alice <- Refresh ok: lifetime 0, signed"];
    assert_eq!(world.ask("alice", refresh(0)), expected);
    assert_eq!(world.server.allocations(), 0);
    assert_eq!(world.deadline(), None);
    assert_eq!(world.sends_on("alice", 0x4000, b"hello"), ["drop NoAllocation"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"hello"), ["drop UnknownRelay"]);
}

#[test]
fn repeated_deletion_finds_nothing_to_delete() {
    let mut world = World::new();
    world.allocate("alice");
    let packet = world.packet("alice", &refresh(0));
    world.sends("alice", &packet);
    let expected = ["refused alice: Refresh for NoAllocation", "alice <- Refresh 437: signed"];
    assert_eq!(world.sends("alice", &packet), expected);
}

#[test]
fn repeated_refresh_is_answered_with_the_same_bytes() {
    let mut world = World::new();
    world.allocate("alice");
    let packet = world.packet("alice", &refresh(900));
    world.sends("alice", &packet);
    let first = world.replies[0].clone();
    assert_eq!(world.sends("alice", &packet), ["alice <- Refresh ok: lifetime 900, signed"]);
    assert_eq!(world.replies[0], first);
}

#[test]
fn refresh_without_an_allocation_is_a_mismatch() {
    let mut world = World::new();
    let expected = ["refused alice: Refresh for NoAllocation", "alice <- Refresh 437: signed"];
    assert_eq!(world.ask("alice", refresh(600)), expected);
}

#[test]
fn refresh_for_another_family_is_a_mismatch() {
    let mut world = World::new();
    world.allocate("alice");
    let lines = world.ask("alice", refresh(600).with(requested(Family::V4)));
    assert_eq!(lines, ["alice <- Refresh ok: lifetime 600, signed"]);
    let expected = ["refused alice: Refresh for FamilyMismatch", "alice <- Refresh 443: signed"];
    assert_eq!(world.ask("alice", refresh(0).with(requested(Family::V6))), expected);
    let unheard_of = refresh(0).with_raw(types::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0]);
    assert_eq!(world.ask("alice", unheard_of), expected);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn refresh_with_a_broken_lifetime_changes_nothing() {
    let mut world = World::new();
    world.allocate("alice");
    let ask = request(stun::Method::Refresh).with_raw(types::LIFETIME, b"x");
    let expected = ["refused alice: Refresh for MalformedAttribute", "alice <- Refresh 400: signed"];
    assert_eq!(world.ask("alice", ask), expected);
    assert_eq!(world.deadline().as_deref(), Some("Allocation in 600s"));
}
