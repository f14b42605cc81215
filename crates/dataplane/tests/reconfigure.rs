//! Changes of a running dataplane: what goes on, what starts over, and what a refused change leaves alone.

mod common;

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{
    Call, EPHEMERAL, GATEWAY, Gateway, STATIC, Text, address, await_that, cluster, code, get, listener,
    scrape,
};
use kit::{Credentials, TurnClient};

#[test]
fn plaintext_to_ephemeral_and_back_under_a_live_call_drops_nothing_its_credentials_cover() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let (mut udp, mut tcp) = (Call::start(gateway.udp()), Call::start(gateway.tcp()));

    assert!(gateway.apply(&text.clone().auth(EPHEMERAL)).restarted.is_empty());
    for call in [&mut udp, &mut tcp] {
        call.goes_on();
        // What it asks for next it has to ask for with credentials that are good now.
        assert_eq!(code(call.client.refresh(600)), 401);
        call.goes_on();
    }
    let ephemeral = Credentials::ephemeral("my-secret", "4000000000:user");
    let mut other = Call::start(TurnClient::udp(gateway.address()).with(ephemeral));

    assert!(gateway.apply(&text).restarted.is_empty());
    for call in [&mut udp, &mut tcp] {
        call.goes_on();
        assert_eq!(call.client.refresh(600).unwrap(), 600);
        call.client.channel_bind(0x4000, call.peer.address()).unwrap();
        call.goes_on();
    }
    other.goes_on();
    assert_eq!(gateway.dataplane.allocations(), 3);
}

#[test]
fn r04_another_realm_is_in_force_at_once_and_restarts_nothing() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let renamed = text.clone().auth(&STATIC.replace("realm: r", "realm: other"));
    assert!(gateway.apply(&renamed).restarted.is_empty());
    call.goes_on();
    Call::start(gateway.udp()).goes_on();
    assert!(gateway.apply(&text).restarted.is_empty());
    call.goes_on();
    assert_eq!(call.client.refresh(600).unwrap(), 600);
}

#[test]
fn r01_administrative_changes_are_in_place_and_visible() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let metrics = kit::free_port();
    let changed = Text {
        admin: format!(
            "{{ name: renamed, loglevel: 'all:ERROR', user_quota: 7, healthcheck_endpoint: '', metrics_endpoint: 'http://127.0.0.1:{metrics}' }}"
        ),
        ..text
    };
    assert_eq!(gateway.apply(&changed).restarted, ["metrics: default-metrics"]);
    let status = serde_json::to_value(gateway.dataplane.status()).unwrap();
    assert_eq!(status["admin"]["name"], "renamed");
    assert_eq!(status["admin"]["loglevel"], "all:ERROR");
    assert_eq!(status["admin"]["quota"], "7");
    assert_eq!(scrape(address(metrics), "/any/path")["stunner_allocations_active"], 1.0);
    call.goes_on();
    assert!(gateway.apply(&changed).restarted.is_empty(), "the same again is nothing");
}

#[test]
fn r01_a_quota_that_is_set_later_counts_what_there_is() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    gateway.apply(&text.admin("healthcheck_endpoint: '', user_quota: 1"));
    assert_eq!(code(gateway.udp().allocate()), 486);
    call.goes_on();
    assert_eq!(call.client.refresh(0).unwrap(), 0);
    Call::start(gateway.udp());
}

#[test]
fn r02_only_the_listener_whose_port_changes_starts_over() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let (mut udp, mut tcp) = (Call::start(gateway.udp()), Call::start(gateway.tcp()));
    let other = kit::free_port();
    let moved = text.clone().listeners(&[
        listener("udp", "TURN-UDP", text.port, "[loop]"),
        listener("tcp", "TURN-TCP", other, "[loop]"),
    ]);
    assert_eq!(gateway.apply(&moved).restarted, ["listener: tcp"]);
    udp.goes_on();
    tcp.client.await_close();
    gateway.await_allocations(1);
    Call::start(TurnClient::tcp(address(other)).with(common::static_user()));
    assert!(std::net::TcpStream::connect(gateway.address()).is_err(), "the old port is closed");
}

#[test]
fn r02_a_listener_changes_its_protocol_on_its_port() {
    let port = kit::free_port();
    let text = Text { port, ..Text::new() }.listeners(&[listener("l", "TURN-UDP", port, "[loop]")]);
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let report = gateway.apply(&text.listeners(&[listener("l", "TURN-TCP", port, "[loop]")]));
    assert_eq!(report.restarted, ["listener: l"]);
    gateway.await_allocations(0);
    Call::start(gateway.tcp());
    call.client.set_patience(std::time::Duration::from_millis(100));
    assert!(call.client.binding().is_err(), "nobody listens on UDP");
}

