use e2e::{Console, Frame, Look, Window};
use serde_json::Value;

use crate::setting::Setting;

/// Enough to be sure that it is a moving picture.
const FRAMES: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn t17_to_t22_a_call_over_udp() {
    call_over("udp", "udp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_call_over_tcp() {
    call_over("tcp", "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_call_from_udp_to_tcp() {
    call_over("udp", "tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t21_a_call_over_whatever_the_browser_prefers() {
    call_over("", "").await;
}

async fn call_over(caller: &str, callee: &str) {
    let Some(setting) = Setting::new().await else { return };
    let alice = setting.window_with(&format!("?transport={caller}"), Look::DESKTOP).await;
    let bob = setting.window_with(&format!("?transport={callee}"), Look::DARK).await;
    alice.register("alice").await;
    bob.register("bob").await;

    alice.call("bob").await;
    assert_eq!(bob.await_ring().await, "User alice is calling you. Do you accept the call?");
    bob.click("accept").await;
    for (window, transport) in [(&alice, caller), (&bob, callee)] {
        let state = window.watch(FRAMES).await;
        assert_eq!(
            (state.call.as_str(), state.local_kind.as_str(), state.remote_kind.as_str()),
            ("IN_CALL", "relay", "relay")
        );
        assert!(transport.is_empty() || state.transport == transport, "{state:?}");
        assert!(window.is_enabled("terminate").await && !window.is_enabled("call").await);
    }
    assert_addresses_match(&alice, &bob).await;
    let name = format!("call-{}-{}", or_any(caller), or_any(callee));
    alice.screenshot(&format!("{name}-caller")).await;
    bob.screenshot(&format!("{name}-callee")).await;

    let consoles = (alice.console().await, bob.console().await);
    assert_message_order(&consoles.0, &consoles.1);
    assert_candidates_are_relayed(&consoles.0, &consoles.1);
    assert_candidates_are_relayed(&consoles.1, &consoles.0);

    alice.click("terminate").await;
    alice.await_end().await;
    let state = bob.await_end().await;
    assert_eq!(state.outcome, "peer-stopped");
    bob.await_line("Communication ended by remote peer").await;
}

fn or_any(transport: &str) -> &str {
    if transport.is_empty() { "any" } else { transport }
}

/// What one window calls its own relay address is the other's peer address.
async fn assert_addresses_match(alice: &Window, bob: &Window) {
    let (alice, bob) = (alice.state().await, bob.state().await);
    assert_eq!(alice.relay_address, bob.peer_address);
    assert_eq!(bob.relay_address, alice.peer_address);
    assert!(alice.relay_address.starts_with("127.0.0.1:"), "{alice:?}");
}

fn assert_message_order(caller: &Console, callee: &Console) {
    let order = |console: &Console| {
        let mut ids: Vec<String> = Vec::new();
        for frame in console.frames() {
            let arrow = match frame {
                Frame::Sent(_) => ">",
                Frame::Received(_) => "<",
            };
            let step = format!("{arrow} {}", frame.message().1);
            // Credentials are fetched beside the call, candidates trickle from both sides.
            let noted = !step.ends_with("iceConfiguration") && !step.to_lowercase().ends_with("icecandidate");
            if noted {
                ids.push(step);
            }
        }
        ids
    };
    assert_eq!(order(caller), ["> register", "< registerResponse", "> call", "< callResponse"]);
    assert_eq!(
        order(callee),
        ["> register", "< registerResponse", "< incomingCall", "> incomingCallResponse"]
    );
    for (console, before) in [(caller, "callResponse"), (callee, "incomingCall")] {
        let frames = console.frames();
        let position = |id: &str| frames.iter().position(|frame| frame.message().1 == id);
        assert!(position("iceCandidate") > position(before), "remote candidates come after {before}");
    }
}

/// T18, T19: every local candidate is a relay, on the gateway's address, and arrives unchanged.
fn assert_candidates_are_relayed(from: &Console, to: &Console) {
    let (sent, received) = (from.sent("onIceCandidate"), to.received("iceCandidate"));
    let candidates = |messages: &[Value]| messages.iter().map(|m| m["candidate"].clone()).collect::<Vec<_>>();
    assert_eq!(candidates(&sent), candidates(&received));
    assert!(!sent.is_empty());
    for message in &sent {
        let line = message["candidate"]["candidate"].as_str().expect("a candidate is text");
        assert!(line.contains(" 127.0.0.1 ") && line.contains(" typ relay"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w14_credentials_are_fetched_anew_for_each_call() {
    let Some(setting) = Setting::new().await else { return };
    setting.auth.offer(setting.gateway.port, &["udp", "tcp"], "of yesterday");
    let (alice, bob) = setting.two().await;
    setting.auth.offer(setting.gateway.port, &["udp", "tcp"], "pass-1");
    alice.call("bob").await;
    bob.accept().await;
    alice.watch(1).await;
    bob.watch(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w16_without_a_camera_a_test_picture_can_be_sent() {
    let Some(setting) = Setting::new().await else { return };
    let bare = Look { camera: false, ..Look::DESKTOP };
    let alice = setting.window_with("", bare).await;
    let bob = setting.window_with("", bare).await;
    alice.register("alice").await;
    bob.register("bob").await;

    alice.ask_to_call("bob").await;
    let state = alice.await_end().await;
    assert_eq!((state.outcome.as_str(), state.headline.as_str()), ("no-media", "No camera or microphone"));
    alice.screenshot("no-camera").await;
    assert!(alice.console().await.sent("call").is_empty(), "nobody is bothered");

    alice.press("picture", "test picture").await;
    alice.call("bob").await;
    bob.accept().await;
    let state = alice.await_end().await;
    assert_eq!(state.detail, "User has no camera or microphone.");
    assert_eq!(bob.await_end().await.outcome, "no-media");

    bob.press("picture", "test picture").await;
    bob.call("alice").await;
    alice.accept().await;
    alice.watch(FRAMES).await;
    bob.watch(FRAMES).await;
    alice.screenshot("test-picture").await;
}
