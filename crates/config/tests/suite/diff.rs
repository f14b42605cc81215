//! What a change of configuration amounts to.

use crate::common::{certificate, parse, private_key};
use config::{
    Config,
    diff::{Change, ClusterEffect, Diff, ListenerEffect},
};

fn base() -> String {
    format!(
        "version: v1
admin: {{ name: a/b }}
auth: {{ credentials: {{ username: u, password: p }} }}
listeners:
- {{ name: udp, routes: [fixed, named] }}
- {{ name: tls, protocol: TLS, port: 443, cert: {}, key: {} }}
clusters:
- {{ name: fixed, endpoints: [10.0.0.1] }}
- {{ name: named, type: STRICT_DNS, endpoints: [one.example, two.example] }}
",
        certificate(),
        private_key()
    )
}

/// The base configuration with one text replaced by another.
fn changed(from: &str, to: &str) -> (Config, Config) {
    let text = base();
    assert!(text.contains(from), "{from}");
    (parse(&text).expect("base"), parse(&text.replacen(from, to, 1)).expect("changed"))
}

fn restarts(from: &str, to: &str) -> Vec<String> {
    let (old, new) = changed(from, to);
    let diff = Diff::between(&old, &new);
    assert!(!diff.is_empty(), "{from} -> {to}");
    diff.restarts()
}

#[test]
fn the_same_again_is_nothing() {
    let (old, new) = changed("routes: [fixed, named]", "routes: [named, fixed]");
    assert!(Diff::between(&old, &new).is_empty());
}

#[test]
fn r01_process_settings_apply_in_place() {
    for setting in ["loglevel: all:TRACE", "user_quota: 3", "license_config: { key: k }"] {
        assert_eq!(restarts("name: a/b", &format!("name: a/b, {setting}")), [""; 0], "{setting}");
    }
    assert_eq!(restarts("name: a/b", "name: a/c"), [""; 0]);
    assert_eq!(
        restarts("name: a/b", "metrics_endpoint: 'http://:1', name: a/b"),
        ["metrics: default-metrics"]
    );
    assert_eq!(restarts("name: a/b", "healthcheck_endpoint: '', name: a/b"), ["health: default-health"]);
    assert_eq!(restarts("password: p", "password: q"), [""; 0]);
    assert_eq!(restarts("credentials: {", "type: ephemeral, credentials: { secret: s,"), [""; 0]);
}

#[test]
fn r02_listeners_restart_for_sockets_only() {
    for setting in ["port: 1", "address: 10.0.0.9", "protocol: TCP", "bind_address: 127.0.0.1"] {
        assert_eq!(restarts("name: udp", &format!("name: udp, {setting}")), ["listener: udp"], "{setting}");
    }
    for setting in ["public_address: 1.2.3.4", "public_port: 1", "cert: ignored", "key: ignored"] {
        let (old, new) = changed("name: udp", &format!("name: udp, {setting}"));
        let [Change::Changed { effect: ListenerEffect::InPlace, .. }] =
            Diff::between(&old, &new).listeners[..]
        else {
            panic!("{setting}");
        };
    }
    assert_eq!(restarts("routes: [fixed, named]", "routes: []"), [""; 0]);
}

#[test]
fn r02_renaming_is_removing_and_adding() {
    let (old, new) = changed("name: udp", "name: other");
    let diff = Diff::between(&old, &new);
    assert!(diff.restarts().is_empty());
    let [Change::Removed(gone), Change::Added(here)] = diff.listeners[..] else { panic!("{diff:?}") };
    assert_eq!((gone.name.as_str(), here.name.as_str()), ("udp", "other"));
}

#[test]
fn r03_another_certificate_is_not_a_restart() {
    let old = parse(&base()).unwrap();
    let mut new = old.clone();
    new.listeners[1].key = "another".into();
    let diff = Diff::between(&old, &new);
    assert!(diff.restarts().is_empty());
    let [Change::Changed { effect: ListenerEffect::Certificate, new, .. }] = diff.listeners[..] else {
        panic!("{diff:?}");
    };
    assert_eq!(new.name, "tls");
    assert_eq!(restarts("protocol: TLS", "protocol: DTLS"), ["listener: tls"]);
}

#[test]
fn r04_a_new_realm_restarts_every_listener_that_stays() {
    assert_eq!(restarts("credentials:", "realm: other, credentials:"), ["listener: udp", "listener: tls"]);
    let text = base().replace("name: udp", "name: new").replace("auth: {", "auth: { realm: other,");
    let (old, new) = (parse(&base()).unwrap(), parse(&text).unwrap());
    assert_eq!(Diff::between(&old, &new).restarts(), ["listener: tls"]);
}

#[test]
fn r05_offload_restarts_alone() {
    assert_eq!(restarts("name: a/b", "name: a/b, offload_engine: TC"), ["offload: default-offload"]);
    assert_eq!(restarts("name: a/b", "name: a/b, offload_interfaces: [eth0]"), ["offload: default-offload"]);
}

#[test]
fn r07_clusters_restart_for_other_domains_only() {
    assert_eq!(restarts("endpoints: [10.0.0.1]", "endpoints: [10.0.0.2]"), [""; 0]);
    assert_eq!(restarts("endpoints: [10.0.0.1]", "protocol: TCP, endpoints: [10.0.0.1]"), [""; 0]);
    assert_eq!(
        restarts("endpoints: [10.0.0.1]", "type: STRICT_DNS, endpoints: [x.example]"),
        ["cluster: fixed"]
    );
    assert_eq!(restarts("one.example", "three.example"), ["cluster: named"]);
    let (old, new) = changed("one.example", "ONE.example");
    let diff = Diff::between(&old, &new);
    let [Change::Changed { effect: ClusterEffect::InPlace, .. }] = diff.clusters[..] else {
        panic!("{diff:?}")
    };
}
