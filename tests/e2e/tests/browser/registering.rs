use e2e::{Application, Browser, IceService, Look, Manifest, Stunner};
use one2one::Filter;
use serde_json::{Value, json};

/// What a `registerResponse` says about one gateway.
fn entry(port: u16, transport: &str) -> Value {
    let uri = format!("turn:127.0.0.1:{port}?transport={transport}");
    json!({"url": uri, "credential": "pass-1", "urls": [uri], "username": "user-1"})
}

#[tokio::test(flavor = "multi_thread")]
async fn t14_t15_registering_shows_both_gateways_and_the_credentials() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let alice = browser.open(&stunner.url, Look::DESKTOP).await;
    assert_eq!(alice.title().await, "STUNner Tutorial: Direct Video Call 1 to 1 with WebRTC");
    let state = alice.register("alice").await;
    assert!(state.detail.starts_with("2 gateways: UDP at 127.0.0.1:"), "{}", state.detail);

    let console = alice.console().await;
    assert_eq!(
        console.line("Sending message: "),
        Some(r#"Sending message: {"id":"register","name":"alice"}"#)
    );
    let received = console.received("registerResponse");
    assert_eq!(received[0]["response"], "accepted");
    let ice = console.ice_configuration();
    assert_eq!(received[0]["iceConfiguration"], ice, "the raw and the pretty form are one");
    assert_eq!(ice["iceTransportPolicy"], "relay");
    let port = stunner.gateway_port;
    assert_eq!(ice["iceServers"], json!([entry(port, "udp"), entry(port, "tcp")]));
    alice.screenshot("registered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_running_config_and_register_response_agree() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start_with(&Manifest::tutorial().with("pass-1", "s3cret").with("user-1", "eve"));
    let alice = browser.open(&stunner.url, Look::DESKTOP).await;
    alice.register("alice").await;
    let ice = alice.console().await.ice_configuration();
    let port = stunner.gateway_port;
    let listener = |number: u8, transport: &str| {
        let name = format!("{transport}-listener");
        let protocol = transport.to_uppercase();
        format!(
            "Listener {number}\n\tName:\t{name}\n\tListener:\t{name}\n\tProtocol:\t{protocol}\n\
             \tPublic address:\t127.0.0.1\n\tPublic port:\t{port}"
        )
    };
    let (udp, tcp) = (listener(1, "udp"), listener(2, "tcp"));
    assert_eq!(
        stunner.stunnerctl(&["running-config", "stunner/stunnerd-config"]),
        format!(
            "STUN/TURN authentication type:\tstatic\nSTUN/TURN username:\t\teve\nSTUN/TURN password:\t\ts3cret\n{udp}\n{tcp}"
        )
    );
    for (server, transport) in ice["iceServers"].as_array().unwrap().iter().zip(["udp", "tcp"]) {
        assert_eq!((&server["username"], &server["credential"]), (&json!("eve"), &json!("s3cret")));
        assert_eq!(server["urls"], json!([format!("turn:127.0.0.1:{port}?transport={transport}")]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t5_a_filter_leaves_one_gateway() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let application = Application::start_with(0, stunner.auth_port, |settings| {
        settings.auth.filter = Filter {
            namespace: Some("stunner".to_owned()),
            gateway: Some("udp-gateway".to_owned()),
            listener: Some("udp-listener".to_owned()),
        };
    })
    .await;
    let (alice, bob) = browser.talking(application.url()).await;
    for window in [&alice, &bob] {
        let servers = window.console().await.ice_configuration()["iceServers"].clone();
        assert_eq!(servers, json!([entry(stunner.gateway_port, "udp")]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_a_taken_name_is_refused_and_another_works_without_reload() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let (first, second) =
        (browser.open(&stunner.url, Look::DESKTOP).await, browser.open(&stunner.url, Look::DARK).await);
    first.register("alice").await;
    second.ask_to_register("alice").await;
    let state = second.until("the name is refused", |state| state.headline == "Not registered").await;
    assert_eq!(state.detail, "User alice is already registered.");
    let problem = second.text("nameProblem").await;
    assert!(problem.contains("Error registering user. See console for further information."), "{problem}");
    assert!(problem.contains("User alice is already registered"), "{problem}");
    second.screenshot("name-taken").await;
    second.register("bob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d7_auth_down_is_a_message_and_a_later_try_works() {
    let Some(browser) = Browser::start() else { return };
    let auth = IceService::start().await;
    let application = Application::start(auth.port).await;
    let alice = browser.open(application.url(), Look::DESKTOP).await;
    alice.ask_to_register("alice").await;
    let state = alice.until("a refusal", |state| state.headline == "Not registered").await;
    assert!(
        state.detail.starts_with("HTTP error when querying the STUNner auth service"),
        "{}",
        state.detail
    );
    alice.screenshot("auth-down").await;
    auth.offer(3478, &["udp", "tcp"], "pass-1");
    alice.register("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t25_without_gateways_there_is_nothing_to_register_for() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let tutorial = Manifest::tutorial();
    stunner.edit(&tutorial.clone().without("Gateway", "udp-gateway").without("Gateway", "tcp-gateway"));
    let alice = browser.open(&stunner.url, Look::DESKTOP).await;
    alice.ask_to_register("alice").await;
    let state = alice.until("a refusal", |state| state.headline == "Not registered").await;
    assert!(state.detail.contains("no STUNner configuration available"), "{}", state.detail);
    stunner.edit(&tutorial);
    alice.register("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_4_an_empty_field_is_pointed_out() {
    let Some(browser) = Browser::start() else { return };
    let stunner = Stunner::start();
    let alice = browser.open(&stunner.url, Look::DESKTOP).await;
    alice.until("the page is connected", |state| state.line == "up").await;
    assert_eq!(alice.script("return document.activeElement.id").await, "name");
    alice.click("register").await;
    assert_eq!(alice.text("nameProblem").await, "You must insert your user name");
    alice.register("alice").await;
    assert_eq!(alice.script("return document.activeElement.id").await, "peer");
    alice.click("call").await;
    assert_eq!(alice.text("peerProblem").await, "You must specify the peer name");
    assert_eq!(alice.state().await.call, "NO_CALL");
}
