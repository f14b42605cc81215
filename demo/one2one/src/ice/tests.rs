use serde_json::json;

use super::*;

fn parsed(body: &Value) -> Value {
    IceConfiguration::from_json(body.to_string().as_bytes()).unwrap().expose()
}

#[test]
fn r9_one_uri_is_named_twice_and_several_are_not() {
    let got = parsed(&json!({"iceServers": [
        {"credential": "pass-1", "urls": ["turn:192.0.2.1:3478?transport=udp"], "username": "user-1"},
        {"credential": "pass-1", "urls": ["turn:192.0.2.1:1", "turn:192.0.2.1:2"], "username": "user-1"},
    ], "iceTransportPolicy": "relay"}));
    assert_eq!(
        got,
        json!({"iceServers": [
            {"url": "turn:192.0.2.1:3478?transport=udp", "credential": "pass-1",
             "urls": ["turn:192.0.2.1:3478?transport=udp"], "username": "user-1"},
            {"credential": "pass-1", "urls": ["turn:192.0.2.1:1", "turn:192.0.2.1:2"], "username": "user-1"},
        ], "iceTransportPolicy": "relay"})
    );
}

#[test]
fn s1_8_every_spelling_of_the_servers_is_understood() {
    let uri = "TURN:192.0.2.1:3478?transport=UDP";
    for server in [json!({"url": uri}), json!({"url": [uri]}), json!({"urls": uri}), json!({"urls": [uri]})] {
        for key in ["iceServers", "ICEServers"] {
            let got = parsed(&json!({ key: [server] }));
            assert_eq!(got["iceServers"][0]["urls"], json!([uri]), "{key} {server}");
            assert_eq!(got["iceServers"][0]["url"], json!(uri), "{key} {server}");
        }
    }
}

#[test]
fn members_nobody_here_knows_pass_through() {
    let got = parsed(&json!({"iceServers": [{"urls": ["stun:h:1"], "x": 1}], "iceCandidatePoolSize": 2}));
    assert_eq!(got["iceCandidatePoolSize"], 2);
    assert_eq!(got["iceServers"][0]["x"], 1);
}

#[test]
fn w2_what_is_no_configuration_is_an_error() {
    for (body, error) in [
        ("", IceError::NotAnObject),
        ("404 page not found", IceError::NotAnObject),
        ("[]", IceError::NotAnObject),
        ("{}", IceError::NoServers),
        (r#"{"iceServers": {}}"#, IceError::NoServers),
        (r#"{"iceServers": [1]}"#, IceError::NoServers),
        (r#"{"iceServers": [{"urls": 5}]}"#, IceError::NoServers),
        (r#"{"iceServers": [{"urls": ["turn:h", 5]}]}"#, IceError::NoServers),
    ] {
        assert_eq!(IceConfiguration::from_json(body.as_bytes()), Err(error), "{body}");
    }
}

#[test]
fn credentials_do_not_show_in_debug_output() {
    let body = json!({"iceServers": [{"urls": ["turn:h:1"], "username": "user-1", "credential": "pass-1"}]});
    let shown = format!("{:?}", IceConfiguration::from_json(body.to_string().as_bytes()).unwrap());
    assert!(shown.contains("turn:h:1") && shown.contains("<SECRET>"), "{shown}");
    assert!(!shown.contains("pass-1") && !shown.contains("user-1"), "{shown}");
}
