//! A gateway in this process, and `turncat` in another.
#![allow(dead_code, reason = "not every test program uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use config::Config;
use dataplane::{Dataplane, Options};
use kit::{Deadline, EchoPeer, PATIENCE, Process, free_port, temp_dir};
use tempfile::TempDir;

pub(crate) const STATIC: &str = "{ type: static, credentials: { username: user1, password: passwd1 } }";
pub(crate) const EPHEMERAL: &str = "{ type: ephemeral, credentials: { secret: my-secret } }";

/// A gateway with UDP and TCP on one port, whose clients may reach 127.0.0.1.
pub(crate) struct Gateway {
    pub(crate) dataplane: Dataplane,
    pub(crate) port: u16,
    auth: String,
}

impl Gateway {
    pub(crate) fn start(auth: &str) -> Self {
        Self::on(auth, free_port())
    }

    pub(crate) fn on(auth: &str, port: u16) -> Self {
        let dataplane = Dataplane::start(Options { workers: 1, ..Options::default() }).unwrap();
        let gateway = Self { dataplane, port, auth: auth.to_owned() };
        gateway.admit("127.0.0.1");
        gateway
    }

    /// What its clients may reach from now on.
    pub(crate) fn admit(&self, endpoint: &str) {
        let config = Config::parse(&self.text(endpoint), &|_: &str| None).unwrap();
        self.dataplane.apply(&BTreeMap::from([("test/gateway".to_owned(), config)])).unwrap();
    }

    pub(crate) fn text(&self, endpoint: &str) -> String {
        let listener = |protocol: &str| {
            let (name, port) = (protocol.to_lowercase(), self.port);
            format!(
                "{{ name: test/gateway/{name}-listener, protocol: TURN-{protocol}, address: 127.0.0.1, \
                 public_address: 127.0.0.1, public_port: {port}, port: {port}, routes: [peers] }}"
            )
        };
        format!(
            "{{ version: v1, admin: {{ name: test/gateway, healthcheck_endpoint: '' }}, auth: {}, \
             listeners: [{}, {}], clusters: [{{ name: peers, endpoints: ['{endpoint}'] }}] }}",
            self.auth,
            listener("UDP"),
            listener("TCP"),
        )
    }

    /// Its address for those who have a password, or the secret.
    pub(crate) fn uri(&self, transport: &str) -> String {
        let user = if self.auth == STATIC { "user1:passwd1" } else { "my-secret" };
        format!("turn://{user}@127.0.0.1:{}?transport={transport}", self.port)
    }

    #[track_caller]
    pub(crate) fn await_allocations(&self, count: usize) {
        let deadline = Deadline::default();
        while self.dataplane.allocations() != count {
            let now = self.dataplane.allocations();
            assert!(deadline.left().is_some(), "{now} allocations, not {count}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A gateway with TLS and DTLS on one port, and a certificate for `turn.example.org` that nobody knows.
pub(crate) struct Secure {
    _dataplane: Dataplane,
    port: u16,
    /// With the certificate, `own.pem`, and one of somebody else, `other.pem`.
    pub(crate) folder: TempDir,
}

impl Secure {
    pub(crate) fn start(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(["turn.example.org".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let [cert, key] = [&certificate, &key.serialize_pem()].map(|pem| BASE64_STANDARD.encode(pem));
        let port = free_port();
        let listener = |protocol: &str| {
            format!(
                "{{ name: {protocol}, protocol: TURN-{protocol}, address: 127.0.0.1, port: {port}, routes: [peers], \
                 cert: {cert}, key: {key} }}"
            )
        };
        let text = format!(
            "{{ version: v1, admin: {{ name: test/gateway, healthcheck_endpoint: '' }}, auth: {STATIC}, \
             listeners: [{}, {}], clusters: [{{ name: peers, endpoints: [127.0.0.1] }}] }}",
            listener("TLS"),
            listener("DTLS")
        );
        let dataplane = Dataplane::start(Options { workers: 1, ..Options::default() }).unwrap();
        let config = Config::parse(&text, &|_: &str| None).unwrap();
        dataplane.apply(&BTreeMap::from([("test/gateway".to_owned(), config)])).unwrap();
        let folder = temp_dir();
        std::fs::write(folder.path().join("own.pem"), certificate).unwrap();
        let stranger = rcgen::generate_simple_self_signed(["turn.example.org".to_owned()]).unwrap();
        std::fs::write(folder.path().join("other.pem"), stranger.cert.pem()).unwrap();
        Self { _dataplane: dataplane, port, folder }
    }

    /// Its address for those who have a password: scheme and transport, as in `turns udp`.
    pub(crate) fn uri(&self, server: &str) -> String {
        let (scheme, transport) = server.split_once(' ').unwrap();
        format!("{scheme}://user1:passwd1@127.0.0.1:{}?transport={transport}", self.port)
    }
}

pub(crate) fn turncat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turncat"));
    command.args(arguments).env_remove("CDS_SERVER_ADDR").env_remove("CDS_SERVER_PORT");
    command
}

/// Runs `turncat` with this on its standard input.
pub(crate) fn pipe(arguments: &[&str], input: &[u8]) -> Output {
    pipe_into(turncat(arguments), input)
}

/// The same for a command that is prepared.
pub(crate) fn pipe_into(mut command: Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end before it reads anything.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

/// A `turncat` with these options that listens on a socket.
pub(crate) struct Listening {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Listening {
    pub(crate) fn start(client: &str, server: &str, peer: &EchoPeer, options: &[&str]) -> Self {
        let peer = format!("udp://{}", peer.address());
        let arguments = [options, &["-l", "all:INFO", client, server, &peer]].concat();
        let process = Process::spawn(turncat(&arguments));
        let line = process.await_line("client listening on");
        let word = line.split("listening on ").nth(1).unwrap().split(',').next().unwrap();
        let address = word.split_once(':').unwrap().1.parse().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
        Self { process, address }
    }

    pub(crate) fn udp_client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    pub(crate) fn tcp_client(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

pub(crate) fn echo_udp(socket: &UdpSocket, message: &[u8]) {
    socket.send(message).unwrap();
    let mut buffer = vec![0; 65_536];
    let len = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], message);
}

pub(crate) fn echo_tcp(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(message).unwrap();
    let mut buffer = vec![0; message.len()];
    stream.read_exact(&mut buffer).unwrap();
    assert_eq!(buffer, message);
}
