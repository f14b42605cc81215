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
    Wanted::check(&BTreeMap::from([("gw".to_owned(), config)]), &Wanted::default()).map(|(wanted, _)| wanted)
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
    let (wanted, refused) = Wanted::check(&BTreeMap::from(configs), &Wanted::default()).unwrap();
    assert!(refused.is_empty());
    assert_eq!(wanted.endpoints.len(), 2);
    let health: Vec<_> = wanted.endpoints.values().filter(|roles| !roles.health.is_empty()).collect();
    assert_eq!(health[0].health.len(), 2);
}

#[test]
fn a_gateway_that_makes_no_sense_stays_what_it_was_and_keeps_nobody_waiting() {
    let parse = |text: &str| Config::parse(text, &config::env::empty).unwrap();
    let good = parse(BASE);
    let mut bad = good.clone();
    "example.org".clone_into(&mut bad.listeners[0].address);
    bad.auth.realm = "another".to_owned();
    let other = parse(&BASE.replace("3478", "3479").replace("realm: r", "realm: new"));
    let set = |gateways: &[(&str, &Config)]| -> BTreeMap<String, Config> {
        gateways.iter().map(|(name, config)| ((*name).to_owned(), (*config).clone())).collect()
    };
    let (running, _) = Wanted::check(&set(&[("gw", &good)]), &Wanted::default()).unwrap();

    let (wanted, refused) = Wanted::check(&set(&[("gw", &bad), ("other", &other)]), &running).unwrap();
    assert_eq!(refused.keys().collect::<Vec<_>>(), ["gw"]);
    assert!(refused["gw"].contains("invalid listener address"), "{refused:?}");
    assert_eq!(wanted.gateways["gw"].config, running.gateways["gw"].config);
    assert_eq!(wanted.gateways["other"].config.auth.realm, "new");
    assert_eq!(wanted.listeners.len(), 4);
    let health = wanted.endpoints.values().flat_map(|roles| &roles.health);
    assert_eq!(health.collect::<Vec<_>>(), ["gw", "other"]);

    // One that has never run is not there, and does not leave a part of itself behind.
    let (wanted, refused) = Wanted::check(&set(&[("new", &bad), ("other", &other)]), &running).unwrap();
    assert_eq!((wanted.gateways.len(), wanted.listeners.len(), refused.len()), (1, 2, 1));
    assert!(wanted.endpoints.values().all(|roles| !roles.health.contains("new")));

    // Where nothing would change, the whole is refused; a gateway that is gone is a change.
    let error = Wanted::check(&set(&[("gw", &bad)]), &running).unwrap_err();
    assert!(matches!(error, ApplyError::Invalid { gateway, .. } if gateway == "gw"));
    let (running, _) = Wanted::check(&set(&[("gw", &good), ("other", &other)]), &running).unwrap();
    let (wanted, refused) = Wanted::check(&set(&[("gw", &bad)]), &running).unwrap();
    assert_eq!((wanted.gateways.len(), refused.len()), (1, 1));
}
