//! The network between the operator and the API server, and what it takes away. A call is always under way.

use std::time::Duration;

use cluster::{Operator, Proxy};
use kit::{Deadline, Process};
use serde_json::{Value, json};

use crate::{
    calls::{Call, stunnerd},
    fixture::{DEPLOYMENT, SERVICE, STATIC_SERVICE, World, server},
};

/// An operator behind a proxy, its dataplane, and the call that must not end.
struct Scene {
    world: World,
    proxy: Proxy,
    operator: Operator,
    _daemon: Process,
    call: Call,
    /// Identities of the Deployment and the Service.
    made: [Value; 2],
    config: Value,
}

impl Scene {
    fn start(name: &str, flags: &[&str]) -> Option<Self> {
        let world = World::without_operator(name, flags)?;
        let port = world.open_for_calls();
        let server = server()?;
        let proxy = Proxy::start(server.address());
        let operator = Operator::start_with(&server.operator_kubeconfig_through(&proxy), &world.options);
        let gateway = format!("{name}/gateway-1");
        operator.discovery().await_config(&gateway, "a cluster", |config| !config["clusters"].is_null());
        let daemon = stunnerd(operator.discovery_address(), &gateway);
        daemon.await_line("configuration in force: 1 listeners");
        let call = Call::start(port);
        let made = made(&world);
        // Only once the Service is there, the configuration has its public address, or it is known that there is none.
        world.await_idle_of(&operator);
        let config = operator.discovery().await_config(&gateway, "there", |_| true);
        Some(Self { world, proxy, operator, _daemon: daemon, call, made, config })
    }

    /// Nothing was deleted, emptied or interrupted.
    #[track_caller]
    fn goes_on(&mut self) {
        self.call.goes_on();
        assert_eq!(made(&self.world), self.made);
        let served = self.operator.discovery().find(&format!("{}/gateway-1", self.world.name));
        assert_eq!(served.as_ref(), Some(&self.config));
    }

    /// Lets another address in, and waits until dataplanes know it.
    #[track_caller]
    fn follows_changes(&mut self, address: &str, patience: Duration) {
        let prefixes = json!({"spec": {"prefixes": ["127.0.0.0/8", address]}});
        self.world.api.patch(&self.world.at(STATIC_SERVICE, "here"), prefixes);
        let deadline = Deadline::after(patience);
        let gateway = format!("{}/gateway-1", self.world.name);
        loop {
            let config = self.operator.discovery().find(&gateway).expect("a configuration");
            if config["clusters"].to_string().contains(address) {
                self.config = config;
                break;
            }
            assert!(deadline.left().is_some(), "{address} does not arrive: {config}");
            self.call.goes_on();
            std::thread::sleep(Duration::from_millis(100));
        }
        self.goes_on();
    }
}

/// Identities of what was made for the Gateway.
#[track_caller]
fn made(world: &World) -> [Value; 2] {
    [DEPLOYMENT, SERVICE].map(|kind| {
        let object = world.api.await_object(&world.at(kind, "gateway-1"), "there", |_| true);
        object["metadata"]["uid"].clone()
    })
}

#[test]
fn watches_are_cut_one_by_one_and_nothing_is_lost() {
    let Some(mut scene) = Scene::start("cut", &[]) else { return };
    let connections = scene.proxy.connections();
    assert!(connections.len() > 10, "a connection for each kind: {connections:?}");
    for connection in connections {
        scene.proxy.cut(connection);
        scene.goes_on();
    }
    // The watches are back: of endpoints, of the Gateway, of what was made.
    scene.follows_changes("192.0.2.1", Duration::from_secs(60));
    let world = &scene.world;
    world.api.patch(&world.gateway(), json!({"metadata": {"labels": {"still": "works"}}}));
    let deployment = world.at(DEPLOYMENT, "gateway-1");
    let has_label = |one: &Value| one["metadata"]["labels"]["still"] == "works";
    world.api.await_object(&deployment, "the new label", has_label);
    world.api.patch(&deployment, json!({"metadata": {"labels": {"still": "broken"}}}));
    world.api.await_object(&deployment, "the label again", has_label);
    scene.goes_on();
}

#[test]
fn connections_that_carry_nothing_any_more_are_given_up() {
    let Some(mut scene) = Scene::start("silent", &[]) else { return };
    scene.proxy.hold_connections();
    scene.goes_on();
    // Nobody has told the operator; it has to find out.
    scene.follows_changes("192.0.2.2", Duration::from_secs(120));
}

/// What a replica needs to hold a lease in another namespace than usual.
const LEASE_ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lease, namespace: NAME}
rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: lease, namespace: NAME}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: lease}
subjects:
  - {kind: ServiceAccount, name: stunner-gateway-operator-controller-manager, namespace: stunner-system}
";

/// Attempts to write that an operator has counted.
fn attempts(operator: &Operator) -> Vec<String> {
    let metrics = operator.metrics();
    metrics.lines().filter(|line| line.contains("operation=\"attempt\"")).map(str::to_owned).collect()
}

#[test]
fn a_leader_that_is_cut_off_writes_no_more_and_another_one_does() {
    let lease = "--leader-election-namespace=cut-off";
    let Some(prepared) = World::without_operator("cut-off", &[]) else { return };
    prepared.apply(LEASE_ROLE);
    let Some(mut scene) = Scene::start("cut-off", &["--leader-elect", lease]) else { return };
    let server = server().expect("the server was there before");
    let second = Operator::start(server, &scene.world.options);
    second.await_ready();
    assert!(second.metrics().contains("stunner_gateway_operator_leader 0"));

    scene.proxy.hold();
    scene.operator.process().await_match(0, Deadline::after(Duration::from_secs(60)), "its end", |line| {
        line.contains("no longer leading").then_some(())
    });
    let before = attempts(&scene.operator);
    second.process().await_match(0, Deadline::after(Duration::from_secs(60)), "leading", |line| {
        line.contains("leading from now on").then_some(())
    });
    scene.goes_on();
    let world = &scene.world;
    let deployment = world.at(DEPLOYMENT, "gateway-1");
    let label = |value: &str| json!({"metadata": {"labels": {"leader": value}}});
    world.api.patch(&world.gateway(), label("second"));
    world.api.await_object(&deployment, "the second one's label", |one| {
        one["metadata"]["labels"]["leader"] == "second"
    });
    // Back again, the first one serves what is new, and leaves the writing to the second.
    scene.proxy.release();
    scene.follows_changes("192.0.2.3", Duration::from_secs(120));
    world_is_written_by_the_second(&scene, &second, &before);
    scene.goes_on();
}

fn world_is_written_by_the_second(scene: &Scene, second: &Operator, before: &[String]) {
    let world = &scene.world;
    let label = json!({"metadata": {"labels": {"leader": "still-second"}}});
    world.api.patch(&world.gateway(), label);
    world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "the second one's next label", |one| {
        one["metadata"]["labels"]["leader"] == "still-second"
    });
    assert_eq!(attempts(&scene.operator), before, "the first one has written nothing since");
    assert!(scene.operator.metrics().contains("stunner_gateway_operator_leader 0"));
    assert!(second.metrics().contains("stunner_gateway_operator_leader 1"));
}
