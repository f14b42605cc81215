//! The program as it is used, against a real discovery server.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use cds::{License, Store, server::Server};
use config::{Auth, AuthKind, Cluster, Config, Credentials, Listener, NODE_ADDRESS_PLACEHOLDER, Protocol};
use kit::Running;
use tempfile::TempDir;
use tokio::net::TcpListener;

const UDP: &str = include_str!("golden/cds-udp-gateway.json");
const TCP: &str = include_str!("golden/cds-tcp-gateway.json");

/// A discovery server and a home without access to any cluster.
struct Place {
    store: Store,
    port: u16,
    home: TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Place {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bind");
        let port = listener.local_addr().expect("address").port();
        let store = Store::new();
        let server =
            Server::new(store.clone()).node_address(|node| (node == "n1").then(|| [192, 0, 2, 1].into()));
        runtime.spawn(server.serve(listener));
        Self { store, port, home: tempfile::tempdir().expect("home"), _runtime: runtime }
    }

    /// The two gateways of the tutorial.
    fn tutorial() -> Self {
        let place = Self::new();
        place.add(UDP);
        place.add(TCP);
        place
    }

    fn add(&self, document: &str) {
        let config = Config::parse(document, &|name| Some(format!("${name}"))).expect("valid");
        self.store.insert(config.admin.name.clone(), config);
    }

    fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stunnerctl"));
        command.env_clear().env("HOME", self.home.path()).env("CDS_SERVER_PORT", self.port.to_string());
        command.args(arguments);
        command
    }

    fn run(&self, arguments: &str) -> Output {
        self.command(arguments.split(' ')).output().expect("run")
    }

    fn succeed(&self, arguments: &str) -> String {
        succeed(&self.run(arguments))
    }

    /// Exit code and standard error of a run that prints nothing else.
    fn fail(&self, arguments: &str) -> (Option<i32>, String) {
        let output = self.run(arguments);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments}");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn running_config_of_the_shared_name_merges_all_gateways() {
    let expected = "\
STUN/TURN authentication type:\tstatic
STUN/TURN username:\t\tuser-1
STUN/TURN password:\t\tpass-1
Listener 1
\tName:\tudp-listener
\tListener:\tudp-listener
\tProtocol:\tUDP
\tPublic address:\t10.99.0.11
\tPublic port:\t3478
Listener 2
\tName:\ttcp-listener
\tListener:\ttcp-listener
\tProtocol:\tTCP
\tPublic address:\t10.99.0.10
\tPublic port:\t3478
";
    assert_eq!(Place::tutorial().succeed("running-config stunner/stunnerd-config"), expected);
}

#[test]
fn running_config_of_a_gateway_has_full_names() {
    let expected = "\
STUN/TURN authentication type:\tstatic
STUN/TURN username:\t\tuser-1
STUN/TURN password:\t\tpass-1
Listener 1
\tName:\tstunner/udp-gateway/udp-listener
\tListener:\tstunner/udp-gateway/udp-listener
\tProtocol:\tTURN-UDP
\tPublic address:\t10.99.0.11
\tPublic port:\t3478
";
    assert_eq!(Place::tutorial().succeed("running-config stunner/udp-gateway"), expected);
}

#[test]
fn running_config_leaves_out_what_is_not_there() {
    let place = Place::new();
    place.add(
        r#"{"version":"v1alpha1","admin":{"name":"ns/eph"},"auth":{"type":"longterm","credentials":{"secret":"s3cr3t"}},
            "listeners":[{"name":"ns/eph/l","protocol":"dtls","cert":"$C","key":"$K"}]}"#,
    );
    place.add(r#"{"version":"v1","admin":{"name":"ns/bare"},"auth":{"type":"none"}}"#);
    assert_eq!(
        place.succeed("running-config ns/eph"),
        "STUN/TURN authentication type:\tephemeral\nSTUN/TURN secret:\t\ts3cr3t\n\
         Listener 1\n\tName:\tns/eph/l\n\tListener:\tns/eph/l\n\tProtocol:\tTURN-DTLS\n"
    );
    assert_eq!(
        place.succeed("running-config ns/bare"),
        "STUN/TURN authentication type:\tnone\nNo listeners\n"
    );
}

