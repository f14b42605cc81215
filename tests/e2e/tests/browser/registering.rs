use serde_json::json;

use crate::setting::Setting;

#[tokio::test(flavor = "multi_thread")]
async fn t14_t15_registering_shows_both_gateways_and_the_credentials() {
    let Some(setting) = Setting::new().await else { return };
    let alice = setting.window().await;
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
    let port = setting.gateway.port;
    let entry = |transport: &str| {
        let uri = format!("turn:127.0.0.1:{port}?transport={transport}");
        json!({"url": uri, "urls": [uri], "username": "user-1", "credential": "pass-1"})
    };
    assert_eq!(ice["iceServers"], json!([entry("udp"), entry("tcp")]));
    alice.screenshot("registered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t16_a_taken_name_is_refused_and_another_works_without_reload() {
    let Some(setting) = Setting::new().await else { return };
    let (first, second) = (setting.window().await, setting.window().await);
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
    let Some(setting) = Setting::new().await else { return };
    setting.auth.fail();
    let alice = setting.window().await;
    alice.ask_to_register("alice").await;
    let state = alice.until("a refusal", |state| state.headline == "Not registered").await;
    assert!(
        state.detail.starts_with("HTTP error when querying the STUNner auth service"),
        "{}",
        state.detail
    );
    alice.screenshot("auth-down").await;
    setting.auth.offer(setting.gateway.port, &["udp", "tcp"], "pass-1");
    alice.register("alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_4_an_empty_field_is_pointed_out() {
    let Some(setting) = Setting::new().await else { return };
    let alice = setting.window().await;
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
