//! The network between the operator and the API server, and what it takes away. A call is always under way.

use std::time::Duration;

use cluster::{Operator, Proxy};
use kit::Deadline;
use serde_json::{Value, json};

use crate::{
    calls::Scene,
    fixture::{DEPLOYMENT, World, server},
};

/// An operator behind a proxy, and a call that must not end.
fn behind_a_proxy(world: World) -> Option<(Proxy, Scene)> {
    let server = server()?;
    let proxy = Proxy::start(server.address());
    let scene = Scene::start(world, &server.operator_kubeconfig_through(&proxy));
    Some((proxy, scene))
}

#[test]
fn watches_are_cut_one_by_one_and_nothing_is_lost() {
    let Some(world) = World::without_operator("cut", &[]) else { return };
    let Some((proxy, mut scene)) = behind_a_proxy(world) else { return };
    let connections = proxy.connections();
    assert!(connections.len() > 10, "a connection for each kind: {connections:?}");
    for connection in connections {
        proxy.cut(connection);
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
    let Some(world) = World::without_operator("silent", &[]) else { return };
    let Some((proxy, mut scene)) = behind_a_proxy(world) else { return };
    proxy.hold_connections();
    scene.goes_on();
    // Nobody has told the operator; it has to find out.
    scene.follows_changes("192.0.2.2", Duration::from_secs(120));
}

/// Attempts to write that an operator has counted.
fn attempts(operator: &Operator) -> Vec<String> {
    let metrics = operator.metrics();
    metrics.lines().filter(|line| line.contains("operation=\"attempt\"")).map(str::to_owned).collect()
}

#[test]
fn a_leader_that_is_cut_off_writes_no_more_and_another_one_does() {
    let Some(world) = World::without_operator("cut-off", &[]) else { return };
    let Some((proxy, mut scene)) = behind_a_proxy(world.electing()) else { return };
    let server = server().expect("the server was there before");
    let second = Operator::start(server, &scene.world.options);
    second.await_ready();
    assert!(second.metrics().contains("stunner_gateway_operator_leader 0"));

    proxy.hold();
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
    proxy.release();
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
