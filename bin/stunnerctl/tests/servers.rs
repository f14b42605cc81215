//! Commands that ask dataplanes and the authentication service, which run as processes on this machine.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, Output},
};

use kit::{Credentials, Deadline, Process, TurnClient};
use serde_json::Value;
use tempfile::TempDir;

/// A dataplane of one gateway, configured by a file.
struct Dataplane {
    home: TempDir,
    health: u16,
    turn: u16,
    _process: Process,
}

impl Dataplane {
    fn start() -> Self {
        let (home, health, turn) = (kit::temp_dir(), kit::free_port(), kit::free_port());
        let file = home.path().join("stunnerd.yaml");
        std::fs::write(&file, config(health, turn)).expect("a file");
        let mut command = Command::new(kit::binary("stunnerd"));
        command.args(["-u", "1", "-w", "-c"]).arg(&file);
        let process = Process::spawn(command);
        process.await_line("configuration in force: 1 listeners");
        kit::await_tcp(([127, 0, 0, 1], health).into());
        Self { home, health, turn, _process: process }
    }

    fn run(&self, arguments: &str) -> Output {
        run(self.home.path(), &arguments.replace("HEALTH", &format!("127.0.0.1:{}", self.health)))
    }

    #[track_caller]
    fn ask(&self, arguments: &str) -> String {
        succeed(&self.run(arguments))
    }
}

fn config(health: u16, turn: u16) -> String {
    format!(
        "version: v1\n\
         admin: {{name: ns/gw, healthcheck_endpoint: 'http://127.0.0.1:{health}'}}\n\
         auth: {{type: static, credentials: {{username: user, password: pa55}}}}\n\
         listeners: [{{name: ns/gw/udp, protocol: TURN-UDP, address: 127.0.0.1, port: {turn}, routes: [ns/route]}}]\n\
         clusters: [{{name: ns/route, endpoints: ['127.0.0.0/8:<1000-2000>']}}]\n"
    )
}

fn run(home: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stunnerctl"));
    command.env_clear().env("HOME", home).args(arguments.split(' ')).output().expect("it runs")
}

