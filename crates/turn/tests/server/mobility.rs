//! Clients that change their address, RFC 8016.

use stun::attribute::{Family, types};
use turn::server::RejectReason;

use crate::support::*;

const PEER: &str = "192.0.2.7:9";

/// Listeners whose clients may move, and alice in four places: two at the UDP listener, two at the TCP listener.
fn world() -> World {
    world_of(|_| {})
}

fn world_of(adjust: impl FnOnce(&mut turn::server::Settings)) -> World {
    let mut world = World::with(adjust);
    for id in [1, 2] {
        world.rules.listener_mut(id).mobility = true;
        world.rules.listener_mut(id).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
    }
    world.rules.routes.push(route("2001:db8:7::/48", 2));
    world.meet("alice at home", 1, "198.51.100.11:5000");
    world.meet("alice on the train", 1, "198.51.100.12:5000");
    world.meet("alice by tcp", 2, "198.51.100.13:5000");
    world
}

fn mobile(ask: Ask) -> Ask {
    ask.with_raw(types::MOBILITY_TICKET, b"")
}

fn moved(seconds: u32, ticket: &[u8]) -> Ask {
    refresh(seconds).with_raw(types::MOBILITY_TICKET, ticket)
}

/// Alice has relay 1, a permission and a channel to the peer, and this ticket.
fn allocated(world: &mut World) -> Vec<u8> {
    world.ask("alice", mobile(allocate()));
    let lines = world.opens(1, 50_001);
    assert_eq!(
        lines[1],
        "alice <- Allocate ok: relayed 203.0.113.1:50001, lifetime 600, mapped 198.51.100.1:5000, ticket, signed"
    );
    let ticket = ticket(world);
    world.bind("alice", 0x4000, PEER);
    ticket
}

fn refused(name: &str, method: &str, reason: RejectReason) -> [String; 2] {
    let code = reason.code();
    [format!("refused {name}: {method} for {reason:?}"), format!("{name} <- {method} {code}: signed")]
}

fn sent(data: &str) -> [String; 1] {
    [format!("relay 1 -> {PEER}: {data} (cluster 1)")]
}

fn heard(name: &str, data: &str) -> [String; 1] {
    [format!("{name} <- channel 0x4000: {data} (cluster 1)")]
}

#[test]
fn where_nobody_may_move_a_wish_for_a_ticket_is_forbidden_and_a_ticket_is_too() {
    let mut world = World::new();
    let forbidden = |method| refused("alice", method, RejectReason::MobilityForbidden);
    assert_eq!(world.ask("alice", mobile(allocate())), forbidden("Allocate"));
    assert_eq!(RejectReason::MobilityForbidden.code(), 405);
    world.allocate("alice");
    assert_eq!(world.ask("alice", moved(600, &[7; 16])), forbidden("Refresh"));
    // Configured away while clients have tickets: they are no good any more, and the allocation stays where it is.
    let mut world = self::world();
    let ticket = allocated(&mut world);
    world.rules.listener_mut(1).mobility = false;
    let forbidden = refused("alice at home", "Refresh", RejectReason::MobilityForbidden);
    assert_eq!(world.ask("alice at home", moved(600, &ticket)), forbidden);
    assert_eq!(world.sends_on("alice", 0x4000, b"a"), sent("a"));
}

#[test]
fn ticket_in_an_allocate_must_be_empty_and_is_not_for_tcp_relays() {
    let mut world = world();
    let ask = allocate().with_raw(types::MOBILITY_TICKET, &[7; 16]);
    assert_eq!(world.ask("alice", ask), refused("alice", "Allocate", RejectReason::MalformedAttribute));
    let ask = mobile(allocate_tcp());
    let expected = refused("alice by tcp", "Allocate", RejectReason::MobilityForbidden);
    assert_eq!(world.ask("alice by tcp", ask), expected);
}

#[test]
fn who_asks_for_no_ticket_gets_none() {
    let mut world = world();
    world.ask("alice", allocate());
    assert!(!world.opens(1, 50_001)[1].contains("ticket"));
    assert!(!world.ask("alice", refresh(600))[0].contains("ticket"));
}

