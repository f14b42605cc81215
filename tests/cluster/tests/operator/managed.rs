//! One Gateway in managed mode.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fixture::{
    CLASS, CONFIG, DAEMON_SET, DATAPLANE, DEPLOYMENT, GATEWAY, LEGACY, OFFICIAL_ROUTE, ROUTE,
    ROUTE_AND_BACKEND, SECRET, SERVICE, STATIC_SERVICE, TCP, UDP, World, condition, endpoints, listener,
    ours,
};

#[test]
fn m01_to_m06_a_gateway_a_route_and_their_statuses() {
    let Some(world) = World::start("m01", &[]) else { return };
    a_gateway(&world);
    a_route(&world);
}

/// M1 to M4.
fn a_gateway(world: &World) {
    let name = &world.name;
    let config =
        world.await_config("two listeners", |config| config["listeners"].as_array().map(Vec::len) == Some(2));
    assert_eq!(config["listeners"][0]["name"], format!("{name}/gateway-1/{UDP}"));
    assert_eq!(config["listeners"][0]["protocol"], "TURN-UDP");
    assert_eq!(config["listeners"][0]["port"], 1);
    assert_eq!(config["listeners"][1]["name"], format!("{name}/gateway-1/{TCP}"));
    assert_eq!(config["listeners"][1]["protocol"], "TURN-TCP");
    assert_eq!(config["listeners"][1]["port"], 2);
    assert_eq!(config["auth"]["realm"], "testrealm");
    assert_eq!(config["admin"]["loglevel"], "testloglevel");
    assert!(config.get("clusters").is_none(), "no route, no cluster");

    let (status, license) = world.discovery().get("/api/v1/license");
    assert_eq!(status, 200);
    assert!(license.contains("\"subscriptionType\":\"free\""), "{license}");

    let class = world.api.await_object(&format!("{CLASS} {name}"), "accepted", |class| {
        condition(&class["status"]["conditions"], "Accepted") == ("True", "Accepted")
    });
    assert_eq!(class["status"]["conditions"].as_array().map(Vec::len), Some(1));

    let gateway = world.api.await_object(&world.gateway(), "not programmed", |gateway| {
        condition(&gateway["status"]["conditions"], "Programmed") == ("False", "AddressNotAssigned")
    });
    let status = &gateway["status"];
    assert_eq!(status["conditions"].as_array().map(Vec::len), Some(2));
    assert_eq!(condition(&status["conditions"], "Accepted"), ("True", "Accepted"));
    for name in [UDP, TCP] {
        let conditions = &listener(status, name)["conditions"];
        assert_eq!(condition(conditions, "Accepted"), ("True", "Accepted"));
        assert_eq!(condition(conditions, "ResolvedRefs"), ("True", "ResolvedRefs"));
        assert_eq!(condition(conditions, "Conflicted"), ("False", "NoConflicts"));
    }
}

