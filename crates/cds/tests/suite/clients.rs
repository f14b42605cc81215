//! Loading from and following a server.

use std::{sync::Arc, time::Duration};

use cds::{Event, Options, Scope, Store, Timing, server::Server};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::{accept_hdr_async, tungstenite::Message};

use crate::{
    common::{Running, config, event, gateway, options, pair, told, told_until_synced},
    proxy::Proxy,
};

#[tokio::test]
async fn d02_load_tells_known_from_unknown_gateways() {
    let store = Store::new();
    let server = Running::start(&store).await;
    let unknown = server.load(&gateway("a/x")).await.unwrap_err().to_string();
    assert!(unknown.contains("TTP error (status: 404 Not Found): {\"code\":404"), "{unknown}");
    store.insert("a/x", config("a/x", "1"));
    assert_eq!(server.load(&gateway("a/x")).await.unwrap(), [config("a/x", "1")]);
    store.remove("a/x");
    assert!(server.load(&gateway("a/x")).await.is_err());
}

#[tokio::test]
async fn d03_only_changes_of_what_is_watched_are_told() {
    let store = Store::new();
    let server = Running::start(&store).await;
    let mut watch = server.watch(gateway("a/x"));
    assert_eq!(event(&mut watch).await, Event::Synced, "nothing there");
    store.insert("b/y", config("b/y", "1"));
    store.insert("a/xx", config("a/xx", "1"));
    store.insert("a/x", config("a/x", "1"));
    assert_eq!(told(&mut watch).await, pair("a/x", "1"));
    store.insert("a/x", config("a/x", "1"));
    store.insert("b/y", config("b/y", "2"));
    store.insert("a/x", config("a/x", "2"));
    assert_eq!(told(&mut watch).await, pair("a/x", "2"));
}

#[tokio::test]
async fn d04_joining_late_brings_the_current_state_once() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    store.insert("a/x", config("a/x", "2"));
    let server = Running::start(&store).await;
    let mut watch = server.watch(gateway("a/x"));
    assert_eq!(told_until_synced(&mut watch).await, [pair("a/x", "2")]);
    store.insert("a/x", config("a/x", "3"));
    assert_eq!(told(&mut watch).await, pair("a/x", "3"));
}

#[tokio::test]
async fn d05_scopes_hold_what_they_name() {
    let store = Store::new();
    for id in ["a/x", "a/y", "b/x"] {
        store.insert(id, config(id, "1"));
    }
    let server = Running::start(&store).await;
    let scopes: [(Scope, &[&str]); 4] = [
        (Scope::All, &["a/x", "a/y", "b/x"]),
        (Scope::Namespace("a".into()), &["a/x", "a/y"]),
        (gateway("b/x"), &["b/x"]),
        (Scope::Namespace("c".into()), &[]),
    ];
    for (scope, ids) in scopes {
        let loaded: Vec<_> =
            server.load(&scope).await.unwrap().into_iter().map(|config| config.admin.name).collect();
        assert_eq!(loaded, ids, "{scope}");
        let told: Vec<_> =
            told_until_synced(&mut server.watch(scope)).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(told, ids);
    }
}

#[tokio::test]
async fn d06_a_restarted_server_is_found_again() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    store.insert("a/gone", config("a/gone", "1"));
    let server = Running::start(&store).await;
    let port = server.address.port();
    let mut watch = server.watch(Scope::All);
    assert_eq!(told_until_synced(&mut watch).await.len(), 2);
    server.stop().await;

    let store = Store::new();
    store.insert("a/x", config("a/x", "2"));
    store.insert("a/new", config("a/new", "1"));
    let _server = Running::start_with(Server::new(store.clone()), port).await;
    assert_eq!(event(&mut watch).await, Event::Deleted("a/gone".into()), "what went meanwhile is noticed");
    assert_eq!(told_until_synced(&mut watch).await, [pair("a/new", "1"), pair("a/x", "2")]);
    store.remove("a/x");
    assert_eq!(event(&mut watch).await, Event::Deleted("a/x".into()));
}

#[tokio::test]
async fn d07_a_cut_connection_is_made_again() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    let server = Running::start(&store).await;
    let proxy = Proxy::start(server.address).await;
    let origin = format!("ws://{}", proxy.address).parse().unwrap();
    let mut watch = cds::watch(&origin, gateway("a/x"), options()).unwrap();
    assert_eq!(told_until_synced(&mut watch).await, [pair("a/x", "1")]);
    for round in 2..5 {
        proxy.cut();
        assert_eq!(event(&mut watch).await, Event::Synced, "the same again is not told again");
        store.insert("a/x", config("a/x", &round.to_string()));
        assert_eq!(told(&mut watch).await, pair("a/x", &round.to_string()));
    }
}

#[tokio::test]
async fn d07_a_dead_connection_is_noticed() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    let server = Running::start(&store).await;
    let proxy = Proxy::start(server.address).await;
    let origin = format!("http://{}", proxy.address).parse().unwrap();
    let timing = Timing { read_deadline: Duration::from_millis(200), ..options().timing };
    let mut watch = cds::watch(&origin, gateway("a/x"), Options { timing, ..options() }).unwrap();
    assert_eq!(told_until_synced(&mut watch).await, [pair("a/x", "1")]);
    proxy.silence();
    store.insert("a/x", config("a/x", "2"));
    assert_eq!(told(&mut watch).await, pair("a/x", "2"));
}

