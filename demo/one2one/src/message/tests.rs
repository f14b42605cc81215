use super::*;

fn sdp(text: &str) -> Description {
    Description(text.to_owned())
}

fn candidate(members: &Value) -> Candidate {
    Candidate(members.as_object().unwrap().clone())
}

#[test]
fn s5_2_every_request_is_understood() {
    let name = |name| Ok(UserName::new(name).unwrap());
    for (text, request) in [
        (r#"{"id":"register","name":" alice "}"#, Request::Register(name("alice"))),
        (
            r#"{"id":"call","from":"mallory","to":"bob","sdpOffer":"v=0"}"#,
            Request::Call { to: "bob".to_owned(), offer: sdp("v=0") },
        ),
        (
            r#"{"id":"incomingCallResponse","from":"alice","callResponse":"accept","sdpAnswer":"v=1"}"#,
            Request::Answer { from: "alice".to_owned(), answer: Answer::Accept(sdp("v=1")) },
        ),
        (
            r#"{"id":"incomingCallResponse","from":"alice","callResponse":"reject","message":"user declined"}"#,
            Request::Answer { from: "alice".to_owned(), answer: Answer::Refuse(Refusal::Declined) },
        ),
        (
            r#"{"id":"incomingCallResponse","from":"alice","callResponse":"reject","message":"bussy"}"#,
            Request::Answer { from: "alice".to_owned(), answer: Answer::Refuse(Refusal::Declined) },
        ),
        (
            r#"{"id":"incomingCallResponse","from":"a","callResponse":"reject",
                "message":"user has no camera or microphone"}"#,
            Request::Answer { from: "a".to_owned(), answer: Answer::Refuse(Refusal::NoMedia) },
        ),
        (r#"{"id":"onIceCandidate","candidate":null}"#, Request::Candidate(None)),
        (r#"{"id":"stop"}"#, Request::Stop),
        (r#"{"id":"iceConfiguration"}"#, Request::IceConfiguration),
        (r#"{"id":"iceRestart","sdpOffer":"v=0"}"#, Request::Restart { offer: sdp("v=0") }),
        (r#"{"id":"iceRestartResponse","sdpAnswer":"v=0"}"#, Request::RestartAnswer { answer: sdp("v=0") }),
    ] {
        assert_eq!(Request::parse(text), Ok(request), "{text}");
    }
}

#[test]
fn t19_candidates_are_forwarded_unchanged() {
    let text = r#"{"candidate":"candidate:0 1 UDP 9 10.1.2.3 4 typ relay raddr 10.1.2.3 rport 4","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"f00d","new":[1.5,null]}"#;
    let request = Request::parse(&format!(r#"{{"id":"onIceCandidate","candidate":{text}}}"#)).unwrap();
    let Request::Candidate(Some(candidate)) = request else { panic!("{request:?}") };
    assert_eq!(
        Reply::Candidate(candidate).to_json(),
        format!(r#"{{"id":"iceCandidate","candidate":{text}}}"#)
    );
    assert!(matches!(
        Request::parse(r#"{"id":"onIceCandidate","candidate":{"candidate":"","sdpMid":"0"}}"#),
        Ok(Request::Candidate(Some(_)))
    ));
}

#[test]
fn w1_what_is_no_request_is_an_error_value() {
    for (text, error) in [
        ("", Malformed::NotAnObject),
        ("nonsense", Malformed::NotAnObject),
        ("[]", Malformed::NotAnObject),
        ("null", Malformed::NotAnObject),
        (r#"{"id":"stop"} {"id":"stop"}"#, Malformed::NotAnObject),
        ("{}", Malformed::Member("id")),
        (r#"{"id":7}"#, Malformed::Member("id")),
        (r#"{"id":"__proto__"}"#, Malformed::UnknownId),
        (r#"{"id":"call","sdpOffer":"v=0"}"#, Malformed::Member("to")),
        (r#"{"id":"call","to":{},"sdpOffer":"v=0"}"#, Malformed::Member("to")),
        (r#"{"id":"call","to":"bob"}"#, Malformed::Member("sdpOffer")),
        (r#"{"id":"incomingCallResponse","callResponse":"accept"}"#, Malformed::Member("from")),
        (r#"{"id":"incomingCallResponse","from":"a"}"#, Malformed::Member("callResponse")),
        (
            r#"{"id":"incomingCallResponse","from":"a","callResponse":"accept"}"#,
            Malformed::Member("sdpAnswer"),
        ),
        (r#"{"id":"onIceCandidate","candidate":"candidate:0"}"#, Malformed::Member("candidate")),
        (r#"{"id":"onIceCandidate","candidate":{"sdpMid":"0"}}"#, Malformed::Member("candidate")),
        (r#"{"id":"iceRestart"}"#, Malformed::Member("sdpOffer")),
    ] {
        assert_eq!(Request::parse(text), Err(error), "{text}");
    }
    assert_eq!(Request::parse(&"[".repeat(60_000)), Err(Malformed::NotAnObject));
}

#[test]
fn w5_a_bad_name_is_answered_as_a_name() {
    for (text, error) in [
        (r#"{"id":"register"}"#, NameError::Empty),
        (r#"{"id":"register","name":null}"#, NameError::Empty),
        (r#"{"id":"register","name":"  "}"#, NameError::Empty),
        (r#"{"id":"register","name":{"toString":1}}"#, NameError::NotText),
        (r#"{"id":"register","name":["a"]}"#, NameError::NotText),
        (r#"{"id":"register","name":7}"#, NameError::NotText),
    ] {
        assert_eq!(Request::parse(text), Ok(Request::Register(Err(error))), "{text}");
    }
}

#[test]
fn s5_2_every_reply_has_its_published_shape() {
    let ice = IceConfiguration::from_json(br#"{"iceServers":[],"iceTransportPolicy":"relay"}"#).unwrap();
    let alice = UserName::new("alice").unwrap();
    for (reply, text) in [
        (
            Reply::Registered(ice.clone()),
            r#"{"id":"registerResponse","response":"accepted","iceConfiguration":{"iceServers":[],"iceTransportPolicy":"relay"}}"#,
        ),
        (
            Reply::RegisterRefused("empty user name".to_owned()),
            r#"{"id":"registerResponse","response":"rejected","message":"empty user name"}"#,
        ),
        (
            Reply::IncomingCall { from: alice, offer: sdp("v=0") },
            r#"{"id":"incomingCall","from":"alice","sdpOffer":"v=0"}"#,
        ),
        (
            Reply::CallAccepted { answer: sdp("v=1") },
            r#"{"id":"callResponse","response":"accepted","sdpAnswer":"v=1"}"#,
        ),
        (
            Reply::CallRefused("user declined".to_owned()),
            r#"{"id":"callResponse","response":"rejected","message":"user declined"}"#,
        ),
        (
            Reply::StopCommunication("remote user hanged out"),
            r#"{"id":"stopCommunication","message":"remote user hanged out"}"#,
        ),
        (
            Reply::UnknownCaller("zed".to_owned()),
            r#"{"id":"stopCommunication","message":"unknown from = zed"}"#,
        ),
        (
            Reply::IceConfiguration(ice),
            r#"{"id":"iceConfiguration","response":"accepted","iceConfiguration":{"iceServers":[],"iceTransportPolicy":"relay"}}"#,
        ),
        (
            Reply::IceConfigurationRefused("down".to_owned()),
            r#"{"id":"iceConfiguration","response":"rejected","message":"down"}"#,
        ),
        (Reply::Restart { offer: sdp("v=0") }, r#"{"id":"iceRestart","sdpOffer":"v=0"}"#),
        (Reply::RestartAnswer { answer: sdp("v=0") }, r#"{"id":"iceRestartResponse","sdpAnswer":"v=0"}"#),
        (Reply::Error("what?".to_owned()), r#"{"id":"error","message":"what?"}"#),
    ] {
        assert_eq!(reply.to_json(), text);
    }
}

#[test]
fn w9_candidates_of_an_earlier_call_are_told_apart() {
    let of = |fragment: Value| candidate(&json!({"candidate": "c", "usernameFragment": fragment}));
    let offer = sdp("v=0\r\na=ice-ufrag:new1\r\nm=video\r\na=ice-ufrag:new2\r\n");
    assert!(of(json!("new1")).may_belong_to(&offer));
    assert!(of(json!("new2")).may_belong_to(&offer));
    assert!(!of(json!("old")).may_belong_to(&offer));
    assert!(of(json!(null)).may_belong_to(&offer));
    assert!(candidate(&json!({"candidate": "c"})).may_belong_to(&offer));
    assert!(of(json!("old")).may_belong_to(&sdp("v=0\r\n")));
}

#[test]
fn debug_output_holds_no_description_and_no_candidate() {
    let shown = format!(
        "{:?} {:?} {:?}",
        Request::Call { to: "bob".to_owned(), offer: sdp("a=ice-pwd:hush") },
        Request::Candidate(Some(candidate(&json!({"candidate": "hush"})))),
        Reply::CallAccepted { answer: sdp("hush") },
    );
    assert!(!shown.contains("hush"), "{shown}");
}