#[track_caller]
fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Exit code and complaint.
fn fail(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn explain_says_who_decides_about_a_peer_and_why_a_client_was_refused() {
    let dataplane = Dataplane::start();
    let allowed = dataplane.ask("explain --admin HEALTH --peer 127.0.0.1:1500");
    assert!(allowed.starts_with("Peer 127.0.0.1:1500:\n  ns/gw/udp: allowed: "), "{allowed}");
    assert!(allowed.contains("\n    cluster ns/route: contains the peer, ports 1000-2000\n"), "{allowed}");
    assert!(allowed.ends_with("No refusals.\n"), "{allowed}");
    let refused = dataplane.ask("explain --admin HEALTH --peer 127.0.0.1:3000");
    assert!(refused.contains("  ns/gw/udp: refused: ") && refused.contains("not this port"), "{refused}");

    let server = SocketAddr::from(([127, 0, 0, 1], dataplane.turn));
    let mut client = TurnClient::udp(server).with(Credentials::fixed("user", "wrong"));
    client.allocate().expect_err("a refusal");
    let refusals = dataplane.ask("explain --admin HEALTH");
    assert!(refusals.contains("Last refusals, the latest first:\n"), "{refusals}");
    assert!(refusals.contains(" on ns/gw/udp: Allocate: 401 "), "{refusals}");
    let full = dataplane.ask("explain --admin HEALTH --addresses --client 127.0.0.1");
    assert!(full.contains(" 127.0.0.1:"), "{full}");
    assert!(dataplane.ask("explain --admin HEALTH --client 192.0.2.1").ends_with("No refusals.\n"));

    let document: Value =
        serde_json::from_str(&dataplane.ask("explain --admin HEALTH -o json")).expect("JSON");
    assert_eq!(document["refusals"][0]["code"], 401);
    assert_eq!(dataplane.ask("explain --admin HEALTH -o jsonpath={.refusals[0].code}"), "401\n");
    assert!(dataplane.ask("explain --admin HEALTH -o yaml").contains("code: 401"));
}

#[test]
fn explain_names_what_is_wrong() {
    let dataplane = Dataplane::start();
    let (code, message) = fail(&dataplane.run("explain --admin HEALTH --peer nonsense"));
    assert!(code == Some(1) && message.contains("peer"), "{message}");
    let nobody = kit::free_port();
    let (code, message) = fail(&dataplane.run(&format!("explain --admin 127.0.0.1:{nobody}")));
    assert!(
        code == Some(1) && message.contains(&format!("cannot connect to 127.0.0.1:{nobody}")),
        "{message}"
    );
    assert_eq!(message.matches("refused").count(), 1, "each cause once: {message}");
    assert_eq!(fail(&dataplane.run("explain --client x")).0, Some(2));
}

#[test]
fn status_of_an_address_needs_no_cluster() {
    let dataplane = Dataplane::start();
    let status = dataplane.ask("status --pod-address HEALTH");
    let lines: Vec<&str> = status.lines().collect();
    assert_eq!(lines[0], format!("127.0.0.1:{}:", dataplane.health));
    assert!(lines[1].starts_with("\tadmin:{id=\"ns/gw\",logLevel=\"all:INFO\",health-check="), "{status}");
    assert_eq!(
        lines[2],
        "\tstatic-auth:{realm=\"stunner.l7mp.io\",username=\"<SECRET>\",password=\"<SECRET>\"}"
    );
    let listener = format!(
        "\tlisteners:\"ns/gw/udp\":{{turn://127.0.0.1:{}?transport=TURN-UDP,public=-:-,cert/key=-/-,routes=[ns/route]}},\
         offload(rx/tx): 0/0 pkts 0/0 bytes",
        dataplane.turn
    );
    assert_eq!(lines[3], listener);
    assert_eq!(lines[5], "\tallocs:0/status=READY");
    assert!(!status.contains("pa55"), "{status}");
    let server = SocketAddr::from(([127, 0, 0, 1], dataplane.turn));
    let mut client = TurnClient::udp(server).with(Credentials::fixed("user", "pa55"));
    client.allocate().expect("an allocation");
    assert!(dataplane.ask("status --pod-address HEALTH").ends_with("\tallocs:1/status=READY\n"));
    assert_eq!(dataplane.ask("status --pod-address HEALTH -o jsonpath={.status}"), "READY\n");
    assert!(dataplane.ask("status --pod-address HEALTH -o yaml").contains("\nallocationCount: 1\n"));
    // Nobody there: told, and no failure, as others may be.
    let output = dataplane.run(&format!("status --pod-address 127.0.0.1:{}", kit::free_port()));
    let (code, message) = fail(&output);
    assert!(code == Some(0) && message.contains("cannot connect"), "{message}");
}

#[test]
fn auth_prints_what_the_service_says() {
    let dataplane = Dataplane::start();
    let home = dataplane.home.path();
    let mut command = Command::new(kit::binary("stunner-auth"));
    command.args(["--bind=127.0.0.1", "--port=0", "--config-source"]).arg(home.join("stunnerd.yaml"));
    let service = Process::spawn(command);
    let address: SocketAddr = service.await_match(0, Deadline::default(), "its address", |line| {
        let (_, rest) = line.split_once("listening")?;
        let start = rest.find("127.0.0.1:")?;
        rest[start..].split([' ', '"']).next()?.parse().ok()
    });
    let ask = |arguments: &str| run(home, &format!("{arguments} --auth-server-address {address}"));
    let ready = Deadline::default();
    while !ask("auth").status.success() {
        assert!(ready.left().is_some(), "{:?}", service.lines());
    }
    let printed = succeed(&ask("auth ns/gw"));
    assert!(printed.ends_with("}\n\n"), "as it is, and a newline: {printed:?}");
    let ice: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(ice["iceServers"][0]["username"], "user");
    assert_eq!(succeed(&ask("auth -n ns -o jsonpath={.iceServers[0].credential}")), "pa55\n");
    let turn: Value =
        serde_json::from_str(&succeed(&ask("auth --auth-turn-credential --ttl 60"))).expect("JSON");
    assert_eq!((&turn["username"], &turn["ttl"]), (&"user".into(), &60.into()));
    let relay = succeed(&ask("auth --ice-transport-policy relay -o jsonpath={.iceTransportPolicy}"));
    assert_eq!(relay, "relay\n");
    for nowhere in ["auth other/gw", "auth -n other", "auth nothing -n ns"] {
        let (code, message) = fail(&ask(nowhere));
        assert_eq!(code, Some(1), "{nowhere}");
        assert!(message.contains("404 Not Found") && message.contains("200 OK"), "{message}");
    }
}
