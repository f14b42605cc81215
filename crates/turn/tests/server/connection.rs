//! TCP between relays and peers, RFC 6062.

use stun::Method;
use stun::attribute::{DontFragment, EvenPort, RequestedTransport, ReservationToken};
use turn::addr::ConnectionId;
use turn::server::{DropReason, RejectReason};

use crate::support::*;

const PEER: &str = "192.0.2.7:80";

/// Alice and her second connection come over TCP; all of 192.0.2.0/24 may be reached over TCP.
fn world() -> World {
    let mut world = World::new();
    world.rules.routes = vec![route("192.0.2.0/24", 4).tcp()];
    for (name, remote) in [
        ("alice", "198.51.100.1:5000"),
        ("data", "198.51.100.1:5001"),
        ("more", "198.51.100.1:5002"),
        ("bob", "198.51.100.2:5000"),
    ] {
        world.meet(name, 2, remote);
        world.greet(name);
    }
    world
}

/// With an allocation of alice's.
fn allocated() -> World {
    let mut world = world();
    let lines = world.ask("alice", allocate_tcp());
    assert_eq!(lines, ["open relay 1 for listener 2, V4, TCP, any port"]);
    let lines = world.opens(1, 50_001);
    assert!(lines[1].starts_with("alice <- Allocate ok: relayed 203.0.113.1:50001"), "{lines:?}");
    world
}

/// With a connection that the peer has taken.
fn connected() -> World {
    let mut world = allocated();
    assert_eq!(world.ask("alice", connect(PEER)), [format!("connect 1 from relay 1 to {PEER}")]);
    assert_eq!(world.peer_answers(1, true), ["alice <- Connect ok: connection 1, signed"]);
    world
}

/// Joined with alice's second connection.
fn joined() -> World {
    let mut world = connected();
    let id = world.connection(1);
    let expected = ["data <- ConnectionBind ok: connection 1, signed", "join 1 with data (cluster 4)"];
    assert_eq!(world.ask("data", connection_bind(id)), expected);
    world
}

fn refused(name: &str, method: Method, reason: RejectReason, about: &str) -> [String; 2] {
    let about = if about.is_empty() { String::new() } else { format!(" about {about}") };
    [
        format!("refused {name}: {method:?} for {reason:?}{about}"),
        format!("{name} <- {method:?} {}: signed", reason.code()),
    ]
}

#[test]
fn a05_client_reaches_a_peer_over_tcp_and_everything_ends_with_the_allocation() {
    let mut world = joined();
    let expected = [
        "ended alice: relay 1, Deleted",
        "close connection 1",
        "close relay 1",
        "alice <- Refresh ok: lifetime 0, signed",
    ];
    assert_eq!(world.ask("alice", refresh(0)), expected);
    assert_eq!(world.deadline(), None);
    assert!(world.connection_closes(1).is_empty());
}

#[test]
fn a05_without_a_tcp_cluster_there_is_no_tcp_allocation() {
    let mut world = world();
    world.rules.listener_mut(2).relays_tcp = false;
    let expected = refused("alice", Method::Allocate, RejectReason::NoTcpRoute, "");
    assert_eq!(world.ask("alice", allocate_tcp()), expected);
}

/// RFC 6062 section 5.1.
#[test]
fn tcp_allocation_over_datagrams_or_with_wishes_about_datagrams_is_a_bad_request() {
    let mut world = world();
    let expected = refused("alice", Method::Allocate, RejectReason::ConflictingAttributes, "");
    for ask in [
        allocate_tcp().with(DontFragment),
        allocate_tcp().with(EvenPort { reserve: false }),
        allocate_tcp().with(ReservationToken([1; 8])),
    ] {
        assert_eq!(world.ask("alice", ask), expected);
    }
    world.meet("carol", 1, "198.51.100.3:5000");
    let ask = bare_allocate().with(RequestedTransport::TCP);
    assert_eq!(
        world.ask("carol", ask),
        refused("carol", Method::Allocate, RejectReason::ConflictingAttributes, "")
    );
}

#[test]
fn a05_peer_or_port_that_is_not_routed_over_tcp_is_refused() {
    let mut world = allocated();
    world.rules.routes = vec![route("192.0.2.0/24", 4).tcp().ports(1, 99), route("10.0.0.0/8", 5)];
    for peer in ["192.0.2.7:443", "10.0.0.1:80", "172.16.0.1:80"] {
        let expected = refused("alice", Method::Connect, RejectReason::PeerRefused, peer);
        assert_eq!(world.ask("alice", connect(peer)), expected);
    }
    let expected = refused("alice", Method::Connect, RejectReason::PeerForbidden, "0.0.0.0:80");
    assert_eq!(world.ask("alice", connect("0.0.0.0:80")), expected);
    let expected = refused("alice", Method::Connect, RejectReason::FamilyMismatch, "[2001:db8::1]:80");
    assert_eq!(world.ask("alice", connect("[2001:db8::1]:80")), expected);
    let expected = refused("alice", Method::Connect, RejectReason::MissingAttribute, "");
    assert_eq!(world.ask("alice", request(Method::Connect)), expected);
}

