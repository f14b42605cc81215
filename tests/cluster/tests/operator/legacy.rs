//! Legacy mode: one ConfigMap for pods that the user runs.

use serde_json::{Value, json};

use crate::fixture::{
    CLASS, CONFIG, DEPLOYMENT, GATEWAY, LEGACY, ROUTE, ROUTE_AND_BACKEND, SECRET, STATIC_SERVICE, TCP, UDP,
    World, condition, endpoints, in_config_map, listener, listeners,
};

#[test]
fn l01_and_l03_a_config_map_is_kept() {
    let Some(world) = World::start("l01", &[LEGACY]) else { return };
    let config = world.await_config("two listeners", |config| listeners(config) == 2);
    assert_eq!(config["admin"]["name"], "stunner-daemon");
    let map = world.api.get(&world.config_map());
    assert_eq!(map["metadata"]["labels"]["stunner.l7mp.io/owned-by"], "stunner");
    assert_eq!(map["metadata"]["annotations"]["stunner.l7mp.io/related-gateway-name"], "/l01");
    let owner = world.api.get(&world.at(CONFIG, "gatewayconfig-ok"));
    assert_eq!(map["metadata"]["ownerReferences"][0]["uid"], owner["metadata"]["uid"]);
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("five endpoints", |config| endpoints(config) == 5);
    assert!(world.api.find(&world.at(DEPLOYMENT, "gateway-1")).is_none());
    assert_eq!(world.discovery().get("/api/v1/configs").1.trim(), r#"{"version":"v1","items":[]}"#);
    let service = world.api.get(&world.at("v1/Service", "gateway-1"));
    assert_eq!(service["spec"]["selector"], json!({"app": "stunner"}));
}

#[test]
fn l02_names_do_where_endpoints_are_not_wanted() {
    let Some(world) = World::start("l02", &[LEGACY, "--endpoint-discovery=false"]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    let config = world.await_config("a name", |config| config["clusters"][0]["type"] == "STRICT_DNS");
    assert_eq!(config["clusters"][0]["endpoints"], json!(["testservice-ok.l02.svc.cluster.local"]));
    world.apply(
        "{apiVersion: stunner.l7mp.io/v1, kind: StaticService, metadata: {name: s, namespace: NAME}, \
         spec: {prefixes: [10.11.12.13, 10.11.12.14, 10.11.12.15]}}",
    );
    let backend =
        json!([{"backendRefs": [{"group": "stunner.l7mp.io", "kind": "StaticService", "name": "s"}]}]);
    world.api.patch(&world.at(ROUTE, "udproute-ok"), json!({"spec": {"rules": backend}}));
    world.await_config("three addresses", |config| {
        config["clusters"][0]["type"] == "STATIC" && endpoints(config) == 3
    });
    world.api.delete(&world.at(STATIC_SERVICE, "s"));
    world.await_config("no address", |config| endpoints(config) == 0);
}

#[test]
fn l03_cluster_addresses_are_left_out_if_asked() {
    let Some(world) = World::start("l03", &[LEGACY, "--relay-to-cluster-ip=false"]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("four endpoints", |config| endpoints(config) == 4);
}

#[test]
fn l06_l07_and_l13_routes_and_gateways_come_and_go() {
    let Some(world) = World::start("l06", &[LEGACY]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    let config = world.await_config("a cluster", |config| endpoints(config) == 5);
    assert_eq!(listener(&config, UDP)["routes"], json!(["l06/udproute-ok"]));
    // L7
    let parent = json!([{"name": "gateway-1", "sectionName": TCP}]);
    world.api.patch(&world.at(ROUTE, "udproute-ok"), json!({"spec": {"parentRefs": parent}}));
    world.await_config("the other listener", |config| {
        listener(config, TCP)["routes"] == json!(["l06/udproute-ok"])
            && listener(config, UDP)["routes"].as_array().is_none_or(Vec::is_empty)
    });
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "the other section", |route| {
        route["status"]["parents"][0]["parentRef"]["sectionName"] == TCP
    });
    // L6
    world.api.delete(&world.at(ROUTE, "udproute-ok"));
    world.await_config("no cluster", |config| config["clusters"].is_null());
    world.api.delete(&world.gateway());
    world.await_config("no listener", |config| config["listeners"].is_null());
    world.apply(crate::fixture::BASE);
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("everything again", |config| listeners(config) == 2 && endpoints(config) == 5);
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "accepted", |route| {
        condition(&route["status"]["parents"][0]["conditions"], "Accepted").0 == "True"
    });
    // L13: the class last, for without it there is nobody to render.
    world.api.delete(&world.at(ROUTE, "udproute-ok"));
    world.api.delete(&world.gateway());
    let empty = |config: &Value| config["listeners"].is_null() && config["clusters"].is_null();
    let config = world.await_config("nothing", empty);
    assert_eq!(config["admin"]["name"], "stunner-daemon");
    world.api.delete(&format!("{CLASS} l06"));
    world.await_idle();
    assert!(empty(&in_config_map(&world.api.get(&world.config_map()))));
}

#[test]
fn l08_and_l09_namespaces_and_sections_decide() {
    let Some(world) = World::start("l08", &[LEGACY]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.apply("{apiVersion: v1, kind: Namespace, metadata: {name: NAME-other, labels: {which: other}}}");
    world.apply(
        "{apiVersion: stunner.l7mp.io/v1, kind: UDPRoute, metadata: {name: far, namespace: NAME-other}, spec: \
         {parentRefs: [{name: gateway-1, namespace: NAME}], rules: [{backendRefs: [{name: testservice-ok, namespace: NAME}]}]}}",
    );
    let route = format!("{ROUTE} l08-other/far");
    let refused = world.api.await_object(&route, "refused", |route| {
        condition(&route["status"]["parents"][0]["conditions"], "Accepted")
            == ("False", "NotAllowedByListeners")
    });
    let parent = &refused["status"]["parents"][0];
    assert_eq!(parent["parentRef"]["namespace"], "l08");
    assert_eq!(condition(&parent["conditions"], "ResolvedRefs").0, "True");
    let allow = |namespaces: Value| {
        json!({"spec": {"listeners": [
            {"name": UDP, "port": 1, "protocol": "TURN-UDP", "allowedRoutes": {"namespaces": namespaces}},
            {"name": TCP, "port": 2, "protocol": "TURN-TCP"},
        ]}})
    };
    let is_in =
        |config: &Value, name: &str| listener(config, name)["routes"].to_string().contains("l08-other/far");
    world.api.patch(&world.gateway(), allow(json!({"from": "All"})));
    world.await_config("let in by one", |config| is_in(config, UDP) && !is_in(config, TCP));
    let expression = |values: &[&str]| {
        let one = json!({"key": "which", "operator": "In", "values": values});
        allow(json!({"from": "Selector", "selector": {"matchExpressions": [one]}}))
    };
    world.api.patch(&world.gateway(), expression(&["some", "thing"]));
    world.await_config("shut out", |config| !is_in(config, UDP));
    world.api.patch(&world.gateway(), expression(&["other", "thing"]));
    world.await_config("let in by its label", |config| is_in(config, UDP));
    // W29: labels of namespaces count when they change.
    world.api.patch("v1/Namespace l08-other", json!({"metadata": {"labels": {"which": "nothing"}}}));
    world.await_config("shut out by its label", |config| !is_in(config, UDP));
    // L9
    let parent = json!([{"name": "gateway-1", "sectionName": "nobody"}]);
    world.api.patch(&world.at(ROUTE, "udproute-ok"), json!({"spec": {"parentRefs": parent}}));
    world.await_config("no cluster", |config| config["clusters"].is_null());
    world.api.await_object(&world.at(ROUTE, "udproute-ok"), "refused", |route| {
        let conditions = &route["status"]["parents"][0]["conditions"];
        condition(conditions, "Accepted").0 == "False" && condition(conditions, "ResolvedRefs").0 == "True"
    });
}

#[test]
fn l10_and_l11_credentials_come_from_where_the_config_says() {
    let Some(world) = World::start("l10", &[LEGACY]) else { return };
    let config = world.at(CONFIG, "gatewayconfig-ok");
    for alias in ["ephemeral", "timewindowed"] {
        let spec = json!({"authType": alias, "sharedSecret": format!("secret-{alias}")});
        world.api.patch(&config, json!({ "spec": spec }));
        let now = world.await_config(alias, |config| {
            config["auth"]["credentials"]["secret"] == format!("secret-{alias}")
        });
        assert_eq!(now["auth"]["type"], "ephemeral");
    }
    // L11
    let secret = |data: Value| {
        let mut object =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "auth", "namespace": "l10"}});
        object["stringData"] = data;
        object.to_string()
    };
    world.api.apply(&secret(json!({"username": "ext-user", "password": "ext-pass"})));
    world.api.patch(&config, json!({"spec": {"authRef": {"name": "auth"}}}));
    let now =
        world.await_config("the Secret", |config| config["auth"]["credentials"]["username"] == "ext-user");
    assert_eq!(now["auth"]["type"], "static");
    world.api.apply(&secret(json!({"username": "ext-user", "password": "new-pass"})));
    world.await_config("the edit", |config| config["auth"]["credentials"]["password"] == "new-pass");
    world.api.apply(&secret(json!({"type": "ephemeral", "secret": "ext-secret"})));
    let last =
        world.await_config("the type", |config| config["auth"]["credentials"]["secret"] == "ext-secret");
    // What is missing keeps what was there, and says so.
    world.api.delete(&world.at(SECRET, "auth"));
    world.api.await_object(&world.gateway(), "pending", |gateway| {
        condition(&gateway["status"]["conditions"], "Accepted") == ("False", "Pending")
    });
    assert_eq!(in_config_map(&world.api.get(&world.config_map())), last);
    world.api.patch(&config, json!({"spec": {"authRef": null}}));
    world.await_config("inline again", |config| {
        config["auth"]["credentials"]["secret"] == "secret-timewindowed"
    });
}

