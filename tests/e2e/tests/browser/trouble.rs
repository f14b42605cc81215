use e2e::{Application, Browser, IceService, Look, Manifest, Stunner};

#[tokio::test(flavor = "multi_thread")]
async fn d2_wrong_credentials_are_no_relay_candidate_here_and_a_line_in_the_log_there() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    // The gateway's own authentication service never gives out a wrong password, so one that is behind the times does.
    let auth = IceService::start().await;
    auth.offer(stunner.gateway_port, &["udp", "tcp"], "the password of yesterday");
    let application = Application::start(auth.port).await;
    let (alice, bob) = browser.two(application.url()).await;
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
    stunner.await_log(&["unauthorized", "permission denied", "127.0.0.1:"]);
    assert!(!stunner.log().iter().any(|line| line.contains("of yesterday") || line.contains("pass-1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_without_the_udp_gateway_the_call_goes_over_tcp() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let before = browser.open(&stunner.url, Look::DESKTOP).await;
    before.register("carol").await;
    stunner.edit(&Manifest::tutorial().without("Gateway", "udp-gateway"));
    let (alice, bob) = browser.talking(&stunner.url).await;
    for window in [&alice, &bob] {
        let servers = window.console().await.ice_configuration()["iceServers"].clone();
        assert_eq!(servers.as_array().map(Vec::len), Some(1), "{servers}");
        let state = window.until("the path is known", |state| !state.transport.is_empty()).await;
        assert_eq!(state.transport, "tcp");
    }
    alice.click("terminate").await;
    alice.await_end().await;
    // Who has registered before the change need not do so again.
    alice.call("carol").await;
    before.accept().await;
    before.watch(1).await;
    assert_eq!(before.until("the path is known", |state| !state.transport.is_empty()).await.transport, "tcp");
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_asking_for_a_transport_nobody_offers_is_explained() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start_with(&Manifest::tutorial().without("Gateway", "udp-gateway"));
    let (alice, _bob) = browser.two(&stunner.url).await;
    alice.press("transport", "UDP").await;
    alice.ask_to_call("bob").await;
    let state = alice.await_end().await;
    assert_eq!(
        (state.outcome.as_str(), state.detail.as_str()),
        ("no-gateway", "The server offers no gateway over UDP.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_without_a_route_ice_fails_here_and_the_log_there_names_the_peer() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start_with(&Manifest::tutorial().without("UDPRoute", "stunner-headless"));
    let (alice, bob) = browser.two(&stunner.url).await;
    alice.call("bob").await;
    bob.accept().await;
    let states = [alice.await_end().await, bob.await_end().await];
    for state in &states {
        assert_eq!((state.outcome.as_str(), state.headline.as_str()), ("ice-failed", "ICE failed"));
    }
    assert!(!alice.console().await.sent("onIceCandidate").is_empty(), "allocations succeed");
    alice.screenshot("ice-failed").await;
    alice.await_line("Connection: restarting").await;
    stunner.await_log(&["permission denied", "peer", "127.0.0.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn d4_a_route_withdrawn_in_mid_call_ends_it() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (alice, bob) = browser.talking(&stunner.url).await;
    stunner.edit(&Manifest::tutorial().without("UDPRoute", "stunner-headless"));
    let states = [alice.await_end().await, bob.await_end().await];
    assert!(states.iter().any(|state| state.outcome == "ice-failed"), "{states:?}");
    alice.await_line("Connection: interrupted").await;
    stunner.edit(&Manifest::tutorial());
    alice.call("bob").await;
    bob.accept().await;
    tokio::join!(alice.watch(1), bob.watch(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn w15_a_restarted_server_is_found_again() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let application = Application::start(stunner.auth_port).await;
    let (alice, bob) = browser.talking(application.url()).await;
    let port = application.port();
    application.stop().await;
    alice.until("the loss is shown", |state| state.line == "down" && state.call == "NO_CALL").await;
    alice.screenshot("server-lost").await;
    let _application = Application::start_with(port, stunner.auth_port, |_| {}).await;
    for window in [&alice, &bob] {
        window.until("registered again", |state| state.line == "up" && state.register == "REGISTERED").await;
    }
    bob.call("alice").await;
    alice.accept().await;
    tokio::join!(alice.watch(1), bob.watch(1));
}
