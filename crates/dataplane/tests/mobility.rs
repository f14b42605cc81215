//! Clients that change their address and keep their relay, whichever workers the addresses belong to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Gateway, Text, code, echo};
use kit::{EchoPeer, TurnClient};
use stun::attribute::XorRelayedAddress;

/// With four workers, eight moves all within one are as good as impossible.
const WORKERS: usize = 4;
const MOVES: usize = 8;

fn text(mobility: bool) -> Text {
    let text = Text::new();
    let listener = |protocol: &str| {
        let port = text.port;
        let rest = format!("address: 127.0.0.1, port: {port}, routes: [loop], mobility: {mobility}");
        format!("{{ name: {protocol}, protocol: {protocol}, {rest} }}")
    };
    let listeners = [listener("udp"), listener("tcp")];
    text.listeners(&listeners)
}

fn moves(gateway: &Gateway, client: impl Fn() -> TurnClient) {
    let peer = EchoPeer::start();
    let mut before = client();
    let answer = before.allocate_mobile().unwrap();
    let relayed = answer.expect::<XorRelayedAddress>().0;
    let mut ticket = answer.ticket();
    before.channel_bind(0x4000, peer.address()).unwrap();
    for _ in 0..MOVES {
        let mut after = client();
        ticket = after.refresh_mobile(&ticket).unwrap().ticket();
        // Both places are good until data comes from the new one.
        echo(&mut before, 0x4000, 2);
        after.channel_bind(0x4000, peer.address()).unwrap();
        echo(&mut before, 0x4000, 2);
        echo(&mut after, 0x4000, 3);
        assert_eq!(code(before.refresh(600)), 437);
        after.send(peer.address(), b"by indication");
        assert_eq!(after.recv().data(), b"by indication");
        assert_eq!(gateway.dataplane.allocations(), 1);
        before = after;
    }
    assert!(peer.sources().iter().all(|source| *source == relayed), "the peer has noticed nothing");
    before.refresh(0).unwrap();
    gateway.await_allocations(0);
    // Where it was last it may have another one.
    before.allocate_mobile().unwrap();
    before.channel_bind(0x4000, peer.address()).unwrap();
    echo(&mut before, 0x4000, 2);
    before.refresh(0).unwrap();
    gateway.await_allocations(0);
}

#[test]
fn a_client_takes_its_relay_along_from_worker_to_worker() {
    for workers in [1, WORKERS] {
        for headless_short_cut in [true, false] {
            let options = dataplane::Options { workers, headless_short_cut, ..dataplane::Options::default() };
            let gateway = Gateway::with_options(&text(true), options);
            moves(&gateway, || gateway.udp());
            moves(&gateway, || gateway.tcp());
        }
    }
}

#[test]
fn a_connection_that_is_lost_is_followed_by_the_next_one() {
    let gateway = Gateway::with_workers(&text(true), WORKERS);
    let peer = EchoPeer::start();
    let mut client = gateway.tcp();
    let mut ticket = client.allocate_mobile().unwrap().ticket();
    client.channel_bind(0x4000, peer.address()).unwrap();
    for _ in 0..MOVES {
        let mut next = gateway.tcp();
        ticket = next.refresh_mobile(&ticket).unwrap().ticket();
        // Its end, and not data, is what completes the move.
        drop(client);
        client = next;
        client.channel_bind(0x4000, peer.address()).unwrap();
        echo(&mut client, 0x4000, 2);
    }
    assert_eq!(gateway.dataplane.allocations(), 1);
    drop(client);
    gateway.await_allocations(0);
}

#[test]
fn moved_clients_of_several_workers_reach_each_other() {
    let gateway = Gateway::with_workers(&text(true), WORKERS);
    let mut calls: Vec<_> = (0..2)
        .map(|_| {
            let mut client = gateway.udp();
            let answer = client.allocate_mobile().unwrap();
            (client, answer.expect::<XorRelayedAddress>().0, answer.ticket())
        })
        .collect();
    let relayed = [calls[0].1, calls[1].1];
    for round in 0..MOVES {
        let at = round % 2;
        let mut moved = gateway.udp();
        let ticket = moved.refresh_mobile(&calls[at].2).unwrap().ticket();
        (calls[at].0, calls[at].2) = (moved, ticket);
        for (own, other) in [(0, 1), (1, 0)] {
            calls[own].0.channel_bind(0x4000, relayed[other]).unwrap();
        }
        // The one that moved is heard of by what it sends.
        for (own, other) in [(at, 1 - at), (1 - at, at)] {
            calls[own].0.send_channel(0x4000, b"hello");
            let heard = calls[other].0.recv();
            assert_eq!((heard.data(), heard.peer()), (&b"hello"[..], relayed[own]));
        }
    }
}

#[test]
fn tickets_are_given_and_taken_only_where_that_is_configured() {
    let gateway = Gateway::with_workers(&text(false), WORKERS);
    for mut client in [gateway.udp(), gateway.tcp()] {
        assert_eq!(code(client.allocate_mobile()), 405);
        client.allocate().unwrap();
        assert_eq!(code(client.refresh_mobile(&[1; 16])), 405);
        client.refresh(0).unwrap();
    }
    // A ticket that nobody has given, for each of the workers.
    let gateway = Gateway::with_workers(&text(true), WORKERS);
    for first in 0..=WORKERS as u8 {
        for mut client in [gateway.udp(), gateway.tcp()] {
            let guess: Vec<_> = std::iter::once(first).chain([7; 15]).collect();
            assert_eq!(code(client.refresh_mobile(&guess)), 437);
            assert_eq!(client.binding().unwrap(), client.local());
            client.allocate().unwrap();
        }
    }
}
