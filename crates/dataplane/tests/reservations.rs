//! EVEN-PORT and RESERVATION-TOKEN with several workers: the kernel chooses the worker of each 5-tuple, and a token
//! is good at all of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use common::{Gateway, Text, await_that, code, static_user};
use kit::{AllocateOptions, EchoPeer, TurnClient};

/// With four workers, and a client on each side, chances that all pairs meet on one worker are nil.
const WORKERS: usize = 4;
const PAIRS: usize = 24;

fn even_pair() -> AllocateOptions {
    AllocateOptions { even_port: Some(true), ..AllocateOptions::default() }
}

fn claim(token: [u8; 8]) -> AllocateOptions {
    AllocateOptions { token: Some(token), ..AllocateOptions::default() }
}

fn is_free(relayed: SocketAddr) -> bool {
    UdpSocket::bind(relayed).is_ok()
}

/// A client on any worker with a pair, where the upper port is, and its token.
fn reserve(mut client: TurnClient) -> (TurnClient, SocketAddr, [u8; 8]) {
    let allocation = client.allocate_with(&even_pair()).unwrap();
    let lower = allocation.relayed;
    assert!(lower.port().is_multiple_of(2));
    (client, SocketAddr::new(lower.ip(), lower.port() + 1), allocation.token.unwrap())
}

#[test]
fn a_token_is_good_once_whichever_worker_it_comes_to() {
    let gateway = Gateway::with_workers(&Text::new(), WORKERS);
    let peer = EchoPeer::start();
    let mut used = BTreeSet::new();
    for round in 0..PAIRS {
        let client = || if round % 2 == 0 { gateway.udp() } else { gateway.tcp() };
        let (mut first, upper, token) = reserve(client());
        let mut second = client();
        let claimed = second.allocate_with(&claim(token)).unwrap();
        assert_eq!(claimed.relayed, upper);
        second.channel_bind(0x4000, peer.address()).unwrap();
        common::echo(&mut second, 0x4000, 3);

        assert_eq!(code(client().allocate_with(&claim(token))), 508, "a second time");
        first.refresh(0).unwrap();
        second.refresh(0).unwrap();
        used.extend([SocketAddr::new(upper.ip(), upper.port() - 1), upper]);
    }
    gateway.await_allocations(0);
    let still_open: Vec<_> = used.into_iter().filter(|relayed| !is_free(*relayed)).collect();
    assert_eq!(still_open, []);
}

#[test]
fn tokens_that_nobody_made_or_somebody_else_did_are_refused() {
    let text = Text::new().auth(common::EPHEMERAL);
    let gateway = Gateway::with_workers(&text, 2);
    let client = |user: &str| {
        TurnClient::udp(gateway.address()).with(kit::Credentials::ephemeral_for(
            "my-secret",
            user,
            Duration::from_secs(60),
        ))
    };
    let mut alice = client("alice");
    let token = alice.allocate_with(&even_pair()).unwrap().token.unwrap();
    for _ in 0..8 {
        assert_eq!(code(client("mallory").allocate_with(&claim(token))), 508);
        assert_eq!(code(client("alice").allocate_with(&claim([7; 8]))), 508);
    }
    client("alice").allocate_with(&claim(token)).unwrap();
}

#[test]
fn ports_in_reserve_count_for_the_quota_and_go_with_their_listener() {
    let text = Text::new().admin("healthcheck_endpoint: '', user_quota: 6");
    let gateway = Gateway::with_workers(&text, WORKERS);
    let pairs: Vec<_> = (0..3).map(|_| reserve(gateway.udp())).collect();
    assert_eq!(code(gateway.udp().allocate()), 486);
    let (_, upper, token) = &pairs[0];
    let mut second = gateway.udp();
    assert_eq!(second.allocate_with(&claim(*token)).unwrap().relayed, *upper);
    assert_eq!(code(gateway.udp().allocate()), 486, "claiming takes the unit over");
    second.refresh(0).unwrap();
    let mut third = TurnClient::udp(gateway.address()).with(static_user());
    third.allocate().unwrap();

    assert!(pairs[1..].iter().all(|(_, upper, _)| !is_free(*upper)));
    gateway.apply(&text.listeners(&[]));
    gateway.await_allocations(0);
    await_that("all ports are free", || pairs.iter().all(|(_, upper, _)| is_free(*upper)));
}

#[test]
fn a_draining_process_keeps_its_word_about_ports_in_reserve() {
    let gateway = Gateway::with_workers(&Text::new(), 2);
    let (_first, upper, token) = reserve(gateway.udp());
    gateway.dataplane.drain();
    assert_eq!(code(gateway.udp().allocate()), 508);
    assert_eq!(gateway.udp().allocate_with(&claim(token)).unwrap().relayed, upper);
}
