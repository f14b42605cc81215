//! A dataplane with one gateway, and what tests do to it.
#![allow(dead_code, reason = "every test program uses a part of this")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use config::Config;
use dataplane::{ApplyError, Dataplane, Options, Report};
use kit::{Credentials, Deadline, EchoPeer, Failure, Part, TurnClient, Way};

/// The name of the gateway in every fixture.
pub(crate) const GATEWAY: &str = "test/gateway";

/// A dataplane that runs one gateway.
pub(crate) struct Gateway {
    pub(crate) dataplane: Dataplane,
    pub(crate) port: u16,
}

/// The text of a configuration, put together by a test.
#[derive(Clone)]
pub(crate) struct Text {
    pub(crate) port: u16,
    pub(crate) admin: String,
    pub(crate) auth: String,
    pub(crate) listeners: Vec<String>,
    pub(crate) clusters: Vec<String>,
}

pub(crate) const STATIC: &str = "{ type: static, realm: r, credentials: { username: user, password: pass } }";
pub(crate) const EPHEMERAL: &str = "{ type: ephemeral, realm: r, credentials: { secret: my-secret } }";

impl Text {
    /// A UDP and a TCP listener on one fresh port, which may reach all of 127.0.0.0/8.
    pub(crate) fn new() -> Self {
        let port = kit::free_port();
        Self {
            port,
            admin: format!("{{ name: {GATEWAY}, healthcheck_endpoint: '' }}"),
            auth: STATIC.to_owned(),
            listeners: vec![
                listener("udp", "TURN-UDP", port, "[loop]"),
                listener("tcp", "TURN-TCP", port, "[loop]"),
            ],
            clusters: vec![cluster("loop", "[127.0.0.0/8]")],
        }
    }

    pub(crate) fn auth(self, auth: &str) -> Self {
        Self { auth: auth.to_owned(), ..self }
    }

    pub(crate) fn admin(self, more: &str) -> Self {
        Self { admin: format!("{{ name: {GATEWAY}, {more} }}"), ..self }
    }

    /// Replaces the clusters; both listeners route all of them.
    pub(crate) fn clusters(self, clusters: &[(&str, &str)]) -> Self {
        let names: Vec<_> = clusters.iter().map(|(name, _)| *name).collect();
        let routes = format!("[{}]", names.join(", "));
        let port = self.port;
        Self {
            listeners: vec![
                listener("udp", "TURN-UDP", port, &routes),
                listener("tcp", "TURN-TCP", port, &routes),
            ],
            clusters: clusters.iter().map(|(name, endpoints)| cluster(name, endpoints)).collect(),
            ..self
        }
    }

    pub(crate) fn listeners(self, listeners: &[String]) -> Self {
        Self { listeners: listeners.to_vec(), ..self }
    }

    /// Replaces the clusters, whatever the listeners route.
    pub(crate) fn with_cluster(self, name: &str, endpoints: &str) -> Self {
        Self { clusters: vec![cluster(name, endpoints)], ..self }
    }

    pub(crate) fn clusters_none(self) -> Self {
        Self { clusters: Vec::new(), ..self }
    }

    pub(crate) fn yaml(&self) -> String {
        format!(
            "version: v1\nadmin: {}\nauth: {}\nlisteners: [{}]\nclusters: [{}]\n",
            self.admin,
            self.auth,
            self.listeners.join(", "),
            self.clusters.join(", ")
        )
    }

    pub(crate) fn config(&self) -> Config {
        Config::parse(&self.yaml(), &config::env::empty).unwrap()
    }
}

pub(crate) fn listener(name: &str, protocol: &str, port: u16, routes: &str) -> String {
    format!("{{ name: {name}, protocol: {protocol}, address: 127.0.0.1, port: {port}, routes: {routes} }}")
}

pub(crate) fn cluster(name: &str, endpoints: &str) -> String {
    if endpoints.starts_with('[') {
        format!("{{ name: {name}, endpoints: {endpoints} }}")
    } else {
        format!("{{ name: {name}, {endpoints} }}")
    }
}

impl Gateway {
    /// Starts with one worker, unless another way was chosen.
    pub(crate) fn start(text: &Text) -> Self {
        Self::with_options(text, options())
    }

    pub(crate) fn with_workers(text: &Text, workers: usize) -> Self {
        Self::with_options(text, Options { workers, ..options() })
    }

    pub(crate) fn with_options(text: &Text, options: Options) -> Self {
        let dataplane = Dataplane::start(options).unwrap();
        let gateway = Self { dataplane, port: text.port };
        gateway.apply(text);
        gateway
    }

    pub(crate) fn apply(&self, text: &Text) -> Report {
        self.try_apply(text).unwrap()
    }

    pub(crate) fn try_apply(&self, text: &Text) -> Result<Report, ApplyError> {
        self.dataplane.apply(&BTreeMap::from([(GATEWAY.to_owned(), text.config())]))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address(self.port)
    }