/// M5 and M6.
fn a_route(world: &World) {
    let route = format!("{}/udproute-ok", world.name);
    world.apply(ROUTE_AND_BACKEND);
    let config = world.await_config("a cluster with five endpoints", |config| endpoints(config) == 5);
    assert_eq!(config["clusters"][0]["name"], route);
    assert_eq!(config["clusters"][0]["type"], "STATIC");
    let backend = world.api.get(&world.at(SERVICE, "testservice-ok"));
    let found: BTreeSet<_> = config["clusters"][0]["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let own = backend["spec"]["clusterIP"].as_str().expect("an address of the cluster");
    assert_eq!(found, BTreeSet::from(["1.2.3.4", "1.2.3.5", "1.2.3.6", "1.2.3.7", own]));
    assert_eq!(listener(&config, UDP)["routes"], json!([route]));
    assert!(listener(&config, TCP)["routes"].as_array().is_none_or(Vec::is_empty));

    let route = world.api.await_object(&world.at(ROUTE, "udproute-ok"), "accepted", |route| {
        let conditions = &route["status"]["parents"][0]["conditions"];
        condition(conditions, "Accepted") == ("True", "Accepted")
            && condition(conditions, "ResolvedRefs") == ("True", "ResolvedRefs")
    });
    let parents = &route["status"]["parents"];
    assert_eq!(parents.as_array().map(Vec::len), Some(1));
    assert_eq!(
        parents[0]["parentRef"],
        json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway-1", "sectionName": UDP})
    );
    assert_eq!(parents[0]["controllerName"], world.options.controller);
    assert!(parents[0]["parentRef"].get("namespace").is_none());
    let gateway = world.api.await_object(&world.gateway(), "an attached route", |gateway| {
        listener(&gateway["status"], UDP)["attachedRoutes"] == 1
    });
    assert_eq!(listener(&gateway["status"], TCP)["attachedRoutes"], 0);
}

#[test]
fn m22_the_deployment_is_made_from_the_template() {
    let Some(world) = World::start("m22", &[]) else { return };
    let deployment = world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    let gateway = world.api.get(&world.gateway());
    let metadata = &deployment["metadata"];
    assert_eq!(metadata["ownerReferences"][0]["uid"], gateway["metadata"]["uid"]);
    assert_eq!(metadata["annotations"]["stunner.l7mp.io/related-gateway-name"], "m22/gateway-1");
    assert_eq!(metadata["labels"]["dummy-label"], "dummy-value");
    assert_eq!(metadata["labels"]["stunner.l7mp.io/owned-by"], "stunner");
    let pod = &deployment["spec"]["template"];
    let labels = json!({
        "app": "stunner",
        "stunner.l7mp.io/related-gateway-name": "gateway-1",
        "stunner.l7mp.io/related-gateway-namespace": "m22",
    });
    assert_eq!(pod["metadata"]["labels"], labels);
    let expressions = deployment["spec"]["selector"]["matchExpressions"].as_array().unwrap();
    assert_eq!(expressions.len(), 3);
    assert!(expressions.iter().all(|one| json!([labels[one["key"].as_str().unwrap()]]) == one["values"]));
    let containers = pod["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    assert_eq!(containers[0]["name"], "stunner-daemon");
    assert_eq!(containers[0]["image"], "testimage-1");
    assert_eq!(containers[0]["resources"], json!({"limits": {"memory": "10M"}, "requests": {"cpu": "250m"}}));
    assert_eq!(containers[0]["imagePullPolicy"], "Always");
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 60);
    assert_eq!(pod["spec"]["hostNetwork"], true);
    // W30: on the network of its node, a port that nobody serves would keep others away.
    assert!(containers[0]["ports"].is_null());
    assert_eq!(deployment["spec"]["replicas"], 3);
}

#[test]
fn m27_and_o06_replicas_of_one_leave_scaling_to_others() {
    let Some(world) = World::start("m27", &[]) else { return };
    let deployment = world.at(DEPLOYMENT, "gateway-1");
    world.api.await_object(&deployment, "three replicas", |one| one["spec"]["replicas"] == 3);
    // O6: a number is enforced, and going back to none leaves what is there.
    world.api.patch(&deployment, json!({"spec": {"replicas": 5}}));
    world.api.await_object(&deployment, "three replicas again", |one| one["spec"]["replicas"] == 3);
    world.api.patch(&format!("{DATAPLANE} m27"), json!({"spec": {"replicas": 1, "image": "testimage-2"}}));
    let image = |one: &Value| one["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let after = world.api.await_object(&deployment, "the new image", |one| image(one) == "testimage-2");
    assert_eq!(after["spec"]["replicas"], 3);
    world.api.patch(&deployment, json!({"spec": {"replicas": 4}}));
    world.api.patch(&format!("{DATAPLANE} m27"), json!({"spec": {"image": "testimage-3"}}));
    let after = world.api.await_object(&deployment, "the newest image", |one| image(one) == "testimage-3");
    assert_eq!(after["spec"]["replicas"], 4);
}

#[test]
fn m24_another_workload_of_ours_goes_and_o01_a_daemon_set_is_written_once() {
    let Some(mut world) = World::start("m24", &[]) else { return };
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    world.api.patch(&format!("{DATAPLANE} m24"), json!({"spec": {"dataplaneResource": "DaemonSet"}}));
    let daemon_set = world.at(DAEMON_SET, "gateway-1");
    world.api.await_object(&daemon_set, "there", |_| true);
    world.api.await_gone(&world.at(DEPLOYMENT, "gateway-1"));
    // O1 and O2: neither this operator nor the next one has anything to write.
    world.await_idle();
    let version = |object: Value| object["metadata"]["resourceVersion"].clone();
    let before = version(world.api.get(&daemon_set));
    drop(world.operator.take());
    world.start_operator();
    world.await_idle();
    assert_eq!(version(world.api.get(&daemon_set)), before);
    world.api.patch(&format!("{DATAPLANE} m24"), json!({"spec": {"dataplaneResource": "Deployment"}}));
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    world.api.await_gone(&world.at(DAEMON_SET, "gateway-1"));
}

#[test]
fn m16_w25_and_o03_what_is_put_on_a_service_by_hand_survives() {
    let Some(world) = World::start("m16", &[]) else { return };
    what_is_put_on_a_service_by_hand_survives(&world);
}

#[test]
fn l04_what_is_put_on_a_service_by_hand_survives_in_legacy_mode() {
    let Some(world) = World::start("l04-hand", &[LEGACY]) else { return };
    what_is_put_on_a_service_by_hand_survives(&world);
}

fn what_is_put_on_a_service_by_hand_survives(world: &World) {
    let related_to = format!("{}/gateway-1", world.name);
    let service = world.at(SERVICE, "gateway-1");
    world.api.await_object(&service, "there", |_| true);
    let related = "stunner.l7mp.io/related-gateway-name";
    world.api.patch(
        &service,
        json!({"metadata": {"labels": {"by-hand": "yes"}, "annotations": {"by-hand": "too", related: null}}}),
    );
    let after = world.api.await_object(&service, "with its annotation again", |service| {
        service["metadata"]["annotations"][related] == related_to
    });
    // W25: another owner neither goes nor gets in the way.
    let mut owners = after["metadata"]["ownerReferences"].as_array().expect("an owner").clone();
    let somebody = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "somebody", "uid": "5ca1ab1e"});
    owners.push(somebody.clone());
    world.api.patch(&service, json!({"metadata": {"ownerReferences": owners}}));
    world.annotate(GATEWAY, "gateway-1", "written", Some("anew"));
    let after = world.api.await_object(&service, "written anew", |service| {
        service["metadata"]["annotations"]["written"] == "anew"
    });
    let owners = after["metadata"]["ownerReferences"].as_array().expect("owners");
    assert!(owners.len() == 2 && owners.contains(&somebody), "{owners:?}");
    assert_eq!(after["metadata"]["labels"]["by-hand"], "yes");
    assert_eq!(after["metadata"]["annotations"]["by-hand"], "too");
}