#[test]
fn l12_any_change_is_rendered() {
    let Some(world) = World::start("l12", &[LEGACY, "--endpoint-discovery=false"]) else { return };
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("a cluster", |config| endpoints(config) == 1);
    let listeners_are = json!([
        {"name": UDP, "port": 7, "protocol": "TURN-UDP"},
        {"name": TCP, "port": 2, "protocol": "TURN-TCP"},
    ]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners_are}}));
    world.await_config("the new port", |config| listener(config, UDP)["port"] == 7);
    world.api.patch(
        &world.at(ROUTE, "udproute-ok"),
        json!({"spec": {"rules": [{"backendRefs": [{"name": "dummy"}]}]}}),
    );
    world.await_config("the new backend", |config| {
        config["clusters"][0]["endpoints"] == json!(["dummy.l12.svc.cluster.local"])
    });
    world.apply(
        "{apiVersion: stunner.l7mp.io/v1, kind: UDPRoute, metadata: {name: second, namespace: NAME}, spec: {parentRefs: \
         [{name: gateway-1, sectionName: nobody}, {name: gateway-1, sectionName: gateway-1-listener-tcp}], \
         rules: [{backendRefs: [{name: one}, {name: two}]}]}}",
    );
    let config =
        world.await_config("two clusters", |config| config["clusters"].as_array().map(Vec::len) == Some(2));
    assert_eq!(listener(&config, TCP)["routes"], json!(["l12/second"]));
    assert_eq!(config["clusters"][0]["name"], "l12/second");
    assert_eq!(endpoints(&config), 2);
    world.apply(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: gateway-2, namespace: NAME}, spec: \
         {gatewayClassName: NAME, listeners: [{name: a, port: 1, protocol: UDP}, {name: b, port: 3, protocol: TCP}]}}",
    );
    world.await_config("four listeners and two clusters", |config| {
        listeners(config) == 4 && config["clusters"].as_array().map(Vec::len) == Some(2)
    });
    world.api.delete(&world.at(GATEWAY, "gateway-2"));
    world.await_config("two listeners", |config| listeners(config) == 2);
}
