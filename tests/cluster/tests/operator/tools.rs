//! What people ask a cluster with: through the API server, to pods that are processes of this machine.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Command, Output, Stdio},
};

use cluster::Kubelet;
use kit::{Deadline, EchoPeer, Process, Running};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{World, server};

const DISCOVERY: (&str, &str) = ("stunner.l7mp.io/config-discovery-service", "enabled");

/// A cluster with an operator in a pod, and a home with a kubeconfig whose context has the test's namespace.
struct Cluster {
    world: World,
    kubelet: Kubelet,
    home: TempDir,
}

impl Cluster {
    #[track_caller]
    fn start(name: &str) -> Option<Self> {
        let world = World::start(name, &[])?;
        let kubelet = Kubelet::start(&world.api, name);
        let home = kit::temp_dir();
        let text = std::fs::read_to_string(server()?.admin_kubeconfig()).expect("a kubeconfig");
        let mut kubeconfig: Value = serde_json::from_str(&text).expect("JSON");
        kubeconfig["contexts"][0]["context"]["namespace"] = name.into();
        std::fs::write(home.path().join("kubeconfig"), kubeconfig.to_string()).expect("a file");
        let cluster = Self { world, kubelet, home };
        cluster.kubelet.run(&cluster.pod("operator"), &[DISCOVERY]);
        cluster.expose_operator();
        Some(cluster)
    }

    fn expose_operator(&self) {
        self.kubelet.expose(&self.pod("operator"), 13478, self.world.operator().discovery_address());
    }

    fn pod(&self, name: &str) -> String {
        format!("{}/{name}", self.world.name)
    }

    /// A tool, told to look for servers in the test's namespace alone, as other tests have pods, too.
    fn tool(&self, name: &str, arguments: &str) -> Command {
        let mut command = Command::new(kit::binary(name));
        command.env_clear().env("HOME", self.home.path());
        command.env("KUBECONFIG", self.home.path().join("kubeconfig"));
        command.env("CDS_SERVER_NAMESPACE", &self.world.name);
        command.args(arguments.split(' '));
        command
    }

    #[track_caller]
    fn output(&self, arguments: &str) -> Output {
        self.tool("stunnerctl", arguments).output().expect("it runs")
    }

    /// What `stunnerctl` prints.
    #[track_caller]
    fn ask(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What `stunnerctl` complains about.
    #[track_caller]
    fn fail(&self, arguments: &str) -> String {
        let output = self.output(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""), "{arguments}");
        text(&output.stderr)
    }
}

#[test]
fn configurations_and_the_licence_come_through_the_api_server() {
    let Some(cluster) = Cluster::start("tools-config") else { return };
    let name = &cluster.world.name;
    let served = cluster.world.await_config("there", |_| true);
    let printed: Value = serde_json::from_str(&cluster.ask("config gateway-1 -o json")).expect("JSON");
    assert_eq!(printed, served);
    let summary = cluster.ask(&format!("config -n {name}"));
    assert!(
        summary.starts_with(&format!("Gateway: {name}/gateway-1 (loglevel: \"testloglevel\")\n")),
        "{summary}"
    );
    assert_eq!(cluster.ask(&format!("config {name}/gateway-1 -o jsonpath={{.auth.realm}}")), "testrealm\n");
    assert!(cluster.fail("config nothing").contains("404"));
    assert!(cluster.ask("license").starts_with("License status:\n\tSubscription type: free\n"));
}

