//! Weaknesses that other servers had. Those that belong to a topic are tested with it, under names that begin in the
//! same way.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use stun::attribute::{EvenPort, types};
use turn::server::{DropReason, Output, RejectReason, RelayPort, Settings};

use crate::support::*;

/// Every way to write an IPv4 address inside IPv6 that routers, hosts or relays have been known to follow.
fn spellings(ip: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = ip.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    vec![
        format!("::ffff:{ip}"),
        format!("::{ip}"),
        format!("::ffff:0:{ip}"),
        format!("64:ff9b::{ip}"),
        format!("64:ff9b:1::{ip}"),
        format!("2002:{high:x}:{low:x}::1"),
        format!("2001:0:{high:x}:{low:x}::"),
        format!("2001::{:x}:{:x}", !high, !low),
        format!("fe80::5efe:{ip}"),
        format!("2001:db8::200:5efe:{ip}"),
    ]
}

/// Everything is routed, in both families.
fn wide_open() -> World {
    let mut world = World::new();
    world.rules.routes = vec![route("0.0.0.0/0", 1), route("::/0", 1)];
    world.rules.listener_mut(1).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
    world
}

#[test]
fn weakness_denied_ipv4_peer_is_denied_in_every_spelling_and_on_every_path() {
    let denied = Ipv4Addr::new(10, 0, 0, 1);
    for family in [stun::attribute::Family::V4, stun::attribute::Family::V6] {
        let mut world = wide_open();
        world.rules.routes = vec![route("192.0.2.0/24", 1), route("::/0", 1)];
        world.ask("alice", allocate().with(requested(family)));
        world.opens(1, 50_001);
        for spelling in spellings(denied) {
            let lines = world.ask("alice", permit(&[&spelling]));
            assert!(
                lines[1] == "alice <- CreatePermission 403: signed"
                    || lines[1] == "alice <- CreatePermission 443: signed",
                "{spelling}: {lines:?}"
            );
            let peer = format!("[{spelling}]:9");
            let lines = world.ask("alice", bind(0x4000, &peer));
            assert!(
                lines[1] == "alice <- ChannelBind 403: signed"
                    || lines[1] == "alice <- ChannelBind 443: signed",
                "{spelling}: {lines:?}"
            );
            let lines = world.ask("alice", send(&peer, b"hi"));
            assert!(
                lines == ["drop PeerForbidden"] || lines == ["drop NoPermission"],
                "{spelling}: {lines:?}"
            );
            let lines = world.peer_sends(1, &peer, b"ho");
            assert!(
                lines == ["drop PeerForbidden"] || lines == ["drop NoPermission"],
                "{spelling}: {lines:?}"
            );
        }
    }
}

#[test]
fn weakness_permission_is_checked_on_every_path() {
    let mut world = World::new();
    world.allocate("alice");
    world.bind("alice", 0x4000, "192.0.2.7:9");
    let paths = |world: &mut World| {
        [
            world.sends_on("alice", 0x4000, b"hi"),
            world.ask("alice", send("192.0.2.7:9", b"hi")),
            world.peer_sends(1, "192.0.2.7:9", b"ho"),
            world.peer_sends(1, "192.0.2.7:10", b"ho"),
        ]
        .concat()
    };
    assert!(paths(&mut world).iter().all(|line| line.contains("(cluster 1)")));
    let routes = std::mem::take(&mut world.rules.routes);
    world.reconfigures();
    assert_eq!(paths(&mut world), ["drop PeerRefused"; 4]);
    for ask in [permit(&["192.0.2.7"]), bind(0x4000, "192.0.2.7:9"), bind(0x4001, "192.0.2.7:10")] {
        let lines = world.ask("alice", ask);
        assert!(lines[1].contains("403: signed"), "{lines:?}");
    }
    world.rules.routes = routes;
    world.reconfigures();
    world.wait(seconds(300));
    let expected = ["drop UnboundChannel", "drop NoPermission", "drop NoPermission", "drop NoPermission"];
    assert_eq!(paths(&mut world), expected);
}

