//! Dialler and server, on loopback and through a gateway.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use config::Config;
use dataplane::{Dataplane, Options};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kit::{PATIENCE, free_port};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use whip::connection::{Delivery, Event};
use whip::dial::{DialError, Dialled};
use whip::ice::Hidden;
use whip::measure::{Plan, measure};
use whip::{Dialer, Ended, IceServer, Policy, Server, Settings};

/// A running server.
struct Running {
    server: Server,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Running {
    async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (server, stop) = (Server::new(settings), CancellationToken::new());
        tokio::spawn(server.clone().serve(listener, stop.clone()));
        Self { server, address, stop }
    }

    fn dialer(&self) -> Dialer {
        Dialer::new(format!("http://{}/whip", self.address))
    }

    async fn ask(&self, method: Method, path: &str, kind: &str, body: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        let request =
            request.header(header::CONTENT_TYPE, kind).body(Full::new(Bytes::from(body.to_owned())));
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(request.unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn await_sessions(&self, count: usize) {
        let reached = async {
            while self.server.sessions() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{} sessions", self.server.sessions()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn echo(dialled: &mut Dialled, message: &[u8]) {
    dialled.connection.send(message.to_vec()).await.unwrap();
    let event = timeout(PATIENCE, dialled.connection.next()).await.expect("an echo");
    assert_eq!(event, Some(Event::Message(message.to_vec())));
}

#[tokio::test]
async fn w1_dial_echo_close() {
    let running = Running::start(Settings::default()).await;
    let mut dialled = running.dialer().dial().await.unwrap();
    echo(&mut dialled, b"test1").await;
    echo(&mut dialled, b"test2").await;
    echo(&mut dialled, &vec![7; 60_000]).await;
    dialled.close().await;
}

#[tokio::test]
async fn w2_a_wrong_token_is_refused() {
    let settings = Settings { token: Hidden("right".into()), ..Settings::default() };
    let running = Running::start(settings).await;
    for token in ["wrong", ""] {
        let error = Dialer { token: token.into(), ..running.dialer() }.dial().await.unwrap_err();
        assert!(matches!(error, DialError::Refused { status: StatusCode::UNAUTHORIZED, .. }), "{error}");
    }
    let dialled = Dialer { token: "right".into(), ..running.dialer() }.dial().await.unwrap();
    dialled.close().await;
}

#[tokio::test]
async fn w3_without_a_token_any_is_accepted() {
    let running = Running::start(Settings::default()).await;
    let dialled = Dialer { token: "any".into(), ..running.dialer() }.dial().await.unwrap();
    dialled.close().await;
}

#[tokio::test]
async fn w4_what_dialled_may_end_without_the_connection() {
    let running = Running::start(Settings::default()).await;
    let dialer = running.dialer();
    let mut dialled = tokio::spawn(async move { dialer.dial().await.unwrap() }).await.unwrap();
    echo(&mut dialled, b"test1").await;
}

#[tokio::test]
async fn w5_a_client_that_closes_is_gone_from_the_server() {
    let running = Running::start(Settings::default()).await;
    let mut dialled = running.dialer().dial().await.unwrap();
    echo(&mut dialled, b"test1").await;
    assert_eq!(running.server.sessions(), 1);
    dialled.close().await;
    running.await_sessions(0).await;
    // One that says goodbye on the connection only.
    let dialled = running.dialer().dial().await.unwrap();
    running.await_sessions(1).await;
    drop(dialled);
    running.await_sessions(0).await;
}

#[tokio::test]
async fn w6_a_server_that_closes_ends_the_client() {
    let running = Running::start(Settings::default()).await;
    let mut dialled = running.dialer().dial().await.unwrap();
    echo(&mut dialled, b"test1").await;
    running.server.close_all();
    let event = timeout(PATIENCE, dialled.connection.next()).await.expect("an end");
    assert_eq!(event, Some(Event::Ended(Ended::Closed)));
}

#[tokio::test]
async fn w7_five_connections_at_a_time() {
    let running = Running::start(Settings::default()).await;
    let dialer = running.dialer();
    let mut dialled = Vec::new();
    for _ in 0..5 {
        dialled.push(dialer.dial().await.unwrap());
    }
    for (number, one) in (0_u8..).zip(&mut dialled) {
        echo(one, &[number; 10]).await;
    }
    assert_eq!(running.server.sessions(), 5);
    for one in dialled {
        one.close().await;
    }
    running.await_sessions(0).await;
}

#[tokio::test]
async fn w8_an_unknown_resource_is_not_found() {
    let running = Running::start(Settings::default()).await;
    for path in ["/whip/12345", "/whip/x", "/12345", "/whip/whip/1"] {
        let (status, _) = running.ask(Method::DELETE, path, "", "").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn w9_another_endpoint() {
    let settings = Settings { endpoint: "/custompath".into(), ..Settings::default() };
    let running = Running::start(settings).await;
    let endpoint = format!("http://{}/custompath", running.address);
    let mut dialled = Dialer::new(endpoint).dial().await.unwrap();
    echo(&mut dialled, b"test1").await;
    dialled.close().await;
    running.await_sessions(0).await;
    assert!(matches!(running.dialer().dial().await.unwrap_err(), DialError::Refused { .. }));
}

#[tokio::test]
async fn w10_relay_without_servers_cannot_be_dialled() {
    let running = Running::start(Settings::default()).await;
    let error = Dialer { policy: Policy::Relay, ..running.dialer() }.dial().await.unwrap_err().to_string();
    assert!(error.contains("no relay candidate") && error.contains("no TURN server"), "{error}");
}

#[tokio::test]
async fn w11_settings_are_read_and_written() {
    let running = Running::start(Settings::default()).await;
    let (status, _) = running.ask(Method::GET, "/config", "text/plain", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, text) = running.ask(Method::GET, "/config", "application/json", "").await;
    let initial = json!({
        "ICEServers": [], "ICETransportPolicy": "all", "BearerToken": "", "WHIPEndpoint": "/whip",
    });
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), initial);
    let servers = json!([{ "urls": ["turn:192.0.2.1:3478"], "username": "u", "credential": "p" }]);
    let wanted = json!({
        "ICEServers": servers, "ICETransportPolicy": "relay", "BearerToken": "t", "WHIPEndpoint": "/other",
    });
    let (status, body) = running.ask(Method::POST, "/config", "application/json", &wanted.to_string()).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
    let (_, text) = running.ask(Method::GET, "/config", "application/json", "").await;
    let mut expected = wanted;
    expected["WHIPEndpoint"] = "/whip".into();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let (status, _) =
        running.ask(Method::POST, "/config", "application/json", r#"{ "iceServers": null }"#).await;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = running.ask(Method::POST, "/config", "application/json", "nonsense").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn offers_that_are_none_harm_nobody() {
    let running = Running::start(Settings::default()).await;
    let (status, _) = running.ask(Method::POST, "/whip", "text/plain", "v=0").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for offer in ["", "nonsense", "v=0\r\n"] {
        let (status, text) = running.ask(Method::POST, "/whip", "application/sdp", offer).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
    }
    let mut dialled = running.dialer().dial().await.unwrap();
    echo(&mut dialled, b"still here").await;
}

/// A gateway with UDP and TCP on one port, whose clients may reach this host.
struct Gateway {
    dataplane: Dataplane,
    port: u16,
}

impl Gateway {
    fn start() -> Self {
        let port = free_port();
        let text = format!(
            "{{ version: v1, admin: {{ name: test/gateway, healthcheck_endpoint: '' }}, \
             auth: {{ type: static, credentials: {{ username: user, password: pass }} }}, listeners: [\
             {{ name: udp, protocol: TURN-UDP, address: 127.0.0.1, port: {port}, routes: [peers] }},\
             {{ name: tcp, protocol: TURN-TCP, address: 127.0.0.1, port: {port}, routes: [peers] }}],\
             clusters: [{{ name: peers, endpoints: ['127.0.0.1', '0.0.0.0/0'] }}] }}"
        );
        let dataplane = Dataplane::start(Options { workers: 1, ..Options::default() }).unwrap();
        let config = Config::parse(&text, &|_: &str| None).unwrap();
        dataplane.apply(&BTreeMap::from([("test/gateway".to_owned(), config)])).unwrap();
        Self { dataplane, port }
    }

    fn ice_server(&self, transport: &str, password: &str) -> IceServer {
        IceServer {
            urls: vec![format!("turn:127.0.0.1:{}?transport={transport}", self.port)],
            username: "user".into(),
            credential: Hidden(password.into()),
            ..IceServer::default()
        }
    }
}

const SHORT: Plan = Plan { duration: Duration::from_millis(500), rate: 100, grace: Duration::from_secs(5) };

/// Through the gateway on one side or on both: everything comes back, and the pair in use is the relay's.
async fn measured(transport: &str, is_symmetric: bool) {
    let gateway = Gateway::start();
    let servers = vec![gateway.ice_server(transport, "pass")];
    let settings = match is_symmetric {
        true => Settings { ice_servers: servers.clone(), policy: Policy::Relay, ..Settings::default() },
        false => Settings::default(),
    };
    let running = Running::start(settings).await;
    let dialer =
        Dialer { ice_servers: servers, policy: Policy::Relay, delivery: Delivery::Once, ..running.dialer() };
    let mut dialled = dialer.dial().await.unwrap();
    let summary = measure(&mut dialled.connection, SHORT).await.unwrap();
    assert!(summary.sent > 10 && summary.round_trip.is_some(), "{summary}");
    assert_eq!((summary.lost(), summary.duplicates, summary.strangers), (0, 0, 0), "{summary}");
    let candidates = dialled.connection.candidates();
    assert!(candidates.local.iter().all(|it| it.starts_with("udp4 relay 127.0.0.1:")), "{candidates:?}");
    let (Some(ours), Some(theirs)) = candidates.selected.unwrap() else { panic!("{candidates:?}") };
    let kind = if is_symmetric { "udp4 relay" } else { "udp4 host" };
    assert!(candidates.local[ours].starts_with("udp4 relay"), "{candidates:?}");
    assert!(candidates.remote[theirs].starts_with(kind), "{candidates:?}");
    assert_eq!(gateway.dataplane.allocations(), if is_symmetric { 2 } else { 1 });
    dialled.close().await;
    let gone = async {
        while gateway.dataplane.allocations() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("allocations are given back");
}

#[tokio::test]
async fn asymmetric_over_udp() {
    measured("udp", false).await;
}

#[tokio::test]
async fn asymmetric_over_tcp() {
    measured("tcp", false).await;
}

#[tokio::test]
async fn symmetric_over_udp() {
    measured("udp", true).await;
}

#[tokio::test]
async fn symmetric_over_tcp() {
    measured("tcp", true).await;
}

#[tokio::test]
async fn the_reason_of_a_failure_is_told() {
    let gateway = Gateway::start();
    let running = Running::start(Settings::default()).await;
    let ice_servers = vec![gateway.ice_server("udp", "guessed")];
    let dialer = Dialer { ice_servers, policy: Policy::Relay, ..running.dialer() };
    let error = dialer.dial().await.unwrap_err().to_string();
    assert!(error.contains("no relay candidate") && error.contains("401"), "{error}");

    let patience = Duration::from_millis(200);
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    drop(silent);
    let nobody = Dialer { patience, ..Dialer::new(format!("http://127.0.0.1:{}/whip", free_port())) };
    let error = nobody.dial().await.unwrap_err().to_string();
    assert!(error.contains("connection refused"), "{error}");
    let error = Dialer::new("nonsense").dial().await.unwrap_err().to_string();
    assert!(error.contains("write http://HOST:PORT/whip"), "{error}");
}
