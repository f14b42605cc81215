//! A running `stunner up` with files of its own.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    num::NonZeroUsize,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use kit::{Credentials, Deadline, EchoPeer, Event, Process, TurnClient, Way, free_port, temp_dir};
use tempfile::TempDir;

/// Where the gateway of a test is.
pub(crate) const GATEWAY: &str = "127.0.0.1";

/// One UDP Gateway, `media/edge`, whose clients may reach this machine's loopback address. `PORT` is the listener's.
pub(crate) fn manifest() -> String {
    format!("{COMMON}{}", gateway("edge", "TURN-UDP"))
}

/// A Gateway of the class in [`manifest`].
pub(crate) fn gateway(name: &str, protocol: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: {name}, namespace: media }}
spec:
  gatewayClassName: media
  listeners:
    - {{ name: listener, port: PORT, protocol: {protocol} }}
"
    )
}

const COMMON: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: media }
spec:
  controllerName: stunner.l7mp.io/gateway-operator
  parametersRef: { group: stunner.l7mp.io, kind: GatewayConfig, name: settings, namespace: media }
---
apiVersion: stunner.l7mp.io/v1
kind: GatewayConfig
metadata: { name: settings, namespace: media }
spec: { realm: test, authType: static, userName: user-1, password: pass-1 }
---
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata: { name: loop, namespace: media }
spec:
  parentRefs:
    - name: edge # parent
  rules:
    - backendRefs: [ { group: stunner.l7mp.io, kind: StaticService, name: here } ]
---
apiVersion: stunner.l7mp.io/v1
kind: StaticService
metadata: { name: here, namespace: media }
spec: { prefixes: [ 127.0.0.1 ] }
---
";

/// A directory of YAML.
pub(crate) struct Files {
    directory: TempDir,
    port: u16,
}

impl Files {
    /// With one file, `gateway.yaml`.
    pub(crate) fn of(text: &str) -> Self {
        let files = Self { directory: temp_dir(), port: free_port() };
        files.write("gateway.yaml", text);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file in place, as an editor does: emptied first.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text.replace("PORT", &self.port.to_string())).expect("written");
    }

    /// What would run.
    pub(crate) fn dry_run(&self) -> Output {
        self.command().arg("--dry-run").output().expect("run")
    }

    /// A start with another port in the files.
    pub(crate) fn start_on(&self, port: u16) -> Command {
        let text = fs::read_to_string(self.path("gateway.yaml")).expect("read");
        fs::write(self.path("gateway.yaml"), text.replace(&self.port.to_string(), &port.to_string()))
            .expect("written");
        self.command()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stunner"));
        command
            .args(["up", "--address", GATEWAY, "--log", "all:INFO,http-server:WARN", "-f"])
            .arg(self.directory.path());
        let way = Way::chosen();
        Way { workers: way.workers.or(NonZeroUsize::new(2)), ..way }.tell(&mut command, "--workers");
        for service in ["--discovery-address", "--auth-address", "--status-address"] {
            command.args([service, "127.0.0.1:0"]);
        }
        command
    }
}

/// A running program.
pub(crate) struct Up {
    pub(crate) output: Process,
    pub(crate) gateway: SocketAddr,
    pub(crate) status: SocketAddr,
    pub(crate) auth: SocketAddr,
    pub(crate) discovery: SocketAddr,
}

impl Up {
    pub(crate) fn start(files: &Files) -> Self {
        let output = Process::spawn(files.command());
        let address = |service: &str| {
            let line = output.await_line(&format!("{service}: http://"));
            let rest = line.split("http://").nth(1).expect("an address");
            rest.split('/').next().expect("an address").parse().expect("an address")
        };
        let (status, auth) = (address("status page"), address("authentication service"));
        let discovery = address("config discovery");
        Self {
            gateway: format!("{GATEWAY}:{}", files.port).parse().expect("an address"),
            status,
            auth,
            discovery,
            output,
        }
    }

    /// A client with an allocation over UDP.
    pub(crate) fn client(&self, credentials: &Credentials) -> TurnClient {
        let mut client = TurnClient::udp(self.gateway).with(credentials.clone());
        client.allocate().expect("allocated");
        client
    }

    /// Data goes to a new peer and comes back.
    pub(crate) fn echo(&self, client: &mut TurnClient) {
        let peer = EchoPeer::start();
        client.create_permission(peer.address()).expect("permitted");
        client.send(peer.address(), b"there and back");
        assert_eq!(client.recv().data(), b"there and back");
    }

    /// What the authentication service tells clients now.
    pub(crate) fn ice(&self) -> String {
        http(self.auth, "/ice?service=turn")
    }

    /// A page of the status server.
    pub(crate) fn get(&self, path: &str) -> String {
        http(self.status, path)
    }
}

/// Whether one datagram on a channel comes back soon.
pub(crate) fn echoes(client: &mut TurnClient, channel: u16) -> bool {
    client.send_channel(channel, b"ping");
    matches!(client.recv_within(Duration::from_millis(200)), Ok(Some(Event::Data { .. })))
}

/// Awaits what is true sooner or later.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Deadline::default();
    while !holds() {
        assert!(deadline.left().is_some(), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends bytes to an HTTP server and reads what it says until it closes or pauses.
pub(crate) fn raw_http(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    stream.write_all(bytes).expect("sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The answer to a GET request, head and body.
pub(crate) fn http(to: SocketAddr, path: &str) -> String {
    raw_http(to, format!("GET {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n").as_bytes())
}