#[test]
fn m15_m17_and_w24_annotations_reach_the_service() {
    let Some(world) = World::start("m15", &[]) else { return };
    annotations_reach_the_service(&world);
}

#[test]
fn l04_annotations_reach_the_service_in_legacy_mode() {
    let Some(world) = World::start("l04-annotations", &[LEGACY]) else { return };
    annotations_reach_the_service(&world);
}

fn annotations_reach_the_service(world: &World) {
    let service = world.at(SERVICE, "gateway-1");
    let created = world.api.await_object(&service, "there", |_| true);
    assert_eq!(created["metadata"]["labels"]["stunner.l7mp.io/owned-by"], "stunner");
    let node_port = created["spec"]["ports"][0]["nodePort"].clone();
    assert!(node_port.is_number());
    let defaults = json!({"somebody": "config", "both": "config", ours("external-traffic-policy"): "local"});
    let config = world.at(CONFIG, "gatewayconfig-ok");
    world.api.patch(&config, json!({"spec": {"loadBalancerServiceAnnotations": defaults}}));
    world
        .api
        .patch(&world.gateway(), json!({"metadata": {"annotations": {"both": "gateway", "own": "too"}}}));
    let after = world.api.await_object(&service, "all annotations", |service| {
        let annotations = &service["metadata"]["annotations"];
        (&annotations["somebody"], &annotations["both"], &annotations["own"])
            == (&json!("config"), &json!("gateway"), &json!("too"))
    });
    assert_eq!(after["spec"]["ports"][0]["nodePort"], node_port, "a port that was assigned stays");
    assert_eq!(after["spec"]["externalTrafficPolicy"], "Local");
    // W24: what is taken away is gone.
    world.api.patch(&config, json!({"spec": {"loadBalancerServiceAnnotations": null}}));
    world.api.await_object(&service, "without", |service| {
        service["metadata"]["annotations"].get("somebody").is_none()
            && service["spec"]["externalTrafficPolicy"] == "Cluster"
            && service["spec"]["ports"][0]["nodePort"] == node_port
    });
}