#[test]
fn repeated_allocate_gets_the_same_ticket() {
    let mut world = world();
    world.greet("alice");
    let packet = world.packet("alice", &mobile(allocate()));
    world.sends("alice", &packet);
    world.opens(1, 50_001);
    let first = world.replies[0].clone();
    world.sends("alice", &packet);
    assert_eq!(world.replies[0], first);
}

#[test]
fn client_that_moved_keeps_relay_permissions_and_channels_and_is_sent_to_once_it_sends() {
    let mut world = world();
    let first = allocated(&mut world);
    let lines = world.ask("alice at home", moved(700, &first));
    assert_eq!(lines, ["alice at home <- Refresh ok: lifetime 700, ticket, signed"]);
    let second = ticket(&world);
    assert_ne!(second, first);
    assert_eq!(world.server.allocations(), 1);

    // Until data comes from the new place, the old one is as good as ever, and data goes there.
    assert_eq!(world.sends_on("alice", 0x4000, b"a"), sent("a"));
    assert_eq!(world.peer_sends(1, PEER, b"b"), heard("alice", "b"));
    let ok = ["alice at home <- CreatePermission ok: signed"];
    assert_eq!(world.ask("alice at home", permit(&["192.0.2.8"])), ok, "signalling moves nothing");
    assert_eq!(world.peer_sends(1, PEER, b"b"), heard("alice", "b"));

    let arrived = "moved alice to alice at home: relay 1".to_owned();
    let expected = [&sent("c")[..], &[arrived]].concat();
    assert_eq!(world.sends_on("alice at home", 0x4000, b"c"), expected);
    assert_eq!(world.peer_sends(1, PEER, b"d"), heard("alice at home", "d"));
    assert_eq!(
        world.ask("alice at home", send("192.0.2.8:9", b"e")),
        ["relay 1 -> 192.0.2.8:9: e (cluster 1)"]
    );
    assert_eq!(world.sends_on("alice", 0x4000, b"f"), ["drop NoAllocation"]);
    assert_eq!(world.ask("alice", refresh(600)), refused("alice", "Refresh", RejectReason::NoAllocation));
    // The former place is free for another allocation, and the former ticket is no good.
    let again = refused("alice on the train", "Refresh", RejectReason::NoAllocation);
    assert_eq!(world.ask("alice on the train", moved(600, &first)), again);
    assert_eq!(world.ask("alice", allocate()), ["open relay 2 for listener 1, V4, any port"]);
    // And on it goes, by an indication this time.
    world.ask("alice on the train", moved(600, &second));
    let arrived = "moved alice at home to alice on the train: relay 1".to_owned();
    let expected = [&sent("g")[..], &[arrived]].concat();
    assert_eq!(world.ask("alice on the train", send(PEER, b"g")), expected);
    assert_eq!(world.pass(seconds(600)).last().unwrap(), "close relay 1");
}

#[test]
fn end_of_a_moved_allocation_is_told_of_where_it_is() {
    let mut world = world();
    let ticket = allocated(&mut world);
    world.ask("alice at home", moved(600, &ticket));
    world.sends_on("alice at home", 0x4000, b"a");
    let expected = [
        "ended alice at home: relay 1, Deleted",
        "close relay 1",
        "alice at home <- Refresh ok: lifetime 0, signed",
    ];
    assert_eq!(world.ask("alice at home", refresh(0)), expected);
    assert_eq!(world.deadline(), None);
}

#[test]
fn repeated_refresh_with_a_ticket_is_answered_with_the_same_bytes() {
    let mut world = world();
    let first = allocated(&mut world);
    world.greet("alice at home");
    let packet = world.packet("alice at home", &moved(600, &first));
    world.sends("alice at home", &packet);
    let answer = world.replies[0].clone();
    world.sends("alice at home", &packet);
    assert_eq!(world.replies[0], answer);
}