#[test]
fn connect_needs_an_allocation_for_tcp() {
    let mut world = world();
    let expected = refused("alice", Method::Connect, RejectReason::NoAllocation, "");
    assert_eq!(world.ask("alice", connect(PEER)), expected);
    world.ask("alice", allocate());
    world.opens(1, 50_001);
    let expected = refused("alice", Method::Connect, RejectReason::UnsupportedMethod, "");
    assert_eq!(world.ask("alice", connect(PEER)), expected);
}

/// RFC 6062 section 5.2: also while the first one is on its way. Another server locked its table for ever here.
#[test]
fn weakness_a_duplicate_connect_is_refused_and_others_go_on() {
    let mut world = allocated();
    world.ask("alice", connect(PEER));
    let expected = refused("alice", Method::Connect, RejectReason::ConnectionExists, PEER);
    assert_eq!(world.ask("alice", connect(PEER)), expected);
    assert_eq!(world.ask("alice", connect("192.0.2.7:81")), ["connect 2 from relay 1 to 192.0.2.7:81"]);
    world.peer_answers(1, true);
    assert_eq!(world.ask("alice", connect(PEER)), expected);
    world.connection_closes(1);
    assert_eq!(world.ask("alice", connect(PEER)), [format!("connect 3 from relay 1 to {PEER}")]);
}

#[test]
fn peer_that_does_not_answer_or_refuses_is_reported_with_447() {
    let expected = refused("alice", Method::Connect, RejectReason::ConnectFailed, PEER);
    let mut world = allocated();
    world.ask("alice", connect(PEER));
    assert_eq!(world.peer_answers(1, false), expected);
    world.ask("alice", connect(PEER));
    assert_eq!(world.deadline().unwrap(), "Connection in 30s");
    assert!(world.pass(millis(29_750)).is_empty());
    let lines = world.pass(millis(250));
    assert_eq!(lines, ["close connection 2".to_owned()].into_iter().chain(expected).collect::<Vec<_>>());
    assert!(world.peer_answers(2, true).is_empty(), "too late");
}

#[test]
fn connection_that_nobody_asks_for_is_closed_after_half_a_minute() {
    let mut world = connected();
    assert!(world.pass(millis(29_750)).is_empty());
    assert_eq!(world.pass(millis(250)), ["close connection 1"]);
    let id = world.connection(1);
    let expected = refused("data", Method::ConnectionBind, RejectReason::UnknownConnection, "");
    assert_eq!(world.ask("data", connection_bind(id)), expected);
}

#[test]
fn joined_connection_outlives_half_a_minute_but_not_the_allocation() {
    let mut world = joined();
    assert!(world.pass(seconds(599)).is_empty());
    let lines = world.pass(seconds(1));
    assert_eq!(lines, ["ended alice: relay 1, Expired", "close connection 1", "close relay 1"]);
}

/// RFC 6062 section 5.4.
#[test]
fn connection_bind_is_refused_without_a_waiting_connection_of_the_same_user() {
    let mut world = connected();
    let id = world.connection(1);
    let refused = |reason, world: &mut World, name: &str, ask| {
        assert_eq!(world.ask(name, ask), refused(name, Method::ConnectionBind, reason, ""));
    };
    refused(RejectReason::MissingAttribute, &mut world, "data", request(Method::ConnectionBind));
    let unknown = ConnectionId(id.0 ^ 0x100);
    refused(RejectReason::UnknownConnection, &mut world, "data", connection_bind(unknown));
    refused(RejectReason::AllocationExists, &mut world, "alice", connection_bind(id));
    world.meet("carol", 1, "198.51.100.3:5000");
    refused(RejectReason::UnsupportedMethod, &mut world, "carol", connection_bind(id));

    let authority = world.rules.listener_mut(2).authority.clone().or_fixed("other", "word");
    world.rules.listener_mut(2).authority = authority;
    world.signs_as("bob", "other", "word");
    refused(RejectReason::WrongUser, &mut world, "bob", connection_bind(id));

    world.ask("data", connection_bind(id));
    refused(RejectReason::UnknownConnection, &mut world, "more", connection_bind(id));
}

#[test]
fn connection_bind_for_another_server_of_the_process_moves_the_client_there() {
    let mut world = World::with(|settings| settings.members = 3);
    world.meet("data", 2, "198.51.100.1:5001");
    let there = ConnectionId(0x1234_5602);
    assert_eq!(world.ask("data", connection_bind(there)), ["move data to server 2"]);
    let nowhere = ConnectionId(0x1234_5603);
    let expected = refused("data", Method::ConnectionBind, RejectReason::UnknownConnection, "");
    assert_eq!(world.ask("data", connection_bind(nowhere)), expected);
    world.signs_as("data", USER, "wrong");
    let lines = world.ask("data", connection_bind(there));
    assert_eq!(lines[1], "data <- ConnectionBind 401: nonce, realm, algorithms");
}

