//! Public addresses. Nodes belong to everybody, so the tests with nodes take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::discovery::Watcher;
use crate::fixture::{CONFIG, GATEWAY, LEGACY, SERVICE, UDP, World, listener, ours};

/// Whose nodes there are.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn node(name: &str, addresses: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": addresses}})
        .to_string()
}

fn external(address: &str) -> Value {
    json!([{"type": "ExternalIP", "address": address}])
}

impl World {
    #[track_caller]
    fn await_public(&self, address: Option<&str>) -> Value {
        let what = format!("public address {address:?}");
        self.await_config(&what, |config| listener(config, UDP)["public_address"].as_str() == address)
    }

    fn node(&self, number: u32) -> String {
        format!("node-{}-{number}", self.name)
    }

    fn set_node(&self, name: &str, addresses: &Value) {
        self.api.apply(&node(name, &json!([])));
        self.api.patch_status(&format!("v1/Node {name}"), &json!({ "addresses": addresses }));
    }
}

#[test]
fn m07_to_m14_c03_and_w28_the_public_address_is_the_best_there_is() {
    let _turn = turn();
    let Some(world) = World::start("m07", &[]) else { return };
    public_addresses(&world);
    node_addresses(&world);
    clear(&world);
}

#[test]
fn l04_public_addresses_in_legacy_mode() {
    let _turn = turn();
    let Some(world) = World::start("l04", &[LEGACY]) else { return };
    public_addresses(&world);
    clear(&world);
}

fn public_addresses(world: &World) {
    let [first, second] = [1, 2].map(|number| world.node(number));
    let service = world.at(SERVICE, "gateway-1");
    let created = world.api.await_object(&service, "there", |_| true);

    // M7: the node port of a load balancer that is still to come.
    world.set_node(&first, &external("1.2.3.4"));
    let config = world.await_public(Some("1.2.3.4"));
    assert_eq!(listener(&config, UDP)["public_port"], created["spec"]["ports"][0]["nodePort"]);

    // M8: the load balancer, and its end.
    world.api.patch_status(&service, &json!({"loadBalancer": {"ingress": [{"ip": "2001:db8::9"}]}}));
    let config = world.await_public(Some("2001:db8::9"));
    assert_eq!(listener(&config, UDP)["public_port"], 1);
    world.api.patch_status(&service, &json!({"loadBalancer": null}));
    world.await_public(Some("1.2.3.4"));

    // M9
    world.set_node(&first, &external("2001:db8::1"));
    world.await_public(Some("2001:db8::1"));

    // M10: what the Gateway asks for comes before everything else.
    world
        .api
        .patch(&world.gateway(), json!({"spec": {"addresses": [{"type": "IPAddress", "value": "1.2.3.5"}]}}));
    let config = world.await_public(Some("1.2.3.5"));
    assert_eq!(listener(&config, UDP)["public_port"], 1);
    world.api.patch(&world.gateway(), json!({"spec": {"addresses": null}}));
    world.await_public(Some("2001:db8::1"));

    // M11
    world.set_node(&first, &external("1.2.3.6"));
    world.await_public(Some("1.2.3.6"));
    world.set_node(&first, &json!([]));
    world.await_public(None);
    world.set_node(&second, &external("1.2.3.7"));
    world.await_public(Some("1.2.3.7"));

    // M12: a ClusterIP has no public address, and no traffic policy.
    let config = world.at(CONFIG, "gatewayconfig-ok");
    let annotations = |kind: &str| {
        let annotations = json!({ours("service-type"): kind, ours("external-traffic-policy"): "local"});
        json!({"spec": {"loadBalancerServiceAnnotations": annotations}})
    };
    world.api.patch(&config, annotations("ClusterIP"));
    let now =
        world.api.await_object(&service, "a ClusterIP", |service| service["spec"]["type"] == "ClusterIP");
    assert!(now["spec"].get("externalTrafficPolicy").is_none());
    world.await_public(None);

    // M13
    assert_eq!(now["spec"]["sessionAffinity"], "ClientIP");
    world.annotate(GATEWAY, "gateway-1", &ours("disable-session-affinity"), Some("true"));
    world.api.await_object(&service, "no affinity", |service| service["spec"]["sessionAffinity"] == "None");

    // M14: a type that does not exist counts for nothing, and the Gateway wins.
    world.api.patch(&config, annotations("dummy"));
    world.annotate(GATEWAY, "gateway-1", &ours("service-type"), Some("NodePort"));
    let now = world.api.await_object(&service, "a NodePort", |service| service["spec"]["type"] == "NodePort");
    assert_eq!(now["spec"]["externalTrafficPolicy"], "Local");
    world.await_public(Some("1.2.3.7"));
}

/// C3: a dataplane that relays on the address of its node is told that one.
fn node_addresses(world: &World) {
    let [first, second] = [1, 2].map(|number| world.node(number));
    world.annotate(GATEWAY, "gateway-1", &ours("enable-relay-address-discovery"), Some("true"));
    let placeholder = "__node_address_placeholder";
    world.await_config("a placeholder", |config| listener(config, UDP)["address"] == placeholder);
    let gateway = |node: &str| format!("m07/gateway-1?node={node}");
    let at = |node: &str, address: &str| {
        world
            .discovery()
            .await_config(&gateway(node), address, |config| listener(config, UDP)["address"] == address);
    };
    at(&second, "1.2.3.7");
    let mut watcher = Watcher::on(world, "gateway-1", &second);
    let mut await_address = |address: &str| while watcher.next_config().listeners[0].address != address {};
    await_address("1.2.3.7");
    at(&first, "$STUNNER_ADDR");
    at("nobody", "$STUNNER_ADDR");
    world.set_node(&second, &external("2001:db8::7"));
    at(&second, "2001:db8::7");
    // W28: who follows is told.
    await_address("2001:db8::7");
    world.set_node(&second, &json!([{"type": "ExternalDNS", "address": "localhost"}]));
    at(&second, "127.0.0.1");
    await_address("127.0.0.1");
    world.annotate(GATEWAY, "gateway-1", &ours("enable-relay-address-discovery"), None);
}

fn clear(world: &World) {
    for number in [1, 2] {
        world.api.delete(&format!("v1/Node {}", world.node(number)));
    }
    world.await_public(None);
}
