//! A dataplane on the operator's configuration, with a call on it that must not end.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use cluster::Operator;
use kit::{Credentials, Deadline, EchoPeer, Process, TurnClient};
use serde_json::{Value, json};

use crate::fixture::{CONFIG, DATAPLANE, DEPLOYMENT, SERVICE, STATIC_SERVICE, World, server};

/// A client with an allocation and a channel to an echo peer.
pub(crate) struct Call {
    client: TurnClient,
    _peer: EchoPeer,
}

impl Call {
    #[track_caller]
    pub(crate) fn start(port: u16) -> Self {
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        let mut client = TurnClient::udp(server).with(Credentials::fixed("testuser", "testpass"));
        let peer = EchoPeer::start();
        client.allocate().expect("an allocation");
        client.channel_bind(0x4000, peer.address()).expect("a channel");
        let mut call = Self { client, _peer: peer };
        call.goes_on();
        call
    }

    #[track_caller]
    pub(crate) fn goes_on(&mut self) {
        for _ in 0..8 {
            self.client.send_channel(0x4000, b"hello");
            assert_eq!(self.client.recv().data(), b"hello");
        }
    }

    /// Whether the dataplane lets it exchange data with that address.
    fn may_reach(&mut self, address: &str) -> bool {
        let peer = SocketAddr::new(address.parse().expect("an address"), 9);
        self.client.create_permission(peer).is_ok()
    }
}

/// An operator, its dataplane, and the call that must not end.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) operator: Operator,
    _daemon: Process,
    call: Call,
    /// Identities of the Deployment and the Service.
    made: [Value; 2],
    config: Value,
}

impl Scene {
    #[track_caller]
    pub(crate) fn start(world: World, kubeconfig: &Path) -> Self {
        let port = world.open_for_calls("gateway-1");
        let operator = Operator::start_with(kubeconfig, &world.options);
        let (daemon, call) = world.call_through(&operator, "gateway-1", port);
        let made = made(&world);
        // Only once the Service is there, the configuration has its public address, or it is known that there is none.
        world.await_idle_of(&operator);
        let config = operator.discovery().await_config(&world.id("gateway-1"), "there", |_| true);
        Self { world, operator, _daemon: daemon, call, made, config }
    }

    /// The call goes on, and who asks for the configuration gets what there was.
    #[track_caller]
    pub(crate) fn is_served(&mut self) {
        self.call.goes_on();
        let served = self.operator.discovery().find(&self.world.id("gateway-1"));
        assert_eq!(served.as_ref(), Some(&self.config));
    }

    /// Nothing was deleted, emptied or interrupted.
    #[track_caller]
    pub(crate) fn goes_on(&mut self) {
        self.is_served();
        assert_eq!(made(&self.world), self.made);
    }

    /// Lets another address in, and waits until the dataplane does.
    #[track_caller]
    pub(crate) fn follows_changes(&mut self, address: &str, patience: Duration) {
        assert!(!self.call.may_reach(address), "{address} is to be new");
        let prefixes = json!({"spec": {"prefixes": ["127.0.0.0/8", address]}});
        self.world.api.patch(&self.world.at(STATIC_SERVICE, "here"), prefixes);
        let deadline = Deadline::after(patience);
        while !self.call.may_reach(address) {
            assert!(deadline.left().is_some(), "{address} does not arrive");
            self.call.goes_on();
            std::thread::sleep(Duration::from_millis(100));
        }
        let served = self.operator.discovery().find(&self.world.id("gateway-1"));
        self.config = served.expect("a configuration");
        assert!(self.config["clusters"].to_string().contains(address), "{}", self.config);
        self.goes_on();
    }

