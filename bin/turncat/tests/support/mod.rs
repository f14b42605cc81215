//! A gateway in this process, and `turncat` in another.
#![allow(dead_code, reason = "not every test program uses all of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use config::Config;
use dataplane::{Dataplane, Options};
use kit::{Deadline, EchoPeer, PATIENCE, Process, free_port};

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

pub(crate) fn turncat(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turncat"));
    command.args(arguments).env_remove("CDS_SERVER_ADDR").env_remove("CDS_SERVER_PORT");
    command
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
