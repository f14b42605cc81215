//! Every kind of change under fifty calls that never pause: no call is lost, and no packet.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::{Gateway, Pair, Text, address, await_that, listener, static_user};
use kit::{EchoPeer, Part, TurnClient};

const CALLS: usize = 50;
const CHANNEL: u16 = 0x4000;

/// Calls that all have a packet on its way, all the time.
struct Crowd {
    calls: Vec<TurnClient>,
    /// All of them have had their packets back so often.
    rounds: AtomicUsize,
    over: AtomicBool,
}

impl Crowd {
    /// A quarter each over UDP, TCP, TLS, and DTLS if there is somebody who speaks it.
    fn gather(gateway: &Gateway, secure: SocketAddr, openssl: Option<&Part>, peer: &EchoPeer) -> Self {
        let tls = || TurnClient::tls(secure).with(static_user());
        let dtls = || openssl.map_or_else(tls, |part| TurnClient::dtls(part, secure).with(static_user()));
        let ways: [&dyn Fn() -> TurnClient; 4] = [&|| gateway.udp(), &|| gateway.tcp(), &tls, &dtls];
        let join = |way: &dyn Fn() -> TurnClient| {
            let mut client = way();
            client.allocate().unwrap();
            client.channel_bind(CHANNEL, peer.address()).unwrap();
            client
        };
        let calls = ways.into_iter().cycle().take(CALLS).map(join).collect();
        Self { calls, rounds: AtomicUsize::new(0), over: AtomicBool::new(false) }
    }

    /// Talks until it is over. A packet that does not come back ends it early, and the test.
    fn talk(calls: &mut [TurnClient], rounds: &AtomicUsize, over: &AtomicBool) {
        while !over.load(Ordering::Acquire) {
            let message = format!("round {}", rounds.load(Ordering::Relaxed));
            for call in &mut *calls {
                call.send_channel(CHANNEL, message.as_bytes());
            }
            for call in &mut *calls {
                assert_eq!(call.recv().data(), message.as_bytes());
            }
            rounds.fetch_add(1, Ordering::Release);
        }
    }
}

/// Ends the talking, also when the test fails.
struct End<'o>(&'o AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A change, and what it must report as restarted.
type Change = (&'static str, fn(&mut Text), &'static [&'static str]);

const CHANGES: [Change; 13] = [
    ("other certificates", other_certificates, &[]),
    ("other credentials", |text| text.auth = text.auth.replace("password: pass", "password: other"), &[]),
    ("another kind of credentials", |text| text.auth = common::EPHEMERAL.to_owned(), &[]),
    ("another realm", |text| text.auth = text.auth.replace("realm: r", "realm: other"), &[]),
    ("one route more", |text| with_routes(text, "[loop, more]", &[("more", "[192.0.2.0/24]")]), &[]),
    ("a route that leads nowhere", |text| with_routes(text, "[gone, loop]", &[]), &[]),
    (
        "the peer in another cluster",
        |text| with_routes(text, "[ahead, loop]", &[("ahead", "[127.0.0.1]")]),
        &[],
    ),
    ("a narrower cluster", |text| text.clusters[0] = common::cluster("loop", "[127.0.0.1]"), &[]),
    ("a quota", |text| with_admin(text, "user_quota: 1"), &[]),
    ("another log level", |text| with_admin(text, "loglevel: 'all:ERROR'"), &[]),
    ("another public address", |text| public_address(text, "192.0.2.7"), &[]),
    ("a listener more", add_listener, &[]),
    ("another name", |text| with_admin(text, "name: renamed"), &[]),
];

fn with_routes(text: &mut Text, routes: &str, more: &[(&str, &str)]) {
    for listener in &mut text.listeners {
        *listener = listener.replace("routes: [loop]", &format!("routes: {routes}"));
    }
    text.clusters.extend(more.iter().map(|(name, endpoints)| common::cluster(name, endpoints)));
}

/// Later keys of a mapping would be duplicates, so the name is left to whoever brings one.
fn with_admin(text: &mut Text, field: &str) {
    let name =
        if field.starts_with("name:") { String::new() } else { format!("name: {}, ", common::GATEWAY) };
    text.admin = format!("{{ {name}healthcheck_endpoint: '', {field} }}");
}

fn public_address(text: &mut Text, public: &str) {
    for listener in &mut text.listeners {
        *listener = listener.replacen('{', &format!("{{ public_address: {public}, public_port: 443, "), 1);
    }
}

fn other_certificates(text: &mut Text) {
    let (old, new) = (text.listeners.split_off(2), Pair::new());
    for listener in old {
        let (front, rest) = listener.split_once("cert: ").unwrap();
        let (_, rest) = rest.split_once("name: ").unwrap();
        text.listeners.push(format!("{front}cert: {}, key: {}, name: {rest}", new.cert, new.key));
    }
}

fn add_listener(text: &mut Text) {
    text.listeners.push(listener("more", "TURN-UDP", kit::free_port(), "[loop]"));
}

#[test]
fn fifty_calls_lose_nothing_to_any_change() {
    let (mut text, pair, secure) = (Text::new(), Pair::new(), kit::free_port());
    text.listeners.push(pair.listener("tls", "TURN-TLS", secure));
    text.listeners.push(pair.listener("dtls", "TURN-DTLS", secure));
    let gateway = Gateway::with_workers(&text, 2);
    let peer = EchoPeer::start();
    let openssl = kit::need("openssl");
    let crowd = Crowd::gather(&gateway, address(secure), openssl.as_ref(), &peer);
    let Crowd { mut calls, rounds, over } = crowd;
    thread::scope(|scope| {
        let talk = scope.spawn(|| Crowd::talk(&mut calls, &rounds, &over));
        let end = End(&over);
        let rounds_pass = |what: &str| {
            let before = rounds.load(Ordering::Acquire);
            await_that(what, || talk.is_finished() || rounds.load(Ordering::Acquire) >= before + 3);
            assert!(!talk.is_finished(), "a packet is lost: {what}");
        };
        for (what, change, restarted) in CHANGES {
            let mut changed = text.clone();
            change(&mut changed);
            assert_ne!(changed.yaml(), text.yaml(), "{what}");
            assert_eq!(gateway.apply(&changed).restarted, restarted, "{what}");
            rounds_pass(what);
            assert_eq!(gateway.apply(&text).restarted, restarted, "undo: {what}");
            rounds_pass(&format!("undo: {what}"));
            assert_eq!(gateway.dataplane.allocations(), CALLS, "{what}");
        }
        drop(end);
    });
    for call in &mut calls {
        assert_eq!(call.refresh(0).unwrap(), 0);
    }
    gateway.await_allocations(0);
    assert!(TurnClient::udp(address(text.port)).binding().is_ok());
}
