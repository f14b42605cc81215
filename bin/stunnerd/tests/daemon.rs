//! The program as its users run it: flags, origins, signals, exit codes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use kit::{Credentials, Deadline, EchoPeer, Process, TurnClient, Way, free_port};

fn stunnerd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stunnerd"));
    command.args(arguments);
    for name in
        ["STUNNER_CONFIG_ORIGIN", "STUNNER_NAME", "STUNNER_NAMESPACE", "STUNNER_ADDR", "CDS_SERVER_ADDR"]
    {
        command.env_remove(name);
    }
    command
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A configuration with a UDP and a TCP listener on one port.
fn config(port: u16, health: u16, username: &str) -> String {
    format!(
        "version: v1
admin: {{ name: test/gateway, healthcheck_endpoint: 'http://127.0.0.1:{health}' }}
auth: {{ type: static, realm: r, credentials: {{ username: {username}, password: pass }} }}
listeners:
- {{ name: udp, protocol: TURN-UDP, address: $STUNNER_ADDR, port: {port}, routes: [loop] }}
- {{ name: tcp, protocol: TURN-TCP, address: $STUNNER_ADDR, port: {port}, routes: [loop] }}
clusters: [ {{ name: loop, endpoints: [127.0.0.0/8] }} ]
"
    )
}

struct Files {
    _folder: tempfile::TempDir,
    path: String,
}

impl Files {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stunnerd.conf");
        fs::write(&path, text).unwrap();
        Self { path: path.to_str().unwrap().to_owned(), _folder: folder }
    }

    fn replace(&self, text: &str) {
        let next = Path::new(&self.path).with_extension("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, &self.path).unwrap();
    }
}

/// A client with an allocation and a channel to an echo peer.
struct Call {
    client: TurnClient,
    _peer: EchoPeer,
}

impl Call {
    #[track_caller]
    fn start(mut client: TurnClient) -> Self {
        let peer = EchoPeer::start();
        let relayed = client.allocate().unwrap().relayed;
        assert_eq!(relayed.ip(), loopback(0).ip());
        client.channel_bind(0x4000, peer.address()).unwrap();
        let mut call = Self { client, _peer: peer };
        call.goes_on();
        call
    }

    #[track_caller]
    fn goes_on(&mut self) {
        for _ in 0..8 {
            self.client.send_channel(0x4000, b"hello");
            assert_eq!(self.client.recv().data(), b"hello");
        }
    }

    #[track_caller]
    fn end(mut self) {
        assert_eq!(self.client.refresh(0).unwrap(), 0);
    }
}

fn udp(port: u16, username: &str) -> TurnClient {
    TurnClient::udp(loopback(port)).with(Credentials::fixed(username, "pass"))
}

fn tcp(port: u16, username: &str) -> TurnClient {
    TurnClient::tcp(loopback(port)).with(Credentials::fixed(username, "pass"))
}

fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(loopback(port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn start(arguments: &[&str]) -> Process {
    let mut command = stunnerd(arguments);
    command.env("STUNNER_ADDR", "127.0.0.1");
    if !arguments.contains(&"-u") {
        Way::chosen().tell(&mut command, "--udp-thread-num");
    }
    Process::spawn(command)
}

/// Held by tests whose daemon serves its health on the default port for a while: there is one such port.
static DEFAULT_HEALTH_PORT: Mutex<()> = Mutex::new(());

const IN_FORCE: &str = "configuration in force: 2 listeners";

#[test]
fn one_shot_from_a_file_serves_udp_and_tcp_on_one_port_and_ends_on_a_signal() {
    let (port, health) = (free_port(), free_port());
    let files = Files::new(&config(port, health, "user"));
    for origin in [files.path.clone(), format!("file://{}", files.path)] {
        let mut daemon = start(&["-c", &origin, "-u", "2"]);
        let first = daemon.await_line("stunnerd INFO");
        assert!(first.contains("version"), "{first}");
        daemon.await_line("2 workers");
        daemon.await_line(IN_FORCE);
        assert!(get(health, "/ready").unwrap().contains("READY"));
        let calls = [Call::start(udp(port, "user")), Call::start(tcp(port, "user"))];
        assert!(get(health, "/status").unwrap().contains(r#""allocationCount":2,"status":"READY""#));
        calls.into_iter().for_each(Call::end);
        daemon.terminate();
        assert_eq!(daemon.await_exit().code(), Some(0));
        assert!(get(health, "/live").is_none());
    }
}

#[test]
fn a_draining_daemon_waits_for_its_allocations() {
    let (port, health) = (free_port(), free_port());
    let files = Files::new(&config(port, health, "user"));
    let mut daemon = start(&["-c", &files.path]);
    daemon.await_line(IN_FORCE);
    let mut call = Call::start(udp(port, "user"));
    daemon.terminate();
    daemon.await_line("draining, 1 allocations");
    assert!(get(health, "/live").unwrap().contains("200 OK"));
    assert!(get(health, "/ready").unwrap().contains("503"));
    assert!(get(health, "/status").unwrap().contains("TERMINATING"));
    assert!(udp(port, "user").allocate().is_err());
    call.goes_on();
    call.end();
    assert_eq!(daemon.await_exit().code(), Some(0));
}

#[test]
fn w20_a_daemon_forced_ready_is_not_ready_before_its_first_configuration() {
    let _default = DEFAULT_HEALTH_PORT.lock();
    let (port, health) = (free_port(), free_port());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("later.conf");
    let daemon = start(&["-w", "--force-ready-status", "-c", path.to_str().unwrap()]);
    daemon.await_line("configuration in force: 0 listeners");
    assert!(get(8086, "/live").unwrap().contains("200 OK"));
    assert!(get(8086, "/ready").unwrap().contains("503"));
    fs::write(&path, config(port, health, "user")).unwrap();
    daemon.await_line(IN_FORCE);
    assert!(get(health, "/ready").unwrap().contains("200 OK"));
}

#[test]
fn a_second_signal_ends_a_draining_daemon() {
    let (port, health) = (free_port(), free_port());
    let files = Files::new(&config(port, health, "user"));
    let mut daemon = start(&["-c", &files.path]);
    daemon.await_line(IN_FORCE);
    let _call = Call::start(udp(port, "user"));
    daemon.signal("INT");
    daemon.await_line("draining");
    daemon.terminate();
    assert_eq!(daemon.await_exit().code(), Some(1));
}

#[test]
fn a_watched_file_is_followed_and_a_bad_one_changes_nothing() {
    let _default = DEFAULT_HEALTH_PORT.lock();
    let (port, health) = (free_port(), free_port());
    let files = Files::new(&config(port, health, "user"));
    let daemon = start(&["-w", "-c", &files.path, "-l", "all:DEBUG"]);
    daemon.await_line(IN_FORCE);
    let mut call = Call::start(udp(port, "user"));

    let seen = daemon.line_count();
    files.replace("version: v1\nauth: { type: static }\n");
    daemon.await_line_after(seen, "empty username or password");
    call.goes_on();

    let seen = daemon.line_count();
    files.replace(&config(port, health, "other"));
    daemon.await_line_after(seen, IN_FORCE);
    call.goes_on();
    assert!(udp(port, "user").allocate().is_err());
    Call::start(udp(port, "other"));

    // A port that somebody else has: the running configuration stays.
    let taken = std::net::UdpSocket::bind("[::]:0").unwrap();
    let seen = daemon.line_count();
    files.replace(&config(taken.local_addr().unwrap().port(), health, "third"));
    let line = daemon.await_line_after(seen, "could not reconcile new configuration");
    assert!(line.contains("(running configuration unchanged)") && line.contains("ERROR"), "{line}");
    Call::start(udp(port, "other"));
    assert!(get(health, "/ready").unwrap().contains("READY"));
}

#[test]
fn a_turn_uri_is_a_whole_configuration() {
    let _default = DEFAULT_HEALTH_PORT.lock();
    for transport in ["udp", "tcp"] {
        let port = free_port();
        let mut daemon = start(&[&format!("turn://user:pass@127.0.0.1:{port}?transport={transport}"), "-w"]);
        daemon.await_line("configuration in force: 1 listeners");
        let client = if transport == "udp" { udp(port, "user") } else { tcp(port, "user") };
        Call::start(client).end();
        daemon.terminate();
        assert_eq!(daemon.await_exit().code(), Some(0));
    }
}

/// A key that takes no time to make, and a certificate that a client can check: it names the host of the URI.
#[test]
fn w34_a_secure_turn_uri_gets_an_ecdsa_certificate_with_names() {
    const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    let _default = DEFAULT_HEALTH_PORT.lock();
    for uri in
        ["turns://user:pass@127.0.0.1:PORT?transport=tcp", "turn://user:pass@127.0.0.1:PORT?transport=tls"]
    {
        let port = free_port();
        let daemon = start(&[&uri.replace("PORT", &port.to_string())]);
        daemon.await_line("configuration in force: 1 listeners");
        Call::start(TurnClient::tls(loopback(port)).with(Credentials::fixed("user", "pass"))).end();

        let certificate = shown_certificate(port, kit::trusting_tls()).unwrap();
        assert!(certificate.windows(P256.len()).any(|part| part == P256));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let checking = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        assert!(shown_certificate(port, Arc::new(checking)).is_ok());
    }
}

#[test]
fn w34_a_secure_turn_uri_over_udp_is_dtls() {
    let Some(openssl) = kit::need("openssl") else { return };
    let _default = DEFAULT_HEALTH_PORT.lock();
    let port = free_port();
    let daemon = start(&[&format!("turns://user:pass@127.0.0.1:{port}?transport=udp")]);
    daemon.await_line("configuration in force: 1 listeners");
    let client = TurnClient::dtls(&openssl, loopback(port));
    Call::start(client.with(Credentials::fixed("user", "pass"))).end();
}

/// Shakes hands with the server at 127.0.0.1.
fn shown_certificate(
    port: u16,
    config: Arc<rustls::ClientConfig>,
) -> std::io::Result<rustls::pki_types::CertificateDer<'static>> {
    let address = loopback(port);
    let mut tls = rustls::ClientConnection::new(config, address.ip().into()).unwrap();
    tls.complete_io(&mut TcpStream::connect(address)?)?;
    Ok(tls.peer_certificates().unwrap()[0].clone().into_owned())
}

#[test]
fn json_lines_and_levels() {
    let quiet = || {
        let text = config(free_port(), free_port(), "user");
        Files::new(&text.replace("name: test/gateway", "name: n, loglevel: 'all:ERROR'"))
    };
    let files = quiet();
    let daemon = start(&["-c", &files.path, "--log-format", "json"]);
    let line = daemon.await_line("configuration in force");
    assert!(
        line.starts_with('{') && line.contains(r#""level":"INFO""#) && line.contains(r#""scope""#),
        "{line}"
    );

    // The command line wins over the configuration.
    for (arguments, drained) in [(&[][..], false), (&["-v"], true), (&["-l", "all:INFO"], true)] {
        let files = quiet();
        let mut daemon = start(&[&["-c", files.path.as_str()], arguments].concat());
        daemon.await_line("configuration in force");
        daemon.terminate();
        assert_eq!(daemon.await_exit().code(), Some(0));
        assert_eq!(daemon.lines().iter().any(|line| line.contains("drained")), drained, "{arguments:?}");
    }
}

#[test]
fn what_cannot_begin_exits_with_1_and_a_bad_flag_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent").to_str().unwrap().to_owned();
    let empty = Files::new("");
    let refused = format!("http://127.0.0.1:{}", free_port());
    for (arguments, code, text) in [
        (&["-c", absent.as_str()][..], 1, "cannot load the configuration"),
        (&["-c", empty.path.as_str()], 1, "is empty"),
        (&["-c", refused.as_str(), "-i", "a/b"], 1, "cannot connect"),
        (&["-c", refused.as_str(), "-i", "no-slash"], 1, "invalid id"),
        (&["-w", "-c", refused.as_str(), "-i", "no-slash"], 1, "invalid id"),
        (&["-c", "k8s", "-i", "a/b"], 1, "Kubernetes"),
        (&["-w", "-c", "k8s", "-i", "a/b"], 1, "Kubernetes"),
        (&["-c", "gopher://x", "-i", "a/b"], 1, "unknown scheme"),
        (&["turn://127.0.0.1:3478"], 1, "username/password must be set"),
        (&["turn://u:p@127.0.0.1?transport=sctp"], 1, "invalid scheme/protocol in URI"),
        (&["--no-such-flag"], 2, "--no-such-flag"),
        (&["-u", "many"], 2, "many"),
        (&["--help"], 0, "TURN-URI"),
    ] {
        let mut daemon = Process::spawn(stunnerd(arguments));
        assert_eq!(daemon.await_exit().code(), Some(code), "{arguments:?}: {:?}", daemon.lines());
        daemon.await_match(0, Deadline::default(), text, |line| line.contains(text).then_some(()));
    }
}

#[test]
fn the_identity_comes_from_the_environment() {
    let (port, health) = (free_port(), free_port());
    let files = Files::new(&config(port, health, "user"));
    let mut command = stunnerd(&["-c", &files.path, "--dry-run"]);
    command.envs([("STUNNER_NAMESPACE", "media"), ("STUNNER_NAME", "gw"), ("STUNNER_ADDR", "127.0.0.1")]);
    let mut daemon = Process::spawn(command);
    daemon.await_line(r#"id "media/gw""#);
    daemon.await_line("configuration in force");
    // A dry run opens nothing and waits for signals all the same.
    assert!(get(health, "/live").is_none());
    assert!(std::net::TcpListener::bind(loopback(port)).is_ok());
    daemon.terminate();
    assert_eq!(daemon.await_exit().code(), Some(0));
}

#[test]
fn the_origin_comes_from_the_environment_and_the_flag_wins() {
    let (port, health) = (free_port(), free_port());
    let files = Files::new(&config(port, health, "user"));
    for (flag, variable) in [(None, files.path.as_str()), (Some(files.path.as_str()), "http://127.0.0.1:1")] {
        let mut command = stunnerd(&[]);
        if let Some(flag) = flag {
            command.args(["-c", flag]);
        }
        command.env("STUNNER_CONFIG_ORIGIN", variable).env("STUNNER_ADDR", "127.0.0.1");
        let mut daemon = Process::spawn(command);
        daemon.await_line(IN_FORCE);
        daemon.terminate();
        assert_eq!(daemon.await_exit().code(), Some(0));
    }
}

/// Two processes would split the clients of a port between them without anybody noticing.
#[test]
fn a_second_daemon_on_the_same_port_is_told() {
    let (port, health) = (free_port(), free_port());
    let files = Files::new(&config(port, health, "user"));
    let first = start(&["-c", &files.path]);
    first.await_line(IN_FORCE);
    let files = Files::new(&config(port, free_port(), "user"));
    let second = start(&["-c", &files.path]);
    second.await_line("could not reconcile new configuration");
    let clients: Vec<_> =
        (0..8).map(|_| thread::spawn(move || Call::start(udp(port, "user")).end())).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn d13_a_discovery_server_is_followed_and_its_deletions_are_not() {
    let _default = DEFAULT_HEALTH_PORT.lock();
    let (port, health) = (free_port(), free_port());
    let parse =
        |username: &str| config::Config::parse(&config(port, health, username), &config::env::empty).unwrap();
    // The placeholder stands for the address of the node that the daemon says it is on.
    let placed = |username: &str| {
        let mut config = parse(username);
        for listener in &mut config.listeners {
            listener.address = config::NODE_ADDRESS_PLACEHOLDER.to_owned();
        }
        config
    };
    let store = cds::Store::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind(loopback(0))).unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = cds::server::Server::new(store.clone())
        .node_address(|node| (node == "node-1").then_some(loopback(0).ip()));
    runtime.spawn(server.serve(listener));

    let mut command = stunnerd(&["-w", "-i", "test/gateway"]);
    command.env("STUNNER_CONFIG_ORIGIN", &origin).env("STUNNER_NODENAME", "node-1");
    let daemon = Process::spawn(command);
    daemon.await_line("configuration in force: 0 listeners");
    store.insert("test/gateway", placed("user"));
    daemon.await_line(IN_FORCE);
    let mut call = Call::start(udp(port, "user"));
    assert!(get(health, "/ready").unwrap().contains("READY"));

    let seen = daemon.line_count();
    store.remove("test/gateway");
    store.insert("test/gateway", placed("other"));
    daemon.await_line_after(seen, IN_FORCE);
    call.goes_on();
    Call::start(udp(port, "other"));
}