#[tokio::test]
async fn d08_deletions_are_told_unless_suppressed() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    let server = Running::start(&store).await;
    let mut telling = server.watch(Scope::All);
    let quiet_options = Options { suppress_deletions: true, ..options() };
    let mut quiet = cds::watch(&server.origin(), gateway("a/x"), quiet_options).unwrap();
    assert_eq!(told_until_synced(&mut telling).await, [pair("a/x", "1")]);
    assert_eq!(told_until_synced(&mut quiet).await, [pair("a/x", "1")]);
    store.remove("a/x");
    assert_eq!(event(&mut telling).await, Event::Deleted("a/x".into()));
    store.insert("a/x", config("a/x", "2"));
    assert_eq!(told(&mut telling).await, pair("a/x", "2"));
    assert_eq!(told(&mut quiet).await, pair("a/x", "2"));
}

#[tokio::test]
async fn d09_a_client_names_its_node() {
    let store = Store::new();
    let mut placed = config("a/x", "1");
    placed.listeners[0].address = config::NODE_ADDRESS_PLACEHOLDER.into();
    store.insert("a/x", placed);
    let server = Server::new(store).node_address(|node| (node == "n1").then(|| [192, 0, 2, 1].into()));
    let server = Running::start_with(server, 0).await;
    let environment = Arc::new(|name: &str| (name == "STUNNER_ADDR").then(|| "10.9.9.9".to_owned()));
    for (node, address) in [("n1", "192.0.2.1"), ("n2", "10.9.9.9")] {
        let options = Options { node: Some(node.into()), environment: environment.clone(), ..options() };
        let loaded = cds::load(&server.origin(), &gateway("a/x"), &options).await.unwrap();
        assert_eq!(loaded[0].listeners[0].address, address);
        let mut watch = cds::watch(&server.origin(), gateway("a/x"), options).unwrap();
        let Event::Config(config) = event(&mut watch).await else { panic!("a configuration") };
        assert_eq!(config.listeners[0].address, address);
    }
}

/// A server that sends given frames to whoever follows, and knows no gateway when asked for it.
async fn scripted(frames: Vec<Message>) -> cds::Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let origin = format!("http://{}", listener.local_addr().expect("address")).parse().expect("origin");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let frames = frames.clone();
            tokio::spawn(async move {
                let mut start = [0; 64];
                let length = stream.peek(&mut start).await.expect("peek");
                if !start[..length].windows(5).any(|bytes| bytes == b"watch") {
                    let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut { stream }, answer.as_bytes()).await;
                    return;
                }
                #[expect(clippy::result_large_err, reason = "the library's signature")]
                let Ok(mut socket) = accept_hdr_async(stream, |_: &_, answer| Ok(answer)).await else {
                    return;
                };
                for frame in frames {
                    let _ = socket.send(frame).await;
                }
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    });
    origin
}

#[tokio::test]
async fn d12_both_versions_of_the_schema_arrive() {
    let old = r#"{"version":"v1alpha1","admin":{"name":"a/x"},"auth":{"type":"longterm","realm":"old","credentials":{"secret":"$S"}}}"#;
    let frames = vec![
        Message::text(config("a/x", "new").to_json()),
        Message::text(old),
        Message::text("version: v1\nadmin: {name: a/x}\nauth: {type: none, realm: yaml}\n"),
    ];
    let mut watch = cds::watch(&scripted(frames).await, gateway("a/x"), options()).unwrap();
    assert_eq!(told(&mut watch).await, pair("a/x", "new"));
    let Event::Config(config) = event(&mut watch).await else { panic!("a configuration") };
    assert_eq!((config.auth.realm.as_str(), config.auth.kind), ("old", config::AuthKind::Ephemeral));
    assert_eq!(config.auth.credentials, config::Credentials::shared_secret("$S"));
    assert_eq!(told(&mut watch).await, pair("a/x", "yaml"));
}

#[tokio::test]
async fn unusable_frames_leave_what_is_in_force() {
    let frames = vec![
        Message::text(""),
        Message::text("{"),
        Message::text(r#"{"version":"v2"}"#),
        Message::text(r#"{"version":"v1","admin":{"name":"a/x"}}"#),
        Message::text(config::Config::zero_json("a/x")),
        Message::text(config("a/x", "1").to_json()),
    ];
    let mut watch = cds::watch(&scripted(frames).await, gateway("a/x"), options()).unwrap();
    assert_eq!(told(&mut watch).await, pair("a/x", "1"));
}

#[tokio::test]
async fn a_server_that_lists_more_than_it_sends_is_believed_in_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let document = config("a/x", "1").to_json();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let document = document.clone();
            tokio::spawn(async move {
                let mut start = [0; 64];
                let length = stream.peek(&mut start).await.unwrap();
                if start[..length].windows(5).any(|bytes| bytes == b"watch") {
                    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                    while let Some(Ok(_)) = socket.next().await {}
                    return;
                }
                let list = format!(r#"{{"version":"v1","items":[{document}]}}"#);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{list}", list.len());
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
            });
        }
    });
    let timing = Timing { read_deadline: Duration::from_millis(300), ..options().timing };
    let mut watch = cds::watch(&origin, Scope::All, Options { timing, ..options() }).unwrap();
    assert_eq!(told_until_synced(&mut watch).await, [pair("a/x", "1")]);
}

#[tokio::test]
async fn origins_that_cannot_be_used_are_refused_clearly() {
    let error = |text: &str| {
        let origin = text.parse().unwrap();
        cds::watch(&origin, Scope::All, options()).err().unwrap().to_string()
    };
    assert!(error("k8s").contains("Kubernetes"));
    let dead = "http://127.0.0.1:1".parse().unwrap();
    let error = cds::load(&dead, &Scope::All, &options()).await.unwrap_err().to_string();
    assert!(error.contains("cannot connect to 127.0.0.1:1"), "{error}");
}