#[test]
fn client_that_moved_on_before_it_got_its_new_ticket_may_use_the_old_one() {
    let mut world = world();
    let first = allocated(&mut world);
    world.ask("alice at home", moved(600, &first));
    let lost = ticket(&world);
    let lines = world.ask("alice on the train", moved(600, &first));
    let expected = ["gone alice at home", "alice on the train <- Refresh ok: lifetime 600, ticket, signed"];
    assert_eq!(lines, expected);
    assert_eq!(world.sends_on("alice at home", 0x4000, b"a"), ["drop NoAllocation"]);
    let unknown = refused("alice at home", "Refresh", RejectReason::NoAllocation);
    assert_eq!(world.ask("alice at home", moved(600, &lost)), unknown);
    assert_eq!(world.sends_on("alice on the train", 0x4000, b"b")[..1], sent("b"));
}

#[test]
fn weakness_ticket_of_another_user_or_that_nobody_made_moves_nothing() {
    let mut world = world();
    let ticket = allocated(&mut world);
    for guess in [&[0; 16][..], &[7; 16]] {
        let expected = refused("alice at home", "Refresh", RejectReason::NoAllocation);
        assert_eq!(world.ask("alice at home", moved(600, guess)), expected);
    }
    for broken in [&b""[..], b"short", &[0; 17]] {
        let expected = refused("alice at home", "Refresh", RejectReason::MalformedAttribute);
        assert_eq!(world.ask("alice at home", moved(600, broken)), expected);
    }
    // Somebody who has seen the ticket, with credentials of their own.
    let policy = world.rules.listener_mut(1);
    policy.authority = turn::credentials::Authority::fixed(realm(), "mallory", "pass");
    world.signs_as("alice at home", "mallory", "pass");
    let expected = refused("alice at home", "Refresh", RejectReason::WrongUser);
    assert_eq!(world.ask("alice at home", moved(600, &ticket)), expected);
    // And without credentials.
    let challenge = ["alice on the train <- Refresh 401: nonce, realm, algorithms"];
    assert_eq!(world.ask("alice on the train", moved(600, &ticket).unsigned()), challenge);
    assert_eq!(world.peer_sends(1, PEER, b"a"), heard("alice", "a"));
}

#[test]
fn client_that_has_not_moved_has_no_use_for_its_ticket() {
    let mut world = world();
    let ticket = allocated(&mut world);
    assert_eq!(world.ask("alice", moved(600, &ticket)), refused("alice", "Refresh", RejectReason::NotMoved));
    // Nor may one allocation take the place of another.
    world.ask("alice at home", allocate());
    world.opens(2, 50_002);
    let expected = refused("alice at home", "Refresh", RejectReason::NotMoved);
    assert_eq!(world.ask("alice at home", moved(600, &ticket)), expected);
    assert_eq!(world.server.allocations(), 2);
}

#[test]
fn ticket_is_for_its_listener_whose_routes_the_permissions_are_of() {
    let mut world = world();
    let ticket = allocated(&mut world);
    let expected = refused("alice by tcp", "Refresh", RejectReason::NoAllocation);
    assert_eq!(world.ask("alice by tcp", moved(600, &ticket)), expected);
}

#[test]
fn connection_that_closes_leaves_the_allocation_to_the_one_it_is_moving_to() {
    let mut world = world();
    let ticket = allocated(&mut world);
    world.ask("alice at home", moved(600, &ticket));
    assert_eq!(world.closes("alice"), ["moved alice to alice at home: relay 1"]);
    assert_eq!(world.peer_sends(1, PEER, b"a"), heard("alice at home", "a"));

    let mut world = self::world();
    let ticket = allocated(&mut world);
    world.ask("alice at home", moved(600, &ticket));
    assert_eq!(world.closes("alice at home"), [""; 0]);
    assert_eq!(world.peer_sends(1, PEER, b"a"), heard("alice", "a"));
    assert_eq!(world.closes("alice"), ["ended alice: relay 1, ClientClosed", "close relay 1"]);
}