#[test]
fn running_config_fails_with_the_right_code() {
    let place = Place::tutorial();
    let (code, message) = place.fail("running-config nowhere/stunnerd-config");
    assert_eq!(
        (code, message.trim()),
        (Some(1), "Error: STUNner configmap nowhere/stunnerd-config not found")
    );
    let (code, message) = place.fail("running-config stunner/other");
    assert_eq!(code, Some(1));
    assert!(
        message.contains(r#"{"code":404,"message":"Config not found for ID stunner/other"}"#),
        "{message}"
    );
    for bad in ["stunner", "/", "a/b/c"] {
        let (code, message) = place.fail(&format!("running-config {bad}"));
        assert_eq!(code, Some(2));
        assert!(message.contains("cannot parse <namespace/name> argument"), "{message}");
    }
    let (code, message) = place.fail("running-config");
    assert_eq!(code, Some(2));
    assert!(message.contains("running-config") && message.contains("<NAMESPACE/NAME>"), "{message}");
    assert_eq!(place.fail("walking-config").0, Some(2));
}

#[test]
fn config_prints_every_format() {
    let place = Place::tutorial();
    assert_eq!(place.succeed("-n stunner config"), include_str!("golden/config-summary.txt"));
    assert_eq!(place.succeed("stunner-config -a -o summary"), include_str!("golden/config-summary.txt"));
    assert_eq!(place.succeed("config stunner/udp-gateway -o yaml"), include_str!("golden/config-udp.yaml"));
    assert_eq!(place.succeed("config -n stunner udp-gateway -o json"), UDP);
    assert_eq!(place.succeed("config -a -o json"), format!("{TCP}{UDP}"));
    assert_eq!(place.succeed("config -a udp-gateway -o json"), UDP);
    assert_eq!(
        place.succeed("config stunner/udp-gateway -o string"),
        "{version=\"v1\",admin:{name=\"stunner/udp-gateway\",logLevel=\"all:INFO\",health-check=\"http://:8086\",quota=0,\
         offload=None[all]},static-auth:{realm=\"stunner.l7mp.io\",username=\"<SECRET>\",password=\"<SECRET>\"},\
         listeners=[\"stunner/udp-gateway/udp-listener\":{turn://$STUNNER_ADDR:3478?transport=TURN-UDP,\
         public=10.99.0.11:3478,cert/key=-/-,routes=[stunner/stunner-headless]}],\
         clusters=[\"stunner/stunner-headless\":{type=\"STATIC\",protocol=\"UDP\",\
         endpoints=[10.244.0.12,10.244.0.13,10.96.118.0,10.96.200.135]}]}\n"
    );
}

#[test]
fn config_fills_in_templates() {
    let place = Place::tutorial();
    let render = |template: &str| {
        let output = place.command(["config", "-a", "-o", &format!("jsonpath={template}")]).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(render("{.admin.name}").unwrap(), "stunner/tcp-gateway\nstunner/udp-gateway\n");
    assert_eq!(
        render("{.admin.user_quota} {.listeners[*].public_address}").unwrap(),
        "0 10.99.0.10\n0 10.99.0.11\n"
    );
    let filter = r#"{.listeners[?(@.protocol=="TURN-UDP")].port}"#;
    assert_eq!(render(filter).unwrap(), "<none>\n3478\n");
    assert_eq!(render("{.admin.nothing}"), None);
    assert_eq!(render("{}"), None);
    let (code, message) = place.fail("config -a -o jsonpath:x");
    assert_eq!(code, Some(1));
    assert!(message.contains("invalid jsonpath argument"), "{message}");
}

#[test]
fn config_shows_what_is_missing_or_only_known_to_the_node() {
    let place = Place::new();
    let config = Config {
        auth: Auth {
            kind: AuthKind::Ephemeral,
            credentials: Credentials::shared_secret("s"),
            ..Auth::default()
        },
        listeners: vec![
            Listener { name: "a".into(), address: NODE_ADDRESS_PLACEHOLDER.into(), ..Listener::default() },
            Listener {
                name: "b".into(),
                protocol: Protocol::Tcp,
                address: "2001:db8::1".into(),
                routes: vec!["one".into(), "gone".into(), "two".into()],
                ..Listener::default()
            },
        ],
        clusters: ["one", "two"]
            .map(|name| Cluster {
                name: name.into(),
                endpoints: vec!["10.0.0.1".into(), "10.0.0.0/24:<1-2>".into()],
                ..Cluster::default()
            })
            .to_vec(),
        ..Config::default()
    };
    let mut config = config.validate().unwrap();
    config.admin.name = "ns/gw".into();
    place.store.insert("ns/gw", config);
    assert_eq!(
        place.succeed("config -n ns gw"),
        "\
Gateway: ns/gw (loglevel: \"all:INFO\")
Authentication type: ephemeral, shared-secret: s
Listeners:
  - Name: a
    Protocol: TURN-UDP
    Relay address:port: <node-ip-addr>:3478
    Public address:port: <none>:<none>
    Routes: []
    Endpoints: []
  - Name: b
    Protocol: TURN-TCP
    Relay address:port: [2001:db8::1]:3478
    Public address:port: <none>:<none>
    Routes: [gone, one, two]
    Endpoints: [10.0.0.0/24:<1-2>, 10.0.0.1, 10.0.0.0/24:<1-2>, 10.0.0.1]
"
    );
    assert!(place.succeed("config -n ns gw --node n1").contains("Relay address:port: 192.0.2.1:3478"));
    assert!(
        place.succeed("config -n ns gw --node n2").contains("Relay address:port: <private-pod-ip-addr>:3478")
    );
    assert_eq!(place.fail("config -n ns --node n1").0, Some(2));
}

#[test]
fn config_fails_clearly() {
    let place = Place::tutorial();
    let (code, message) = place.fail("config udp-gateway");
    assert_eq!(code, Some(1));
    assert!(message.contains("TTP error (status: 404 Not Found): {\"code\":404"), "{message}");
    let nothing = place.run("config");
    assert_eq!((nothing.status.code(), nothing.stdout.len()), (Some(0), 0));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("-n NAMESPACE or -a"));
    let (code, message) = place.fail("config -a --cds-server-address 127.0.0.1:1");
    assert_eq!(code, Some(1));
    assert!(message.contains("cannot connect to 127.0.0.1:1"), "{message}");
    let (code, message) = place.fail("config -a --cds-server-address https://127.0.0.1");
    assert!(code == Some(1) && message.contains("TLS"), "{message}");
}

#[test]
fn a_server_that_is_named_goes_before_a_cluster_that_cannot_be_used() {
    let place = Place::tutorial();
    let address = format!("127.0.0.1:{}", place.port);
    let with_cluster =
        |arguments: &[&str]| place.command(arguments).env("KUBECONFIG", "/some/where").output().unwrap();
    let refused = with_cluster(&["config", "-a"]);
    let message = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    for part in ["KUBECONFIG=/some/where", "no such file", "--cds-server-address", "--kubeconfig"] {
        assert!(message.contains(part), "{message}");
    }
    for address in [address.clone(), format!("http://{address}"), format!("ws://{address}")] {
        assert_eq!(
            succeed(&with_cluster(&["config", "-a", "-o", "json", "--cds-server-address", &address]))
                .lines()
                .count(),
            2
        );
    }
    let shared = ["running-config", "stunner/stunnerd-config", "--cds-server-address", &address];
    assert!(succeed(&with_cluster(&shared)).contains("udp-listener"));
    let output =
        place.command(["config", "-a", "-o", "json"]).env("CDS_SERVER_ADDR", "127.0.0.1").output().unwrap();
    assert_eq!(succeed(&output).lines().count(), 2, "address and port from the environment");
    for flag in ["--kubeconfig", "--context", "--server"] {
        assert!(place.fail(&format!("{flag} x config")).1.contains(flag));
    }
    std::fs::create_dir(place.home.path().join(".kube")).unwrap();
    std::fs::write(place.home.path().join(".kube").join("config"), "").unwrap();
    assert!(place.fail("config").1.contains("--cds-server-address"));
}

#[test]
fn config_follows_changes_until_it_is_told_to_stop() {
    let place = Place::tutorial();
    let mut command = place.command(["config", "-n", "stunner", "udp-gateway", "-w", "-o", "summary"]);
    let mut child = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |line: &str| assert!(lines.by_ref().any(|next| next == line), "{line}");
    until("    Public address:port: 10.99.0.11:3478");
    place.add(&UDP.replace("10.99.0.11", "10.99.0.12"));
    until("    Public address:port: 10.99.0.12:3478");
    place.store.remove("stunner/tcp-gateway");
    place.store.remove("stunner/udp-gateway");
    until("Gateway: stunner/udp-gateway <deleted>");
    place.add(UDP);
    until("    Public address:port: 10.99.0.11:3478");
    let stop = Command::new("kill").args(["-TERM", &child.0.id().to_string()]).status().unwrap();
    assert!(stop.success() && child.0.wait().unwrap().success());
}

#[test]
fn license_says_what_the_server_says() {
    let place = Place::new();
    assert_eq!(
        place.succeed("license"),
        "License status:\n\tSubscription type: free\n\tEnabled features: UserQuota, STUNServer, DaemonSet, \
         RelayAddressDiscovery, TURNOffload\n\tLast updated: N/A\n"
    );
    assert_eq!(place.succeed("license-status ignored -o jsonpath={.enabledFeatures[1]}"), "STUNServer\n");
    let nothing = License { enabled_features: Vec::new(), ..License::default() };
    place.store.set_license(nothing);
    assert!(place.succeed("license").contains("\tEnabled features: NONE\n"));
    assert_eq!(
        place.succeed("license -o json"),
        "{\"enabledFeatures\":[],\"subscriptionType\":\"free\",\"lastUpdated\":\"N/A\",\"lastError\":\"\"}\n"
    );
    assert_eq!(
        place.succeed("license -o yaml"),
        "enabledFeatures: []\nlastError: ''\nlastUpdated: N/A\nsubscriptionType: free\n"
    );
    place.store.set_license(License { last_error: "expired".into(), ..License::default() });
    assert_eq!(place.succeed("license"), "License server error: expired (last updated: N/A)\n");
}

#[test]
fn version_and_completion_need_no_server() {
    let place = Place::new();
    let version = place.succeed("version");
    assert!(version.starts_with(&format!("version {} (", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(version.contains(") built on "), "{version}");
    assert_eq!(place.succeed("--version"), format!("stunnerctl {version}"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.succeed(&format!("completion {shell}")).contains("running-config"));
    }
    assert_eq!(place.run("").status.code(), Some(2));
    assert!(place.succeed("--help").contains("running-config"));
}

#[test]
fn the_script_of_the_tutorial_runs_what_is_built() {
    let place = Place::tutorial();
    let target = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cmd/stunnerctl/stunnerctl");
    let run = || {
        let mut command = Command::new(&script);
        command
            .env("CARGO_TARGET_DIR", target.path())
            .env("HOME", place.home.path())
            .env_remove("KUBECONFIG");
        command.env("CDS_SERVER_ADDR", format!("127.0.0.1:{}", place.port));
        command.args(["running-config", "stunner/stunnerd-config"]).output().unwrap()
    };
    std::fs::create_dir(target.path().join("debug")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stunnerctl"), target.path().join("debug/stunnerctl"))
        .unwrap();
    let output = succeed(&run());
    assert!(output.starts_with("STUN/TURN authentication type:\tstatic\n"), "{output}");
    std::fs::create_dir(target.path().join("release")).unwrap();
    std::os::unix::fs::symlink("/bin/false", target.path().join("release/stunnerctl")).unwrap();
    assert_eq!(run().status.code(), Some(1), "a release build comes first");
}
