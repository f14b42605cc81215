//! The acceptance criteria A1 to A24, each for configurations put in place directly and for those delivered by
//! config discovery.

use auth::ice::Advertising;
use axum::http::StatusCode;
use config::Config;
use serde_json::{Value, json};
use turn::credentials::ephemeral_password;

use crate::dataplane;
use crate::support::{Delivery, SECRET, Service, ephemeral, fixed, texts};

macro_rules! criteria {
    ($($name:ident)*) => {
        mod injected {
            $(#[tokio::test] async fn $name() { super::$name(super::Delivery::Injected).await; })*
        }

        mod discovered {
            $(#[tokio::test] async fn $name() { super::$name(super::Delivery::Discovered).await; })*
        }
    };
}

criteria! {
    a01_without_configuration_the_answer_is_500
    a02_static_credentials_with_one_uri_per_listener
    a03_another_service_is_400
    a04_a_username_does_not_change_static_credentials
    a05_nor_does_a_ttl
    a06_ephemeral_credentials_expire_later_and_follow_the_secret
    a07_another_service_is_400_with_ephemeral_credentials
    a08_the_username_is_part_of_ephemeral_ones
    a09_ephemeral_credentials_expire
    a10_each_gateway_is_one_server
    a11_filter_by_namespace
    a12_filter_by_gateway
    a13_filter_by_listener
    a14_a_filter_that_matches_nothing_is_404
    a15_filter_two_gateways_by_namespace
    a16_filter_two_gateways_by_gateway
    a17_filter_two_gateways_by_listener
    a18_public_address_of_the_request
    a19_public_address_of_the_environment
    a20_the_request_beats_the_environment
    a21_without_public_address_the_private_one_is_named
    a22_without_any_address_it_is_unspecified
    a23_placeholders_and_names
    a24_removed_gateways_are_gone
}

const FIXED_URIS: [&str; 4] = [
    "turn:1.2.3.4:3478?transport=udp",
    "turn:1.2.3.4:3478?transport=tcp",
    "turns:127.0.0.1:3479?transport=tcp",
    "turns:127.0.0.1:3479?transport=udp",
];

const EPHEMERAL_URIS: [&str; 4] = [
    "turn:1.2.3.5:3478?transport=udp",
    "turn:1.2.3.5:3478?transport=tcp",
    "turns:127.0.0.2:3479?transport=tcp",
    "turns:127.0.0.2:3479?transport=udp",
];

async fn a01_without_configuration_the_answer_is_500(delivery: Delivery) {
    let service = Service::start(delivery).await;
    for path in ["/", "/ice"] {
        let answer = service.get(&format!("{path}?service=turn")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.body, "no STUNner configuration available\n");
    }
}

async fn a02_static_credentials_with_one_uri_per_listener(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    for path in ["/", "/ice"] {
        let answer = service.get(&format!("{path}?service=turn")).await;
        assert_eq!(answer.header("content-type"), "application/json; charset=UTF-8");
        assert!(answer.body.ends_with("}\n"));
    }
    let [server] = servers(&service, "service=turn").await;
    assert_eq!(server, fixed_server(&FIXED_URIS));
    assert_eq!(
        service.turn("service=turn").await,
        json!({"password": "pass1", "ttl": 86400, "uris": FIXED_URIS, "username": "user1"})
    );
    assert!(dataplane::accepts(&fixed().auth, "user1", "pass1", service.now()));
}

async fn a03_another_service_is_400(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    let [turn, ice] = [service.get("/?service=dummy").await, service.get("/ice?service=dummy").await];
    assert_eq!((turn.status, ice.status), (StatusCode::BAD_REQUEST, StatusCode::BAD_REQUEST));
    assert_eq!(turn.body, "could not generate TURN auth token: \"\\\"service\\\" must be \\\"turn\\\"\"\n");
    assert_eq!(ice.body, "could not generate ICE auth token: \"\\\"service\\\" must be \\\"turn\\\"\"\n");
}

async fn a04_a_username_does_not_change_static_credentials(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    let [server] = servers(&service, "service=turn&username=dummy").await;
    assert_eq!(server, fixed_server(&FIXED_URIS));
    let turn = service.turn("service=turn&username=dummy").await;
    assert_eq!((&turn["username"], &turn["password"]), (&json!("user1"), &json!("pass1")));
}

async fn a05_nor_does_a_ttl(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    let [server] = servers(&service, "service=turn&username=dummy&ttl=1").await;
    assert_eq!(server, fixed_server(&FIXED_URIS));
    assert_eq!(
        service.turn("service=turn&username=dummy&ttl=1").await,
        json!({"password": "pass1", "ttl": 1, "uris": FIXED_URIS, "username": "user1"})
    );
}

async fn a06_ephemeral_credentials_expire_later_and_follow_the_secret(delivery: Delivery) {
    let service = Service::with(delivery, &[ephemeral()]).await;
    for (username, password, uris) in both(&service, "service=turn").await {
        assert_eq!(username, format!("{}:", service.now() + 86_400));
        assert_eq!(uris, EPHEMERAL_URIS);
        assert!(dataplane::accepts(&ephemeral().auth, &username, &password, service.now()));
    }
}

async fn a07_another_service_is_400_with_ephemeral_credentials(delivery: Delivery) {
    let service = Service::with(delivery, &[ephemeral()]).await;
    assert_eq!(service.statuses("service=dummy").await, [StatusCode::BAD_REQUEST; 2]);
}

async fn a08_the_username_is_part_of_ephemeral_ones(delivery: Delivery) {
    let service = Service::with(delivery, &[ephemeral()]).await;
    for (username, password, _) in both(&service, "service=turn&username=dummy").await {
        assert_eq!(username, format!("{}:dummy", service.now() + 86_400));
        assert!(dataplane::accepts(&ephemeral().auth, &username, &password, service.now()));
    }
}

async fn a09_ephemeral_credentials_expire(delivery: Delivery) {
    let service = Service::with(delivery, &[ephemeral()]).await;
    let minted = both(&service, "service=turn&username=dummy&ttl=1").await;
    service.pass_seconds(2);
    for (username, password, _) in minted {
        assert_eq!(password, ephemeral_password(SECRET, &username));
        assert!(!dataplane::accepts(&ephemeral().auth, &username, &password, service.now()));
    }
}

async fn a10_each_gateway_is_one_server(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed(), ephemeral()]).await;
    let [by_secret, by_password] = servers(&service, "service=turn").await;
    assert_eq!(texts(&by_secret["urls"]), EPHEMERAL_URIS);
    assert_eq!(by_password, fixed_server(&FIXED_URIS));
    // Both have a UDP listener, so the name decides.
    let turn = service.turn("service=turn").await;
    assert_eq!(texts(&turn["uris"]), EPHEMERAL_URIS);
}

