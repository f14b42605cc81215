use e2e::Application;

use crate::setting::Setting;

#[tokio::test(flavor = "multi_thread")]
async fn d2_wrong_credentials_are_reported_as_no_relay_candidate() {
    let Some(setting) = Setting::new().await else { return };
    let (alice, bob) = setting.two().await;
    setting.auth.offer(setting.gateway.port, &["udp", "tcp"], "wrong");
    alice.ask_to_call("bob").await;
    let state = alice.await_end().await;
    assert_eq!(
        (state.outcome.as_str(), state.headline.as_str()),
        ("no-relay-candidate", "No relay candidate found")
    );
    assert!(state.detail.contains("did not accept the credentials (401"), "{}", state.detail);
    assert!(alice.console().await.sent("onIceCandidate").is_empty());
    alice.screenshot("no-relay-candidate").await;
    bob.await_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_without_the_udp_gateway_the_call_goes_over_tcp() {
    let Some(setting) = Setting::new().await else { return };
    setting.auth.offer(setting.gateway.port, &["tcp"], "pass-1");
    let (alice, bob) = setting.talking().await;
    for window in [&alice, &bob] {
        let servers = window.console().await.ice_configuration()["iceServers"].clone();
        assert_eq!(servers.as_array().map(Vec::len), Some(1), "{servers}");
        let state = window.until("the path is known", |state| !state.transport.is_empty()).await;
        assert_eq!(state.transport, "tcp");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_asking_for_a_transport_nobody_offers_is_explained() {
    let Some(setting) = Setting::new().await else { return };
    setting.auth.offer(setting.gateway.port, &["tcp"], "pass-1");
    let (alice, _bob) = setting.two().await;
    alice.press("transport", "UDP").await;
    alice.ask_to_call("bob").await;
    let state = alice.await_end().await;
    assert_eq!(
        (state.outcome.as_str(), state.detail.as_str()),
        ("no-gateway", "The server offers no gateway over UDP.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_refused_peer_is_reported_as_ice_failed() {
    let Some(setting) = Setting::with_refused_peers(Some("127.0.0.1")).await else { return };
    let (alice, bob) = setting.two().await;
    alice.call("bob").await;
    bob.accept().await;
    let states = [alice.await_end().await, bob.await_end().await];
    for state in &states {
        assert!(["ice-failed", "not-connected"].contains(&state.outcome.as_str()), "{state:?}");
    }
    let failed = states.iter().filter(|state| state.headline == "ICE failed").count();
    assert!(failed > 0, "{states:?}");
    alice.screenshot("ice-failed").await;
    alice.await_line("Connection: restarting").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_a_restarted_server_is_found_again() {
    let Some(setting) = Setting::new().await else { return };
    let (alice, bob) = setting.talking().await;
    let Setting { gateway: _gateway, auth, application, browser: _browser } = setting;
    let port = application.port();
    application.stop().await;
    alice.until("the loss is shown", |state| state.line == "down" && state.call == "NO_CALL").await;
    alice.screenshot("server-lost").await;
    let _application = Application::start_at(port, auth.port).await;
    for window in [&alice, &bob] {
        window.until("registered again", |state| state.line == "up" && state.register == "REGISTERED").await;
    }
    bob.call("alice").await;
    alice.accept().await;
    alice.watch(1).await;
    bob.watch(1).await;
}