#[test]
fn the_running_configuration_is_a_config_map_or_a_gateway_or_all_of_them() {
    let Some(cluster) = Cluster::start("tools-running") else { return };
    let name = &cluster.world.name;
    cluster.world.await_config("there", |_| true);
    let credentials = "STUN/TURN authentication type:\tstatic\nSTUN/TURN username:\t\ttestuser\n\
                       STUN/TURN password:\t\ttestpass\n";
    let gateway = cluster.ask(&format!("running-config {name}/gateway-1"));
    let full = format!("\tName:\t{name}/gateway-1/gateway-1-listener-udp\n");
    assert!(gateway.starts_with(credentials) && gateway.contains(&full), "{gateway}");
    let all = cluster.ask(&format!("running-config {name}/stunnerd-config"));
    assert!(all.contains("\tName:\tgateway-1-listener-udp\n") && all.contains("\tProtocol:\tUDP\n"), "{all}");
    // The ConfigMap of a legacy dataplane goes before what the discovery server has.
    let conf = r#"{"version":"v1alpha1","admin":{"name":"stunnerd"},"auth":{"type":"plaintext","credentials":
        {"username":"user-1","password":"pass-1"}},"listeners":[
        {"name":"stunner/tcp-gateway/tcp-listener","protocol":"TURN-TCP","public_address":"1.2.3.5","public_port":3478},
        {"name":"stunner/udp-gateway/udp-listener","protocol":"UDP","public_address":"1.2.3.4","public_port":3478}]}"#;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"stunnerd.conf": conf},
        "metadata": {"namespace": name, "name": "stunnerd-config"}});
    cluster.world.api.apply(&map.to_string());
    let expected = "\
STUN/TURN authentication type:\tstatic
STUN/TURN username:\t\tuser-1
STUN/TURN password:\t\tpass-1
Listener 1
\tName:\tudp-listener
\tListener:\tudp-listener
\tProtocol:\tUDP
\tPublic address:\t1.2.3.4
\tPublic port:\t3478
Listener 2
\tName:\ttcp-listener
\tListener:\ttcp-listener
\tProtocol:\tTCP
\tPublic address:\t1.2.3.5
\tPublic port:\t3478
";
    assert_eq!(cluster.ask(&format!("running-config {name}/stunnerd-config")), expected);
    // Nor does it take an operator.
    cluster.kubelet.set_ready(&cluster.pod("operator"), false);
    assert_eq!(cluster.ask(&format!("running-config {name}/stunnerd-config")), expected);
    cluster.world.api.delete(&format!("v1/ConfigMap {name}/stunnerd-config"));
    let missing = cluster.fail(&format!("running-config {name}/stunnerd-config"));
    assert!(missing.contains(&format!("STUNner configmap {name}/stunnerd-config not found")), "{missing}");
}