    /// Waits until the operator leads, which it says after so many lines, and writes.
    #[track_caller]
    pub(crate) fn leads_again(&mut self, skipped: usize) {
        let patience = Deadline::after(Duration::from_secs(60));
        let says_so = |line: &str| line.contains("leading from now on").then_some(());
        self.operator.process().await_match(skipped, patience, "leading", says_so);
        let world = &self.world;
        world.api.patch(&world.gateway(), json!({"metadata": {"labels": {"still": "works"}}}));
        world.api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "the new label", |deployment| {
            deployment["metadata"]["labels"]["still"] == "works"
        });
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

/// A dataplane that gets the configuration of a Gateway from an operator.
fn stunnerd(discovery: SocketAddr, gateway: &str) -> Process {
    let mut command = Command::new(kit::binary("stunnerd"));
    let (namespace, name) = gateway.split_once('/').expect("namespace/name");
    command.args(["-w", "-u", "1"]);
    command.env("STUNNER_CONFIG_ORIGIN", format!("http://{discovery}"));
    command.env("STUNNER_NAMESPACE", namespace).env("STUNNER_NAME", name).env("STUNNER_ADDR", "127.0.0.1");
    Process::spawn(command)
}

impl World {
    /// Makes the Gateway one that a dataplane of this machine can serve, with this machine behind it. Returns its port.
    pub(crate) fn open_for_calls(&self, gateway: &str) -> u16 {
        let port = kit::free_port();
        self.api.patch(&format!("{DATAPLANE} {}", self.name), json!({"spec": {"disableHealthCheck": true}}));
        let text = OPEN.replace("GATEWAY", gateway).replace("PORT", &port.to_string());
        self.apply(&text);
        port
    }

    /// A dataplane of the Gateway that follows the operator, with a call on it.
    #[track_caller]
    pub(crate) fn call_through(&self, operator: &Operator, gateway: &str, port: u16) -> (Process, Call) {
        let id = self.id(gateway);
        operator.discovery().await_config(&id, "a cluster", |config| !config["clusters"].is_null());
        let daemon = stunnerd(operator.discovery_address(), &id);
        daemon.await_line("configuration in force: 1 listeners");
        (daemon, Call::start(port))
    }
}

/// A Gateway, and a route from it to this machine. Its Service has no port on nodes, so its configuration is nobody else's
/// business: nodes come and go in other tests.
const OPEN: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: GATEWAY, namespace: NAME, annotations: {stunner.l7mp.io/service-type: ClusterIP}}
spec: {gatewayClassName: NAME, listeners: [{name: udp, port: PORT, protocol: TURN-UDP}]}
---
apiVersion: stunner.l7mp.io/v1
kind: StaticService
metadata: {name: here, namespace: NAME}
spec: {prefixes: [127.0.0.0/8]}
---
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: {name: GATEWAY, namespace: NAME}
spec:
  parentRefs: [{name: GATEWAY}]
  rules: [{backendRefs: [{group: stunner.l7mp.io, kind: StaticService, name: here}]}]
";

#[test]
fn w01_w02_a_call_outlives_whatever_happens_to_the_operator_and_its_objects() {
    let Some(world) = World::without_operator("call", &[]) else { return };
    let mut world = world.electing();
    // A restarted operator is found where the first one was.
    world.options.discovery = Some(format!("--config-discovery-address=127.0.0.1:{}", kit::free_port()));
    let server = server().expect("the server was there before");
    let mut scene = Scene::start(world, &server.operator_kubeconfig());

    // The operator is killed; another one takes its place, and the lease when it is free.
    drop(scene.operator);
    scene.call.goes_on();
    scene.operator = Operator::start(server, &scene.world.options);
    scene.operator.await_ready();
    scene.goes_on();
    // What the class needs is missing for a while.
    let reference = scene.world.at(CONFIG, "gatewayconfig-ok");
    let config = scene.world.api.get(&reference);
    scene.world.api.delete(&reference);
    scene.operator.process().await_line("no GatewayConfig");
    scene.goes_on();
    let again = json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "GatewayConfig", "spec": config["spec"],
        "metadata": {"name": "gatewayconfig-ok", "namespace": "call"}});
    scene.world.api.apply(&again.to_string());
    // The lease of the first one is over by now, and everything works as before.
    scene.leads_again(0);
    scene.follows_changes("192.0.2.6", Duration::from_secs(60));
}
