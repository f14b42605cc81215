//! Several Gateways and classes.

use serde_json::{Value, json};

use crate::fixture::{
    CLASS, CONFIG, DATAPLANE, DEPLOYMENT, GATEWAY, ROUTE, ROUTE_AND_BACKEND, SERVICE, UDP, World, condition,
    listener, listeners, ours,
};

const SECOND_GATEWAY: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway-2, namespace: NAME}
spec:
  gatewayClassName: NAME
  listeners:
    - {name: gateway-2-listener-udp, port: 1, protocol: UDP}
    - {name: gateway-2-listener-sctp, port: 2, protocol: SCTP}
---
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: {name: udproute-ok, namespace: NAME}
spec:
  parentRefs:
    - {name: gateway-1, sectionName: gateway-1-listener-udp}
    - {name: gateway-2, sectionName: gateway-2-listener-udp}
  rules: [{backendRefs: [{name: testservice-ok}]}]
";

fn accepted(route: &Value, parent: usize) -> (&str, &str) {
    condition(&route["status"]["parents"][parent]["conditions"], "Accepted")
}

#[test]
fn g01_to_g06_two_gateways_share_a_route() {
    let Some(world) = World::start("g01", &[]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.apply(SECOND_GATEWAY);
    // G1
    let second =
        world.discovery().await_config("g01/gateway-2", "a cluster", |config| !config["clusters"].is_null());
    let first = world.await_config("a cluster", |config| !config["clusters"].is_null());
    assert_eq!(listeners(&first), 2);
    assert_eq!(listener(&first, UDP)["routes"], json!(["g01/udproute-ok"]));
    assert_eq!(second["clusters"], first["clusters"]);
    // G2
    assert_eq!(listeners(&second), 1);
    assert_eq!(second["listeners"][0]["protocol"], "TURN-UDP");
    let gateway = world.api.await_object(&world.at(GATEWAY, "gateway-2"), "not programmed", |gateway| {
        condition(&gateway["status"]["conditions"], "Programmed").0 == "False"
    });
    let bad = &listener(&gateway["status"], "gateway-2-listener-sctp")["conditions"];
    assert_eq!(condition(bad, "Accepted"), ("False", "UnsupportedProtocol"));
    assert_eq!(condition(bad, "Conflicted"), ("False", "NoConflicts"));
    assert_eq!(condition(bad, "ResolvedRefs"), ("True", "ResolvedRefs"));
    let good = &listener(&gateway["status"], "gateway-2-listener-udp")["conditions"];
    assert_eq!(condition(good, "Accepted"), ("True", "Accepted"));
    // G3
    let route = world.at(ROUTE, "udproute-ok");
    world.api.await_object(&route, "two parents", |route| {
        (0..2).all(|at| {
            accepted(route, at) == ("True", "Accepted")
                && condition(&route["status"]["parents"][at]["conditions"], "ResolvedRefs").0 == "True"
        })
    });
    // G4, G5
    let second = world.at(DEPLOYMENT, "gateway-2");
    world.api.await_object(&second, "there", |_| true);
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    world.annotate(GATEWAY, "gateway-2", &ours("disable-managed-dataplane"), Some("true"));
    world.api.await_gone(&second);
    assert!(world.api.find(&world.at(DEPLOYMENT, "gateway-1")).is_some());
    assert!(world.discovery().find("g01/gateway-2").is_some(), "the configuration stays");
    world.annotate(GATEWAY, "gateway-2", &ours("disable-managed-dataplane"), None);
    world.api.await_object(&second, "back", |_| true);
    // G6
    world.api.delete(&world.at(GATEWAY, "gateway-2"));
    world.api.await_object(&route, "one parent lost", |route| {
        accepted(route, 0) == ("True", "Accepted") && accepted(route, 1) == ("False", "NoMatchingParent")
    });
}

const SECOND_CLASS: &str = r"
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: NAME-2}
spec:
  controllerName: example.com/NAME
  parametersRef: {group: stunner.l7mp.io, kind: GatewayConfig, name: gatewayconfig-2, namespace: NAME}
---
apiVersion: stunner.l7mp.io/v1
kind: GatewayConfig
metadata: {name: gatewayconfig-2, namespace: NAME}
spec: {realm: otherrealm, userName: u, password: p, dataplane: NAME-2}
---
apiVersion: stunner.l7mp.io/v1
kind: Dataplane
metadata: {name: NAME-2}
spec: {image: testimage-2, imagePullPolicy: IfNotPresent}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway-2, namespace: NAME}
spec:
  gatewayClassName: NAME-2
  listeners: [{name: udp, port: 1, protocol: UDP}]
";

