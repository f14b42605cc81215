//! The end of things, on a virtual clock. What has expired is of no effect from that very moment, whether or not
//! anybody has called the server about it; calling it clears away and tells.

use stun::attribute::Lifetime;

use crate::support::*;

#[test]
fn permission_lasts_five_minutes() {
    let mut world = World::new();
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.deadline().as_deref(), Some("Permission in 300s"));
    world.wait(millis(299_999));
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- 192.0.2.7:9: ho (cluster 1)"]);
    world.wait(millis(1));
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["drop NoPermission"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
    assert_eq!(world.pass(seconds(0)), [""; 0]);
    assert_eq!(world.deadline().as_deref(), Some("Allocation in 300s"));
}

#[test]
fn refreshed_permission_lasts_five_minutes_from_then_on() {
    let mut world = World::new();
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7", "192.0.2.8"]);
    world.pass(seconds(200));
    world.permit("alice", &["192.0.2.7"]);
    world.pass(millis(299_999));
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- 192.0.2.7:9: ho (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.8:9", b"ho"), ["drop NoPermission"]);
    world.pass(millis(1));
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn channel_lasts_ten_minutes_and_forwards_while_its_permission_lasts() {
    let mut world = World::new();
    world.allocate("alice");
    world.ask("alice", refresh(3600));
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.pass(millis(299_999));
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    world.pass(millis(1));
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["drop UnboundChannel"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);

    // The binding is still there, and another permission brings it back to life.
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- channel 0x4000: ho (cluster 1)"]);

    world.pass(millis(299_999));
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    world.pass(millis(1));
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["drop UnboundChannel"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- 192.0.2.7:9: ho (cluster 1)"]);
}

#[test]
fn expired_channel_leaves_number_and_peer_free() {
    let mut world = World::new();
    world.allocate("alice");
    world.ask("alice", refresh(3600));
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.wait(seconds(600));
    world.bind("alice", 0x4000, "192.0.2.8:9");
    world.bind("alice", 0x4001, "192.0.2.7:9");
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["relay 1 -> 192.0.2.8:9: hi (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- channel 0x4001: ho (cluster 1)"]);
}

#[test]
fn every_deadline_has_its_reason() {
    let mut world = World::new();
    assert_eq!(world.deadline(), None);
    world.ask("alice", allocate().with(Lifetime(3600)));
    assert_eq!(world.deadline().as_deref(), Some("RelayOpening in 10s"));
    world.opens(1, 50_001);
    assert_eq!(world.deadline().as_deref(), Some("Allocation in 3600s"));
    world.bind("alice", 0x4000, "192.0.2.7:9");
    assert_eq!(world.deadline().as_deref(), Some("Permission in 300s"));
    world.pass(seconds(300));
    assert_eq!(world.deadline().as_deref(), Some("Channel in 300s"));
    world.pass(seconds(300));
    assert_eq!(world.deadline().as_deref(), Some("Allocation in 3000s"));
    world.pass(seconds(3000));
    assert_eq!(world.deadline(), None);
}

#[test]
fn allocation_takes_everything_with_it() {
    let mut world = World::new();
    world.allocate("alice");
    world.wait(seconds(400));
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.pass(seconds(200));
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["drop NoAllocation"]);
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["drop NoAllocation"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop UnknownRelay"]);
    assert_eq!(world.deadline(), None);
}

#[test]
fn expired_allocation_relays_nothing_even_if_nobody_has_noticed_yet() {
    let mut world = World::new();
    world.allocate("alice");
    world.wait(seconds(400));
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.wait(seconds(200));
    assert_eq!(world.sends_on("alice", 0x4000, b"hi"), ["drop NoAllocation"]);
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["drop NoAllocation"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop UnknownRelay"]);
}

#[test]
fn expired_allocation_is_in_nobodys_way() {
    let mut world = World::new();
    world.allocate("alice");
    world.wait(seconds(600));
    assert_eq!(
        world.ask("alice", allocate()),
        ["ended alice: relay 1, Expired", "close relay 1", "open relay 2 for listener 1, V4, any port",]
    );
}

#[test]
fn expired_allocation_cannot_be_refreshed() {
    let mut world = World::new();
    world.allocate("alice");
    world.wait(seconds(600));
    assert_eq!(
        world.ask("alice", refresh(600)),
        [
            "ended alice: relay 1, Expired",
            "close relay 1",
            "refused alice: Refresh for NoAllocation",
            "alice <- Refresh 437: signed",
        ]
    );
}

#[test]
fn deadlines_between_quarter_seconds_are_judged_exactly() {
    let mut world = World::new();
    world.wait(millis(137));
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    world.wait(millis(299_999));
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- 192.0.2.7:9: ho (cluster 1)"]);
    world.wait(millis(1));
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
    assert_eq!(world.deadline().as_deref(), Some("Permission in 113ms"));
}

#[test]
fn many_allocations_end_in_one_call() {
    let mut world = World::new();
    world.allocate("alice");
    world.allocate("bob");
    world.wait(seconds(10_000));
    let mut ended = world.timeout();
    ended.sort_unstable();
    let expected =
        ["close relay 1", "close relay 2", "ended alice: relay 1, Expired", "ended bob: relay 2, Expired"];
    assert_eq!(ended, expected);
    assert_eq!(world.deadline(), None);
}