    /// A client over UDP with the credentials of [`STATIC`].
    pub(crate) fn udp(&self) -> TurnClient {
        TurnClient::udp(self.address()).with(static_user())
    }

    /// A client over TCP with the credentials of [`STATIC`].
    pub(crate) fn tcp(&self) -> TurnClient {
        TurnClient::tcp(self.address()).with(static_user())
    }

    /// Waits until so many allocations live.
    #[track_caller]
    pub(crate) fn await_allocations(&self, count: usize) {
        await_that("so many allocations", || self.dataplane.allocations() == count);
    }
}

/// One worker, unless another way was chosen.
pub(crate) fn options() -> Options {
    let way = Way::chosen();
    Options {
        workers: way.workers.map_or(1, NonZeroUsize::get),
        headless_short_cut: way.takes_short_cut,
        ..Options::default()
    }
}

pub(crate) fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(crate) fn static_user() -> Credentials {
    Credentials::fixed("user", "pass")
}

/// The error code of a request that must fail.
#[track_caller]
pub(crate) fn code<T: std::fmt::Debug>(answer: Result<T, Failure>) -> u16 {
    match answer.unwrap_err() {
        Failure::Refused(refusal) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// Sends `count` messages to the peer on a channel and expects every one of them back.
#[track_caller]
pub(crate) fn echo(client: &mut TurnClient, channel: u16, count: usize) {
    for number in 0..count {
        let message = format!("message {number}");
        client.send_channel(channel, message.as_bytes());
        assert_eq!(client.recv().data(), message.as_bytes());
    }
}

#[track_caller]
pub(crate) fn await_that(what: &str, condition: impl Fn() -> bool) {
    let deadline = Deadline::default();
    while !condition() {
        assert!(deadline.left().is_some(), "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Status line, headers, and body of a GET; `None` if nobody listens.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<(String, String, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    Some((status.to_owned(), headers.to_owned(), body.to_owned()))
}

/// The series of a scrape: name with labels, and value.
pub(crate) fn scrape(address: SocketAddr, path: &str) -> BTreeMap<String, f64> {
    let (_, _, body) = get(address, path).unwrap();
    let series = body.lines().filter(|line| !line.starts_with('#'));
    series
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(k, v)| (k.to_owned(), v.parse().unwrap()))
        .collect()
}

/// A client with an allocation and a channel to an echo peer.
pub(crate) struct Call {
    pub(crate) client: TurnClient,
    pub(crate) peer: EchoPeer,
}

impl Call {
    #[track_caller]
    pub(crate) fn start(mut client: TurnClient) -> Self {
        let peer = EchoPeer::start();
        client.allocate().unwrap();
        client.channel_bind(0x4000, peer.address()).unwrap();
        let mut call = Self { client, peer };
        call.goes_on();
        call
    }

    #[track_caller]
    pub(crate) fn goes_on(&mut self) {
        echo(&mut self.client, 0x4000, 3);
    }

    /// Waits until the peer is heard: workers take over what a name is resolved to one after the other.
    #[track_caller]
    pub(crate) fn is_heard_again(&mut self) {
        let deadline = Deadline::default();
        for number in 0.. {
            let message = format!("anybody {number}?");
            self.client.send_channel(0x4000, message.as_bytes());
            while let Some(event) = self.client.recv_within(Duration::from_millis(100)).unwrap() {
                if event.data() == message.as_bytes() {
                    return;
                }
            }
            assert!(deadline.left().is_some(), "the peer is not heard again");
        }
    }

    #[track_caller]
    pub(crate) fn is_silent(&mut self) {
        let heard = self.peer.sources().len();
        self.client.send_channel(0x4000, b"anybody?");
        assert!(self.client.settle().unwrap().is_empty());
        assert_eq!(self.peer.sources().len(), heard);
    }
}

/// A certificate and its key as configurations have them.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) der: Vec<u8>,
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Pair {
    /// For ECDSA.
    pub(crate) fn new() -> Self {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self {
            der: signed.cert.der().to_vec(),
            cert: BASE64_STANDARD.encode(signed.cert.pem()),
            key: BASE64_STANDARD.encode(signed.signing_key.serialize_pem()),
        }
    }

    /// For RSA.
    pub(crate) fn rsa(openssl: &Part) -> Self {
        let folder = kit::temp_dir();
        let mut command = openssl.command("openssl");
        command.current_dir(folder.path());
        command.args("req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2".split(' '));
        let made = command.args(["-keyout", "key.pem", "-out", "cert.pem"]).output().unwrap();
        assert!(made.status.success());
        let read = |name| BASE64_STANDARD.encode(std::fs::read(folder.path().join(name)).unwrap());
        Self { der: Vec::new(), cert: read("cert.pem"), key: read("key.pem") }
    }

    pub(crate) fn listener(&self, name: &str, protocol: &str, port: u16) -> String {
        let Self { cert, key, .. } = self;
        let plain = listener(name, protocol, port, "[loop]");
        plain.replacen('{', &format!("{{ cert: {cert}, key: {key}, "), 1)
    }
}
