//! Asking one dataplane why: which listener, route and cluster decide about a peer, and why clients were refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Gateway, Text, address, code, get, listener};
use kit::{Credentials, TurnClient};

fn text(health: u16) -> Text {
    let mut text = Text::new()
        .admin(&format!("healthcheck_endpoint: 'http://127.0.0.1:{health}'"))
        .clusters(&[("loop", "endpoints: ['127.0.0.1:<1000-2000>']"), ("other", "endpoints: [10.0.0.0/8]")]);
    text.listeners = vec![
        listener("udp", "TURN-UDP", text.port, "[loop, missing, other]"),
        listener("tcp", "TURN-TCP", text.port, "[]"),
    ];
    text
}

fn ask(health: u16, question: &str) -> serde_json::Value {
    let (status, _, body) = get(address(health), &format!("/explain?{question}")).unwrap();
    assert!(status.contains("200"), "{status} {body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn listener_route_and_cluster_that_allow_or_refuse_a_peer_are_named() {
    let health = kit::free_port();
    let text = text(health);
    let gateway = Gateway::start(&text);
    // Whatever the process calls the gateway.
    gateway.dataplane.apply(&[("default".to_owned(), text.config())].into()).unwrap();
    let answer = ask(health, "peer=127.0.0.1:1500");
    let [udp, tcp] = answer["listeners"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&udp["listener"], &udp["allowed"]), (&"udp".into(), &true.into()));
    let explanations: Vec<_> = udp["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| route["explanation"].as_str().unwrap())
        .collect();
    assert_eq!(explanations[0], "contains the peer");
    assert_eq!(explanations[1], "there is no cluster of this name");
    assert!(explanations[2].starts_with("no endpoint contains the address"), "{answer}");
    assert_eq!(tcp["allowed"], false);
    assert!(tcp["explanation"].as_str().unwrap().contains("no routes"), "{answer}");

    let answer = ask(health, "peer=127.0.0.1:3000");
    assert!(answer["listeners"][0]["explanation"].as_str().unwrap().contains("not this port"), "{answer}");
    let answer = ask(health, "peer=0.0.0.0:3000");
    assert!(answer["listeners"][0]["explanation"].as_str().unwrap().contains("no peer can have"), "{answer}");
    let (status, _, body) = get(address(health), "/explain?peer=nonsense").unwrap();
    assert!(status.contains("400") && body.contains("peer"), "{status} {body}");
}

#[test]
fn last_refusals_of_a_client_are_told_with_short_addresses_unless_asked_for() {
    let health = kit::free_port();
    let gateway = Gateway::start(&text(health));
    let wrong = Credentials::fixed("user", "wrong-password");
    assert_eq!(code(TurnClient::udp(gateway.address()).with(wrong).allocate()), 401);
    let mut client = gateway.udp();
    client.allocate().unwrap();
    assert_eq!(code(client.create_permission("192.0.2.1:9".parse().unwrap())), 403);

    let answer = ask(health, "");
    let [peer, credentials] = answer["refusals"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&peer["reason"], &peer["code"]), (&"peer_refused".into(), &403.into()));
    assert_eq!(peer["peer"], "192.0.2.1:9");
    assert_eq!(credentials["reason"], "wrong_credentials");
    assert_eq!(credentials["client"], "127.0.0.0/24");
    assert!(credentials["explanation"].as_str().unwrap().contains("auth.credentials"));
    assert!(!answer.to_string().contains("wrong-password"));

    let named = ask(health, "client=127.0.0.1");
    assert_eq!(named["refusals"][0]["client"], client.local().to_string());
    assert!(ask(health, "client=127.0.0.2")["refusals"].as_array().unwrap().is_empty());
    assert_eq!(ask(health, "addresses=full")["refusals"][0]["client"], client.local().to_string());
}

#[test]
fn the_status_tells_the_last_refusals_with_short_addresses_unless_asked_for() {
    let health = kit::free_port();
    let text = text(health);
    let gateway = Gateway::start(&text);
    let status = |query: &str| {
        let (_, _, body) = get(address(health), &format!("/status?{query}")).unwrap();
        (serde_json::from_str::<serde_json::Value>(&body).unwrap(), body)
    };
    let (before, _) = status("");
    assert_eq!(before.get("refusals"), None, "a status without refusals is the original's");
    let mut client = gateway.udp();
    client.allocate().unwrap();
    assert_eq!(code(client.create_permission("192.0.2.1:9".parse().unwrap())), 403);

    for query in ["", "gateway=test/gateway", "addresses=short"] {
        let (told, body) = status(query);
        let [refusal] = told["refusals"].as_array().unwrap().as_slice() else { panic!("{body}") };
        assert_eq!((&refusal["reason"], &refusal["code"]), (&"peer_refused".into(), &403.into()));
        assert_eq!((&refusal["client"], &refusal["peer"]), (&"127.0.0.0/24".into(), &"192.0.2.0/24".into()));
        assert_eq!((&refusal["listener"], &refusal["method"]), (&"udp".into(), &"CreatePermission".into()));
        assert!(!body.contains(&client.local().to_string()) && !body.contains("192.0.2.1"), "{body}");
    }
    let (full, _) = status("addresses=full");
    assert_eq!(full["refusals"][0]["client"], client.local().to_string());
    assert_eq!(full["refusals"][0]["peer"], "192.0.2.1:9");
    // Nor does the process' own view of itself tell more.
    assert!(!format!("{:?}", gateway.dataplane.status()).contains(&client.local().to_string()));
}