#[test]
fn weakness_mapped_spelling_of_an_allowed_peer_is_checked_and_relayed_as_ipv4() {
    let mut world = World::new();
    world.allocate("alice");
    world.permit("alice", &["::ffff:192.0.2.7"]);
    let lines = world.ask("alice", send("[::ffff:192.0.2.7]:9", b"hi"));
    assert_eq!(lines, ["relay 1 -> 192.0.2.7:9: hi (cluster 1)"]);
    assert_eq!(world.peer_sends(1, "192.0.2.7:9", b"ho"), ["alice <- 192.0.2.7:9: ho (cluster 1)"]);
    world.bind("alice", 0x4000, "[::ffff:192.0.2.7]:9");
    world.bind("alice", 0x4000, "192.0.2.7:9");
}

#[test]
fn weakness_unspecified_address_is_refused_whatever_is_routed() {
    for peer in ["0.0.0.0", "0.0.0.1", "::", "::ffff:0.0.0.0"] {
        let mut world = wide_open();
        world.allocate("alice");
        let lines = world.ask("alice", permit(&[peer]));
        assert_eq!(lines[1], "alice <- CreatePermission 403: signed", "{peer}");
        let spelled = std::net::SocketAddr::new(peer.parse().unwrap(), 9).to_string();
        let lines = world.ask("alice", bind(0x4000, &spelled));
        assert_eq!(lines[1], "alice <- ChannelBind 403: signed", "{peer}");
        assert_eq!(world.ask("alice", send(&spelled, b"hi")), ["drop PeerForbidden"], "{peer}");
    }
}

#[test]
fn weakness_replies_to_a_forged_source_are_bounded() {
    let mut world = World::with(|settings| settings.unproved_replies_per_second = 10);
    let flood = |world: &mut World, name: &str| {
        (0..1000).filter(|_| world.ask(name, allocate().unsigned()) != ["drop ReplyBudget"]).count()
    };
    assert_eq!(flood(&mut world, "alice"), 20);
    assert_eq!(flood(&mut world, "bob"), 20);
    world.wait(seconds(1));
    assert_eq!(flood(&mut world, "alice"), 10);
    assert_eq!(world.server.counters().drops(DropReason::ReplyBudget), 980 + 980 + 990);
}

#[test]
fn weakness_every_kind_of_error_to_a_forged_source_is_counted_against_its_budget() {
    let mut world = World::with(|settings| settings.unproved_replies_per_second = 0);
    world.set_nonce("alice", b"invented");
    for ask in [
        allocate().unsigned(),
        allocate(),
        allocate().without(types::USERNAME),
        binding().with_raw(0x7777, b"x"),
    ] {
        assert_eq!(world.ask("alice", ask), ["drop ReplyBudget"]);
    }
}

#[test]
fn proved_sources_have_no_budget() {
    let mut world = World::with(|settings| settings.unproved_replies_per_second = 1);
    world.meet("carol", 2, "198.51.100.3:5000");
    for _ in 0..100 {
        let lines = world.ask("carol", allocate().unsigned());
        assert_eq!(lines, ["carol <- Allocate 401: nonce, realm, algorithms"]);
    }
    world.signs_as("alice", USER, "wrong");
    for _ in 0..100 {
        let lines = world.ask("alice", allocate());
        assert_eq!(lines[1], "alice <- Allocate 401: nonce, realm, algorithms");
    }
}

#[test]
fn weakness_nothing_is_logged_about_sources_that_may_be_forged() {
    let mut world = World::new();
    world.set_nonce("alice", b"invented");
    for ask in [
        allocate().unsigned(),
        allocate(),
        allocate().without(types::USERNAME),
        binding().with_raw(0x7777, b"x"),
    ] {
        let lines = world.ask("alice", ask);
        assert!(lines.iter().all(|line| !line.starts_with("refused")), "{lines:?}");
    }
}

#[test]
fn weakness_replies_carry_no_more_than_they_must() {
    let mut world = World::new();
    let asked = world.packet("alice", &allocate().unsigned());
    world.sends("alice", &asked);
    let challenge = world.replies[0].len();
    let (code, nonce, realm, algorithms) = (8, 4 + 36, 4 + REALM.len().next_multiple_of(4), 4 + 8);
    assert_eq!(challenge, 20 + code + nonce + realm + algorithms);
    let ask = binding().with_raw(0x7777, &[0; 400]).with_raw(0x7778, &[0; 400]);
    world.ask("alice", ask);
    assert_eq!(world.replies[0].len(), 20 + 8 + 8);
    let many = (0..200).fold(binding(), |ask, kind| ask.with_raw(0x7000 + kind, b""));
    world.ask("alice", many);
    assert_eq!(world.replies[0].len(), 20 + 8 + 4 + 32);
}

