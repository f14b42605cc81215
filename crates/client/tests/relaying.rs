//! The client against a real dataplane, and against coturn's server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use client::{
    DialError, Dialer, End, Event, Failure, Incoming, Login, Refusal, Relay, Server, Transport, Trust,
};
use config::Config;
use dataplane::{Dataplane, Options};
use kit::{EchoPeer, PATIENCE, Process, free_port, need, temp_dir};
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A gateway with UDP and TCP on one port, whose clients may reach 127.0.0.1.
struct Gateway {
    dataplane: Dataplane,
    port: u16,
}

impl Gateway {
    fn start(auth: &str) -> Self {
        let port = free_port();
        let gateway =
            Self { dataplane: Dataplane::start(Options { workers: 1, ..Options::default() }).unwrap(), port };
        gateway.apply(auth, "127.0.0.1");
        gateway
    }

    fn apply(&self, auth: &str, endpoint: &str) {
        let port = self.port;
        let text = format!(
            "{{ version: v1, admin: {{ name: test/gateway, healthcheck_endpoint: '' }}, auth: {auth}, listeners: [\
             {{ name: udp, protocol: TURN-UDP, address: 127.0.0.1, port: {port}, routes: [peers] }},\
             {{ name: tcp, protocol: TURN-TCP, address: 127.0.0.1, port: {port}, routes: [peers] }}],\
             clusters: [{{ name: peers, endpoints: ['{endpoint}'] }}] }}"
        );
        let config = Config::parse(&text, &|_: &str| None).unwrap();
        self.dataplane.apply(&BTreeMap::from([("test/gateway".to_owned(), config)])).unwrap();
    }

    fn dialer(&self, transport: Transport) -> Dialer {
        Dialer::new(Server::new(transport, "localhost", self.port), Login::fixed("user", "pass"))
    }

    async fn await_no_allocation(&self) {
        let gone = async {
            while self.dataplane.allocations() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, gone).await.expect("the allocation is given back");
    }
}

const STATIC: &str = "{ type: static, realm: r, credentials: { username: user, password: pass } }";

/// The next event.
async fn event(relay: &mut Relay) -> Event {
    loop {
        let incoming = timeout(PATIENCE, relay.next()).await.expect("an event").unwrap();
        if let Incoming::Event(event) = incoming {
            return event;
        }
    }
}

/// The next payload, and from whom.
async fn data(relay: &mut Relay) -> (SocketAddr, Vec<u8>) {
    loop {
        let incoming = timeout(PATIENCE, relay.next()).await.expect("data").unwrap();
        if let Incoming::Data(received) = incoming {
            return (received.peer, received.payload.to_vec());
        }
    }
}

/// Sends messages of many sizes to an echo, by indication and then on a channel.
async fn echoes(mut relay: Relay) {
    let peer = EchoPeer::start();
    relay.permit(LOCALHOST);
    assert_eq!(event(&mut relay).await, Event::Permitted(LOCALHOST));
    exchange(&mut relay, peer.address()).await;
    relay.bind(peer.address());
    assert!(matches!(event(&mut relay).await, Event::Bound { .. }));
    exchange(&mut relay, peer.address()).await;
    assert_eq!(peer.sources()[0], relay.allocated().relayed);
    let statistics = relay.statistics();
    assert_eq!(statistics.sent_packets, statistics.received_packets);
    assert_eq!(statistics.sent_bytes, statistics.received_bytes);
    relay.close().await;
}

async fn exchange(relay: &mut Relay, peer: SocketAddr) {
    for len in [0, 1, 2, 3, 4, 100, 1200] {
        let message = vec![len as u8; len];
        relay.send(peer, &message).unwrap();
        assert_eq!(data(relay).await, (peer, message));
    }
}

#[tokio::test]
async fn echoes_over_udp() {
    let gateway = Gateway::start(STATIC);
    echoes(gateway.dialer(Transport::Udp).dial().await.unwrap()).await;
    gateway.await_no_allocation().await;
}

#[tokio::test]
async fn echoes_over_tcp() {
    let gateway = Gateway::start(STATIC);
    echoes(gateway.dialer(Transport::Tcp).dial().await.unwrap()).await;
    gateway.await_no_allocation().await;
}

/// A listener with DTLS, whose clients may reach 127.0.0.1, and who vouches for it.
fn secure_gateway(algorithm: &'static rcgen::SignatureAlgorithm) -> (Gateway, CertificateDer<'static>) {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let [cert, key] = [certificate.pem(), key.serialize_pem()].map(|pem| BASE64_STANDARD.encode(pem));
    let gateway = Gateway {
        dataplane: Dataplane::start(Options { workers: 1, ..Options::default() }).unwrap(),
        port: free_port(),
    };
    let text = format!(
        "{{ version: v1, admin: {{ name: test/gateway, healthcheck_endpoint: '' }}, auth: {STATIC}, listeners: [\
         {{ name: dtls, protocol: TURN-DTLS, address: 127.0.0.1, port: {}, routes: [peers], cert: {cert}, \
         key: {key} }}], clusters: [{{ name: peers, endpoints: [127.0.0.1] }}] }}",
        gateway.port
    );
    let config = Config::parse(&text, &|_: &str| None).unwrap();
    gateway.dataplane.apply(&BTreeMap::from([("test/gateway".to_owned(), config)])).unwrap();
    (gateway, certificate.der().clone())
}

