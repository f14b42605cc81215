//! What gateways turn into, beyond the acceptance criteria.

use auth::ice::{Advertising, Finding, findings};
use auth::query::MAX_USER_ID_LEN;
use axum::http::StatusCode;
use config::{Config, Credentials, Listener, Protocol};
use serde_json::json;

use crate::dataplane;
use crate::support::{Delivery, Service, by_name, ephemeral, fixed, gateway, listener, open, texts};

const INJECTED: Delivery = Delivery::Injected;

fn single(name: &str, protocol: Protocol, public: &str) -> Config {
    let listener = listener(&format!("{name}/l"), protocol, (public, 3478), ("10.0.0.1", 3478));
    gateway(name, Credentials::for_user("u", "p"), vec![listener])
}

async fn urls_of(config: Config) -> Vec<String> {
    let ice = Service::with(INJECTED, &[config]).await.ice("").await;
    texts(&ice["iceServers"][0]["urls"]).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn servers_come_best_transport_first_then_by_name() {
    let configs = [
        single("n/tls", Protocol::Tls, "192.0.2.1"),
        single("n/dtls", Protocol::Dtls, "192.0.2.2"),
        single("n/tcp", Protocol::Tcp, "192.0.2.3"),
        single("n/z-udp", Protocol::Udp, "192.0.2.4"),
        single("n/a-udp", Protocol::Udp, "192.0.2.5"),
    ];
    let service = Service::with(INJECTED, &configs).await;
    let ice = service.ice("").await;
    let hosts: Vec<_> = ice["iceServers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|server| texts(&server["urls"])[0].split(':').nth(1).unwrap())
        .collect();
    assert_eq!(hosts, ["192.0.2.5", "192.0.2.4", "192.0.2.3", "192.0.2.2", "192.0.2.1"]);
    assert_eq!(texts(&service.turn("service=turn").await["uris"]), ["turn:192.0.2.5:3478?transport=udp"]);
    // The filter decides which listener is a gateway's best.
    let turn = service.turn("service=turn&namespace=n&gateway=tls").await;
    assert_eq!(texts(&turn["uris"]), ["turns:192.0.2.1:3478?transport=tcp"]);
}

#[tokio::test]
async fn addresses_and_ports_fall_back_each_for_itself() {
    let uri = |public, private| async move {
        urls_of(gateway(
            "n/g",
            Credentials::for_user("u", "p"),
            vec![listener("n/g/l", Protocol::Udp, public, private)],
        ))
        .await
        .remove(0)
    };
    assert_eq!(uri(("192.0.2.1", 0), ("10.0.0.1", 5000)).await, "turn:192.0.2.1:5000?transport=udp");
    assert_eq!(uri(("", 6000), ("10.0.0.1", 5000)).await, "turn:10.0.0.1:6000?transport=udp");
    assert_eq!(uri(("2001:db8::1", 1), ("10.0.0.1", 2)).await, "turn:[2001:db8::1]:1?transport=udp");
    assert_eq!(uri(("", 1), ("$STUNNER_ADDR", 2)).await, "turn:0.0.0.0:1?transport=udp");
    assert_eq!(uri(("not a host", 1), ("10.0.0.1", 2)).await, "turn:0.0.0.0:1?transport=udp");
}

#[tokio::test]
async fn an_ipv6_address_asked_for_is_bracketed() {
    let service = Service::with(INJECTED, &[single("n/g", Protocol::Udp, "192.0.2.1")]).await;
    for query in ["public-addr=2001:db8::7", "public-addr=%5B2001:db8::7%5D"] {
        let ice = service.ice(query).await;
        assert_eq!(texts(&ice["iceServers"][0]["urls"]), ["turn:[2001:db8::7]:3478?transport=udp"]);
    }
}

#[tokio::test]
async fn without_authentication_a_gateway_is_a_stun_server() {
    let listeners = || -> Vec<Listener> {
        [Protocol::Udp, Protocol::Tcp, Protocol::Tls, Protocol::Dtls]
            .into_iter()
            .map(|p| listener(&format!("n/open/{p}"), p, ("192.0.2.1", 3478), ("", 1)))
            .collect()
    };
    let service = Service::with(INJECTED, &[open("n/open", listeners())]).await;
    let urls = json!(["stun:192.0.2.1:3478", "stuns:192.0.2.1:3478"]);
    assert_eq!(service.ice("").await["iceServers"], json!([{ "urls": urls }]));
    let turn = service.turn("service=turn").await;
    assert_eq!(turn, json!({"password": "", "ttl": 86400, "uris": urls, "username": ""}));
    // Whoever asks for a TURN credential gets one if there is one.
    service.set(&[open("n/open", listeners()), single("n/tls", Protocol::Tls, "192.0.2.2")]).await;
    assert_eq!(service.turn("service=turn").await["username"], "u");
}

#[tokio::test]
async fn a_gateway_without_usable_credentials_does_not_spoil_the_others() {
    let broken = || {
        let mut config = single("n/broken", Protocol::Udp, "192.0.2.1");
        config.auth.credentials.password = None;
        config
    };
    let mut empty = single("n/empty", Protocol::Udp, "192.0.2.3");
    empty.auth.credentials = Credentials::shared_secret("");
    empty.auth.kind = config::AuthKind::Ephemeral;
    let service =
        Service::with(INJECTED, &[broken(), empty, single("n/good", Protocol::Tcp, "192.0.2.2")]).await;
    let ice = service.ice("").await;
    assert_eq!(ice["iceServers"].as_array().unwrap().len(), 1);
    assert_eq!(texts(&ice["iceServers"][0]["urls"]), ["turn:192.0.2.2:3478?transport=tcp"]);
    service.set(&[broken()]).await;
    assert_eq!(service.statuses("service=turn").await, [StatusCode::NOT_FOUND; 2]);
}

#[tokio::test]
async fn listeners_with_other_names_are_never_named() {
    let mut config = fixed();
    for (listener, name) in config.listeners.iter_mut().zip(["udp", "n/udp", "n/g/udp/x", "n/g/dtls"]) {
        listener.name = name.to_owned();
    }
    assert_eq!(urls_of(config).await, ["turns:127.0.0.1:3479?transport=udp"]);
}

#[tokio::test]
async fn private_addresses_can_be_kept_from_clients() {
    let strict = Advertising { public_addr: None, require_public_addr: true };
    let service = Service::advertising(INJECTED, strict).await;
    service.set(&[fixed()]).await;
    let ice = service.ice("").await;
    let public = ["turn:1.2.3.4:3478?transport=udp", "turn:1.2.3.4:3478?transport=tcp"];
    assert_eq!(texts(&ice["iceServers"][0]["urls"]), public);
    assert_eq!(
        service.statuses("service=turn&namespace=testnamespace&gateway=dummygateway").await,
        [StatusCode::NOT_FOUND; 2]
    );
    let asked = service.ice("public-addr=192.0.2.9").await;
    assert_eq!(texts(&asked["iceServers"][0]["urls"]).len(), 4);
    let mut unspecified = single("n/g", Protocol::Udp, "0.0.0.0");
    unspecified.listeners[0].address = "0.0.0.0".into();
    service.set(&[unspecified]).await;
    assert_eq!(service.statuses("service=turn").await, [StatusCode::NOT_FOUND; 2]);
}

#[test]
fn administrators_are_told_what_clients_are_not() {
    let mut named = single("n/named", Protocol::Udp, "192.0.2.1");
    named.listeners[0].name = "udp".into();
    let mut broken = single("n/broken", Protocol::Udp, "192.0.2.1");
    broken.auth.credentials.username = None;
    let private = single("n/private", Protocol::Udp, "");
    let configs = by_name(&[named, broken, private, single("n/fine", Protocol::Udp, "192.0.2.1")]);
    let texts =
        |how: &Advertising| findings(&configs, how).iter().map(Finding::to_string).collect::<Vec<_>>();
    let told =
        "listener n/private/l has no public address yet: clients are told turn:10.0.0.1:3478?transport=udp";
    let broken = "n/broken is skipped: invalid STUNner config: no username or password (auth: plaintext)";
    let named = "listener \"udp\" of n/named is skipped: its name is not namespace/gateway/listener";
    assert_eq!(texts(&Advertising::default()), [named, told, broken]);
    let strict = Advertising { public_addr: None, require_public_addr: true };
    let nothing = "listener n/private/l has no public address yet: clients are told nothing";
    assert_eq!(texts(&strict), [named, nothing, broken]);
    let overridden = Advertising { public_addr: Some("192.0.2.7".parse().unwrap()), ..strict };
    assert_eq!(texts(&overridden), [named, broken]);
}

#[tokio::test]
async fn whatever_a_user_is_called_the_dataplane_accepts_and_then_refuses_the_credentials() {
    let service = Service::with(INJECTED, &[ephemeral()]).await;
    let longest = "u".repeat(MAX_USER_ID_LEN);
    for user in
        ["", "alice", "a:b", "42", "42:1", ":", "::", "J%C3%B6rg", "a%20b%26c", "%F0%9F%93%9E", &longest]
    {
        let turn = service.turn(&format!("service=turn&ttl=60&username={user}")).await;
        let [username, password] = ["username", "password"].map(|key| turn[key].as_str().unwrap());
        let accepts = |unix| dataplane::accepts(&ephemeral().auth, username, password, unix);
        let expiry = service.now() + 60;
        assert_eq!([expiry - 60, expiry, expiry + 1].map(accepts), [true, true, false], "{user}");
        assert!(!dataplane::accepts(&ephemeral().auth, username, "guessed", service.now()), "{user}");
    }
}