#[test]
fn r02_two_listeners_trade_their_ports() {
    let (one, two) = (kit::free_port(), kit::free_port());
    let listeners = |a, b| [listener("a", "TURN-UDP", a, "[loop]"), listener("b", "TURN-UDP", b, "[]")];
    let text = Text::new().listeners(&listeners(one, two));
    let gateway = Gateway::start(&text);
    let report = gateway.apply(&text.listeners(&listeners(two, one)));
    assert_eq!(report.restarted, ["listener: a", "listener: b"]);
    Call::start(TurnClient::udp(address(two)).with(common::static_user()));
}

#[test]
fn r02_a_listener_is_renamed_on_its_port() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let renamed = text.clone().listeners(&[listener("new", "TURN-UDP", text.port, "[loop]")]);
    assert!(gateway.apply(&renamed).restarted.is_empty());
    Call::start(gateway.udp());
}

#[test]
fn r02_public_addresses_and_routes_change_in_place() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let public = text
        .yaml()
        .replace("routes: [loop]", "routes: [loop, none], public_address: 1.2.3.4, public_port: 5");
    let config = config::Config::parse(&public, &config::env::empty).unwrap();
    let report = gateway.dataplane.apply(&[(GATEWAY.to_owned(), config)].into()).unwrap();
    assert!(report.restarted.is_empty());
    call.goes_on();
}

#[test]
fn r06_routes_and_clusters_come_and_go_under_a_call() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let with = |clusters: &[String], routes: &str| {
        let listeners = [listener("udp", "TURN-UDP", text.port, routes)];
        Text { clusters: clusters.to_vec(), ..text.clone() }.listeners(&listeners)
    };
    let loopback = cluster("loop", "[127.0.0.0/8]");
    let narrow = cluster("narrow", "[127.0.0.1]");

    // Its cluster is removed, then its route, then the address from the cluster: each silences the call at once.
    for silenced in [
        with(&[], "[loop]"),
        with(std::slice::from_ref(&loopback), "[]"),
        with(&[cluster("loop", "[10.0.0.1]")], "[loop]"),
        with(&[cluster("loop", "['127.0.0.1:<1-1>']")], "[loop]"),
        with(&[cluster("loop", "protocol: TCP, endpoints: [127.0.0.1]")], "[loop]"),
    ] {
        assert!(gateway.apply(&silenced).restarted.is_empty());
        call.is_silent();
        assert!(gateway.apply(&with(std::slice::from_ref(&loopback), "[loop]")).restarted.is_empty());
        call.goes_on();
    }
    // The peer moves from one routed cluster to another, among dangling routes and empty clusters.
    let moved =
        with(&[narrow, cluster("loop", "[10.0.0.1]"), cluster("empty", "[]")], "[dangling, loop, narrow]");
    assert!(gateway.apply(&moved).restarted.is_empty());
    call.goes_on();
    // No listener: not even Binding.
    gateway.apply(&Text { listeners: Vec::new(), ..moved });
    gateway.await_allocations(0);
    call.client.set_patience(std::time::Duration::from_millis(100));
    assert!(call.client.binding().is_err());
}

#[test]
fn r07_a_static_cluster_becomes_a_domain() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let domain = Text { clusters: vec![cluster("loop", "type: STRICT_DNS, endpoints: [localhost]")], ..text };
    assert_eq!(gateway.apply(&domain).restarted, ["cluster: loop"]);
    // As soon as the name is resolved, what was granted flows again.
    await_that("the domain is resolved", || {
        let mut client = gateway.udp();
        client.allocate().unwrap();
        client.create_permission(call.peer.address()).is_ok()
    });
    call.is_heard_again();
    call.goes_on();
    let other_case =
        Text { clusters: vec![cluster("loop", "type: STRICT_DNS, endpoints: [LOCALHOST]")], ..domain };
    assert!(gateway.apply(&other_case).restarted.is_empty());
    call.goes_on();
}

#[test]
fn r08_a_change_of_another_listener_disturbs_nobody() {
    let text = Text::new();
    let gateway = Gateway::with_workers(&text, 2);
    let stop = Arc::new(AtomicBool::new(false));
    let calls: Vec<_> = [gateway.udp(), gateway.tcp()]
        .map(|client| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut call = Call::start(client);
                while !stop.load(Ordering::Relaxed) {
                    call.goes_on();
                }
            })
        })
        .into();
    for _ in 0..20 {
        let mut listeners = text.listeners.clone();
        listeners.push(listener("other", "TURN-UDP", kit::free_port(), "[loop]"));
        listeners.push(listener("another", "TURN-TCP", kit::free_port(), "[loop]"));
        gateway.apply(&text.clone().listeners(&listeners));
    }
    gateway.apply(&text);
    stop.store(true, Ordering::Relaxed);
    calls.into_iter().for_each(|call| call.join().unwrap());
}