#[test]
fn m18_m19_and_w19_ports_are_set_by_annotations() {
    let Some(world) = World::start("m18", &[]) else { return };
    let service = world.at(SERVICE, "gateway-1");
    world.api.await_object(&service, "there", |_| true);
    let listeners = json!([
        {"name": UDP, "port": 1, "protocol": "TURN-UDP"},
        {"name": TCP, "port": 2, "protocol": "TURN-TCP"},
        {"name": "unknown", "port": 3, "protocol": "SCTP"},
    ]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners}}));
    let port = u32::from(kit::free_port()) % 1000 + 31_000;
    world.annotate(
        GATEWAY,
        "gateway-1",
        &ours("nodeport"),
        Some(&format!("{{\"{UDP}\":{port},\"nobody\":31999}}")),
    );
    world
        .api
        .await_object(&service, "the node port", |service| service["spec"]["ports"][0]["nodePort"] == port);
    world.annotate(
        GATEWAY,
        "gateway-1",
        &ours("targetport"),
        Some(&format!("{{\"{UDP}\":12345,\"nobody\":1}}")),
    );
    let after = world.api.await_object(&service, "the target port", |service| {
        service["spec"]["ports"][0]["targetPort"] == 12345
    });
    assert_eq!(
        after["spec"]["ports"].as_array().map(Vec::len),
        Some(1),
        "TCP is not exposed, and SCTP is nothing"
    );
    let config = world.await_config("the target port", |config| listener(config, UDP)["port"] == 12345);
    assert_eq!(crate::fixture::listeners(&config), 2);
    // W19: without the annotation it is the port of the listener again.
    world.annotate(GATEWAY, "gateway-1", &ours("targetport"), None);
    world
        .api
        .await_object(&service, "its own port", |service| service["spec"]["ports"][0]["targetPort"] == 1);
    world.await_config("its own port", |config| listener(config, UDP)["port"] == 1);
}

const SECRET_MANIFEST: &str = r"
apiVersion: v1
kind: Secret
metadata: {name: testsecret-ok, namespace: NAME}
type: kubernetes.io/tls
stringData: {tls.crt: CRT, tls.key: KEY}
";

#[test]
fn m20_and_m21_a_certificate_comes_and_changes() {
    let Some(world) = World::start("m20", &[]) else { return };
    a_certificate_comes_and_changes(&world);
}

#[test]
fn l05_certificates_come_and_change_in_legacy_mode() {
    let Some(world) = World::start("l05", &[LEGACY]) else { return };
    a_certificate_comes_and_changes(&world);
    // Several listeners share a Secret, one of them over TLS.
    let tls = json!({"mode": "Terminate", "certificateRefs": [{"name": "testsecret-ok"}]});
    let listeners = json!([
        {"name": "dtls", "port": 3, "protocol": "TURN-DTLS", "tls": tls},
        {"name": "tls", "port": 4, "protocol": "TURN-TLS", "tls": tls},
        {"name": "other-tls", "port": 5, "protocol": "TLS", "tls": tls},
    ]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners}}));
    for name in ["three.example", "four.example"] {
        let made = certificate(name);
        world.apply(&secret(&made));
        let has_it = |config: &Value, name: &str| {
            let listener = listener(config, name);
            listener["cert"] == base64(made.0.as_bytes()) && listener["key"] == base64(made.1.as_bytes())
        };
        world.await_config("the certificate at all three", |config| {
            ["dtls", "tls", "other-tls"].iter().all(|name| has_it(config, name))
        });
    }
}

