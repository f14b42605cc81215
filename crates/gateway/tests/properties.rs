//! What holds for any objects whatever.

mod strategies;

use std::collections::BTreeSet;

use gateway::{
    Rendered, Settings, Snapshot, Transport, condition, finalize, manifest, render,
    standalone::{self, Host},
};
use proptest::prelude::*;
use strategies::{SECRET, objects, settings, snapshot};

proptest! {
    #[test]
    fn the_same_objects_in_any_order_give_the_same_result(
        (objects, shuffled) in objects().prop_map(unique).prop_flat_map(|o| (Just(o.clone()), Just(o).prop_shuffle())),
        settings in settings(),
    ) {
        prop_assert_eq!(render(&snapshot(&objects), &settings), render(&snapshot(&shuffled), &settings));
    }

    #[test]
    fn every_configuration_is_one_that_a_dataplane_takes(objects in objects(), settings in settings()) {
        let snapshot = snapshot(&objects);
        for rendered in [render(&snapshot, &settings), render(&here(&snapshot, &settings), &settings)] {
            for (id, config) in &rendered.configs {
                prop_assert_eq!(id, &config.admin.name);
                let read = config::Config::parse(&config.to_json(), &|name| Some(format!("${name}")));
                prop_assert_eq!(read.as_ref(), Ok(config));
            }
        }
    }

    #[test]
    fn no_two_listeners_get_the_same_port(objects in objects(), settings in settings()) {
        let rendered = render(&snapshot(&objects), &settings);
        let mut host = BTreeSet::new();
        for config in rendered.configs.values() {
            let mut own = BTreeSet::new();
            for listener in &config.listeners {
                let port = (Transport::from(listener.protocol), listener.port);
                prop_assert!(own.insert(port));
                prop_assert!(host.insert(port) || !settings.one_host);
            }
        }
    }

    #[test]
    fn services_are_ones_that_an_api_server_takes(objects in objects(), settings in settings()) {
        let rendered = render(&snapshot(&objects), &settings);
        for service in rendered.services.values() {
            let name = service["metadata"]["name"].as_str().unwrap();
            prop_assert!(is_label(name) && name.starts_with(|first: char| first.is_ascii_lowercase()), "{}", name);
            let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
            for port in service["spec"]["ports"].as_array().unwrap() {
                prop_assert!(is_label(port["name"].as_str().unwrap()));
                prop_assert!(names.insert(port["name"].to_string()));
                prop_assert!(ports.insert((port["port"].to_string(), port["protocol"].to_string())));
            }
            for label in service["metadata"]["labels"].as_object().unwrap().values() {
                prop_assert!(is_label(label.as_str().unwrap()));
            }
        }
    }

    #[test]
    fn secrets_stay_in_configurations(objects in objects(), settings in settings()) {
        let snapshot = snapshot(&objects);
        let rendered = render(&snapshot, &settings);
        let debug = format!("{snapshot:?} {rendered:?}");
        prop_assert!(!debug.contains(SECRET));
        prop_assert!(!problems(&rendered).contains(SECRET));
        let statuses = serde_json::to_string(&(
            rendered.gateways.values().collect::<Vec<_>>(),
            rendered.gateway_classes.values().collect::<Vec<_>>(),
            rendered.routes.values().collect::<Vec<_>>(),
        ));
        prop_assert!(!statuses.unwrap().contains(SECRET));
    }

    #[test]
    fn only_what_is_ours_is_deleted(objects in objects(), settings in settings()) {
        let snapshot = snapshot(&objects);
        for rendered in [render(&snapshot, &settings), finalize(&snapshot, &settings)] {
            for object in &rendered.deletes {
                let labels = match object.kind {
                    "Service" => &snapshot.services[&object.key].metadata.labels,
                    "Deployment" => &snapshot.deployments[&object.key].metadata.labels,
                    _ => &snapshot.daemon_sets[&object.key].metadata.labels,
                };
                prop_assert_eq!(labels["stunner.l7mp.io/owned-by"].as_str(), "stunner");
            }
        }
    }

    #[test]
    fn statuses_settle(objects in objects(), settings in settings()) {
        let mut snapshot = snapshot(&objects);
        let rendered = render(&snapshot, &settings);
        let controller = &settings.controller_name;
        let keys: Vec<_> = rendered.gateways.keys().cloned().collect();
        for key in keys {
            let gateway = snapshot.gateways.get_mut(&key).unwrap();
            gateway.status = condition::merge_gateway(&gateway.status, &rendered.gateways[&key], "then");
            let again = condition::merge_gateway(&gateway.status, &rendered.gateways[&key], "now");
            prop_assert_eq!(&again, &gateway.status);
        }
        for status in rendered.routes.values() {
            let once = condition::merge_route(&Default::default(), status, controller, "then");
            prop_assert_eq!(&condition::merge_route(&once, status, controller, "now"), &once);
        }
        prop_assert_eq!(render(&snapshot, &settings).configs, rendered.configs);
    }

    #[test]
    fn what_is_written_can_be_read(objects in objects()) {
        let snapshot = snapshot(&objects);
        let read = manifest::parse("all.yaml", &manifest::to_yaml(&snapshot));
        let refused = read.errors.iter().filter(|error| !error.reason.contains("is not a name"));
        prop_assert_eq!(refused.collect::<Vec<_>>(), Vec::<&manifest::ManifestError>::new());
        if read.errors.is_empty() {
            prop_assert_eq!(read.snapshot, snapshot);
        }
    }

    #[test]
    fn any_text_can_be_looked_at(text in "(?s).{0,200}", lines in prop::collection::vec("[-:{}a-zA-Z /1\n]{0,30}", 0..10)) {
        let _ = manifest::parse("a", &text);
        let _ = manifest::parse("b", &lines.join("\n"));
    }
}

fn here(snapshot: &Snapshot, settings: &Settings) -> Snapshot {
    let host = Host { public_address: "192.0.2.1".to_owned(), relay_addresses: vec![[192, 0, 2, 2].into()] };
    standalone::complete(snapshot, settings, &host)
}

/// Without objects that are there twice: which of them counts is a question of order.
fn unique(objects: Vec<serde_json::Value>) -> Vec<serde_json::Value> {
    let mut seen = BTreeSet::new();
    let name = |object: &serde_json::Value| {
        let of = |field: &str| object["metadata"][field].to_string();
        let cluster = ["GatewayClass", "Dataplane", "Node", "Namespace"]
            .contains(&object["kind"].as_str().unwrap_or(""));
        let namespace = if cluster { String::new() } else { of("namespace") };
        (object["apiVersion"].to_string(), object["kind"].to_string(), namespace, of("name"))
    };
    objects.into_iter().filter(|object| seen.insert(name(object))).collect()
}

fn problems(rendered: &Rendered) -> String {
    let all = rendered.problems.iter().chain(rendered.stale.values());
    all.map(|problem| format!("{problem} {problem:?}")).collect()
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
