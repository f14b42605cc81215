//! The dashboard and the alert rules, in front of a Prometheus that scrapes a gateway at work.

mod scene;

use install::{Helm, Prometheus, parse, read};
use serde_json::Value;

use scene::Scene;

const DASHBOARD: &str = "deploy/helm/stunner/files/dashboard.json";
const ALERTS: &str = "deploy/helm/stunner/files/alerts.yaml";

/// The queries of the panels about dataplanes, as Grafana would send them with everything selected: (panel, query). Those
/// about the operator have a test where there is one.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap_or_default().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| {
            let query = target["expr"].as_str().unwrap_or_default();
            (title.clone(), query.replace("$instance", ".+").replace("$__rate_interval", "20s"))
        })
    };
    panels.flat_map(of_panel).filter(|(_, query)| !query.contains("stunner_gateway_operator_")).collect()
}

#[test]
fn every_panel_of_the_dashboard_shows_something_of_a_gateway_at_work() {
    let Some(part) = kit::need("prometheus") else { return };
    let mut scene = Scene::start();
    let prometheus = Prometheus::start(&part, scene.metrics(), ALERTS);
    let queries = queries();
    assert!(queries.len() > 15, "{queries:?}");
    let deadline = kit::Deadline::after(3 * kit::PATIENCE);
    loop {
        scene.play();
        let blank: Vec<_> = queries.iter().filter(|(_, query)| prometheus.query(query).is_empty()).collect();
        if blank.is_empty() {
            break;
        }
        assert!(deadline.left().is_some(), "nothing to show in {blank:#?}");
    }
}

#[test]
fn the_alert_rules_ask_for_what_there_is() {
    let Some(part) = kit::need("prometheus") else { return };
    let mut scene = Scene::start();
    let prometheus = Prometheus::start(&part, scene.metrics(), ALERTS);
    let rules = read(ALERTS);
    let words = rules.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let of_dataplane = |word: &&str| {
        let is_ours = word.starts_with("stunner_") || word.starts_with("process_");
        is_ours && !word.starts_with("stunner_gateway_operator_")
    };
    let wanted: std::collections::BTreeSet<&str> = words.filter(of_dataplane).collect();
    assert!(wanted.len() >= 7, "{wanted:?}");
    let deadline = kit::Deadline::after(3 * kit::PATIENCE);
    loop {
        scene.play();
        let missing: Vec<_> = wanted.iter().filter(|name| prometheus.query(name).is_empty()).collect();
        if missing.is_empty() {
            break;
        }
        assert!(deadline.left().is_some(), "nobody exports {missing:?}");
    }
    assert_eq!(prometheus.broken_rules(), Vec::<String>::new());
}

#[test]
fn promtool_accepts_the_alert_rules_and_they_fire_when_they_should() {
    let Some(part) = kit::need("prometheus") else { return };
    for arguments in [["check", "rules", ALERTS], ["test", "rules", "tests/install/alerts_test.yaml"]] {
        let checked = part
            .command("promtool")
            .current_dir(kit::workspace())
            .args(arguments)
            .output()
            .expect("promtool runs");
        let said =
            String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{arguments:?}: {said}");
    }
}

#[test]
fn the_chart_ships_the_same_dashboard_and_rules() {
    let Some(helm) = Helm::find() else { return };
    let objects = helm.template(&[
        "--set=monitoring.dashboard.enabled=true",
        "--set=monitoring.prometheusRule.enabled=true",
        "--set=monitoring.podMonitor.enabled=true",
    ]);
    let shipped = &objects.get("ConfigMap", "stunner-system/stunner-dashboard")["data"]["stunner.json"];
    assert_eq!(shipped.as_str().map(str::trim_end), Some(read(DASHBOARD).trim_end()));
    let rules = &objects.get("PrometheusRule", "stunner-system/stunner")["spec"];
    assert_eq!(*rules, parse(&read(ALERTS)).remove(0));
    // What is to be scraped has to be there.
    assert_eq!(objects.get("Dataplane", "default")["spec"]["enableMetricsEndpoint"], true);
    let monitor = &objects.get("PodMonitor", "stunner-system/stunner-dataplane")["spec"];
    assert_eq!(monitor["podMetricsEndpoints"][0]["port"], "metrics-port");
}