fn a_certificate_comes_and_changes(world: &World) {
    let dtls = json!({"mode": "Terminate", "certificateRefs": [{"name": "testsecret-ok"}]});
    let listeners = json!([
        {"name": UDP, "port": 1, "protocol": "TURN-UDP"},
        {"name": "dtls", "port": 3, "protocol": "TURN-DTLS", "tls": dtls},
    ]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners}}));
    world.api.await_object(&world.gateway(), "an unresolved certificate", |gateway| {
        let conditions = &listener(&gateway["status"], "dtls")["conditions"];
        condition(conditions, "ResolvedRefs") == ("False", "InvalidCertificateRef")
    });
    let config =
        world.await_config("one listener", |config| config["listeners"].as_array().map(Vec::len) == Some(1));
    assert_eq!(config["listeners"][0]["name"], format!("{}/gateway-1/{UDP}", world.name));
    for name in ["one.example", "two.example"] {
        let made = certificate(name);
        world.apply(&secret(&made));
        let (chain, key) = (base64(made.0.as_bytes()), base64(made.1.as_bytes()));
        world.await_config("the certificate", |config| {
            (&listener(config, "dtls")["cert"], &listener(config, "dtls")["key"])
                == (&json!(chain), &json!(key))
        });
    }
    world.api.await_object(&world.gateway(), "a resolved certificate", |gateway| {
        condition(&listener(&gateway["status"], "dtls")["conditions"], "ResolvedRefs").0 == "True"
    });
    world.api.delete(&world.at(SECRET, "testsecret-ok"));
    world
        .await_config("one listener again", |config| config["listeners"].as_array().map(Vec::len) == Some(1));
}

/// The Secret with a certificate and its key.
fn secret((chain, key): &(String, String)) -> String {
    SECRET_MANIFEST.replace("CRT", &json!(chain).to_string()).replace("KEY", &json!(key).to_string())
}

fn certificate(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}

#[test]
fn m25_and_m26_an_edit_of_the_template_reaches_everything() {
    let Some(world) = World::start("m25", &[]) else { return };
    let deployment = world.at(DEPLOYMENT, "gateway-1");
    world.api.await_object(&deployment, "there", |_| true);
    let spec = json!({
        "image": "testimage-2",
        "command": ["run"],
        "args": ["-x"],
        "hostNetwork": false,
        "disableHealthCheck": true,
        "enableMetricsEndpoint": true,
        "labels": {"custom": "label", "app": "mine"},
        "annotations": {"custom": "annotation"},
        "envFrom": [{"configMapRef": {"name": "more"}}],
        "offloadEngine": "XDP",
        "offloadInterfaces": ["eth1", "eth0"],
    });
    world.api.patch(&format!("{DATAPLANE} m25"), json!({ "spec": spec }));
    let config = world.await_config("metrics", |config| config["admin"]["metrics_endpoint"].is_string());
    assert_eq!(config["admin"]["healthcheck_endpoint"], "");
    assert_eq!(config["admin"]["offload_engine"], "XDP");
    assert_eq!(config["admin"]["offload_interfaces"], json!(["eth0", "eth1"]));
    let after = world.api.await_object(&deployment, "the new image", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "testimage-2"
    });
    let pod = &after["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    assert_eq!((&container["command"], &container["args"]), (&json!(["run"]), &json!(["-x"])));
    assert!(container.get("livenessProbe").is_none() && container.get("readinessProbe").is_none());
    assert_eq!(container["envFrom"], json!([{"configMapRef": {"name": "more"}}]));
    assert_ne!(pod["spec"]["hostNetwork"], true);
    assert_eq!(container["ports"].as_array().map(Vec::len), Some(1));
    assert_eq!(container["ports"][0]["name"], "metrics-port");
    let labels = pod["metadata"]["labels"].as_object().unwrap();
    assert_eq!((labels.len(), &labels["custom"], &labels["app"]), (4, &json!("label"), &json!("stunner")));
    let annotations = pod["metadata"]["annotations"].as_object().unwrap();
    assert_eq!((annotations.len(), &annotations["custom"]), (2, &json!("annotation")));
}

const STATIC_BACKEND: &str = r"
apiVersion: stunner.l7mp.io/v1
kind: StaticService
metadata: {name: staticservice-ok, namespace: NAME}
spec: {prefixes: [10.11.12.13, 10.11.12.14, 10.11.12.15]}
---
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: {name: udproute-ok, namespace: NAME}
spec:
  parentRefs: [{name: gateway-1}]
  rules: [{backendRefs: [{group: stunner.l7mp.io, kind: StaticService, name: staticservice-ok}, {name: testservice-ok}]}]