#[test]
fn peer_that_connects_needs_a_permission_and_a_route_and_is_announced() {
    let mut world = allocated();
    assert_eq!(world.peer_connects(1, PEER), ["refuse NoPermission"]);
    world.permit("alice", &["192.0.2.7"]);
    let lines = world.peer_connects(1, "192.0.2.7:4711");
    let expected = ["accept 1", "alice <- ConnectionAttempt Indication: peer 192.0.2.7:4711, connection 1"];
    assert_eq!(lines, expected);
    let id = world.connection(1);
    let expected = ["data <- ConnectionBind ok: connection 1, signed", "join 1 with data (cluster 4)"];
    assert_eq!(world.ask("data", connection_bind(id)), expected);

    world.rules.routes = vec![route("192.0.2.0/24", 4).tcp().ports(1, 99)];
    assert_eq!(world.reconfigures(), ["close connection 1"]);
    assert_eq!(world.peer_connects(1, "192.0.2.7:4711"), ["refuse PeerRefused"]);
    assert_eq!(world.peer_connects(1, "[::ffff:10.0.0.1]:80"), ["refuse NoPermission"]);
    assert_eq!(world.peer_connects(1, "0.0.0.0:80"), ["refuse PeerForbidden"]);
    assert_eq!(world.dropped(DropReason::PeerRefused), 1);
}

#[test]
fn r06_withdrawn_route_ends_connections_at_once() {
    let mut world = joined();
    world.ask("alice", connect("192.0.2.7:81"));
    world.rules.routes.clear();
    let refusal = refused("alice", Method::Connect, RejectReason::PeerRefused, "192.0.2.7:81");
    let mut expected = vec!["close connection 1".to_owned(), "close connection 2".to_owned()];
    expected.extend(refusal);
    assert_eq!(world.reconfigures(), expected);
}

#[test]
fn weakness_connections_of_an_allocation_are_bounded() {
    let mut world = allocated();
    world.rules.listener_mut(2).limits.connections = 2;
    world.permit("alice", &["192.0.2.7"]);
    world.ask("alice", connect(PEER));
    world.peer_connects(1, "192.0.2.7:4711");
    let expected = refused("alice", Method::Connect, RejectReason::TooManyConnections, "");
    assert_eq!(world.ask("alice", connect("192.0.2.7:81")), expected);
    assert_eq!(world.peer_connects(1, "192.0.2.7:4712"), ["refuse TooManyConnections"]);
    world.connection_closes(2);
    assert_eq!(world.ask("alice", connect("192.0.2.7:81")), ["connect 3 from relay 1 to 192.0.2.7:81"]);
}

#[test]
fn a_tcp_relay_forwards_no_datagrams() {
    let mut world = allocated();
    world.rules.routes.push(route("192.0.2.0/24", 1));
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.ask("alice", send(PEER, b"hi")), ["drop NoAllocation"]);
    assert_eq!(world.peer_sends(1, PEER, b"ho"), ["drop UnknownRelay"]);
    let expected = refused("alice", Method::ChannelBind, RejectReason::UnsupportedMethod, "");
    assert_eq!(world.ask("alice", bind(0x4000, PEER)), expected);
}

#[test]
fn closed_control_connection_ends_its_connections() {
    let mut world = joined();
    let lines = world.closes("alice");
    assert_eq!(lines, ["ended alice: relay 1, ClientClosed", "close connection 1", "close relay 1"]);
    assert!(world.closes("data").is_empty());
}

#[test]
fn nonce_of_one_connection_is_good_on_another_of_the_same_address_where_tcp_is_relayed() {
    let mut world = World::new();
    world.meet("carol", 2, "198.51.100.3:5000");
    world.meet("carol again", 2, "198.51.100.3:5001");
    world.meet("dave", 2, "198.51.100.4:5000");
    world.greet("carol");
    let nonce = world.nonce_of("carol");
    for name in ["carol again", "dave"] {
        world.set_nonce(name, &nonce);
    }
    let ok = ["open relay 1 for listener 2, V4, TCP, any port"];
    assert_eq!(world.ask("carol again", allocate_tcp()), ok);
    assert_eq!(world.ask("dave", allocate_tcp()), ["dave <- Allocate 438: nonce, realm, algorithms"]);

    // Where it is not, there is no other connection to show it on.
    world.rules.listener_mut(2).relays_tcp = false;
    world.greet("carol");
    world.set_nonce("dave", &world.nonce_of("carol"));
    world.set_nonce("carol again", &world.nonce_of("carol"));
    let stale = ["carol again <- Refresh 438: nonce, realm, algorithms"];
    assert_eq!(world.ask("carol again", refresh(600)), stale);
}
