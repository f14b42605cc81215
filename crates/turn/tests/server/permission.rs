//! CreatePermission, RFC 8656 sections 9 and 10.

use stun::Method;
use stun::attribute::types;
use turn::server::RejectReason;

use crate::support::*;

const OK: &str = "alice <- CreatePermission ok: signed";

fn refused(reason: RejectReason, peer: Option<&str>) -> [String; 2] {
    let about = peer.map(|peer| format!(" about {peer}")).unwrap_or_default();
    let code = reason.code();
    [
        format!("refused alice: CreatePermission for {reason:?}{about}"),
        format!("alice <- CreatePermission {code}: signed"),
    ]
}

#[test]
fn permission_lets_data_through_in_both_directions_whatever_the_port() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["drop NoPermission"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
    world.permit("alice", &["192.0.2.7"]);
    for port in [1, 9, 65_535] {
        let peer = format!("192.0.2.7:{port}");
        assert_eq!(world.ask("alice", send(&peer, b"hi")), [format!("relay 1 -> {peer}: hi (cluster 1)")]);
        assert_eq!(world.peer_sends(1, &peer, b"ho"), [format!("alice <- {peer}: ho (cluster 1)")]);
    }
    assert_eq!(world.ask("alice", send("192.0.2.8:9", b"hi")), ["drop NoPermission"]);
    assert_eq!(world.peer_sends(1, "192.0.2.8:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn several_permissions_are_created_at_once() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.ask("alice", permit(&["192.0.2.7", "192.0.2.8", "192.0.2.7"])), [OK]);
    for peer in ["192.0.2.7:9", "192.0.2.8:9"] {
        assert_eq!(world.peer_sends(1, peer, b"ho"), [format!("alice <- {peer}: ho (cluster 1)")]);
    }
}

#[test]
fn one_bad_peer_among_several_leaves_none_of_them_permitted() {
    for (bad, reason) in [
        ("10.0.0.1", RejectReason::PeerRefused),
        ("0.0.0.0", RejectReason::PeerForbidden),
        ("2001:db8::1", RejectReason::FamilyMismatch),
    ] {
        let mut world = World::new();
        world.allocate("alice");
        let spelled = std::net::SocketAddr::new(bad.parse().unwrap(), 0).to_string();
        let lines = world.ask("alice", permit(&["192.0.2.7", bad, "192.0.2.8"]));
        assert_eq!(lines, refused(reason, Some(&spelled)));
        assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
        assert_eq!(world.peer_sends(1, "192.0.2.8:9", b"ho"), ["drop NoPermission"]);
    }
}

#[test]
fn refused_refresh_of_several_prolongs_none_of_them() {
    let mut world = World::new();
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    world.wait(seconds(200));
    let lines = world.ask("alice", permit(&["192.0.2.7", "10.0.0.1"]));
    assert_eq!(lines, refused(RejectReason::PeerRefused, Some("10.0.0.1:0")));
    world.wait(seconds(100));
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn permission_without_a_peer_or_with_a_broken_one_is_a_bad_request() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.ask("alice", permit(&[])), refused(RejectReason::MissingAttribute, None));
    let ask = permit(&["192.0.2.7"]).with_raw(types::XOR_PEER_ADDRESS, b"xx");
    assert_eq!(world.ask("alice", ask), refused(RejectReason::MalformedAttribute, None));
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn p02_peer_in_no_routed_cluster_is_refused_by_name() {
    let mut world = World::new();
    world.allocate("alice");
    let lines = world.ask("alice", permit(&["198.18.0.1"]));
    assert_eq!(lines, refused(RejectReason::PeerRefused, Some("198.18.0.1:0")));
}

#[test]
fn p01_peer_in_any_routed_cluster_is_admitted() {
    let mut world = World::new();
    world.rules.routes = vec![route("10.0.0.0/8", 1), route("198.18.0.1/32", 2), route("0.0.0.0/0", 3)];
    world.allocate("alice");
    world.permit("alice", &["10.1.2.3", "198.18.0.1", "8.8.8.8"]);
    for (peer, cluster) in [("10.1.2.3:1", 1), ("198.18.0.1:1", 2), ("8.8.8.8:1", 3)] {
        let lines = world.peer_sends(1, peer, b"ho");
        assert_eq!(lines, [format!("alice <- {peer}: ho (cluster {cluster})")]);
    }
}

#[test]
fn p04_p05_packets_pass_only_on_the_ports_a_cluster_consents_to() {
    let mut world = World::new();
    world.rules.routes =
        vec![route("192.0.2.0/24", 1).ports(1000, 1999), route("192.0.2.7/32", 2).ports(1500, 3000)];
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    for (port, cluster) in [(999, None), (1000, Some(1)), (1999, Some(1)), (2000, Some(2)), (3001, None)] {
        let peer = format!("192.0.2.7:{port}");
        let (out, back) = match cluster {
            None => ("drop PeerRefused".into(), "drop PeerRefused".into()),
            Some(cluster) => (
                format!("relay 1 -> {peer}: hi (cluster {cluster})"),
                format!("alice <- {peer}: ho (cluster {cluster})"),
            ),
        };
        assert_eq!(world.ask("alice", send(&peer, b"hi")), [out]);
        assert_eq!(world.peer_sends(1, &peer, b"ho"), [back]);
    }
}

#[test]
fn p06_peer_in_a_tcp_cluster_gets_a_permission_but_no_datagrams() {
    let mut world = World::new();
    world.rules.routes = vec![route("192.0.2.0/24", 1).tcp()];
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.ask("alice", send("192.0.2.7:9", b"hi")), ["drop PeerRefused"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["drop PeerRefused"]);
    world.rules.routes.push(route("192.0.2.0/24", 2));
    world.permit("alice", &["192.0.2.7"]);
    let lines = world.peer_sends(1, "192.0.2.7:9", b"ho");
    assert_eq!(lines, ["alice <- 192.0.2.7:9: ho (cluster 2)"]);
}

#[test]
fn permission_of_another_family_is_a_mismatch() {
    let mut world = World::new();
    world.rules.routes.push(route("2001:db8::/32", 2));
    world.rules.listener_mut(1).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
    world.allocate("alice");
    let lines = world.ask("alice", permit(&["2001:db8::7"]));
    assert_eq!(lines, refused(RejectReason::FamilyMismatch, Some("[2001:db8::7]:0")));

    world.ask("bob", allocate().with(requested(stun::attribute::Family::V6)));
    world.opens(2, 50_002);
    world.permit("bob", &["2001:db8::7"]);
    let lines = world.ask("bob", send("[2001:db8::7]:9", b"hi"));
    assert_eq!(lines, ["relay 2 -> [2001:db8::7]:9: hi (cluster 2)"]);
    let lines = world.peer_sends(2, "[2001:db8::7]:9", b"ho");
    assert_eq!(lines, ["bob <- [2001:db8::7]:9: ho (cluster 2)"]);
    let lines = world.ask("bob", permit(&["192.0.2.7"]));
    assert_eq!(lines[1], "bob <- CreatePermission 443: signed");
}

#[test]
fn permissions_are_the_allocations_own() {
    let mut world = World::new();
    world.allocate("alice");
    world.allocate("bob");
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.ask("bob", send("192.0.2.7:9", b"hi")), ["drop NoPermission"]);
    assert_eq!(world.peer_sends(2, "192.0.2.7:9", b"ho"), ["drop NoPermission"]);
}

#[test]
fn permission_without_an_allocation_is_a_mismatch() {
    let mut world = World::new();
    let lines = world.ask("alice", permit(&["192.0.2.7"]));
    assert_eq!(lines, refused(RejectReason::NoAllocation, None));
}

#[test]
fn weakness_permissions_of_an_allocation_are_bounded() {
    let mut world = World::new();
    world.rules.listener_mut(1).limits.permissions = 3;
    world.allocate("alice");
    world.permit("alice", &["192.0.2.1", "192.0.2.2"]);
    let lines = world.ask("alice", permit(&["192.0.2.3", "192.0.2.4"]));
    assert_eq!(lines, refused(RejectReason::TooManyPermissions, None));
    world.permit("alice", &["192.0.2.1", "192.0.2.3", "192.0.2.3", "192.0.2.2"]);
    let lines = world.ask("alice", permit(&["192.0.2.4"]));
    assert_eq!(lines, refused(RejectReason::TooManyPermissions, None));
    let lines = world.ask("alice", bind(0x4000, "192.0.2.4:9"));
    assert_eq!(lines[1], "alice <- ChannelBind 508: signed");
    world.bind("alice", 0x4000, "192.0.2.3:9");
    world.wait(seconds(300));
    world.permit("alice", &["192.0.2.4", "192.0.2.5", "192.0.2.6"]);
}

#[test]
fn unsigned_permission_is_challenged() {
    let mut world = World::new();
    world.allocate("alice");
    let lines = world.ask("alice", permit(&["192.0.2.7"]).unsigned());
    assert_eq!(lines, ["alice <- CreatePermission 401: nonce, realm, algorithms"]);
    let indication = Ask::new(stun::Class::Indication, Method::CreatePermission);
    assert_eq!(world.ask("alice", indication), ["drop Unexpected"]);
}