";

#[test]
fn m28_to_m32_static_services_and_the_other_kind_of_route() {
    let Some(world) = World::start("m28", &[]) else { return };
    let made = certificate("m28.example");
    world.apply(&secret(&made));
    let tls = json!({"mode": "Terminate", "certificateRefs": [{"name": "testsecret-ok"}]});
    let listeners = json!([
        {"name": UDP, "port": 1, "protocol": "TURN-UDP"},
        {"name": "dtls", "port": 3, "protocol": "TURN-DTLS", "tls": tls},
    ]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners}}));
    world.apply(ROUTE_AND_BACKEND);
    world.apply(STATIC_BACKEND);
    // M28
    let config = world.await_config("eight endpoints", |config| endpoints(config) == 8);
    for name in [UDP, "dtls"] {
        assert_eq!(listener(&config, name)["routes"], json!(["m28/udproute-ok"]));
    }
    let service = world.at(SERVICE, "gateway-1");
    world.api.await_object(&service, "two ports", |service| {
        service["spec"]["ports"].as_array().map(Vec::len) == Some(2)
    });
    // M29
    world.api.patch_status(&service, &json!({"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}]}}));
    let gateway = world.api.await_object(&world.gateway(), "programmed", |gateway| {
        condition(&gateway["status"]["conditions"], "Programmed") == ("True", "Programmed")
    });
    assert_eq!(gateway["status"]["addresses"], json!([{"type": "IPAddress", "value": "5.6.7.8"}]));
    assert_eq!(listener(&gateway["status"], UDP)["attachedRoutes"], 1);
    // M30
    world
        .api
        .patch(&world.at(STATIC_SERVICE, "staticservice-ok"), json!({"spec": {"prefixes": ["10.11.12.16"]}}));
    world.await_config("six endpoints", |config| {
        endpoints(config) == 6 && config["clusters"][0]["endpoints"].to_string().contains("10.11.12.16")
    });
    // M31
    world.api.delete(&world.at(ROUTE, "udproute-ok"));
    world.await_config("no cluster", |config| config["clusters"].is_null());
    world.apply(
        "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: UDPRoute, metadata: {name: udproute-ok, namespace: NAME}, \
         spec: {parentRefs: [{name: gateway-1, sectionName: gateway-1-listener-udp}], \
         rules: [{backendRefs: [{name: testservice-ok, port: 1}]}]}}",
    );
    let config = world.await_config("five endpoints", |config| endpoints(config) == 5);
    assert!(!config["clusters"][0]["endpoints"].to_string().contains('<'), "the port does not count");
    let official = world.at(OFFICIAL_ROUTE, "udproute-ok");
    world.api.await_object(&official, "accepted", |route| {
        let conditions = &route["status"]["parents"][0]["conditions"];
        condition(conditions, "Accepted").0 == "True" && condition(conditions, "ResolvedRefs").0 == "True"
    });
    // M32
    world.apply(ROUTE_AND_BACKEND);
    world.api.await_object(&official, "masked", |route| {
        let conditions = &route["status"]["parents"][0]["conditions"];
        condition(conditions, "Accepted") == ("False", "Pending")
            && condition(conditions, "ResolvedRefs").0 == "True"
    });
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "accepted", |route| {
        condition(&route["status"]["parents"][0]["conditions"], "Accepted").0 == "True"
    });
    assert_eq!(
        world.await_config("as it was", |config| endpoints(config) == 5)["clusters"],
        config["clusters"]
    );
}

#[test]
fn m33_endpoints_do_where_slices_are_not_wanted() {
    let Some(world) = World::start("m33", &["--disable-endpontslice-controller"]) else { return };
    a_gateway(&world);
    world.apply(
        "{apiVersion: v1, kind: Endpoints, metadata: {name: testservice-ok, namespace: NAME}, subsets: \
         [{addresses: [{ip: 1.2.3.4}, {ip: 1.2.3.5}], notReadyAddresses: [{ip: 1.2.3.6}, {ip: 1.2.3.7}]}]}",
    );
    a_route(&world);
}