#[test]
fn a_watch_goes_on_with_another_pod_of_the_operator() {
    let Some(mut cluster) = Cluster::start("tools-watch") else { return };
    cluster.world.await_config("there", |_| true);
    let mut command = cluster.tool("stunnerctl", "config gateway-1 --watch -o jsonpath={.auth.realm}");
    let mut child = Running(command.stdout(Stdio::piped()).spawn().expect("it runs"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
    let mut until =
        |text: &str| assert!(lines.by_ref().any(|line| line.is_ok_and(|line| line == text)), "{text}");
    let config = cluster.world.at(crate::fixture::CONFIG, "gatewayconfig-ok");
    until("testrealm");
    cluster.world.api.patch(&config, json!({"spec": {"realm": "second"}}));
    until("second");
    // The operator is restarted, in another pod.
    cluster.world.operator = None;
    cluster.world.start_operator();
    cluster.world.api.delete(&format!("v1/Pod {}", cluster.pod("operator")));
    cluster.kubelet.run(&cluster.pod("operator-2"), &[DISCOVERY]);
    let address = cluster.world.operator().discovery_address();
    cluster.kubelet.expose(&cluster.pod("operator-2"), 13478, address);
    cluster.world.api.patch(&config, json!({"spec": {"realm": "third"}}));
    until("third");
}

/// A dataplane that nobody configures but a file.
fn dataplane(home: &TempDir, health: u16) -> Process {
    let text = format!(
        "{{version: v1, admin: {{name: ns/gw, healthcheck_endpoint: 'http://127.0.0.1:{health}'}}, auth: {{type: static, \
         credentials: {{username: u, password: hidden}}}}, listeners: [{{name: ns/gw/udp, protocol: TURN-UDP, address: \
         127.0.0.1, port: {port}, routes: [ns/route]}}], clusters: [{{name: ns/route, endpoints: [10.0.0.0/8]}}]}}",
        port = kit::free_port()
    );
    let file = home.path().join("stunnerd.yaml");
    std::fs::write(&file, text).expect("a file");
    let mut command = Command::new(kit::binary("stunnerd"));
    command.args(["-u", "1", "-w", "-c"]).arg(file);
    let process = Process::spawn(command);
    process.await_line("configuration in force: 1 listeners");
    kit::await_tcp(([127, 0, 0, 1], health).into());
    process
}

#[test]
fn dataplane_pods_are_asked_for_their_status_and_for_reasons() {
    let Some(cluster) = Cluster::start("tools-status") else { return };
    let name = cluster.world.name.clone();
    let health = kit::free_port();
    let _dataplane = dataplane(&cluster.home, health);
    let at = SocketAddr::from(([127, 0, 0, 1], health));
    let of = |gateway: &'static str| {
        [
            ("app", "stunner"),
            ("stunner.l7mp.io/related-gateway-namespace", "tools-status"),
            ("stunner.l7mp.io/related-gateway-name", gateway),
        ]
    };
    cluster.kubelet.run(&cluster.pod("one"), &of("gw-one"));
    cluster.kubelet.run(&cluster.pod("two"), &of("gw-two"));
    cluster.kubelet.expose(&cluster.pod("one"), 8086, at);

    // One that does not answer is named, and the others are shown.
    let output = cluster.output("status");
    let (status, problem) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && problem.contains("tools-status/two"), "{problem}");
    let lines: Vec<&str> = status.lines().collect();
    assert_eq!(lines.len(), 6, "{status}");
    assert_eq!(lines[0], format!("{name}/one:"));
    assert!(lines[1].starts_with("\tadmin:{id=\"ns/gw\",logLevel=\"all:INFO\",health-check="), "{status}");
    assert!(lines[1].contains(",quota=0,"), "{status}");
    assert!(
        lines[2].starts_with("\tstatic-auth:{realm=\"stunner.l7mp.io\",username=\"<SECRET>\""),
        "{status}"
    );
    assert!(
        lines[3].ends_with(",public=-:-,cert/key=-/-,routes=[ns/route]},offload(rx/tx): 0/0 pkts 0/0 bytes"),
        "{status}"
    );
    assert_eq!(
        lines[4],
        "\tclusters:\"ns/route\":{type=\"STATIC\",protocol=\"UDP\",endpoints=[10.0.0.0/8]},offload(rx/tx): 0/0 pkts 0/0 bytes"
    );
    assert_eq!(lines[5], "\tallocs:0/status=READY");
    assert!(!status.contains("hidden"), "{status}");

    assert_eq!(cluster.ask("status gw-one -o jsonpath={.status}"), "READY\n");
    assert_eq!(
        cluster.ask(&format!("status {name}/gw-one --pod-name one -o jsonpath={{.status}}")),
        "READY\n"
    );
    let document: Value =
        serde_json::from_str(&cluster.ask("dataplane-status gw-one -o json")).expect("JSON");
    assert_eq!((&document["version"], &document["allocationCount"]), (&json!("v1"), &json!(0)));
    assert!(cluster.ask("status gw-one -o string").starts_with("{version=\"v1\",admin:{id=\"ns/gw\""));
    assert!(cluster.fail("status nothing").contains("no dataplane pods of gateway nothing in tools-status"));
    assert!(cluster.fail("status gw-one --pod-name two").contains("no dataplane pods of gateway gw-one"));

    let explained = cluster.ask("explain gw-one --peer 10.1.2.3:4000");
    assert!(
        explained.starts_with(&format!("{name}/one:\nPeer 10.1.2.3:4000:\n  ns/gw/udp: allowed")),
        "{explained}"
    );
    let refused = cluster.fail("explain gw-two");
    assert!(refused.contains("connection refused") || refused.contains("broke off"), "{refused}");
}

