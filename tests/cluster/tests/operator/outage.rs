//! The API server is away for a while, and then its store. Calls are always under way.

use std::time::Duration;

use cluster::{GatewayApi, Server};
use kit::Deadline;

use crate::{calls::Scene, fixture::World};

/// How long the API server stays away.
const OUTAGE: Duration = Duration::from_secs(30);

/// How long it may take until what has changed since is known everywhere: watches are taken up again with pauses.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn an_api_server_that_is_away_for_half_a_minute_takes_nothing_along() {
    if kit::need("kube-apiserver").is_none() {
        return;
    }
    let Some(mut server) = Server::start(GatewayApi::Current) else { return };
    let world = World::on(&server, "away", &[]).electing();
    let mut scene = Scene::start(world, &server.operator_kubeconfig());
    // The dataplane of this Gateway is not there yet.
    let port = scene.world.open_for_calls("late");
    scene.operator.discovery().await_config("away/late", "a cluster", |config| !config["clusters"].is_null());
    scene.world.await_idle_of(&scene.operator);

    let before = scene.operator.process().line_count();
    server.kill_api_server();
    let outage = Deadline::after(OUTAGE);
    scene.operator.process().await_line_after(before, "watch interrupted");
    // Who comes meanwhile gets what the operator remembers.
    let (_daemon, mut late) = scene.world.call_through(&scene.operator, "late", port);
    while outage.left().is_some() {
        scene.is_served();
        late.goes_on();
        let probes = ["/readyz", "/healthz"].map(|path| scene.operator.probe(path).0);
        assert_eq!(probes, [200, 200], "it serves");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.start_api_server();
    // Everything goes on where it was, and with what it was.
    scene.goes_on();
    scene.follows_changes("192.0.2.4", PATIENCE);
    scene.leads_again(before);
    late.goes_on();

    // So it does when the store stands still.
    server.pause_etcd(true);
    scene.is_served();
    assert_eq!(scene.operator.probe("/healthz").0, 200);
    server.pause_etcd(false);
    scene.follows_changes("192.0.2.5", PATIENCE);
    late.goes_on();
}