#[tokio::test]
async fn echoes_over_dtls_with_keys_of_every_kind() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256]
    {
        let (gateway, authority) = secure_gateway(algorithm);
        let trust = Trust { authorities: vec![authority], ..Trust::default() };
        let dialer = Dialer { trust, ..gateway.dialer(Transport::Dtls) };
        echoes(dialer.dial().await.unwrap()).await;
        gateway.await_no_allocation().await;
        let error = gateway.dialer(Transport::Dtls).dial().await.unwrap_err();
        assert!(matches!(error, DialError::Tls { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_ends_a_dtls_session_is_noticed() {
    let (gateway, authority) = secure_gateway(&rcgen::PKCS_ECDSA_P256_SHA256);
    let trust = Trust { authorities: vec![authority], ..Trust::default() };
    let mut relay = Dialer { trust, ..gateway.dialer(Transport::Dtls) }.dial().await.unwrap();
    // Other listeners take the place of this one.
    gateway.apply(STATIC, "127.0.0.1");
    let error = timeout(PATIENCE, relay.next()).await.expect("an end").unwrap_err().to_string();
    assert!(error.contains("the server ended the DTLS session"), "{error}");
}

#[tokio::test]
async fn credentials_are_minted_from_a_shared_secret() {
    let gateway = Gateway::start("{ type: ephemeral, realm: r, credentials: { secret: s3cret } }");
    let login = Login::ephemeral("s3cret", "someone");
    let dialer = Dialer { login, ..gateway.dialer(Transport::Udp) };
    echoes(dialer.dial().await.unwrap()).await;
    let dialer = Dialer { login: Login::ephemeral("guessed", "someone"), ..dialer };
    assert_eq!(refusal(dialer.dial().await).code, 401);
}

fn refusal(dialled: Result<Relay, DialError>) -> Refusal {
    match dialled {
        Err(DialError::Refused { end: End::Failed(Failure::Refused(refusal)), .. }) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn what_goes_wrong_is_named() {
    let gateway = Gateway::start(STATIC);
    let dialer = Dialer { login: Login::fixed("user", "guessed"), ..gateway.dialer(Transport::Tcp) };
    assert_eq!(refusal(dialer.dial().await).code, 401);

    let nobody = Server::new(Transport::Tcp, "127.0.0.1", free_port());
    let error = Dialer { server: nobody, ..dialer.clone() }.dial().await.unwrap_err();
    assert!(matches!(error, DialError::Connect { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains("cannot connect to turn:127.0.0.1:") && error.contains("refused"), "{error}");

    let nobody = Server::new(Transport::Udp, "127.0.0.1", free_port());
    let error = Dialer { server: nobody, ..dialer.clone() }.dial().await.unwrap_err();
    assert!(matches!(error, DialError::Connect { .. }), "{error}");

    let silent = tokio::net::UdpSocket::bind((LOCALHOST, 0)).await.unwrap();
    let server = Server::new(Transport::Udp, "127.0.0.1", silent.local_addr().unwrap().port());
    let patience = Duration::from_millis(50);
    let error = Dialer { server, patience, ..dialer.clone() }.dial().await.unwrap_err().to_string();
    assert!(error.contains("does not answer within 50ms"), "{error}");

    let server = Server::new(Transport::Udp, "no such name", 3478);
    let error = Dialer { server, ..dialer.clone() }.dial().await.unwrap_err().to_string();
    assert!(error.contains("cannot find the server no such name"), "{error}");

    let trust = Trust { server_name: Some("no name".to_owned()), ..Trust::default() };
    let server = Server::new(Transport::Dtls, "127.0.0.1", gateway.port);
    let error = Dialer { server, trust, ..dialer }.dial().await.unwrap_err().to_string();
    assert!(error.contains("DTLS with turns:127.0.0.1:") && error.contains("cannot be the name"), "{error}");
}

#[tokio::test]
async fn a_peer_that_no_route_admits_is_refused() {
    let gateway = Gateway::start(STATIC);
    let mut relay = gateway.dialer(Transport::Udp).dial().await.unwrap();
    relay.permit("192.0.2.1".parse().unwrap());
    let Event::Refused { failure, .. } = event(&mut relay).await else { panic!("not refused") };
    assert!(failure.to_string().contains("403"), "{failure}");
}

#[tokio::test]
async fn a_server_that_goes_away_is_noticed_on_a_stream() {
    let gateway = Gateway::start(STATIC);
    let mut relay = gateway.dialer(Transport::Tcp).dial().await.unwrap();
    drop(gateway);
    let error = timeout(PATIENCE, relay.next()).await.expect("an end").unwrap_err().to_string();
    assert!(error.contains("connection to the server"), "{error}");
}

#[tokio::test]
async fn more_than_the_socket_takes_waits_and_arrives() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let mut relay = gateway.dialer(Transport::Tcp).dial().await.unwrap();
    relay.bind(peer.address());
    while !matches!(event(&mut relay).await, Event::Bound { .. }) {}
    let message = [7; 1000];
    for _ in 0..300 {
        relay.send(peer.address(), &message).unwrap();
    }
    assert!(relay.is_congested());
    assert_eq!(data(&mut relay).await.1, message);
    assert!(!relay.is_congested());
}

/// A server that nobody here wrote, with one certificate for `turn.example.org`.
struct Coturn {
    _process: Process,
    _folder: tempfile::TempDir,
    plain: u16,
    secure: u16,
    authority: CertificateDer<'static>,
}

impl Coturn {
    fn start(part: &kit::Part) -> Self {
        Self::with_key(part, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    fn with_key(part: &kit::Part, algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let (plain, secure, folder) = (free_port(), free_port(), temp_dir());
        let path = |name: &str| folder.path().join(name).display().to_string();
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(["turn.example.org".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(path("cert"), certificate.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
        let mut server = part.command("turnserver");
        server.args(["-n", "--no-cli", "--lt-cred-mech", "--allow-loopback-peers"]);
        server.args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--realm=r", "--user=user:pass"]);
        server.args(["--log-file=stdout", "--simple-log"]);
        server.args([format!("--listening-port={plain}"), format!("--tls-listening-port={secure}")]);
        server.args([format!("--userdb={}", path("db")), format!("--pidfile={}", path("pid"))]);
        server.args([format!("--cert={}", path("cert")), format!("--pkey={}", path("key"))]);
        let process = Process::spawn(server);
        for port in [plain, secure] {
            kit::await_tcp(SocketAddr::new(LOCALHOST, port));
        }
        kit::TurnClient::udp(SocketAddr::new(LOCALHOST, plain)).binding().unwrap();
        let authority = certificate.der().clone();
        Self { _process: process, _folder: folder, plain, secure, authority }
    }

    /// Its last listener is there.
    async fn await_dtls(&self) {
        let server = Server::new(Transport::Dtls, "127.0.0.1", self.secure);
        let trust = Trust { insecure: true, ..Trust::default() };
        let dialer = Dialer { trust, ..Dialer::new(server, Login::fixed("user", "pass")) };
        let there = async {
            while let Err(error) = dialer.dial().await {
                assert!(matches!(error, DialError::Connect { .. }), "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, there).await.expect("a listener with DTLS");
    }
}

#[tokio::test]
async fn coturn_over_udp_and_tcp() {
    let Some(part) = need("coturn") else { return };
    let coturn = Coturn::start(&part);
    for transport in [Transport::Udp, Transport::Tcp] {
        let server = Server::new(transport, "127.0.0.1", coturn.plain);
        let dialer = Dialer::new(server, Login::fixed("user", "pass"));
        echoes(dialer.dial().await.unwrap()).await;
        let dialer = Dialer { login: Login::fixed("user", "guessed"), ..dialer };
        assert_eq!(refusal(dialer.dial().await).code, 401);
    }
}

#[tokio::test]
async fn coturn_over_tls_is_believed_by_its_certificate_only() {
    let Some(part) = need("coturn") else { return };
    let coturn = Coturn::start(&part);
    believed_by_its_certificate_only(&coturn, Transport::Tls).await;
}

#[tokio::test]
async fn coturn_over_dtls_is_believed_by_its_certificate_only() {
    let Some(part) = need("coturn") else { return };
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256] {
        let coturn = Coturn::with_key(&part, algorithm);
        coturn.await_dtls().await;
        believed_by_its_certificate_only(&coturn, Transport::Dtls).await;
    }
}

async fn believed_by_its_certificate_only(coturn: &Coturn, transport: Transport) {
    let server = Server::new(transport, "127.0.0.1", coturn.secure);
    let dialer = Dialer::new(server, Login::fixed("user", "pass"));
    let error = dialer.dial().await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");

    let trust = Trust { authorities: vec![coturn.authority.clone()], ..Trust::default() };
    let known = Dialer { trust, ..dialer.clone() };
    let error = known.dial().await.unwrap_err().to_string();
    assert!(error.contains("not valid for"), "the name is another: {error}");

    let server_name = Some("turn.example.org".to_owned());
    let trust = Trust { server_name, ..known.trust.clone() };
    echoes(Dialer { trust, ..known }.dial().await.unwrap()).await;

    let trust = Trust { insecure: true, ..Trust::default() };
    echoes(Dialer { trust, ..dialer }.dial().await.unwrap()).await;
}