#[test]
fn a_legacy_dataplane_without_labels_of_gateways_is_found() {
    let Some(cluster) = Cluster::start("tools-legacy") else { return };
    let health = kit::free_port();
    let _dataplane = dataplane(&cluster.home, health);
    cluster.kubelet.run(&cluster.pod("stunner"), &[("app", "stunner")]);
    cluster.kubelet.expose(&cluster.pod("stunner"), 8086, ([127, 0, 0, 1], health).into());
    assert_eq!(cluster.ask("status -o jsonpath={.status}"), "READY\n");
    assert!(cluster.ask("-a status").contains("tools-legacy/stunner:\n"));
}

#[test]
fn the_authentication_service_knows_what_the_operator_serves_and_is_asked_in_its_pod() {
    let Some(cluster) = Cluster::start("tools-auth") else { return };
    let name = &cluster.world.name;
    cluster.world.await_config("there", |_| true);
    let discovery = cluster.world.operator().discovery_address();
    let mut command = Command::new(kit::binary("stunner-auth"));
    command.args(["--bind=127.0.0.1", "--port=0"]);
    command.arg(format!("--cds-server-address={}", discovery.ip()));
    command.arg(format!("--cds-server-port={}", discovery.port()));
    let auth = Process::spawn(command);
    let address: SocketAddr = auth.await_match(0, Deadline::default(), "its address", |line| {
        let (_, rest) = line.split_once("listening")?;
        let start = rest.find("127.0.0.1:")?;
        rest[start..].split([' ', '"']).next()?.parse().ok()
    });
    cluster.kubelet.run(&cluster.pod("auth"), &[("app", "stunner-auth")]);
    cluster.kubelet.expose(&cluster.pod("auth"), 8088, address);
    let service = format!("--auth-service-namespace {name}");
    let ready = Deadline::default();
    while !cluster.output(&format!("auth gateway-1 {service}")).status.success() {
        assert!(ready.left().is_some(), "{:?}", auth.lines());
    }
    let printed = cluster.ask(&format!("auth gateway-1 {service}"));
    assert!(printed.ends_with("}\n\n"), "as it is, and a newline: {printed:?}");
    let ice: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(ice["iceServers"][0]["username"], "testuser");
    let uris = ice["iceServers"][0]["urls"].as_array().expect("URIs").len();
    assert_eq!(uris, 2);
    // The operator goes on feeding it.
    let spec =
        json!({"spec": {"authType": "ephemeral", "sharedSecret": "s", "userName": null, "password": null}});
    cluster.world.api.patch(&cluster.world.at(crate::fixture::CONFIG, "gatewayconfig-ok"), spec);
    let deadline = Deadline::default();
    loop {
        let credential =
            cluster.ask(&format!("get-credential gateway-1 {service} --auth-turn-credential -u me --ttl 60"));
        let credential: Value = serde_json::from_str(&credential).expect("JSON");
        if credential["username"].as_str().is_some_and(|user| user.ends_with(":me")) {
            break assert_eq!(credential["ttl"], 60);
        }
        assert!(deadline.left().is_some(), "{credential}");
    }
    let refused = cluster.fail(&format!("auth nothing {service}"));
    assert!(
        refused.contains("404") && refused.contains("200") && refused.contains("no valid listener"),
        "{refused}"
    );
}

