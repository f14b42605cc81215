//! What strangers may send: the process lives and other sessions do not notice.

use crate::bench::{Auth, Server, fetch_over};
use one2one::{MAX_FRAME, Rate};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Message;

#[tokio::test]
async fn w1_malformed_messages_are_answered_with_an_error() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let mut page = server.page().await;
    for text in [
        "",
        "nonsense",
        "[]",
        "{}",
        r#"{"id":{}}"#,
        r#"{"id":"call"}"#,
        r#"{"id":"call","to":"a","sdpOffer":"o"}"#,
    ] {
        page.raw(Message::text(text)).await;
        assert_eq!(page.next().await["id"], "error", "{text}");
    }
    page.raw(Message::binary(vec![0xff; 100])).await;
    assert_eq!(page.next().await["message"], "Invalid message: expected a text frame");
    page.assert_quiet().await;
}

#[tokio::test]
async fn w17_frames_are_limited_to_64_kib() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let (mut witness, mut page) = (server.registered("witness").await, server.page().await);
    page.raw(Message::text("x".repeat(MAX_FRAME))).await;
    assert_eq!(page.next().await["id"], "error");
    page.raw(Message::text("x".repeat(MAX_FRAME + 1))).await;
    assert_eq!(page.end().await, Some(1009));
    witness.assert_quiet().await;
}

#[tokio::test]
async fn w17_a_flood_of_messages_ends_its_own_connection() {
    let auth = Auth::start().await;
    let rate = Rate { burst: 5, per_second: 1 };
    let server = Server::with(&auth, |settings| settings.limits.frames_per_session = rate).await;
    let mut page = server.page().await;
    for _ in 0..20 {
        if page.socket.get_mut().get_mut().0.peer_addr().is_err() {
            break;
        }
        page.raw(Message::text("{}")).await;
    }
    assert_eq!(page.end().await, Some(1008));
    server.registered("witness").await.assert_quiet().await;
}

#[tokio::test]
async fn w17_one_address_cannot_drain_the_authentication_service() {
    let auth = Auth::start().await;
    let rate = Rate { burst: 2, per_second: 0 };
    let server = Server::with(&auth, |settings| settings.limits.queries_per_address = rate).await;
    let (_a, _b) = (server.registered("a").await, server.registered("b").await);
    let mut page = server.page().await;
    page.send(json!({"id": "register", "name": "c"})).await;
    let refusal = page.next().await;
    assert_eq!(refusal["response"], "rejected");
    assert!(refusal["message"].as_str().unwrap().contains("too many"), "{refusal}");
}

#[tokio::test]
async fn w17_connections_of_one_address_are_limited() {
    let auth = Auth::start().await;
    let server = Server::with(&auth, |settings| settings.limits.connections_per_address = 2).await;
    let (_a, b) = (server.registered("a").await, server.registered("b").await);
    let third = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    assert!(!fetch_is_answered(third).await, "closed without a word");
    drop(b);
    // The place is free as soon as the server has noticed.
    loop {
        let stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        if fetch_is_answered(stream).await {
            break;
        }
    }
}

async fn fetch_is_answered(mut stream: TcpStream) -> bool {
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    !answer.is_empty()
}

#[tokio::test]
async fn w17_other_origins_are_refused() {
    let auth = Auth::start().await;
    let server =
        Server::with(&auth, |settings| settings.origins = vec!["https://calls.example".to_owned()]).await;
    for origin in ["https://evil.example", "null", "http://localhost"] {
        let error = server.page_from(origin).await.err().unwrap().to_string();
        assert!(error.contains("403"), "{origin}: {error}");
    }
    server.page_from("https://calls.example").await.unwrap().assert_quiet().await;
}

#[tokio::test]
async fn w15_a_silent_connection_is_probed_and_a_dead_one_is_dropped() {
    let auth = Auth::start().await;
    let ping = std::time::Duration::from_millis(50);
    let server = Server::with(&auth, |settings| settings.ping = ping).await;
    let (mut alice, bob) = (server.registered("alice").await, server.registered("bob").await);
    alice.send(json!({"id": "call", "from": "alice", "to": "bob", "sdpOffer": "o"})).await;
    // Bob's side reads nothing any more, so it answers no ping; Alice reads on and answers hers.
    assert_eq!(alice.next().await["id"], "stopCommunication");
    drop(bob);
}

