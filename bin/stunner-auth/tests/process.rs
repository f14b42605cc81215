//! The program as an administrator starts, asks and stops it.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use config::{Config, Credentials, Listener};
use kit::{Deadline, Process};
use tokio::runtime::Runtime;

fn command(flags: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stunner-auth"));
    command.args(flags.split_whitespace());
    for variable in [
        "CDS_SERVER_ADDR",
        "CDS_SERVER_NAMESPACE",
        "CDS_SERVER_PORT",
        "STUNNER_PUBLIC_ADDR",
        "KUBERNETES_SERVICE_HOST",
    ] {
        command.env_remove(variable);
    }
    command
}

/// The service on a port of its own, and where that is.
fn start(mut command: Command) -> (Process, SocketAddr) {
    command.args(["--bind=127.0.0.1", "--port=0"]);
    let process = Process::spawn(command);
    let address = process.await_match(0, Deadline::default(), "the address", |line| {
        let (_, rest) = line.split_once("listening")?;
        let start = rest.find("127.0.0.1:")?;
        rest[start..].split([' ', '"']).next()?.parse().ok()
    });
    (process, address)
}

/// A discovery server that knows one gateway.
struct Discovery {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Discovery {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let store = cds::Store::new();
        store.insert("media/udp-gateway", gateway("media/udp-gateway", &["media/udp-gateway/udp-listener"]));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(cds::server::Server::new(store).serve(listener));
        Self { address, _runtime: runtime }
    }

    fn flags(&self) -> String {
        format!("--cds-server-address={} --cds-server-port={}", self.address.ip(), self.address.port())
    }
}

fn gateway(name: &str, listeners: &[&str]) -> Config {
    let mut config = Config::zero(name);
    config.auth.credentials = Credentials::for_user("user-1", "pass-1");
    let listener = |name: &&str| Listener {
        name: (*name).to_owned(),
        public_address: "203.0.113.7".into(),
        public_port: 3478,
        address: config::RELAY_ADDRESS_VARIABLE.into(),
        port: 3478,
        ..Listener::default()
    };
    config.listeners = listeners.iter().map(listener).collect();
    config
}

fn get(address: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Asks until the service is in step with its origin.
fn await_ready(address: SocketAddr) {
    let deadline = Deadline::default();
    while !get(address, "/ready").starts_with("HTTP/1.1 200 ") {
        assert!(deadline.left().is_some(), "the service does not get ready");
    }
}

/// The program ends with this code, and says all of this.
#[track_caller]
fn assert_fails(command: Command, code: i32, said: &[&str]) {
    let mut process = Process::spawn(command);
    assert_eq!(process.await_exit().code(), Some(code));
    for text in said {
        process.await_line(text);
    }
}

#[test]
fn the_chart_s_start_line_works_and_a_signal_ends_it_with_0() {
    let discovery = Discovery::start();
    for signal in ["TERM", "INT"] {
        let (mut process, address) = start(command(&format!("{} -v --log-format=text", discovery.flags())));
        await_ready(address);
        let answer = get(address, "/ice?service=turn&iceTransportPolicy=relay&username=alice");
        let body = r#"{"iceServers":[{"credential":"pass-1","urls":["turn:203.0.113.7:3478?transport=udp"],"username":"user-1"}],"iceTransportPolicy":"relay"}"#;
        assert!(answer.ends_with(&format!("\r\n\r\n{body}\n")), "{answer}");
        process.await_line("http-server INFO: GET /ice 200");
        process.signal(signal);
        assert_eq!(process.await_exit().code(), Some(0));
        assert!(!process.lines().join("\n").contains("pass-1"));
    }
}

#[test]
fn it_listens_even_if_discovery_is_not_there() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_process, address) =
        start(command(&format!("--cds-server-address={} --cds-server-port={}", nobody.ip(), nobody.port())));
    assert!(get(address, "/ready").starts_with("HTTP/1.1 503 "));
    assert!(get(address, "/live").starts_with("HTTP/1.1 200 "));
    let answer = get(address, "/?service=turn");
    assert!(
        answer.starts_with("HTTP/1.1 500 ") && answer.contains("no STUNner configuration available"),
        "{answer}"
    );
}

#[test]
fn without_discovery_it_says_which_flag_is_missing() {
    assert_fails(command(""), 1, &["authd ERROR: Could not find CDS server", "--cds-server-address"]);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let flags = format!("--cds-server-address=127.0.0.1 --bind=127.0.0.1 --port={port}");
    assert_fails(command(&flags), 1, &[&port.to_string(), "--port"]);
}

#[test]
fn bad_flags_and_variables_are_named_and_end_with_2() {
    let table = [
        ("--no-such-flag", None, "--no-such-flag"),
        ("--port=x", None, "--port"),
        ("--group-by=name", None, "--group-by"),
        ("--max-ttl=0", None, "--max-ttl"),
        ("", Some(("CDS_SERVER_PORT", "70000")), "CDS_SERVER_PORT"),
        ("", Some(("STUNNER_PUBLIC_ADDR", "1.2.3.4:3478")), "STUNNER_PUBLIC_ADDR"),
    ];
    for (flags, variable, named) in table {
        let mut command = command(flags);
        command.envs(variable);
        assert_fails(command, 2, &[named]);
    }
}

#[test]
fn a_legacy_configmap_is_refused_with_advice() {
    assert_fails(command("--config-source=configmap"), 1, &["--config-source=/etc/stunnerd/stunnerd.conf"]);
}

#[test]
fn the_environment_counts_and_an_empty_variable_does_not() {
    let discovery = Discovery::start();
    let mut command = command("--max-ttl=60");
    command.env("CDS_SERVER_ADDR", discovery.address.ip().to_string());
    command.env("CDS_SERVER_PORT", discovery.address.port().to_string());
    command.env("CDS_SERVER_NAMESPACE", "");
    command.env("STUNNER_PUBLIC_ADDR", "2001:db8::1");
    let (_process, address) = start(command);
    await_ready(address);
    assert!(get(address, "/ice").contains("turn:[2001:db8::1]:3478?transport=udp"));
    assert!(get(address, "/ice?ttl=61").contains("must be from 1 to 60 seconds"));
}

#[test]
fn the_flags_of_kubectl_and_json_lines_are_accepted() {
    let discovery = Discovery::start();
    let flags =
        format!("{} --log-format=json -n stunner -s https://api --context c --token t", discovery.flags());
    let (process, address) = start(command(&flags));
    await_ready(address);
    get(address, "/ice?namespace=media");
    process.await_line(r#""scope":"http-server","msg":"GET /ice 200""#);
    for line in process.lines() {
        assert!(line.starts_with(r#"{"time":""#) && line.ends_with('}'), "{line}");
    }
}

#[test]
fn a_file_with_several_gateways_is_split_unless_told_otherwise() {
    let folder = kit::temp_dir();
    let path = folder.path().join("stunnerd.conf");
    let merged = gateway("stunnerd", &["media/udp/l", "media/tcp/l"]);
    std::fs::write(&path, merged.to_json()).unwrap();
    let servers = |flags: &str| {
        let (_process, address) = start(command(&format!("--config-source={} {flags}", path.display())));
        await_ready(address);
        get(address, "/ice").matches("credential").count()
    };
    assert_eq!((servers(""), servers("--group-by=config"), servers("--group-by=gateway")), (2, 1, 2));
}
