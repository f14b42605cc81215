//! Statuses, headers, and clients that mean no good.

use std::sync::Arc;
use std::time::Duration;

use auth::server::{Settings, router};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use cds::serve::{Limits, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Delivery, Service, ask, by_name, fixed};

async fn service() -> Service {
    Service::with(Delivery::Injected, &[fixed()]).await
}

#[tokio::test]
async fn answers_carry_exact_headers() {
    let service = service().await;
    let answer = service.get("/ice").await;
    assert_eq!(answer.header("content-type"), "application/json; charset=UTF-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    let keys = r#"{"iceServers":[{"credential":"pass1","urls":["turn:1.2.3.4:3478?transport=udp","#;
    assert!(answer.body.starts_with(keys), "{}", answer.body);
    assert!(
        answer.body.ends_with("\"username\":\"user1\"}],\"iceTransportPolicy\":\"all\"}\n"),
        "{}",
        answer.body
    );
    let answer = service.get("/?service=turn").await;
    assert!(answer.body.starts_with(r#"{"password":"pass1","ttl":86400,"uris":["#), "{}", answer.body);
    for refused in ["/", "/ice?ttl=x", "/ice?service=x", "/ice?namespace=x", "/nowhere"] {
        let answer = service.get(refused).await;
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{refused}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{refused}");
        assert!(answer.body.ends_with('\n') && answer.body.lines().count() == 1, "{refused}");
    }
}

#[tokio::test]
async fn relay_is_passed_on() {
    let ice = service().await.ice("iceTransportPolicy=relay").await;
    assert_eq!(ice["iceTransportPolicy"], "relay");
}

#[tokio::test]
async fn only_get_is_allowed() {
    let service = service().await;
    for method in ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/?service=turn", "/ice"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = Request::builder().method(&method).uri(path).body(Body::empty()).unwrap();
            let answer = service.send(request).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!((answer.header("allow"), answer.body.as_str()), ("GET", ""), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let service = service().await;
    for path in ["/ice/", "/health", "//", "/ice/x", "/%69ce", "/../ice", "/ICE", "*"] {
        let answer = service.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.body, "404 page not found\n", "{path}");
    }
}

#[tokio::test]
async fn a_query_that_is_too_long_is_414() {
    let service = service().await;
    let target = format!("/ice?x={}", "y".repeat(10_000));
    assert_eq!(service.get(&target).await.status, StatusCode::URI_TOO_LONG);
}

#[tokio::test]
async fn it_is_ready_once_it_is_in_step() {
    let (_configs, receiver) = watch::channel(Arc::default());
    let (synced, when) = watch::channel(false);
    let router = router(receiver, Settings { synced: Some(when), ..Settings::default() });
    let status =
        async |path: &str| ask(&router, Request::get(path).body(Body::empty()).unwrap()).await.status;
    for path in ["/live", "/healthz"] {
        assert_eq!(status(path).await, StatusCode::OK, "{path}");
    }
    for path in ["/ready", "/readyz"] {
        assert_eq!(status(path).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
    }
    synced.send_replace(true);
    for path in ["/ready", "/readyz"] {
        assert_eq!(status(path).await, StatusCode::OK, "{path}");
    }
}

/// The service on a socket.
struct Server {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (_, configs) = watch::channel(Arc::new(by_name(&[fixed()])));
        let task = tokio::spawn(serve(listener, router(configs, Settings::default()), limits, stop.clone()));
        Self { address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What the server says to these bytes until it closes the connection.
    async fn says(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // The server may hang up before it has heard everything.
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }

    async fn is_fine(&self) {
        let text = self.says(b"GET /ice HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("pass1"), "{text}");
        assert!(text.contains("\r\nContent-Type: application/json; charset=UTF-8\r\n"), "{text}");
    }
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    String::from_utf8(said).unwrap()
}

/// Short enough to be waited for.
fn impatient() -> Limits {
    Limits { head: Duration::from_millis(200), stop: Duration::from_millis(200), ..Limits::default() }
}

#[tokio::test]
async fn nonsense_does_not_keep_it_from_answering() {
    let server = Server::start(impatient()).await;
    let long = "x".repeat(100_000);
    let requests: Vec<(Vec<u8>, &str)> = vec![
        (b"\0\0\0\0\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (b"GET /ice?username=\x01 HTTP/1.1\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (b"GET /ice?username=\xff\xfe HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (
            b"GET /ice?username=%0d%0aSet-Cookie:%20a HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(),
            "HTTP/1.1 400 ",
        ),
        (b"GET /ice?ttl=1&ttl=2 HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 400 "),
        (b"GET /ice?%=%&%f=%zz HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 200 "),
        (b"CONNECT example.org:443 HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 404 "),
        (b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 404 "),
        (b"GET http://other.example/ice HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(), "HTTP/1.1 200 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ""),
        (format!("GET /ice?{long} HTTP/1.1\r\n\r\n").into_bytes(), "HTTP/1.1 4"),
        (format!("GET /ice HTTP/1.1\r\nX: {long}\r\n\r\n").into_bytes(), "HTTP/1.1 431 "),
        (format!("GET /ice HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500)).into_bytes(), "HTTP/1.1 431 "),
        (
            b"POST /ice HTTP/1.1\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n".to_vec(),
            "HTTP/1.1 405 ",
        ),
        (
            b"GET /ice HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz".to_vec(),
            "HTTP/1.1 ",
        ),
    ];
    for (request, expected) in requests {
        let said = server.says(&request).await;
        let head = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        assert!(said.starts_with(expected), "{head:?}: {said}");
        assert!(!said.contains("Set-Cookie"), "{said}");
        server.is_fine().await;
    }
}

#[tokio::test]
async fn a_client_that_dawdles_is_hung_up_on() {
    let server = Server::start(impatient()).await;
    for beginning in [&b""[..], b"GET /ice HT", b"GET /ice HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(beginning).await.unwrap();
        let said = rest(&mut stream).await;
        assert!(!said.contains(" 200 "), "{said}");
    }
    server.is_fine().await;
}

#[tokio::test]
async fn dawdlers_on_every_connection_do_not_lock_others_out() {
    let server = Server::start(Limits { connections: 2, ..impatient() }).await;
    let _dawdlers = [server.connect().await, server.connect().await, server.connect().await];
    server.is_fine().await;
}

#[tokio::test]
async fn many_requests_share_a_connection() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;
    let request = "GET /ice HTTP/1.1\r\nHost: x\r\n\r\n".repeat(9) + "GET /x HTTP/1.0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let said = rest(&mut stream).await;
    assert_eq!((said.matches(" 200 OK").count(), said.matches(" 404 Not Found").count()), (9, 1));
}

#[tokio::test]
async fn it_stops_when_told_even_if_clients_do_not_let_go() {
    let server = Server::start(Limits { head: Duration::from_secs(60), ..impatient() }).await;
    let mut idle = server.connect().await;
    idle.write_all(b"GET /ice HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    let mut half = server.connect().await;
    half.write_all(b"GET /ice HT").await.unwrap();
    server.stop.cancel();
    server.task.await.unwrap();
    rest(&mut idle).await;
    assert!(TcpStream::connect(server.address).await.is_err());
}
