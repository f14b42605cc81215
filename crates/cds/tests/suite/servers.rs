//! What goes over the wire.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use cds::{License, Scope, Store, client, server::Server, wire};
use config::{Config, NODE_ADDRESS_PLACEHOLDER};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::common::{Running, SOON, config, gateway, options};

/// Status line, headers and body of an answer to a request without any help from a library.
async fn raw(server: &Running, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", server.address);
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    answer
}

async fn socket(server: &Running, target: &str) -> WebSocketStream<TcpStream> {
    let request = format!("ws://{}{target}", server.address).into_client_request().expect("request");
    let stream = TcpStream::connect(server.address).await.expect("connect");
    client_async(request, stream).await.expect("upgrade").0
}

async fn message(socket: &mut WebSocketStream<TcpStream>) -> Message {
    tokio::time::timeout(SOON, socket.next()).await.expect("a message").expect("no end").expect("no failure")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("headers").1
}

#[tokio::test]
async fn answers_have_the_original_form() {
    let store = Store::new();
    let server = Running::start(&store).await;
    assert_eq!(body(&raw(&server, "/api/v1/configs", "").await), "{\"version\":\"v1\",\"items\":[]}\n");

    let (x, y) = (config("a/x", "1"), config("b/y", "1"));
    store.insert("b/y", y.clone());
    store.insert("a/x", x.clone());
    let answer = raw(&server, "/api/v1/configs/a/x", "").await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n")
            && answer.contains("\r\nContent-Type: application/json\r\n"),
        "{answer}"
    );
    assert_eq!(body(&answer), format!("{}\n", x.to_json()));
    let list = |configs: &[&Config]| {
        let items: Vec<_> = configs.iter().map(|config| config.to_json()).collect();
        format!("{{\"version\":\"v1\",\"items\":[{}]}}\n", items.join(","))
    };
    assert_eq!(body(&raw(&server, "/api/v1/configs", "").await), list(&[&x, &y]));
    assert_eq!(body(&raw(&server, "/api/v1/configs/b?watch=false", "").await), list(&[&y]));
    assert_eq!(body(&raw(&server, "/api/v1/configs/c", "").await), list(&[]));

    let missing = raw(&server, "/api/v1/configs/a/z", "").await;
    assert!(
        missing.starts_with("HTTP/1.1 404 ") && missing.contains("Content-Type: application/json"),
        "{missing}"
    );
    assert_eq!(body(&missing), "{\"code\":404,\"message\":\"Config not found for ID a/z\"}\n");
    server.stop().await;
}

#[tokio::test]
async fn bad_requests_are_told_so() {
    let server = Running::start(&Store::new()).await;
    let answer = raw(&server, "/api/v1/configs?watch=perhaps", "").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Content-Type: text/plain"), "{answer}");
    assert!(body(&answer).starts_with("Invalid format for parameter watch: "), "{answer}");
    for target in ["/api/v1/configs?watch=true", "/api/v1/configs/a?watch=1", "/api/v1/configs/a/b?watch=T"] {
        let answer = raw(&server, target, "").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
    }
    assert!(raw(&server, "/api/v1/other", "").await.starts_with("HTTP/1.1 404 "));
    server.stop().await;
}

#[tokio::test]
async fn pages_of_other_hosts_cannot_follow() {
    let server = Running::start(&Store::new()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let status = async |origin: &str| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET /api/v1/configs?watch=true HTTP/1.1\r\nHost: {}\r\n{upgrade}{origin}\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        String::from_utf8_lossy(&status[9..]).into_owned()
    };
    assert_eq!(status("").await, "101");
    assert_eq!(status(&format!("Origin: http://{}\r\n", server.address)).await, "101");
    assert_eq!(status(&format!("Origin: http://{}?watch=true\r\n", server.address)).await, "101");
    assert_eq!(status("Origin: https://elsewhere.example\r\n").await, "403");
    assert_eq!(status("Origin: null\r\n").await, "403");
    server.stop().await;
}