#[test]
fn allocation_that_ends_while_it_moves_is_gone_in_both_places() {
    let mut world = world();
    let ticket = allocated(&mut world);
    world.ask("alice at home", moved(5, &ticket));
    let expected = ["gone alice at home", "ended alice: relay 1, Expired", "close relay 1"];
    assert_eq!(world.pass(seconds(5)), expected);
    assert_eq!(world.sends_on("alice at home", 0x4000, b"a"), ["drop NoAllocation"]);
    let expected = refused("alice on the train", "Refresh", RejectReason::NoAllocation);
    assert_eq!(world.ask("alice on the train", moved(600, &ticket)), expected);
}

#[test]
fn deletion_by_a_ticket_deletes_and_gives_no_other() {
    let mut world = world();
    let ticket = allocated(&mut world);
    let expected = [
        "gone alice at home",
        "ended alice: relay 1, Deleted",
        "close relay 1",
        "alice at home <- Refresh ok: lifetime 0, signed",
    ];
    assert_eq!(world.ask("alice at home", moved(0, &ticket)), expected);
}

#[test]
fn both_families_move_together_and_the_ticket_outlives_either() {
    let mut world = world();
    world.ask("alice", mobile(allocate()).with(additional(Family::V6)));
    world.opens(1, 50_001);
    world.opens(2, 50_002);
    let first = ticket(&world);
    world.permit("alice", &["192.0.2.7", "2001:db8:7::7"]);
    world.ask("alice at home", moved(600, &first));
    let lines = world.ask("alice at home", send("[2001:db8:7::7]:9", b"a"));
    let arrived = ["moved alice to alice at home: relay 2", "moved alice to alice at home: relay 1"];
    assert_eq!(lines[0], "relay 2 -> [2001:db8:7::7]:9: a (cluster 2)");
    assert!(arrived.iter().all(|line| lines.contains(&(*line).into())) && lines.len() == 3, "{lines:?}");
    assert_eq!(world.peer_sends(1, PEER, b"b"), ["alice at home <- 192.0.2.7:9: b (cluster 1)"]);

    for family in [Family::V4, Family::V6] {
        let mut world = self::world();
        world.ask("alice", mobile(allocate()).with(additional(Family::V6)));
        world.opens(1, 50_001);
        world.opens(2, 50_002);
        let ticket = ticket(&world);
        world.ask("alice at home", moved(600, &ticket));
        world.ask("alice", refresh(0).with(requested(family)));
        assert_eq!(world.server.allocations(), 1);
        let lines = world.ask("alice on the train", moved(600, &ticket));
        assert_eq!(lines.last().unwrap(), "alice on the train <- Refresh ok: lifetime 600, ticket, signed");
    }
}

#[test]
fn weakness_quota_is_not_bypassed_by_moving() {
    let mut world = world();
    world.rules.quota = 1;
    let mut ticket = allocated(&mut world);
    for name in ["alice at home", "alice on the train", "alice at home"] {
        world.ask(name, moved(600, &ticket));
        ticket = super::support::ticket(&world);
        world.sends_on(name, 0x4000, b"a");
        assert_eq!((world.rules.used(USER), world.server.allocations()), (1, 1));
        assert_eq!(world.ask("bob", allocate()), refused("bob", "Allocate", RejectReason::QuotaReached));
    }
    world.ask("alice at home", refresh(0));
    assert_eq!(world.rules.used(USER), 0);
}

#[test]
fn ticket_leads_to_the_server_of_the_process_that_has_the_allocation() {
    let mut there = world_of(|settings| (settings.member, settings.members) = (1, 2));
    let ticket = allocated(&mut there);
    let mut here = world_of(|settings| (settings.member, settings.members) = (0, 2));
    assert_eq!(here.ask("alice at home", moved(600, &ticket)), ["move alice at home to server 1"]);
    assert!(!here.server.has_allocation(&here.client("alice at home")));
    // One of a server that there is not; and one of the server's own that nobody has any more.
    for first in [0, 2, 255] {
        let unknown = [&[first], &ticket[1..]].concat();
        let expected = refused("alice at home", "Refresh", RejectReason::NoAllocation);
        assert_eq!(here.ask("alice at home", moved(600, &unknown)), expected);
    }
}
