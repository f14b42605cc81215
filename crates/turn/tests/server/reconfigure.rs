//! Configuration that changes under living allocations.

use turn::credentials::Authority;

use crate::support::*;

/// Alice with a channel to 192.0.2.7:9 and a permission for 192.0.2.8.
fn relaying() -> World {
    let mut world = World::new();
    world.allocate("alice");
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.permit("alice", &["192.0.2.8"]);
    world
}

/// What becomes of one packet each way over the channel, and of one each way over the permission.
fn traffic(world: &mut World) -> [String; 4] {
    let lines = [
        world.sends_on("alice", 0x4000, b"hi"),
        world.peer_sends(1, "192.0.2.7:9", b"ho"),
        world.ask("alice", send("192.0.2.8:9", b"hi")),
        world.peer_sends(1, "192.0.2.8:9", b"ho"),
    ];
    lines.map(|lines| lines.concat())
}

fn flowing(cluster: u16) -> [String; 4] {
    [
        format!("relay 1 -> 192.0.2.7:9: hi (cluster {cluster})"),
        format!("alice <- channel 0x4000: ho (cluster {cluster})"),
        format!("relay 1 -> 192.0.2.8:9: hi (cluster {cluster})"),
        format!("alice <- 192.0.2.8:9: ho (cluster {cluster})"),
    ]
}

#[test]
fn r06_withdrawn_route_stops_traffic_at_once_and_a_restored_one_lets_it_flow_again() {
    let mut world = relaying();
    assert_eq!(traffic(&mut world), flowing(1));
    let routes = std::mem::take(&mut world.rules.routes);
    assert_eq!(world.reconfigures(), [""; 0]);
    assert_eq!(traffic(&mut world), ["drop PeerRefused"; 4]);
    let expected = [
        "refused alice: CreatePermission for PeerRefused about 192.0.2.8:0",
        "alice <- CreatePermission 403: signed",
    ];
    assert_eq!(world.ask("alice", permit(&["192.0.2.8"])), expected);
    world.rules.routes = routes;
    world.reconfigures();
    assert_eq!(traffic(&mut world), flowing(1));
}

#[test]
fn r06_peer_that_moves_to_another_cluster_is_counted_there() {
    let mut world = relaying();
    world.rules.routes = vec![route("192.0.2.7/32", 7), route("192.0.2.0/24", 7)];
    world.reconfigures();
    assert_eq!(traffic(&mut world), flowing(7));
}

#[test]
fn narrowed_ports_stop_the_flows_outside_them() {
    let mut world = relaying();
    world.bind("alice", 0x4001, "192.0.2.7:1000");
    world.rules.routes = vec![route("192.0.2.0/24", 1).ports(1000, 1999)];
    world.reconfigures();
    assert_eq!(traffic(&mut world), ["drop PeerRefused"; 4]);
    assert_eq!(world.sends_on("alice", 0x4001, b"hi"), ["relay 1 -> 192.0.2.7:1000: hi (cluster 1)"]);
}

#[test]
fn unrelated_change_disturbs_nothing() {
    let mut world = relaying();
    world.rules.routes.push(route("10.0.0.0/8", 2));
    world.rules.listeners.remove(&2);
    assert_eq!(world.reconfigures(), [""; 0]);
    assert_eq!(traffic(&mut world), flowing(1));
}

#[test]
fn permission_does_not_live_longer_for_being_judged_anew() {
    let mut world = relaying();
    world.wait(seconds(299));
    world.reconfigures();
    world.wait(seconds(1));
    assert_eq!(
        traffic(&mut world),
        ["drop UnboundChannel", "drop NoPermission", "drop NoPermission", "drop NoPermission"]
    );
}

#[test]
fn allocations_of_a_listener_that_is_gone_end() {
    let mut world = relaying();
    world.meet("carol", 2, "198.51.100.3:5000");
    world.ask("carol", allocate());
    world.opens(2, 50_002);
    world.rules.listeners.remove(&1);
    assert_eq!(world.reconfigures(), ["ended alice: relay 1, ListenerRemoved", "close relay 1"]);
    assert_eq!(world.server.allocations(), 1);
    assert_eq!(world.ask("carol", refresh(600)), ["carol <- Refresh ok: lifetime 600, signed"]);
}

#[test]
fn sockets_of_a_listener_that_is_gone_are_closed_whatever_they_wait_for() {
    let mut world = World::new();
    let pair = || allocate().with(stun::attribute::EvenPort { reserve: true });
    world.ask("alice", pair());
    world.opens(1, 50_000);
    world.ask("bob", pair());
    world.rules.listeners.remove(&1);
    let mut lines = world.reconfigures();
    lines.sort_unstable();
    let expected = ["close relay 1", "close relay 2", "ended alice: relay 1, ListenerRemoved"];
    assert_eq!(lines, expected);
    assert_eq!((world.deadline(), world.rules.used(USER)), (None, 0));
    assert!(world.reservations.is_empty());
}

#[test]
fn changed_password_disturbs_no_traffic_but_prolongs_nothing() {
    let mut world = relaying();
    world.rules.listener_mut(1).authority = Authority::fixed(realm(), USER, "changed");
    assert_eq!(world.reconfigures(), [""; 0]);
    assert_eq!(traffic(&mut world), flowing(1));
    let expected =
        ["refused alice: Refresh for WrongCredentials", "alice <- Refresh 401: nonce, realm, algorithms"];
    assert_eq!(world.ask("alice", refresh(600)), expected);
    assert_eq!(traffic(&mut world), flowing(1));
    world.signs_as("alice", USER, "changed");
    assert_eq!(world.ask("alice", refresh(600)), ["alice <- Refresh ok: lifetime 600, signed"]);
}

#[test]
fn changed_user_owns_nothing_of_the_former_ones() {
    let mut world = relaying();
    world.rules.listener_mut(1).authority = Authority::fixed(realm(), "another", PASS);
    world.reconfigures();
    world.signs_as("alice", "another", PASS);
    for (ask, method) in [
        (refresh(0), "Refresh"),
        (permit(&["192.0.2.9"]), "CreatePermission"),
        (bind(0x4001, "192.0.2.9:9"), "ChannelBind"),
    ] {
        let expected =
            [format!("refused alice: {method} for WrongUser"), format!("alice <- {method} 441: signed")];
        assert_eq!(world.ask("alice", ask), expected);
    }
    let lines = world.ask("alice", allocate());
    assert_eq!(lines[1], "alice <- Allocate 437: signed");
    assert_eq!(traffic(&mut world), flowing(1));
}

#[test]
fn a02_changed_kind_of_credentials_refuses_the_old_and_a_change_back_restores_them() {
    let mut world = relaying();
    let former = world.rules.listener_mut(1).authority.clone();
    world.rules.listener_mut(1).authority = Authority::ephemeral(realm(), "my-secret");
    world.reconfigures();
    let expected =
        ["refused bob: Allocate for WrongCredentials", "bob <- Allocate 401: nonce, realm, algorithms"];
    assert_eq!(world.ask("bob", allocate()), expected);
    world.rules.listener_mut(1).authority = former;
    world.reconfigures();
    assert_eq!(world.ask("bob", allocate()), ["open relay 2 for listener 1, V4, any port"]);
    assert_eq!(world.ask("alice", refresh(600)), ["alice <- Refresh ok: lifetime 600, signed"]);
}