async fn a11_filter_by_namespace(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    let expected = [FIXED_URIS[0], FIXED_URIS[2], FIXED_URIS[3]];
    assert_uris(&service, "service=turn&namespace=testnamespace", &[&expected]).await;
}

async fn a12_filter_by_gateway(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    let query = "service=turn&namespace=testnamespace&gateway=testgateway";
    assert_uris(&service, query, &[&[FIXED_URIS[0], FIXED_URIS[3]]]).await;
}

async fn a13_filter_by_listener(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    let query = "service=turn&namespace=testnamespace&gateway=testgateway&listener=udp";
    assert_uris(&service, query, &[&FIXED_URIS[..1]]).await;
}

async fn a14_a_filter_that_matches_nothing_is_404(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    for query in [
        "service=turn&namespace=testnamespace&gateway=testgateway&listener=dummy",
        "listener=dummy&gateway=testgateway&namespace=testnamespace&service=turn",
        "gateway=testgateway&service=turn&listener=dummy&namespace=testnamespace",
    ] {
        let [turn, ice] =
            [service.get(&format!("/?{query}")).await, service.get(&format!("/ice?{query}")).await];
        assert_eq!((turn.status, ice.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND), "{query}");
        assert_eq!(turn.body, "could not generate TURN auth token: no valid listener found\n");
        assert_eq!(ice.body, "could not generate ICE config: no valid listener found\n");
    }
}

async fn a15_filter_two_gateways_by_namespace(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed(), ephemeral()]).await;
    let [e, f] = [EPHEMERAL_URIS, FIXED_URIS].map(|uris| [uris[0], uris[2], uris[3]]);
    assert_uris(&service, "service=turn&namespace=testnamespace", &[&e, &f]).await;
}

async fn a16_filter_two_gateways_by_gateway(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed(), ephemeral()]).await;
    let [e, f] = [EPHEMERAL_URIS, FIXED_URIS].map(|uris| [uris[0], uris[3]]);
    assert_uris(&service, "service=turn&namespace=testnamespace&gateway=testgateway", &[&e, &f]).await;
}

async fn a17_filter_two_gateways_by_listener(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed(), ephemeral()]).await;
    let query = "service=turn&namespace=testnamespace&gateway=testgateway&listener=udp";
    assert_uris(&service, query, &[&FIXED_URIS[..1]]).await;
}

async fn a18_public_address_of_the_request(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed()]).await;
    assert_uris(&service, "service=turn&public-addr=1.3.5.7", &[&uris_at("1.3.5.7")]).await;
}

async fn a19_public_address_of_the_environment(delivery: Delivery) {
    let service = with_public_address(delivery, &[fixed()]).await;
    assert_uris(&service, "service=turn", &[&uris_at("2.4.6.8")]).await;
}

