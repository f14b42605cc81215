//! The messages of the tutorial over a real socket.

use crate::bench::{Auth, Server};
use serde_json::json;

#[tokio::test]
async fn t14_t15_registration_hands_out_the_ice_configuration() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let mut alice = server.page().await;
    alice.send(json!({"id": "register", "name": " alice "})).await;
    let uri = "turn:192.0.2.1:3478?transport=udp";
    assert_eq!(
        alice.next().await,
        json!({"id": "registerResponse", "response": "accepted", "iceConfiguration": {
            "iceServers": [{"url": uri, "urls": [uri], "username": "user-1", "credential": "pass-1"}],
            "iceTransportPolicy": "relay"}})
    );
}

#[tokio::test]
async fn t17_t19_t22_a_call_from_offer_to_stop() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let (mut alice, mut bob) = (server.registered("alice").await, server.registered("bob").await);
    let candidate = json!({"candidate": "candidate:0 1 UDP 9 10.0.0.1 4 typ relay raddr 10.0.0.1 rport 4",
        "sdpMid": "0", "sdpMLineIndex": 0, "usernameFragment": "abcd"});

    // The sender's name is the server's business, whatever the message says.
    alice.send(json!({"id": "call", "from": "mallory", "to": "bob", "sdpOffer": "v=0 offer"})).await;
    alice.send(json!({"id": "onIceCandidate", "candidate": candidate})).await;
    assert_eq!(bob.next().await, json!({"id": "incomingCall", "from": "alice", "sdpOffer": "v=0 offer"}));
    bob.send(json!({"id": "incomingCallResponse", "from": "alice", "callResponse": "accept",
        "sdpAnswer": "v=0 answer"}))
        .await;
    assert_eq!(
        alice.next().await,
        json!({"id": "callResponse", "response": "accepted", "sdpAnswer": "v=0 answer"})
    );
    assert_eq!(bob.next().await, json!({"id": "iceCandidate", "candidate": candidate}));
    bob.send(json!({"id": "onIceCandidate", "candidate": candidate})).await;
    assert_eq!(alice.next().await, json!({"id": "iceCandidate", "candidate": candidate}));

    bob.send(json!({"id": "stop"})).await;
    assert_eq!(alice.next().await, json!({"id": "stopCommunication", "message": "remote user hanged out"}));
    alice.assert_quiet().await;
    bob.assert_quiet().await;
}

#[tokio::test]
async fn t23_a_closed_window_ends_the_call_and_frees_the_name() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let (mut alice, mut bob) = (server.registered("alice").await, server.registered("bob").await);
    alice.send(json!({"id": "call", "from": "alice", "to": "bob", "sdpOffer": "o"})).await;
    bob.next().await;
    bob.send(
        json!({"id": "incomingCallResponse", "from": "alice", "callResponse": "accept", "sdpAnswer": "a"}),
    )
    .await;
    alice.next().await;
    drop(bob);
    assert_eq!(alice.next().await["id"], "stopCommunication");
    server.registered("bob").await;
}

#[tokio::test]
async fn d7_auth_down_is_refused_with_the_cause_and_a_retry_works() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let mut alice = server.page().await;
    auth.works(false);
    alice.send(json!({"id": "register", "name": "alice"})).await;
    let refusal = alice.next().await;
    assert_eq!((&refusal["id"], &refusal["response"]), (&json!("registerResponse"), &json!("rejected")));
    let why = refusal["message"].as_str().unwrap();
    assert!(why.starts_with("HTTP error when querying the STUNner auth service with params "), "{why}");
    assert!(why.contains("no STUNner configuration available"), "{why}");

    auth.works(true);
    alice.send(json!({"id": "register", "name": "alice"})).await;
    assert_eq!(alice.next().await["response"], "accepted");
}

#[tokio::test]
async fn w14_fresh_credentials_on_request() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let mut alice = server.registered("alice").await;
    alice.send(json!({"id": "iceConfiguration"})).await;
    let fresh = alice.next().await;
    assert_eq!((&fresh["id"], &fresh["response"]), (&json!("iceConfiguration"), &json!("accepted")));
    assert_eq!(fresh["iceConfiguration"]["iceTransportPolicy"], "relay");
    auth.works(false);
    alice.send(json!({"id": "iceConfiguration"})).await;
    assert_eq!(alice.next().await["response"], "rejected");
}

#[tokio::test]
async fn w13_a_call_nobody_answers_ends() {
    let auth = Auth::start().await;
    let ring = std::time::Duration::from_millis(100);
    let server = Server::with(&auth, |settings| settings.timing.ring = ring).await;
    let (mut alice, mut bob) = (server.registered("alice").await, server.registered("bob").await);
    alice.send(json!({"id": "call", "from": "alice", "to": "bob", "sdpOffer": "o"})).await;
    assert_eq!(bob.next().await["id"], "incomingCall");
    let refused = json!({"id": "callResponse", "response": "rejected", "message": "User bob did not answer"});
    assert_eq!(alice.next().await, refused);
    assert_eq!(bob.next().await["id"], "stopCommunication");
}

#[tokio::test]
async fn w5_hostile_names_are_names_or_refused() {
    let auth = Auth::start().await;
    let server = Server::start(&auth).await;
    let mut page = server.page().await;
    for name in
        [json!({}), json!([]), json!(7), json!(null), json!(""), json!("a\u{0}"), json!("x".repeat(65))]
    {
        page.send(json!({"id": "register", "name": name})).await;
        assert_eq!(page.next().await["response"], "rejected", "{name}");
    }
    for name in
        ["__proto__", "constructor", "toString", "<img src=x onerror=alert(1)>", "'; DROP TABLE users; --"]
    {
        let mut owner = server.registered(name).await;
        page.send(json!({"id": "register", "name": name})).await;
        assert_eq!(page.next().await["message"], format!("User {name} is already registered"));
        owner.assert_quiet().await;
    }
}