#[test]
fn what_cannot_be_found_or_may_not_be_asked_is_told_with_a_remedy() {
    let Some(cluster) = Cluster::start("tools-refused") else { return };
    let refused = cluster.fail("config --as nobody");
    assert!(refused.contains("cannot list pods") && refused.contains("forbidden"), "{refused}");
    let refused = cluster.fail("config --context nothing");
    assert!(refused.contains("--context nothing") && refused.contains("--cds-server-address"), "{refused}");
    let refused = cluster.fail("config --request-timeout soon");
    assert!(refused.contains("--request-timeout") && refused.contains("5s"), "{refused}");
    let refused = cluster.fail("config --cds-server-namespace default");
    assert!(
        refused.contains("no CDS server found") && refused.contains("--cds-server-namespace"),
        "{refused}"
    );
    cluster.kubelet.set_ready(&cluster.pod("operator"), false);
    let refused = cluster.fail("config");
    assert!(refused.contains("no CDS server is ready: tools-refused/operator"), "{refused}");
    cluster.kubelet.set_ready(&cluster.pod("operator"), true);
    // A pod in which nobody listens.
    cluster.kubelet.expose(&cluster.pod("operator"), 13478, ([127, 0, 0, 1], 1).into());
    let refused = cluster.fail("config");
    assert!(refused.contains("error forwarding port 13478"), "{refused}");
    // Who is named needs no cluster.
    let discovery = cluster.world.operator().discovery_address();
    let printed = cluster
        .ask(&format!("config gateway-1 -o jsonpath={{.auth.realm}} --cds-server-address {discovery}"));
    assert_eq!(printed, "testrealm\n");
    let denied = cluster.ask(&format!("--kubeconfig /nowhere -n tools-refused config -o jsonpath={{.auth.realm}} --cds-server-address {discovery}"));
    assert_eq!(denied, "testrealm\n");
}

#[test]
fn turncat_finds_a_gateway_by_its_name() {
    let Some(cluster) = Cluster::start("tools-turncat") else { return };
    let (world, port) = (&cluster.world, kit::free_port());
    let listeners = json!([{"name": "udp-listener", "port": port, "protocol": "TURN-UDP"}]);
    world.api.patch(&world.gateway(), json!({"spec": {"listeners": listeners}}));
    world
        .api
        .patch("stunner.l7mp.io/v1/Dataplane tools-turncat", json!({"spec": {"disableHealthCheck": true}}));
    world.apply(
        "{apiVersion: stunner.l7mp.io/v1, kind: StaticService, metadata: {name: here, namespace: NAME}, \
         spec: {prefixes: [127.0.0.0/8]}}\n---\n\
         {apiVersion: stunner.l7mp.io/v1, kind: UDPRoute, metadata: {name: here, namespace: NAME}, spec: \
         {parentRefs: [{name: gateway-1}], rules: [{backendRefs: [{group: stunner.l7mp.io, kind: StaticService, name: here}]}]}}",
    );
    let service = world.at(crate::fixture::SERVICE, "gateway-1");
    world.api.await_object(&service, "there", |_| true);
    world.api.patch_status(&service, &json!({"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}));
    world.await_config("a public address and a cluster", |config| {
        config["listeners"][0]["public_address"] == "127.0.0.1" && !config["clusters"].is_null()
    });
    let mut daemon = Command::new(kit::binary("stunnerd"));
    daemon.args(["-w", "-u", "1"]);
    daemon.env("STUNNER_CONFIG_ORIGIN", format!("http://{}", world.operator().discovery_address()));
    daemon
        .env("STUNNER_NAMESPACE", &world.name)
        .env("STUNNER_NAME", "gateway-1")
        .env("STUNNER_ADDR", "127.0.0.1");
    let daemon = Process::spawn(daemon);
    daemon.await_line("configuration in force: 1 listeners");
    let peer = EchoPeer::start();
    for server in ["k8s://tools-turncat/gateway-1:udp-listener", "k8s:///gateway-1:udp-listener"] {
        let mut command = cluster.tool("turncat", &format!("- {server} udp://{}", peer.address()));
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = Running(command.spawn().expect("it runs"));
        let mut input = child.0.stdin.take().expect("its input");
        let mut lines = BufReader::new(child.0.stdout.take().expect("its output")).lines();
        for round in 0..8 {
            writeln!(input, "hello {round}").expect("it reads");
            assert_eq!(lines.next().expect("an echo").expect("text"), format!("hello {round}"), "{server}");
        }
        drop(input);
        assert!(child.0.wait().expect("it ends").success());
    }
    let mut command =
        cluster.tool("turncat", &format!("- k8s:///gateway-1:nothing udp://{}", peer.address()));
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && problem.contains("cannot find listener \"nothing\""),
        "{problem}"
    );
}