#[test]
fn g07_and_g09_two_classes_keep_to_themselves() {
    let Some(world) = World::start("g07", &[]) else { return };
    world.apply(SECOND_CLASS);
    let second = world.discovery().await_config("g07/gateway-2", "there", |_| true);
    assert_eq!(second["auth"]["realm"], "otherrealm");
    assert_eq!(second["listeners"][0]["protocol"], "TURN-UDP");
    let first = world.await_config("there", |_| true);
    assert_eq!(first["auth"]["realm"], "testrealm");
    for class in ["g07", "g07-2"] {
        world.api.await_object(&format!("{CLASS} {class}"), "accepted", |class| {
            condition(&class["status"]["conditions"], "Accepted").0 == "True"
        });
    }
    let container = |deployment: &Value| deployment["spec"]["template"]["spec"]["containers"][0].clone();
    let one = world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    let two = world.api.await_object(&world.at(DEPLOYMENT, "gateway-2"), "there", |_| true);
    assert_eq!(
        (&container(&one)["image"], &container(&one)["imagePullPolicy"]),
        (&json!("testimage-1"), &json!("Always"))
    );
    assert_eq!(container(&two)["imagePullPolicy"], "IfNotPresent");
    // G9
    let spec = json!({
        "image": "testimage-3",
        "imagePullSecrets": [{"name": "pull"}],
        "securityContext": {"runAsUser": 1000},
        "containerSecurityContext": {"capabilities": {"add": ["NET_ADMIN"]}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "kind", "operator": "In", "values": ["media"]}]}],
        }}},
        "terminationGracePeriodSeconds": 30,
    });
    world.api.patch(&format!("{DATAPLANE} g07-2"), json!({ "spec": spec }));
    let two = world.api.await_object(&world.at(DEPLOYMENT, "gateway-2"), "the new image", |deployment| {
        container(deployment)["image"] == "testimage-3"
    });
    let pod = &two["spec"]["template"]["spec"];
    for field in ["imagePullSecrets", "securityContext", "terminationGracePeriodSeconds", "affinity"] {
        assert_eq!(pod[field], spec[field], "{field}");
    }
    assert_eq!(pod["topologySpreadConstraints"][0]["topologyKey"], "zone");
    assert_eq!(container(&two)["securityContext"]["capabilities"]["add"], json!(["NET_ADMIN"]));
    let after = world.api.get(&world.at(DEPLOYMENT, "gateway-1"));
    assert_eq!(after["metadata"]["generation"], one["metadata"]["generation"], "the other one is as it was");
}

#[test]
fn m23_g08_and_o03_edits_by_hand_stay_where_they_may_and_go_where_they_may_not() {
    let Some(world) = World::start("g08", &[]) else { return };
    let reference = world.at(DEPLOYMENT, "gateway-1");
    world.api.await_object(&reference, "there", |_| true);
    let edit = json!({"labels": {"by-hand": "yes"}, "annotations": {"by-hand": "yes"}});
    world.api.patch(&reference, json!({"metadata": edit, "spec": {"template": {"metadata": edit}}}));
    // O3: foreign keys of the pod template go, even if nothing else has changed.
    let after = world.api.await_object(&reference, "a clean template", |deployment| {
        let metadata = &deployment["spec"]["template"]["metadata"];
        metadata["labels"].get("by-hand").is_none() && metadata["annotations"].get("by-hand").is_none()
    });
    assert_eq!(after["metadata"]["labels"]["by-hand"], "yes");
    assert_eq!(after["metadata"]["annotations"]["by-hand"], "yes");
    let owned = ours("owned-by");
    world.api.patch(
        &world.gateway(),
        json!({"metadata": {
            "labels": {"new": "label", &owned: "somebody"},
            "annotations": {"new": "annotation", ours("related-gateway-name"): "no/body"},
        }}),
    );
    let after = world.api.await_object(&reference, "the new label", |deployment| {
        deployment["metadata"]["labels"]["new"] == "label"
    });
    assert_eq!(after["metadata"]["annotations"]["new"], "annotation");
    assert_eq!(after["metadata"]["labels"][&owned], "stunner");
    assert_eq!(after["metadata"]["annotations"][ours("related-gateway-name")], "g08/gateway-1");
    assert!(after["spec"]["template"]["metadata"]["labels"].get("new").is_none());
    assert!(after["spec"]["template"]["metadata"]["annotations"].get("new").is_none());
    // M23: labels of whoever applied the Gateway are not passed on.
    world.api.patch(
        &world.gateway(),
        json!({"metadata": {"labels": {"applyset.kubernetes.io/part-of": "x", "app.kubernetes.io/managed-by": "y", "newer": "z"}}}),
    );
    let after = world.api.await_object(&reference, "the newer label", |deployment| {
        deployment["metadata"]["labels"]["newer"] == "z"
    });
    assert!(after["metadata"]["labels"].get("app.kubernetes.io/managed-by").is_none());
    assert!(after["metadata"]["labels"].get("applyset.kubernetes.io/part-of").is_none());
}

#[test]
fn g10_objects_may_go_in_any_order_and_w02_nothing_is_deleted_for_it() {
    let Some(world) = World::start("g10", &[]) else { return };
    let (deployment, service) = (world.at(DEPLOYMENT, "gateway-1"), world.at(SERVICE, "gateway-1"));
    let before = (
        world.api.await_object(&deployment, "there", |_| true),
        world.api.await_object(&service, "there", |_| true),
    );
    let config = world.await_config("there", |_| true);
    world.api.delete(&world.at(CONFIG, "gatewayconfig-ok"));
    world.api.await_object(&format!("{CLASS} g10"), "invalid", |class| {
        condition(&class["status"]["conditions"], "Accepted") == ("False", "InvalidParameters")
    });
    let gateway = world.api.await_object(&world.gateway(), "pending", |gateway| {
        condition(&gateway["status"]["conditions"], "Accepted") == ("False", "Pending")
    });
    assert_eq!(condition(&gateway["status"]["conditions"], "Programmed"), ("False", "Invalid"));
    world.api.delete(&format!("{DATAPLANE} g10"));
    world.api.delete(&format!("{CLASS} g10"));
    world.operator().process().await_line("no GatewayClass");
    // W2: what ran goes on running.
    assert_eq!(world.api.get(&deployment)["metadata"]["uid"], before.0["metadata"]["uid"]);
    assert_eq!(world.api.get(&service)["metadata"]["uid"], before.1["metadata"]["uid"]);
    assert_eq!(world.discovery().find("g10/gateway-1"), Some(config));
    world.api.delete(&world.gateway());
    let deadline = kit::Deadline::default();
    while world.discovery().find("g10/gateway-1").is_some() {
        assert!(deadline.left().is_some(), "the configuration of a Gateway that is gone is still served");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(world.operator().probe("/healthz").0, 200);
}