/// Everything in the way of a change is found before anything is touched.
#[test]
fn r11_a_refused_change_leaves_everything_as_it_was() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let (taken_udp, taken_tcp) = (UdpSocket::bind("[::]:0").unwrap(), TcpListener::bind("[::]:0").unwrap());
    let udp_port = taken_udp.local_addr().unwrap().port();
    let tcp_port = taken_tcp.local_addr().unwrap().port();
    let fresh = kit::free_port();
    let with = |more: &[String]| {
        let mut listeners = vec![listener("fresh", "TURN-UDP", fresh, "[]")];
        listeners.extend_from_slice(more);
        text.clone().listeners(&listeners)
    };
    for (bad, reason) in [
        (with(&[listener("x", "TURN-UDP", udp_port, "[]")]), "Address already in use"),
        (with(&[listener("x", "TURN-TCP", tcp_port, "[]")]), "Address already in use"),
        (with(&[listener("x", "TURN-UDP", fresh, "[]")]), "both want UDP port"),
        (text.clone().admin(&format!("healthcheck_endpoint: 'http://:{tcp_port}'")), "no HTTP server"),
        (text.clone().admin("healthcheck_endpoint: 'http://example.org:80'"), "healthcheck_endpoint"),
        (text.clone().admin("healthcheck_endpoint: '', metrics_endpoint: foo"), "metrics_endpoint"),
    ] {
        let error = gateway.try_apply(&bad).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        call.goes_on();
        assert!(UdpSocket::bind(("::", fresh)).is_ok(), "nothing stays open");
        let status = serde_json::to_value(gateway.dataplane.status()).unwrap();
        assert_eq!(status["listeners"].as_array().unwrap().len(), 2, "{status}");
    }
    assert_eq!(call.client.refresh(600).unwrap(), 600);
}

/// Nothing of a live listener is given up for a change that will not work.
#[test]
fn w02_a_listener_whose_address_becomes_none_serves_on_at_the_old_one() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.udp());
    let mut bad = text.config();
    for listener in &mut bad.listeners {
        "example.org".clone_into(&mut listener.address);
    }
    let error = gateway.dataplane.apply(&[(GATEWAY.to_owned(), bad)].into()).unwrap_err().to_string();
    assert!(error.contains("invalid listener address: \"example.org\""), "{error}");
    call.goes_on();
    Call::start(gateway.udp());
    assert!(gateway.apply(&text).restarted.is_empty());
    call.goes_on();
}

#[test]
fn r10_alternating_configurations_under_readers() {
    let text = Text::new();
    let health = address(kit::free_port());
    let text = text.admin(&format!("healthcheck_endpoint: 'http://{health}'"));
    let gateway = Gateway::start(&text);
    let other = text.clone().auth(&STATIC.replace("realm: r", "realm: other"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let (status, _, body) = get(health, "/status").unwrap();
                    assert!(
                        status.contains("200") && body.ends_with("\"status\":\"READY\"}"),
                        "{status} {body}"
                    );
                }
            });
        }
        for _ in 0..50 {
            gateway.apply(&other);
            gateway.apply(&text);
        }
        stop.store(true, Ordering::Relaxed);
    });
    Call::start(gateway.udp());
}

#[test]
fn several_gateways_live_side_by_side() {
    let (one, two) = (Text::new(), Text::new().auth(EPHEMERAL));
    let gateway = Gateway::start(&one);
    let mut call = Call::start(gateway.udp());
    let both = [("one".to_owned(), one.config()), ("two".to_owned(), two.config())];
    // The first gateway has another name than before: it is another gateway.
    gateway.dataplane.apply(&both.clone().into()).unwrap();
    call.client.set_patience(std::time::Duration::from_millis(100));
    let mut first = Call::start(gateway.udp());
    let ephemeral = Credentials::ephemeral("my-secret", "4000000000:user");
    let mut second = Call::start(TurnClient::udp(address(two.port)).with(ephemeral));
    gateway.dataplane.apply(&[both[0].clone()].into()).unwrap();
    first.goes_on();
    second.client.set_patience(std::time::Duration::from_millis(100));
    assert!(second.client.binding().is_err());
}
