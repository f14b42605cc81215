//! What statuses say beyond the fixture's own.

use serde_json::{Value, json};

use crate::fixture::{
    CLASS, DEPLOYMENT, ROUTE, ROUTE_AND_BACKEND, SERVICE, TCP, UDP, World, condition, endpoints, listener,
};

fn features(class: &Value) -> Vec<&str> {
    let all = class["status"]["supportedFeatures"].as_array().into_iter().flatten();
    all.filter_map(|feature| feature["name"].as_str()).collect()
}

#[test]
fn w16_a_grant_opens_another_namespace_and_the_class_says_that_it_would() {
    let Some(world) = World::start("w16", &["--reference-grants"]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: NAME-other}}");
    world.apply(
        "{apiVersion: stunner.l7mp.io/v1, kind: StaticService, metadata: {name: far, namespace: NAME-other}, \
         spec: {prefixes: [10.11.12.13]}}",
    );
    world.await_config("its own endpoints", |config| endpoints(config) == 5);
    let far =
        json!({"group": "stunner.l7mp.io", "kind": "StaticService", "name": "far", "namespace": "w16-other"});
    let rules = json!([{"backendRefs": [{"name": "testservice-ok"}, far]}]);
    world.api.patch(&world.at(ROUTE, "udproute-ok"), json!({"spec": {"rules": rules}}));
    let resolved = |route: &Value| {
        let conditions = &route["status"]["parents"][0]["conditions"];
        let (status, reason) = condition(conditions, "ResolvedRefs");
        (status.to_owned(), reason.to_owned())
    };
    let is = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "not permitted", |route| {
        resolved(route) == is("False", "RefNotPermitted")
    });
    world.await_config("its own endpoints", |config| endpoints(config) == 5);
    world.apply(
        "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: grant, namespace: NAME-other}, \
         spec: {from: [{group: stunner.l7mp.io, kind: UDPRoute, namespace: NAME}], \
         to: [{group: stunner.l7mp.io, kind: StaticService}]}}",
    );
    world.await_config("the other one too", |config| endpoints(config) == 6);
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "permitted", |route| {
        resolved(route) == is("True", "ResolvedRefs")
    });
    world.api.delete("gateway.networking.k8s.io/v1beta1/ReferenceGrant w16-other/grant");
    world.await_config("its own endpoints again", |config| endpoints(config) == 5);
    let class = world.api.get(&format!("{CLASS} w16"));
    assert_eq!(features(&class), ["Gateway", "ReferenceGrant", "UDPRoute"]);
}

#[test]
fn w09_a_gateway_is_programmed_when_a_pod_is_ready_if_asked() {
    let Some(world) = World::start("w09", &["--await-dataplane"]) else { return };
    let listeners = json!([{"name": UDP, "port": 1, "protocol": "TURN-UDP"}]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners}}));
    world.api.await_object(&world.at(SERVICE, "gateway-1"), "there", |_| true);
    let address = json!({"loadBalancer": {"ingress": [{"ip": "5.6.7.8"}]}});
    world.api.patch_status(&world.at(SERVICE, "gateway-1"), &address);
    let programmed = |status: &'static str, reason: &'static str| {
        world.api.await_object(&world.gateway(), reason, |gateway| {
            condition(&gateway["status"]["conditions"], "Programmed") == (status, reason)
        })
    };
    programmed("False", "Pending");
    let deployment = world.at(DEPLOYMENT, "gateway-1");
    world.api.await_object(&deployment, "there", |_| true);
    world.api.patch_status(&deployment, &json!({"replicas": 3, "readyReplicas": 1}));
    let gateway = programmed("True", "Programmed");
    assert_eq!(gateway["status"]["conditions"].as_array().map(Vec::len), Some(2));
    world.api.patch_status(&deployment, &json!({"replicas": 3, "readyReplicas": 0}));
    programmed("False", "Pending");
    let class = world.api.get(&format!("{CLASS} w09"));
    assert_eq!(features(&class), ["Gateway", "UDPRoute"]);
}

#[test]
fn r02_conditions_follow_the_generation_and_routes_are_counted() {
    let Some(world) = World::start("r02", &[]) else { return };
    let about = |object: &Value, conditions: &Value| {
        let all = conditions.as_array().map_or(&[][..], Vec::as_slice);
        !all.is_empty() && all.iter().all(|one| one["observedGeneration"] == object["metadata"]["generation"])
    };
    let follows = |gateway: &Value| {
        about(gateway, &gateway["status"]["conditions"])
            && about(gateway, &listener(&gateway["status"], UDP)["conditions"])
    };
    world.api.await_object(&world.gateway(), "conditions", follows);
    let addresses = json!([{"type": "IPAddress", "value": "192.0.2.1"}]);
    let edited = world.api.patch(&world.gateway(), json!({"spec": {"addresses": addresses}}));
    let after = world.api.await_object(&world.gateway(), "conditions of the next generation", |gateway| {
        gateway["metadata"]["generation"] == edited["metadata"]["generation"] && follows(gateway)
    });
    assert!(after["metadata"]["generation"].as_i64() > Some(1));
    // Both sections, then one twice, then none.
    world.apply(ROUTE_AND_BACKEND);
    for (sections, (udp, tcp)) in [(vec![UDP, TCP], (1, 1)), (vec![TCP], (0, 1)), (vec!["nobody"], (0, 0))] {
        let parents: Vec<_> =
            sections.iter().map(|name| json!({"name": "gateway-1", "sectionName": name})).collect();
        world.api.patch(&world.at(ROUTE, "udproute-ok"), json!({"spec": {"parentRefs": parents}}));
        world.api.await_object(&world.gateway(), "the right numbers", |gateway| {
            let attached = |name| listener(&gateway["status"], name)["attachedRoutes"].as_i64();
            (attached(UDP), attached(TCP)) == (Some(udp), Some(tcp))
        });
    }
}
