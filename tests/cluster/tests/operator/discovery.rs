//! Config discovery as dataplanes see it.

use cds::{Event, Scope};
use serde_json::json;

use crate::fixture::{CONFIG, DATAPLANE, GATEWAY, ROUTE_AND_BACKEND, World, endpoints, ours};

/// What a watcher is sent, one after the other.
pub(crate) struct Watcher {
    runtime: tokio::runtime::Runtime,
    watch: cds::Watch,
}

impl Watcher {
    fn new(world: &World, gateway: &str) -> Self {
        Self::at(world, gateway, cds::Options::default())
    }

    /// One on a node.
    pub(crate) fn on(world: &World, gateway: &str, node: &str) -> Self {
        Self::at(world, gateway, cds::Options { node: Some(node.to_owned()), ..cds::Options::default() })
    }

    fn at(world: &World, gateway: &str, options: cds::Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let origin = format!("http://{}", world.operator().discovery_address()).parse().expect("an origin");
        let scope = Scope::Gateway { namespace: world.name.clone(), name: gateway.to_owned() };
        let watch = runtime.block_on(async { cds::watch(&origin, scope, options) });
        Self { runtime, watch: watch.expect("a watch") }
    }

    /// The next change.
    #[track_caller]
    fn next(&mut self) -> Event {
        let next = async { tokio::time::timeout(kit::PATIENCE, self.watch.next()).await };
        self.runtime.block_on(next).expect("a change").expect("the watch goes on")
    }

    /// Reads until the first listener has that port. What else changes, like the public address, is told too.
    #[track_caller]
    fn await_port(&mut self, port: u16) {
        while self.next_config().listeners[0].port != port {}
    }

    /// The next configuration.
    #[track_caller]
    pub(crate) fn next_config(&mut self) -> Box<config::Config> {
        loop {
            match self.next() {
                Event::Config(config) => return config,
                Event::Deleted(id) => panic!("{id} is gone"),
                Event::Synced => {}
            }
        }
    }
}

#[test]
fn c01_c02_a_watcher_gets_a_frame_per_change_and_is_told_the_end() {
    let Some(world) = World::start("c01", &[]) else { return };
    world.operator().await_ready();
    world.await_idle();
    let mut watcher = Watcher::new(&world, "gateway-1");
    let mut nobody = Watcher::new(&world, "gateway-2");
    assert_eq!(watcher.next_config().listeners.len(), 2);
    let patch =
        |port: u16| json!({"spec": {"listeners": [{"name": "udp", "port": port, "protocol": "UDP"}]}});
    for port in [7, 8, 9] {
        world.api.patch(&world.gateway(), patch(port));
        watcher.await_port(port);
    }
    assert_eq!(world.discovery().get("/api/v1/configs/c01/gateway-2").0, 404);
    world.api.delete(&world.gateway());
    loop {
        match watcher.next() {
            Event::Deleted(id) => break assert_eq!(id, "c01/gateway-1"),
            Event::Config(config) => assert_eq!(config.listeners[0].port, 9),
            Event::Synced => {}
        }
    }
    assert_eq!(world.discovery().get("/api/v1/configs/c01/gateway-1").0, 404);
    // The same watch goes on when the Gateway comes back.
    world.apply(crate::fixture::BASE);
    assert_eq!(watcher.next_config().listeners.len(), 2);
    world.apply(&crate::fixture::BASE.replace("gateway-1", "gateway-2"));
    assert_eq!(nobody.next_config().admin.name, "c01/gateway-2");
}

#[test]
fn c04_a_watcher_that_takes_nothing_delays_nobody() {
    let Some(world) = World::start("c04", &[]) else { return };
    world.await_config("there", |_| true);
    // A connection that is upgraded and never read again.
    let address = world.operator().discovery_address();
    let mut stalled = std::net::TcpStream::connect(address).expect("a server");
    let request = format!(
        "GET /api/v1/configs?watch=true HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    std::io::Write::write_all(&mut stalled, request.as_bytes()).expect("a request");
    let mut watcher = Watcher::new(&world, "gateway-1");
    watcher.next_config();
    for port in 100..130 {
        let patch = json!({"spec": {"listeners": [{"name": "udp", "port": port, "protocol": "UDP"}]}});
        world.api.patch(&world.gateway(), patch);
        watcher.await_port(port);
    }
    let service = world.at("v1/Service", "gateway-1");
    world.api.await_object(&service, "the last port", |service| service["spec"]["ports"][0]["port"] == 129);
    drop(stalled);
}

#[test]
fn c05_c06_what_was_sold_is_there() {
    let Some(world) = World::start("c06", &[]) else { return };
    let (_, license) = world.discovery().get("/api/v1/license");
    let license: serde_json::Value = serde_json::from_str(&license).expect("JSON");
    assert_eq!(license["enabledFeatures"].as_array().map(Vec::len), Some(5));
    world.apply(ROUTE_AND_BACKEND);
    world.await_config("endpoints", |config| endpoints(config) == 5);
    let limits = json!({"permissions": 9, "handshakesPerAddress": 1000});
    let spec =
        json!({"userQuota": 3, "stunMode": true, "userName": null, "password": null, "limits": limits});
    world.api.patch(&world.at(CONFIG, "gatewayconfig-ok"), json!({ "spec": spec }));
    let spec =
        json!({"dataplaneResource": "DaemonSet", "offloadEngine": "Auto", "offloadInterfaces": ["eth0"]});
    world.api.patch(&format!("{DATAPLANE} c06"), json!({ "spec": spec }));
    world.annotate(GATEWAY, "gateway-1", &ours("enable-relay-address-discovery"), Some("true"));
    let config = world.await_config("all of it", |config| {
        config["auth"]["type"] == "none"
            && config["admin"]["user_quota"] == 3
            && config["admin"]["offload_engine"] == "Auto"
            && config["listeners"][0]["address"]
                .as_str()
                .is_some_and(|address| address.contains("placeholder"))
    });
    assert_eq!(config["admin"]["offload_interfaces"], json!(["eth0"]));
    let limits = json!({"permissions": 9, "handshakes_per_address": 1000});
    assert_eq!(config["admin"]["limits"], limits, "which was never for sale");
    let daemon_set = world.api.await_object(&world.at("apps/v1/DaemonSet", "gateway-1"), "there", |_| true);
    assert!(daemon_set["spec"].get("replicas").is_none());
}