#[tokio::test]
async fn frames_have_the_original_form() {
    let store = Store::new();
    let x = config("a/x", "1");
    store.insert("a/x", x.clone());
    let server = Running::start(&store).await;
    let mut socket = socket(&server, "/api/v1/configs?watch=true").await;
    assert_eq!(message(&mut socket).await, Message::text(x.to_json()));

    socket.send(Message::text("ignored")).await.unwrap();
    socket.send(Message::Ping("keepalive".into())).await.unwrap();
    assert_eq!(message(&mut socket).await, Message::Pong("keepalive".into()));

    store.insert("a/x", x.clone());
    store.remove("a/x");
    assert_eq!(message(&mut socket).await, Message::text(Config::zero_json("a/x")));
    store.insert("a/x", x.clone());
    assert_eq!(message(&mut socket).await, Message::text(x.to_json()), "the subscription goes on");

    let stopping = tokio::spawn(server.stop());
    assert!(matches!(message(&mut socket).await, Message::Close(_)));
    stopping.await.unwrap();
}

#[tokio::test]
async fn d08_the_server_may_keep_quiet_about_deletions() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    let server = Running::start_with(Server::new(store.clone()).suppress_deletions(true), 0).await;
    let mut socket = socket(&server, "/api/v1/configs/a/x?watch=true").await;
    assert!(message(&mut socket).await.is_text());
    store.remove("a/x");
    store.insert("a/x", config("a/x", "2"));
    assert_eq!(message(&mut socket).await, Message::text(config("a/x", "2").to_json()));
}

#[tokio::test]
async fn d09_nodes_get_their_own_address() {
    let store = Store::new();
    let mut placed = config("a/x", "1");
    placed.listeners[0].address = NODE_ADDRESS_PLACEHOLDER.into();
    store.insert("a/x", placed.clone());
    store.insert("a/plain", config("a/plain", "1"));
    let addresses = |node: &str| -> Option<IpAddr> {
        match node {
            "n1" => "192.0.2.1".parse().ok(),
            "n 6" => "2001:db8::6".parse().ok(),
            _ => None,
        }
    };
    let server = Running::start_with(Server::new(store.clone()).node_address(addresses), 0).await;
    let expected = [
        (None, NODE_ADDRESS_PLACEHOLDER),
        (Some("n1"), "192.0.2.1"),
        (Some("n 6"), "2001:db8::6"),
        (Some("unknown"), "$STUNNER_ADDR"),
    ];
    for (node, address) in expected {
        let mut patched = placed.clone();
        patched.listeners[0].address = address.into();
        let query = node.map(|node| format!("node={}", node.replace(' ', "%20"))).unwrap_or_default();
        let answer = raw(&server, &format!("/api/v1/configs/a/x?{query}"), "").await;
        assert_eq!(body(&answer).trim_end(), patched.to_json(), "{node:?}");
        let mut socket = socket(&server, &format!("/api/v1/configs/a/x?{query}&watch=true")).await;
        assert_eq!(message(&mut socket).await, Message::text(patched.to_json()), "{node:?}");
    }
    let plain = raw(&server, "/api/v1/configs/a/plain?node=n1", "").await;
    assert_eq!(body(&plain).trim_end(), config("a/plain", "1").to_json());
    let list = raw(&server, "/api/v1/configs/a?node=n1", "").await;
    assert!(body(&list).contains(NODE_ADDRESS_PLACEHOLDER), "lists are not for a node");
}