async fn a20_the_request_beats_the_environment(delivery: Delivery) {
    let service = with_public_address(delivery, &[fixed()]).await;
    assert_uris(&service, "service=turn&public-addr=1.3.5.7", &[&uris_at("1.3.5.7")]).await;
}

async fn a21_without_public_address_the_private_one_is_named(delivery: Delivery) {
    let mut config = fixed();
    for listener in &mut config.listeners[..2] {
        listener.public_address.clear();
    }
    let service = Service::with(delivery, &[config]).await;
    assert_uris(&service, "service=turn", &[&uris_at("127.0.0.1")]).await;
}

async fn a22_without_any_address_it_is_unspecified(delivery: Delivery) {
    let mut config = fixed();
    for listener in &mut config.listeners {
        listener.public_address.clear();
        listener.address.clear();
    }
    let service = Service::with(delivery, &[config]).await;
    assert_uris(&service, "service=turn", &[&uris_at("0.0.0.0")]).await;
}

async fn a23_placeholders_and_names(delivery: Delivery) {
    let placeholder = config::NODE_ADDRESS_PLACEHOLDER;
    let mut config = fixed();
    let addresses = [
        ("", placeholder),
        ("dummy.example.io", placeholder),
        ("5.4.3.2", "127.0.0.1"),
        ("", "dummy.example.io"),
    ];
    for (listener, (public, private)) in config.listeners.iter_mut().zip(addresses) {
        listener.public_address = public.to_owned();
        listener.address = private.to_owned();
    }
    let service = Service::with(delivery, &[config]).await;
    let expected = [
        "turn:0.0.0.0:3478?transport=udp",
        "turn:dummy.example.io:3478?transport=tcp",
        "turns:5.4.3.2:3479?transport=tcp",
        "turns:dummy.example.io:3479?transport=udp",
    ];
    assert_uris(&service, "service=turn", &[&expected]).await;
}

async fn a24_removed_gateways_are_gone(delivery: Delivery) {
    let service = Service::with(delivery, &[fixed(), ephemeral()]).await;
    service.set(&[ephemeral()]).await;
    assert_uris(&service, "service=turn", &[&EPHEMERAL_URIS]).await;
    service.set(&[]).await;
    assert_eq!(service.statuses("service=turn").await, [StatusCode::INTERNAL_SERVER_ERROR; 2]);
    service.set(&[fixed()]).await;
    assert_uris(&service, "service=turn", &[&FIXED_URIS]).await;
}

/// The servers that `/ice` names, which must be as many as the caller wants.
async fn servers<const N: usize>(service: &Service, query: &str) -> [Value; N] {
    let mut ice = service.ice(query).await;
    assert_eq!(ice["iceTransportPolicy"], "all");
    let Value::Array(servers) = ice["iceServers"].take() else { panic!("{ice}") };
    servers.try_into().unwrap()
}

fn fixed_server(uris: &[&str]) -> Value {
    json!({"credential": "pass1", "urls": uris, "username": "user1"})
}

/// Username, password and URIs as each path gives them, for a service with one gateway.
async fn both(service: &Service, query: &str) -> [(String, String, Vec<String>); 2] {
    let [server] = servers(service, query).await;
    let turn = service.turn(query).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = |value: &Value| texts(value).into_iter().map(str::to_owned).collect();
    [
        (text(&server["username"]), text(&server["credential"]), list(&server["urls"])),
        (text(&turn["username"]), text(&turn["password"]), list(&turn["uris"])),
    ]
}

/// `/ice` names these URIs server by server, `/` those of the first.
async fn assert_uris<U: AsRef<str>>(service: &Service, query: &str, expected: &[&[U]]) {
    let expected: Vec<Vec<&str>> =
        expected.iter().map(|uris| uris.iter().map(AsRef::as_ref).collect()).collect();
    let ice = service.ice(query).await;
    let named: Vec<_> =
        ice["iceServers"].as_array().unwrap().iter().map(|server| texts(&server["urls"])).collect();
    assert_eq!(named, expected);
    assert_eq!(texts(&service.turn(query).await["uris"]), expected[0]);
}

/// The URIs of the static gateway if all its listeners had this address.
fn uris_at(host: &str) -> [String; 4] {
    [("turn", 3478, "udp"), ("turn", 3478, "tcp"), ("turns", 3479, "tcp"), ("turns", 3479, "udp")]
        .map(|(scheme, port, transport)| format!("{scheme}:{host}:{port}?transport={transport}"))
}

async fn with_public_address(delivery: Delivery, configs: &[Config]) -> Service {
    let public_addr = Some("2.4.6.8".parse().unwrap());
    let service =
        Service::advertising(delivery, Advertising { public_addr, require_public_addr: false }).await;
    service.set(configs).await;
    service
}
