use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::{Application, Browser, Console, Coturn, Frame, IceService, Look, Manifest, Stunner, Window};
use rcgen::PublicKeyData as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Duration;

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

/// Behind firewalls that let nothing else through. The certificate is one that the browser is told to trust.
#[tokio::test(flavor = "multi_thread")]
async fn t21_a_call_over_tls() {
    let Some(browser) = Browser::start() else { return };
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let key = BASE64_STANDARD.encode(Sha256::digest(signed.signing_key.subject_public_key_info()));
    let [chain, private] =
        [signed.cert.pem(), signed.signing_key.serialize_pem()].map(|pem| BASE64_STANDARD.encode(pem));
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: certificate\n  namespace: stunner\n\
         data:\n  tls.crt: {chain}\n  tls.key: {private}\n"
    );
    let tls = "protocol: TURN-TLS\n      tls:\n        certificateRefs:\n          - name: certificate";
    let manifest = Manifest::tutorial().with("protocol: TURN-TCP", tls).and(&secret);
    call_through(&browser.trusting(&key), &Stunner::start_with(&manifest), ["tcp"; 2], ["tls"; 2]).await;
}

async fn call_over(caller: &str, callee: &str) {
    let Some(browser) = Browser::start() else { return };
    call_through(&browser, &Stunner::start(), [caller, callee], [caller, callee]).await;
}