#[tokio::test]
async fn w21_shutdown_ends_calls_with_1001() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let (mut alice, mut bob) = (server.registered("alice").await, server.registered("bob").await);
    let mut idle = server.registered("idle").await;
    alice.send(json!({"id": "call", "from": "alice", "to": "bob", "sdpOffer": "o"})).await;
    bob.next().await;
    let stopping = tokio::spawn(server.stop());
    for page in [&mut alice, &mut bob] {
        assert_eq!(page.next().await["id"], "stopCommunication");
        assert_eq!(page.end().await, Some(1001));
    }
    assert_eq!(idle.end().await, Some(1001));
    stopping.await.unwrap();
}

#[tokio::test]
async fn w1_garbage_instead_of_websocket_frames_hurts_nobody_else() {
    let auth = Auth::start().await;
    // Half a frame is completed by the answer to the next ping.
    let ping = std::time::Duration::from_millis(100);
    let server = Server::with(&auth, |settings| settings.ping = ping).await;
    let mut witness = server.registered("witness").await;
    for garbage in [
        &b"\xff\xff\xff\xff"[..],
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x81\x05hello",
        b"\x83\x80\0\0\0\0",
    ] {
        let mut page = server.page().await;
        page.socket.get_mut().write_all(garbage).await.unwrap();
        page.socket.get_mut().flush().await.unwrap();
        // An unmasked, oversized or reserved frame is a protocol error (1002) or too large (1009).
        let code = page.end().await;
        assert!(matches!(code, Some(1002 | 1009) | None), "{garbage:?}: {code:?}");
        witness.assert_quiet().await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// JSON of any shape, seeded with our own words so that it gets past the first checks.
fn json_value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("register"),
        Just("call"),
        Just("incomingCallResponse"),
        Just("onIceCandidate"),
        Just("stop"),
        Just("iceConfiguration"),
        Just("iceRestart"),
        Just("iceRestartResponse"),
        Just("accept"),
        Just("reject"),
        Just("witness"),
        Just("fuzz"),
        Just("candidate:1"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("id".to_owned()),
        Just("name".to_owned()),
        Just("to".to_owned()),
        Just("from".to_owned()),
        Just("sdpOffer".to_owned()),
        Just("sdpAnswer".to_owned()),
        Just("candidate".to_owned()),
        Just("callResponse".to_owned()),
        ".{0,5}".prop_map(|key| key),
    ];
    leaf.prop_recursive(3, 24, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn w1_any_json_leaves_the_server_and_others_alone(messages in proptest::collection::vec(json_value(), 1..40)) {
        runtime().block_on(async {
            let auth = Auth::start().await;
            let server = Server::start(&auth).await;
            let (mut witness, mut fuzz) = (server.registered("witness").await, server.registered("fuzz").await);
            for message in messages {
                fuzz.send(message).await;
            }
            // Everything up to here is handled once this is answered.
            fuzz.send(json!({"id": "end of the fuzz"})).await;
            while fuzz.next().await["message"] != "Invalid message: unknown id" {}
            witness.send(json!({"id": "iceConfiguration"})).await;
            while witness.next().await["id"] != "iceConfiguration" {}
        });
    }

    #[test]
    fn w1_any_bytes_leave_the_server_and_others_alone(bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        runtime().block_on(async {
            let auth = Auth::start().await;
            let server = Server::start(&auth).await;
            let mut witness = server.registered("witness").await;
            let mut page = server.page().await;
            page.socket.get_mut().write_all(&bytes).await.unwrap();
            page.socket.get_mut().shutdown().await.unwrap();
            page.end().await;
            // The same bytes instead of TLS, and instead of HTTP.
            let mut plain = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
            let _ = plain.write_all(&bytes).await;
            let mut tls = server.tls().await;
            let _ = tls.write_all(&bytes).await;
            witness.assert_quiet().await;
            let (head, _) = fetch_over(server.tls().await, "GET /healthz HTTP/1.1").await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        });
    }
}