#[test]
fn weakness_even_port_leaks_no_port_in_100_000_cycles() {
    let mut world = World::new();
    world.greet("alice");
    let (client, now) = (world.client("alice"), world.now);
    let asking = world.packet("alice", &allocate().with(EvenPort { reserve: false }));
    let leaving = world.packet("alice", &refresh(0));
    let (mut opened, mut closed) = (0, 0);
    for _ in 0..100_000 {
        for packet in [&asking, &leaving] {
            let _ = world.server.handle_client(client, packet, &world.rules, now);
            while let Some(output) = world.server.poll_output() {
                match output {
                    Output::OpenRelay { relay, port: RelayPort::Even, .. } => {
                        opened += 1;
                        world.server.handle_relay_opened(relay, Ok(50_000), now);
                    }
                    Output::CloseRelay { .. } => closed += 1,
                    _ => {}
                }
            }
        }
    }
    assert_eq!((opened, closed), (100_000, 100_000));
    assert_eq!((world.deadline(), world.rules.used(USER)), (None, 0));
}

#[test]
fn weakness_reserved_ports_are_given_back_whatever_happens_in_between() {
    let mut world = World::new();
    world.rules.quota = 2;
    let mut open = BTreeSet::new();
    let track = |lines: &[String], open: &mut BTreeSet<usize>| {
        for relay in lines.iter().filter_map(|line| line.strip_prefix("close relay ")) {
            assert!(open.remove(&relay.parse().unwrap()), "{relay} was not open");
        }
    };
    for round in 0..500 {
        let relay = round + 1;
        let reserve = round % 2 == 0;
        world.greet("alice");
        let lines = world.ask("alice", allocate().with(EvenPort { reserve }));
        assert!(lines[0].starts_with(&format!("open relay {relay} ")), "{lines:?}");
        if round % 7 == 3 {
            track(&world.fails_to_open(relay), &mut open);
        } else {
            open.insert(relay);
            track(&world.opens(relay, 50_000), &mut open);
        }
        match round % 3 {
            0 => track(&world.ask("alice", refresh(0)), &mut open),
            1 => track(&world.closes("alice"), &mut open),
            _ => track(&world.pass(seconds(600)), &mut open),
        }
        track(&world.pass(seconds(30)), &mut open);
        assert_eq!((open.len(), world.rules.used(USER)), (0, 0), "round {round}");
        assert!(world.reservations.is_empty(), "round {round}");
    }
    assert_eq!(world.deadline(), None);
}

#[test]
fn weakness_tokens_and_nonces_differ_between_servers() {
    let mut tokens = Vec::new();
    for seed in 0..20 {
        let nonce_key = turn::nonce::NonceKey::generate(&mut rng(seed));
        let mut world = World::new();
        world.server = turn::server::Server::new(Settings::new(nonce_key), rng(100 + seed), start());
        world.ask("alice", allocate().with(EvenPort { reserve: true }));
        world.opens(1, 50_000);
        tokens.push((token(&world).0, world.nonce_of("alice")));
    }
    tokens.sort_unstable();
    tokens.dedup_by(|a, b| a.0 == b.0 || a.1 == b.1);
    assert_eq!(tokens.len(), 20);
}

#[test]
fn weakness_secrets_are_not_shown() {
    let mut world = World::new();
    let shown = format!(
        "{:?} {:?}",
        Settings::new(turn::nonce::NonceKey::generate(&mut rng(1))),
        world.rules.listener_mut(1)
    );
    assert!(shown.contains("<SECRET>"));
    assert!(!shown.contains(PASS), "{shown}");
}

#[test]
fn every_reason_has_a_counter_and_a_code_of_its_rfc() {
    for (at, reason) in RejectReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, at);
        let code = reason.code();
        assert!(stun::attribute::ErrorCode::named(code).is_some(), "{reason:?} {code}");
    }
    for (at, reason) in DropReason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, at);
    }
}