/// A call whose windows ask for gateways over some transport, and say afterwards what they have.
async fn call_through(browser: &Browser, stunner: &Stunner, [caller, callee]: [&str; 2], used: [&str; 2]) {
    let (caller_url, callee_url) =
        (format!("{}?transport={caller}", stunner.url), format!("{}?transport={callee}", stunner.url));
    let (alice, bob) =
        tokio::join!(browser.open(&caller_url, Look::DESKTOP), browser.open(&callee_url, Look::DARK));
    tokio::join!(alice.register("alice"), bob.register("bob"));
    assert_eq!(stunner.allocations().await, 0);

    alice.call("bob").await;
    assert_eq!(bob.await_ring().await, "User alice is calling you. Do you accept the call?");
    bob.click("accept").await;
    for (window, transport) in [&alice, &bob].into_iter().zip(used) {
        let state = window.watch(FRAMES).await;
        assert_eq!(
            (state.call.as_str(), state.local_kind.as_str(), state.remote_kind.as_str()),
            ("IN_CALL", "relay", "relay")
        );
        assert!(transport.is_empty() || state.transport == transport, "{state:?}");
        assert!(window.is_enabled("terminate").await && !window.is_enabled("call").await);
    }
    assert_addresses_match(&alice, &bob).await;
    assert!(stunner.allocations().await >= 2, "one for each side at least");
    let name = format!("call-{}-{}", or_any(used[0]), or_any(used[1]));
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
    stunner.await_no_allocation().await;
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
async fn t20_a_turn_server_nobody_here_wrote_carries_the_call_as_well() {
    let (Some(browser), Some(coturn)) = (Browser::start(), Coturn::start()) else { return };
    let auth = IceService::start().await;
    auth.offer(coturn.port, &["udp", "tcp"], "pass-1");
    let application = Application::start(auth.port).await;
    let (alice, bob) = browser.talking(application.url()).await;
    tokio::join!(alice.watch(FRAMES), bob.watch(FRAMES));
}

#[tokio::test(flavor = "multi_thread")]
async fn t13_firefox_and_chromium_call_each_other() {
    let (Some(chromium), Some(firefox)) = (Browser::start(), Browser::firefox()) else { return };
    let stunner = Stunner::start();
    let tcp = format!("{}?transport=tcp", stunner.url);
    let (alice, bob) =
        tokio::join!(firefox.open(&stunner.url, Look::DESKTOP), chromium.open(&tcp, Look::DESKTOP));
    tokio::join!(alice.register("alice"), bob.register("bob"));
    alice.call("bob").await;
    bob.accept().await;
    tokio::join!(alice.watch(FRAMES), bob.watch(FRAMES));
    assert_addresses_match(&alice, &bob).await;
    for candidate in alice.console().await.sent("onIceCandidate") {
        // The last one is empty: there are no more.
        let line = candidate["candidate"]["candidate"].as_str().expect("a candidate is text");
        assert!(line.is_empty() || line.contains(" typ relay raddr 127.0.0.1 "), "{line}");
    }
    alice.screenshot("call-firefox").await;
    alice.click("terminate").await;
    tokio::join!(alice.await_end(), bob.await_end());
    bob.call("alice").await;
    alice.accept().await;
    tokio::join!(alice.watch(1), bob.watch(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn t13_two_firefox_windows_call_each_other() {
    let Some(firefox) = Browser::firefox() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = firefox.talking(&stunner.url).await;
    tokio::join!(alice.watch(FRAMES), bob.watch(FRAMES));
}

#[tokio::test(flavor = "multi_thread")]
async fn w14_a_password_changed_after_registering_does_not_hurt() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = browser.two(&stunner.url).await;
    stunner.edit(&Manifest::tutorial().with("pass-1", "pass-2"));
    alice.call("bob").await;
    bob.accept().await;
    tokio::join!(alice.watch(1), bob.watch(1));
}

fn ephemeral() -> Manifest {
    Manifest::tutorial()
        .with("authType: plaintext", "authType: ephemeral")
        .with("userName: user-1", "sharedSecret: hush")
        .with("\n  password: pass-1", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn t20_ephemeral_credentials_carry_a_call() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start_with(&ephemeral());
    let (alice, _bob) = browser.talking(&stunner.url).await;
    let server = alice.console().await.ice_configuration()["iceServers"][0].clone();
    let (expiry, user) =
        server["username"].as_str().and_then(|name| name.split_once(':')).expect("expiry:user");
    assert!(expiry.parse::<u64>().is_ok(), "{server}");
    assert_eq!(user, "alice");
}

#[tokio::test(flavor = "multi_thread")]
async fn w14_a_call_outlives_its_credentials() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start_with(&ephemeral());
    let application = Application::start_with(0, stunner.auth_port, |settings| {
        settings.auth.ttl = SHORT_LIFE;
        settings.timing.credential_ttl = SHORT_LIFE;
    })
    .await;
    let (alice, bob) = browser.talking(application.url()).await;
    for window in [&alice, &bob] {
        let renewed =
            |lines: &[String]| lines.iter().filter(|line| line.contains("iceRestart\"")).count() >= 3;
        while !renewed(&window.console().await.0) {
            let frames = window.state().await.frames();
            window.watch(frames + 15).await;
        }
    }
    let lines = alice.console().await.0;
    assert!(
        !lines.iter().any(|line| line == "Connection: restarting"),
        "nothing had to be saved: {lines:#?}"
    );
}

/// Of credentials, renewed when three quarters are over.
const SHORT_LIFE: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn a_change_elsewhere_leaves_a_running_call_alone() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = browser.talking(&stunner.url).await;
    stunner.edit(&Manifest::tutorial().and(UNRELATED_ROUTE));
    for window in [&alice, &bob] {
        let frames = window.state().await.frames();
        window.watch(frames + 50).await;
    }
    let changes = alice.console().await.0.iter().filter(|line| line.starts_with("Connection: ")).count();
    assert_eq!(changes, 2, "connecting, connected, and nothing since");
}

const UNRELATED_ROUTE: &str = "\
apiVersion: stunner.l7mp.io/v1
kind: UDPRoute
metadata:
  name: unrelated
  namespace: stunner
spec:
  parentRefs:
    - name: udp-gateway
  rules:
    - backendRefs:
        - name: udp-gateway
";

#[tokio::test(flavor = "multi_thread")]
async fn w16_without_a_camera_a_test_picture_can_be_sent() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let bare = Look { camera: false, ..Look::DESKTOP };
    let (alice, bob) = tokio::join!(browser.open(&stunner.url, bare), browser.open(&stunner.url, bare));
    tokio::join!(alice.register("alice"), bob.register("bob"));

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
