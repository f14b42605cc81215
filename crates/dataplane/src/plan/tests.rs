use super::*;

const BASE: &str = r#"
version: v1
admin: { name: gw, metrics_endpoint: "http://127.0.0.1:8080/metrics", healthcheck_endpoint: "http://127.0.0.1:8086" }
auth: { type: static, realm: r, credentials: { username: u, password: p } }
listeners:
- { name: udp, protocol: TURN-UDP, address: 127.0.0.1, port: 3478, routes: [a] }
- { name: tcp, protocol: TURN-TCP, address: 127.0.0.1, port: 3478, routes: [a] }
clusters:
- { name: a, endpoints: [10.0.0.1] }
- { name: d, type: STRICT_DNS, endpoints: [media.example.org] }
"#;

fn wanted(text: &str) -> Wanted {
    check(text).unwrap()
}

fn check(text: &str) -> Result<Wanted, ApplyError> {
    let config = Config::parse(text, &config::env::empty).unwrap();
    Wanted::check(&BTreeMap::from([("gw".to_owned(), config)]))
}

/// The plan for replacing some text of the base by another.
fn change(edits: &[(&str, &str)]) -> Plan {
    let mut text = BASE.to_owned();
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Plan::between(&wanted(BASE), &wanted(&text))
}

fn key(name: &str) -> Key {
    Key { gateway: "gw".to_owned(), name: name.to_owned() }
}

#[test]
fn nothing_restarts_when_nothing_that_needs_it_changes() {
    for edits in [
        &[][..],
        &[("realm: r", "realm: another")],
        &[("username: u, password: p", "username: v, password: q")],
        &[("type: static", "type: none")],
        &[("routes: [a]", "routes: [a, d, dangling]")],
        &[("routes: [a]", "routes: [a], public_address: 1.2.3.4, public_port: 99")],
        &[("[10.0.0.1]", "[10.0.0.2, 10.0.0.3]")],
        &[("[media.example.org]", "[MEDIA.example.org]")],
        &[("admin: { name: gw", "admin: { name: gw2, loglevel: all:DEBUG, user_quota: 3")],
    ] {
        assert_eq!(change(edits), Plan::default(), "{edits:?}");
    }
}

#[test]
fn r02_protocol_address_and_port_restart_that_listener_only() {
    for edits in [
        &[("port: 3478", "port: 3479")][..],
        &[("address: 127.0.0.1", "address: 127.0.0.2")],
        &[("address: 127.0.0.1, port: 3478", "address: 127.0.0.1, bind_address: 127.0.0.1, port: 3478")],
        &[("TURN-UDP", "TURN-TCP"), ("port: 3478", "port: 3479")],
    ] {
        let plan = change(edits);
        assert_eq!((plan.open, plan.close), (vec![key("udp")], vec![key("udp")]), "{edits:?}");
        assert_eq!(plan.restarted, ["listener: udp"]);
    }
}

#[test]
fn r02_a_new_name_is_another_listener_and_no_restart() {
    let plan = change(&[("name: udp", "name: renamed")]);
    assert_eq!((plan.open, plan.close), (vec![key("renamed")], vec![key("udp")]));
    assert!(plan.restarted.is_empty());
}

#[test]
fn r01_and_r05_and_r07_other_restarts_are_reported_by_name() {
    let plan = change(&[("8080/metrics", "8081/metrics"), ("127.0.0.1:8086", ":8087")]);
    assert_eq!(plan.restarted, ["health: default-health", "metrics: default-metrics"]);
    assert_eq!((plan.serve.len(), plan.retire.len()), (2, 2));

    let plan = change(&[("8080/metrics", "8080/other")]);
    assert_eq!(plan.restarted, ["metrics: default-metrics"]);
    assert_eq!((plan.serve.len(), plan.retire.len()), (0, 0), "another path needs no other socket");

    let plan = change(&[("name: gw", "name: gw, offload_engine: Auto")]);
    assert_eq!(plan.restarted, ["offload: default-offload"]);

    for edits in [
        &[("[media.example.org]", "[other.example.org]")][..],
        &[("type: STRICT_DNS, endpoints: [media.example.org]", "endpoints: [10.0.0.9]")],
    ] {
        assert_eq!(change(edits).restarted, ["cluster: d"], "{edits:?}");
    }
}

#[test]
fn two_listeners_on_one_port_are_refused_and_two_transports_are_not() {
    let clash = BASE.replace("TURN-TCP", "TURN-UDP");
    let error = check(&clash).unwrap_err().to_string();
    assert!(error.contains("3478") && error.contains("udp") && error.contains("tcp"), "{error}");

    let apart = clash
        .replacen("port: 3478", "port: 3478, bind_address: 127.0.0.1", 1)
        .replacen("port: 3478,", "port: 3478, bind_address: 127.0.0.2,", 2)
        .replacen("bind_address: 127.0.0.2, bind_address: 127.0.0.1", "bind_address: 127.0.0.1", 1);
    assert!(check(&apart).is_ok(), "{apart}");
}

#[test]
fn an_address_that_is_none_is_refused_by_name_of_the_gateway() {
    let error = check(&BASE.replacen("address: 127.0.0.1", "address: dummy", 1)).unwrap_err().to_string();
    assert!(error.contains("invalid listener address") && error.contains("gw"), "{error}");
}

#[test]
fn gateways_share_an_endpoint() {
    let configs = ["one", "two"].map(|name| {
        let text = BASE.replace("3478", if name == "one" { "3478" } else { "3480" });
        (name.to_owned(), Config::parse(&text, &config::env::empty).unwrap())
    });
    let wanted = Wanted::check(&BTreeMap::from(configs)).unwrap();
    assert_eq!(wanted.endpoints.len(), 2);
    let health: Vec<_> = wanted.endpoints.values().filter(|roles| !roles.health.is_empty()).collect();
    assert_eq!(health[0].health.len(), 2);
}
