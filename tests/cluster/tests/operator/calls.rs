//! A dataplane on the operator's configuration, with a call on it that must not end.

use std::{net::SocketAddr, process::Command};

use cluster::{GatewayApi, Operator, Options, Server};
use kit::{Credentials, EchoPeer, Process, TurnClient};
use serde_json::json;

use crate::fixture::{BASE, CONFIG, DATAPLANE, DEPLOYMENT, SERVICE, World};

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
}

/// A dataplane that gets the configuration of a Gateway from an operator.
pub(crate) fn stunnerd(discovery: SocketAddr, gateway: &str) -> Process {
    let mut command = Command::new(kit::binary("stunnerd"));
    let (namespace, name) = gateway.split_once('/').expect("namespace/name");
    command.args(["-w", "-u", "1"]);
    command.env("STUNNER_CONFIG_ORIGIN", format!("http://{discovery}"));
    command.env("STUNNER_NAMESPACE", namespace).env("STUNNER_NAME", name).env("STUNNER_ADDR", "127.0.0.1");
    Process::spawn(command)
}

impl World {
    /// Makes the Gateway one that a dataplane of this machine can serve, with this machine behind it. Returns its port.
    pub(crate) fn open_for_calls(&self) -> u16 {
        let port = kit::free_port();
        let listeners = json!([{"name": "udp", "port": port, "protocol": "TURN-UDP"}]);
        self.api.patch(&self.gateway(), json!({"spec": {"listeners": listeners}}));
        let dataplane = format!("{DATAPLANE} {}", self.name);
        self.api.patch(&dataplane, json!({"spec": {"disableHealthCheck": true}}));
        self.apply(
            "{apiVersion: stunner.l7mp.io/v1, kind: StaticService, metadata: {name: here, namespace: NAME}, \
             spec: {prefixes: [127.0.0.0/8]}}\n---\n\
             {apiVersion: stunner.l7mp.io/v1, kind: UDPRoute, metadata: {name: here, namespace: NAME}, spec: \
             {parentRefs: [{name: gateway-1}], rules: [{backendRefs: [{group: stunner.l7mp.io, kind: StaticService, name: here}]}]}}",
        );
        port
    }
}

#[test]
fn w01_w02_a_call_outlives_whatever_happens_to_the_control_plane() {
    if kit::need("kube-apiserver").is_none() {
        return;
    }
    let Some(mut server) = Server::start(GatewayApi::Current) else { return };
    let api = server.api();
    // A restarted operator is found where the first one was.
    let flag = format!("--config-discovery-address=127.0.0.1:{}", kit::free_port());
    let options =
        Options::new("call").with("--leader-elect").with("--leader-election-namespace=stunner-system");
    let options = Options { discovery: Some(flag), ..options };
    let world = World { api: api.clone(), options, operator: None, name: "call".to_owned() };
    world.apply(BASE);
    let port = world.open_for_calls();
    let operator = Operator::start(&server, &world.options);
    operator.discovery().await_config("call/gateway-1", "a cluster", |config| !config["clusters"].is_null());
    let daemon = stunnerd(operator.discovery_address(), "call/gateway-1");
    daemon.await_line("configuration in force: 1 listeners");
    let mut call = Call::start(port);
    let deployment = api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "there", |_| true);
    let service = api.await_object(&world.at(SERVICE, "gateway-1"), "there", |_| true);

    // The operator is killed; another one takes its place, and the lease when it is free.
    drop(operator);
    call.goes_on();
    let operator = Operator::start(&server, &world.options);
    operator.discovery().await_config("call/gateway-1", "a cluster", |config| !config["clusters"].is_null());
    call.goes_on();
    // What the class needs is missing for a while.
    let config = api.get(&world.at(CONFIG, "gatewayconfig-ok"));
    api.delete(&world.at(CONFIG, "gatewayconfig-ok"));
    operator.process().await_line("no GatewayConfig");
    call.goes_on();
    // The API server is killed, and comes back.
    server.kill_api_server();
    operator.process().await_line("watch interrupted");
    call.goes_on();
    server.start_api_server();
    call.goes_on();
    // Its store stands still.
    server.pause_etcd(true);
    call.goes_on();
    server.pause_etcd(false);
    call.goes_on();
    let spec = json!({"apiVersion": "stunner.l7mp.io/v1", "kind": "GatewayConfig", "spec": config["spec"],
        "metadata": {"name": "gatewayconfig-ok", "namespace": "call"}});
    api.apply(&spec.to_string());
    // The lease of the first one is over by now, and everything works as before.
    operator.process().await_match(
        0,
        kit::Deadline::after(std::time::Duration::from_secs(40)),
        "leading",
        |line| line.contains("leading from now on").then_some(()),
    );
    api.patch(&world.gateway(), json!({"metadata": {"labels": {"still": "works"}}}));
    let after = api.await_object(&world.at(DEPLOYMENT, "gateway-1"), "the new label", |deployment| {
        deployment["metadata"]["labels"]["still"] == "works"
    });
    assert_eq!(after["metadata"]["uid"], deployment["metadata"]["uid"]);
    assert_eq!(api.get(&world.at(SERVICE, "gateway-1"))["metadata"]["uid"], service["metadata"]["uid"]);
    call.goes_on();
}