#[tokio::test]
async fn d10_a_new_address_is_sent_to_watchers_of_that_node() {
    let store = Store::new();
    let mut placed = config("a/x", "1");
    placed.listeners[0].address = NODE_ADDRESS_PLACEHOLDER.into();
    store.insert("a/x", placed);
    let last = Arc::new(AtomicU8::new(1));
    let addresses = {
        let last = last.clone();
        move |_: &str| Some(IpAddr::from([192, 0, 2, last.load(Ordering::SeqCst)]))
    };
    let server = Running::start_with(Server::new(store.clone()).node_address(addresses), 0).await;
    let mut here = socket(&server, "/api/v1/configs/a/x?node=n1&watch=true").await;
    let mut there = socket(&server, "/api/v1/configs/a/x?node=n2&watch=true").await;
    assert!(message(&mut here).await.to_text().unwrap().contains("192.0.2.1"));
    assert!(message(&mut there).await.to_text().unwrap().contains("192.0.2.1"));
    last.store(9, Ordering::SeqCst);
    store.touch_node("n1");
    assert!(message(&mut here).await.to_text().unwrap().contains("192.0.2.9"));
    store.insert("a/x", config("a/x", "2"));
    assert!(message(&mut there).await.to_text().unwrap().contains(r#""realm":"2""#), "nothing came before");
}

#[tokio::test]
async fn d11_the_licence_is_free_and_complete_unless_somebody_says_otherwise() {
    let store = Store::new();
    let server = Running::start(&store).await;
    assert_eq!(
        body(&raw(&server, "/api/v1/license", "").await),
        "{\"enabledFeatures\":[\"UserQuota\",\"STUNServer\",\"DaemonSet\",\"RelayAddressDiscovery\",\"TURNOffload\"],\
         \"subscriptionType\":\"free\",\"lastUpdated\":\"N/A\",\"lastError\":\"\"}\n"
    );
    let other = License { last_error: "expired".into(), ..License::default() };
    store.set_license(other.clone());
    let cds::Origin::Http(at) = server.origin() else { panic!("http") };
    assert_eq!(client::license(&at, &options()).await.unwrap(), other);
}

#[tokio::test]
async fn a_watcher_that_takes_nothing_delays_nobody() {
    let store = Store::new();
    let server = Server::new(store.clone()).write_deadline(Duration::from_millis(50));
    let server = Running::start_with(server, 0).await;
    let _stalled = socket(&server, "/api/v1/configs?watch=true").await;
    let mut lively = server.watch(Scope::All);
    let long = "x".repeat(1 << 20);
    for round in 0..30 {
        let realm = format!("{round}{long}");
        store.insert("a/x", config("a/x", &realm));
        while crate::common::told(&mut lively).await.1 != realm {}
    }
    assert!(server.load(&gateway("a/x")).await.is_ok());
}

#[tokio::test]
async fn many_changes_at_once_arrive_whole_and_in_order() {
    // More than goes into one write, and more than a connection holds while nobody reads.
    let id = |at: usize| format!("a/x{at:03}");
    let long = "x".repeat(20 << 10);
    let text = |at: usize, realm: &str| {
        if at.is_multiple_of(7) { format!("{realm}{long}") } else { realm.to_owned() }
    };
    let all =
        |realm: &str| (0..500).map(|at| (id(at), config(&id(at), &text(at, realm)))).collect::<Vec<_>>();
    let store = Store::new();
    let server = Running::start(&store).await;
    let mut socket = socket(&server, "/api/v1/configs?watch=true").await;
    for realm in ["first", "second"] {
        store.update(all(realm).into_iter().map(|(id, config)| (id, Some(config))));
        for (_, config) in all(realm) {
            assert_eq!(message(&mut socket).await, Message::text(config.to_json()));
        }
    }
    store.set(BTreeMap::new());
    for at in 0..500 {
        assert_eq!(message(&mut socket).await, Message::text(Config::zero_json(&id(at))));
    }
}

#[tokio::test]
async fn a_watcher_that_has_vanished_is_given_up() {
    let server = Server::new(Store::new()).idle_period(Duration::from_millis(300));
    let server = Running::start_with(server, 0).await;
    let mut answering = socket(&server, "/api/v1/configs?watch=true").await;
    let mut vanished = socket(&server, "/api/v1/configs?watch=true").await.into_inner();
    let mut received = Vec::new();
    let end = vanished.read_to_end(&mut received);
    let ping = Message::Ping("keepalive".into());
    tokio::select! {
        end = tokio::time::timeout(SOON, end) => { end.expect("closed in time").expect("closed properly"); }
        // Reading answers pings.
        () = async { while message(&mut answering).await == ping {} } => panic!("a watcher that answers is kept"),
    }
    assert_eq!(received, b"\x89\x09keepalive");
    assert_eq!(message(&mut answering).await, ping);
}

#[test]
fn ids_are_namespace_and_name() {
    assert_eq!("a/b".parse::<Scope>().unwrap(), Scope::gateway("a", "b"));
    for text in ["", "a", "/", "a/", "/b", "a/b/c"] {
        let error = text.parse::<Scope>().unwrap_err();
        assert!(error.to_string().contains("invalid id: "), "{error}");
    }
    assert_eq!(wire::DEFAULT_PORT, 13478);
}
