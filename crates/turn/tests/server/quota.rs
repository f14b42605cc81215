//! The caller's say in how many allocations there are, and units given back through every kind of end.

use stun::attribute::{EvenPort, Lifetime};
use turn::credentials::Authority;
use turn::server::Denial;

use crate::support::*;

#[test]
fn quota_is_per_user_and_whoever_has_reached_it_is_told() {
    let mut world = World::new();
    world.rules.quota = 1;
    world.allocate("alice");
    let expected = ["refused bob: Allocate for QuotaReached", "bob <- Allocate 486: signed"];
    assert_eq!(world.ask("bob", allocate()), expected);
    world.rules.listener_mut(1).authority = Authority::fixed(realm(), "another", PASS);
    world.signs_as("bob", "another", PASS);
    assert_eq!(world.ask("bob", allocate()), ["open relay 2 for listener 1, V4, any port"]);
}

#[test]
fn process_that_takes_nothing_new_says_so() {
    let mut world = World::new();
    world.allocate("bob");
    for (denial, reason) in [(Denial::Draining, "Draining"), (Denial::Capacity, "Capacity")] {
        world.rules.denial = Some(denial);
        let expected =
            [format!("refused alice: Allocate for {reason}"), "alice <- Allocate 508: signed".into()];
        assert_eq!(world.ask("alice", allocate()), expected);
    }
    assert_eq!(world.ask("bob", refresh(600)), ["bob <- Refresh ok: lifetime 600, signed"]);
}

#[test]
fn request_that_makes_no_sense_costs_no_unit() {
    let mut world = World::new();
    world.ask("alice", bare_allocate());
    world.ask("alice", allocate().with(requested(stun::attribute::Family::V6)));
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn weakness_quota_unit_comes_back_through_every_end_of_an_allocation() {
    type End = (&'static str, fn(&mut World));
    let ends: [End; 9] = [
        ("deletion", |world| {
            world.ask("alice", refresh(0));
        }),
        ("expiry", |world| {
            world.pass(seconds(600));
        }),
        ("expiry noticed by a request", |world| {
            world.wait(seconds(600));
            world.ask("alice", refresh(600));
        }),
        ("closed connection", |world| {
            world.closes("alice");
        }),
        ("broken socket", |world| {
            world.relay_fails(1);
        }),
        ("removed listener", |world| {
            world.rules.listeners.remove(&1);
            world.reconfigures();
        }),
        ("no socket", |world| {
            world.closes("alice");
            world.ask("alice", allocate());
            world.fails_to_open(2);
        }),
        ("no socket in time", |world| {
            world.closes("alice");
            world.ask("alice", allocate());
            world.pass(seconds(10));
        }),
        ("dropped server", |world| {
            world.server = World::new().server;
        }),
    ];
    for (name, end) in ends {
        let mut world = World::new();
        world.allocate("alice");
        assert_eq!(world.rules.used(USER), 1, "{name}");
        end(&mut world);
        assert_eq!(world.rules.used(USER), 0, "{name}");
    }
}

#[test]
fn port_in_reserve_counts_and_its_unit_goes_over_to_whoever_claims_it() {
    let mut world = World::new();
    world.rules.quota = 2;
    world.ask("alice", allocate().with(EvenPort { reserve: true }));
    assert_eq!(world.rules.used(USER), 2);
    world.opens(1, 50_000);
    let token = token(&world);
    assert_eq!(world.ask("bob", allocate().with(token)).len(), 3);
    assert_eq!(world.rules.used(USER), 2);
    world.ask("alice", refresh(0));
    world.ask("bob", refresh(0));
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn pair_that_exceeds_the_quota_is_refused_whole() {
    let mut world = World::new();
    world.rules.quota = 1;
    let ask = allocate().with(EvenPort { reserve: true });
    let expected = ["refused alice: Allocate for QuotaReached", "alice <- Allocate 486: signed"];
    assert_eq!(world.ask("alice", ask), expected);
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn unclaimed_reservation_gives_its_unit_back() {
    let mut world = World::new();
    world.ask("alice", allocate().with(EvenPort { reserve: true }));
    world.opens(1, 50_000);
    world.pass(seconds(30));
    assert_eq!(world.rules.used(USER), 1);
}

#[test]
fn weakness_quota_is_not_bypassed_by_closing_and_allocating_again() {
    let mut world = World::new();
    world.rules.quota = 1;
    for round in 1..=100 {
        world.ask("alice", allocate().with(Lifetime(1 + round % 3)));
        world.opens(round as usize, 50_000);
        assert_eq!(world.rules.used(USER), 1);
        assert_eq!(world.ask("bob", allocate()).len(), 2);
        world.closes("alice");
        assert_eq!(world.rules.used(USER), 0);
    }
}
