//! What the operator tells of itself: metrics as a Prometheus reads them, and the log.

use cluster::{Operator, Proxy};
use install::{Prometheus, read};
use serde_json::{Value, json};

use crate::fixture::{DEPLOYMENT, ROUTE, ROUTE_AND_BACKEND, World, server};

const DASHBOARD: &str = "deploy/helm/stunner/files/dashboard.json";
const ALERTS: &str = "deploy/helm/stunner/files/alerts.yaml";
const PREFIX: &str = "stunner_gateway_operator_";

/// The queries of the panels that are about the operator: (panel, query).
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().cloned().unwrap_or_default();
    let all = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap_or_default();
        let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
        targets.iter().map(move |target| (title, target["expr"].as_str().unwrap_or_default()))
    });
    let own = all.filter(|(_, query)| query.contains(PREFIX));
    own.map(|(title, query)| (title.to_owned(), query.replace("$__rate_interval", "20s"))).collect()
}

#[test]
fn every_panel_about_the_operator_shows_something_of_one_at_work() {
    let Some(part) = kit::need("prometheus") else { return };
    let Some(world) = World::without_operator("panels", &[]) else { return };
    let server = server().expect("the server was there before");
    world.apply(ROUTE_AND_BACKEND);
    let proxy = Proxy::start(server.address());
    let operator = Operator::start_with(&server.operator_kubeconfig_through(&proxy), &world.options);
    let prometheus = Prometheus::start(&part, operator.metrics_address(), ALERTS);
    let queries = queries();
    assert!(queries.len() > 10, "{queries:?}");
    let deadline = kit::Deadline::after(3 * kit::PATIENCE);
    let mut turn = 0;
    loop {
        // Something to render and to write, and a connection less.
        turn += 1;
        let label = json!({"metadata": {"labels": {"turn": turn.to_string()}}});
        world.api.patch(&world.gateway(), label);
        proxy.connections().first().into_iter().for_each(|connection| proxy.cut(*connection));
        let blank: Vec<_> = queries.iter().filter(|(_, query)| prometheus.query(query).is_empty()).collect();
        if blank.is_empty() {
            break;
        }
        assert!(deadline.left().is_some(), "nothing to show in {blank:#?}\n{}", operator.metrics());
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    let rules = read(ALERTS);
    let metrics = operator.metrics();
    let words = rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    for word in words.filter(|word| word.starts_with(PREFIX)) {
        assert!(metrics.contains(word), "the alert rules ask for {word}, which nobody exports");
    }
}

#[test]
fn the_log_says_what_led_to_a_write() {
    let Some(world) = World::start("cause", &[]) else { return };
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    world.await_idle();
    // What others change in the same period is a cause as well, and a line names three: so once more if need be.
    let leads_to = |object: &str, verb: &str, cause: &str, change: &dyn Fn(u32)| {
        let deadline = kit::Deadline::default();
        let is_it = |line: &String| {
            let (before, causes) = line.split_once("cause=").unwrap_or_default();
            before.contains(verb) && before.contains(object) && causes.contains(cause)
        };
        for turn in 1.. {
            change(turn);
            world.await_idle();
            let lines = world.operator().process().lines();
            if lines.iter().any(is_it) {
                return;
            }
            assert!(deadline.left().is_some(), "{object} {verb} for {cause}");
        }
    };
    leads_to("Deployment", "applied", "Gateway cause/gateway-1", &|turn| {
        world.api.patch(&world.gateway(), json!({"metadata": {"labels": {"turn": turn.to_string()}}}));
    });
    world.apply(ROUTE_AND_BACKEND);
    leads_to("UDPRoute", "status written", "UDPRoute cause/udproute-ok", &|turn| {
        let spec = json!({"rules": [{"backendRefs": [{"name": format!("nobody-{turn}")}]}]});
        world.api.patch(&world.at(ROUTE, "udproute-ok"), json!({ "spec": spec }));
    });
    leads_to("Deployment", "applied", "Deployment cause/gateway-1", &|turn| {
        world.api.patch(&world.at(DEPLOYMENT, "gateway-1"), json!({"spec": {"replicas": 6 + turn}}));
    });
}

#[test]
fn probes_say_what_is_missing() {
    let Some(world) = World::start("probes", &[]) else { return };
    world.operator().await_ready();
    assert_eq!(world.operator().probe("/readyz"), (200, "ok\n".to_owned()));
    assert_eq!(world.operator().probe("/healthz"), (200, "ok\n".to_owned()));
    // An operator that sees nothing of its API server is well, and not ready.
    let server = server().expect("the server was there before");
    let proxy = Proxy::start(server.address());
    proxy.hold();
    let blind = Operator::start_with(&server.operator_kubeconfig_through(&proxy), &world.options);
    assert_eq!(blind.probe("/healthz").0, 200);
    let (status, text) = blind.probe("/readyz");
    assert_eq!(status, 503);
    assert!(text.starts_with("not seen yet"), "{text}");
    proxy.release();
    blind.await_ready();
    assert_eq!(blind.probe("/readyz").0, 200);
}
