//! Rules that show in what changes, or in a setting, rather than in one directory of objects.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use gateway::{
    Settings, Snapshot,
    api::{Condition, EndpointSlice, Gateway, GatewayClass, GatewayConfig, Key, Truth},
    condition::{ACCEPTED, PROGRAMMED},
    manifest, render,
};

const OBJECTS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: media, generation: 4}
spec:
  gatewayClassName: stunner
  addresses: [{value: 192.0.2.7}]
  listeners: [{name: udp, port: 3478, protocol: TURN-UDP}]
---
apiVersion: v1
kind: Service
metadata:
  name: edge
  namespace: media
  labels: {stunner.l7mp.io/owned-by: stunner}
  annotations: {stunner.l7mp.io/related-gateway-name: media/edge}
  ownerReferences: [{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, name: edge, uid: ''}]
spec: {type: LoadBalancer, ports: [{name: udp, port: 3478, protocol: UDP}]}
---
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: {name: sfu, namespace: media}
spec: {parentRefs: [{name: edge}], rules: [{backendRefs: [{name: sfu}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: sfu, namespace: media}
spec: {ports: [{port: 1, protocol: UDP}], clusterIP: None}
";

fn snapshot() -> Snapshot {
    let base = include_str!("golden_case/base.yaml");
    let manifests = manifest::parse("objects.yaml", &format!("{base}\n---\n{OBJECTS}"));
    assert_eq!(manifests.errors, []);
    manifests.snapshot
}

fn key(name: &str) -> Key {
    Key::new("media", name)
}

fn find(conditions: &[Condition], kind: &str) -> (Truth, String, Option<i64>) {
    let one = conditions.iter().find(|one| one.kind == kind).unwrap();
    (one.status, one.reason.clone(), one.observed_generation)
}

#[test]
fn r02_a_condition_says_which_generation_it_is_about() {
    let mut objects = snapshot();
    let class_says = |objects: &Snapshot| {
        let rendered = render(objects, &Settings::default());
        find(&rendered.gateway_classes[&Key::cluster("stunner")].conditions, ACCEPTED)
    };
    let gateway_says = |objects: &Snapshot| {
        let status = render(objects, &Settings::default()).gateways[&key("edge")].clone();
        let listener = find(&status.listeners[0].conditions, ACCEPTED).2;
        (find(&status.conditions, ACCEPTED).2, find(&status.conditions, PROGRAMMED).2, listener)
    };
    assert_eq!(class_says(&objects), (Truth::True, "Accepted".to_owned(), Some(1)));
    assert_eq!(gateway_says(&objects), (Some(4), Some(4), Some(4)));
    let class: &mut GatewayClass = objects.gateway_classes.get_mut(&Key::cluster("stunner")).unwrap();
    class.metadata.generation = Some(2);
    let gateway: &mut Gateway = objects.gateways.get_mut(&key("edge")).unwrap();
    gateway.metadata.generation = Some(5);
    assert_eq!(class_says(&objects), (Truth::True, "Accepted".to_owned(), Some(2)));
    assert_eq!(gateway_says(&objects), (Some(5), Some(5), Some(5)));
    // What was good and is no longer says so about the newest generation.
    objects.remove::<GatewayConfig>(&key("config"));
    assert_eq!(class_says(&objects), (Truth::False, "InvalidParameters".to_owned(), Some(2)));
    assert_eq!(gateway_says(&objects), (Some(5), Some(5), Some(5)));
}

#[test]
fn r11_endpoints_are_found_by_the_label_and_the_namespace_of_their_slices() {
    let endpoints = |slices: &[(&str, &str, &str, &str)]| {
        let mut objects = snapshot();
        for (namespace, name, service, address) in slices {
            let yaml = format!(
                "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: {name}, \
                 namespace: {namespace}, labels: {{kubernetes.io/service-name: {service}}}}}, \
                 endpoints: [{{addresses: [{address}]}}]}}"
            );
            let more = manifest::parse("slice.yaml", &yaml);
            assert_eq!(more.errors, []);
            let all = more.snapshot.endpoint_slices.into_values();
            all.for_each(|slice: EndpointSlice| drop(objects.insert(slice)));
        }
        let rendered = render(&objects, &Settings::default());
        let clusters = &rendered.configs["media/edge"].clusters;
        clusters.iter().flat_map(|cluster| cluster.endpoints.clone()).collect::<Vec<_>>()
    };
    // The name of a slice means nothing, and several slices are one.
    let merged = [("media", "any", "sfu", "10.0.0.1"), ("media", "other", "sfu", "10.0.0.2")];
    assert_eq!(endpoints(&merged), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(endpoints(&[("elsewhere", "sfu", "sfu", "10.0.0.1")]), [""; 0]);
    assert_eq!(endpoints(&[("media", "sfu", "sfu-2", "10.0.0.1")]), [""; 0]);
}

#[test]
fn w09_a_gateway_can_wait_for_a_ready_pod() {
    let with = |more: &str| {
        let objects = manifest::parse("workload.yaml", more).snapshot;
        let mut all = snapshot();
        objects.deployments.into_values().for_each(|one| drop(all.insert(one)));
        all
    };
    let programmed = |objects: &Snapshot, await_dataplane| {
        let settings = Settings { await_dataplane, ..Settings::default() };
        let (truth, reason, _) =
            find(&render(objects, &settings).gateways[&key("edge")].conditions, PROGRAMMED);
        (truth, reason)
    };
    let workload = |ready: u32| {
        format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: edge, namespace: media, labels: \
             {{stunner.l7mp.io/owned-by: stunner}}, ownerReferences: [{{apiVersion: gateway.networking.k8s.io/v1, \
             kind: Gateway, name: edge, uid: ''}}]}}, spec: {{}}, status: {{readyReplicas: {ready}}}}}"
        )
    };
    let yes = (Truth::True, "Programmed".to_owned());
    let not_yet = (Truth::False, "Pending".to_owned());
    assert_eq!(programmed(&with(""), false), yes);
    assert_eq!(programmed(&with(""), true), not_yet);
    assert_eq!(programmed(&with(&workload(0)), true), not_yet);
    assert_eq!(programmed(&with(&workload(1)), true), yes);
    assert_eq!(with(&workload(1)), with(&workload(2)), "how many are ready is no news");
}

#[test]
fn a_class_says_what_it_supports_where_there_is_a_place_for_it() {
    let features = |settings: &Settings| {
        let rendered = render(&snapshot(), settings);
        let status = &rendered.gateway_classes[&Key::cluster("stunner")];
        status.supported_features.iter().map(|feature| feature.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(features(&Settings::default()), [""; 0]);
    let supported_features = true;
    assert_eq!(features(&Settings { supported_features, ..Settings::default() }), ["Gateway", "UDPRoute"]);
    let reference_grants = true;
    let all = features(&Settings { supported_features, reference_grants, ..Settings::default() });
    assert_eq!(all, ["Gateway", "ReferenceGrant", "UDPRoute"]);
}
