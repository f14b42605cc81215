//! Who may allocate: static and ephemeral credentials, and nobody at all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::{EPHEMERAL, Gateway, STATIC, Text, code, echo, static_user};
use kit::{Credentials, EchoPeer, Request, TurnClient};
use stun::attribute::{Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, RequestedTransport, Userhash};
use stun::{Class, Key, Method, TransactionId, Writer};

#[track_caller]
fn allocates_and_echoes(mut client: TurnClient) {
    let peer = EchoPeer::start();
    let relayed = client.allocate().unwrap().relayed;
    client.channel_bind(0x4000, peer.address()).unwrap();
    echo(&mut client, 0x4000, 8);
    assert!(peer.sources().iter().all(|source| *source == relayed));
}

#[test]
fn a01_static_credentials_allocate_and_others_do_not() {
    for auth in [
        STATIC,
        "{ realm: r, credentials: { username: user, password: pass } }",
        "{ type: plaintext, realm: r, credentials: { username: user, password: pass } }",
    ] {
        let gateway = Gateway::start(&Text::new().auth(auth));
        allocates_and_echoes(gateway.udp());
        allocates_and_echoes(gateway.tcp());
        for wrong in [Credentials::fixed("user", "wrong"), Credentials::fixed("nobody", "pass")] {
            let mut client = TurnClient::udp(gateway.address()).with(wrong);
            assert_eq!(code(client.allocate()), 401);
            assert_eq!(client.binding().unwrap(), client.local());
        }
    }
}

#[test]
fn a02_ephemeral_user_names_in_every_form_allocate() {
    let gateway = Gateway::start(&Text::new().auth(EPHEMERAL));
    let future = "4000000000";
    for name in
        [future.to_owned(), format!("{future}:user"), format!("user:{future}"), format!("user:{future}:junk")]
    {
        let credentials = Credentials::ephemeral("my-secret", &name);
        allocates_and_echoes(TurnClient::udp(gateway.address()).with(credentials.clone()));
        allocates_and_echoes(TurnClient::tcp(gateway.address()).with(credentials));
    }
    for name in ["1:user", "user", "0"] {
        let credentials = Credentials::ephemeral("my-secret", name);
        assert_eq!(code(TurnClient::udp(gateway.address()).with(credentials).allocate()), 401, "{name}");
    }
    let forged = Credentials::ephemeral_for("another-secret", "user", Duration::from_secs(600));
    assert_eq!(code(TurnClient::udp(gateway.address()).with(forged).allocate()), 401);
}

#[test]
fn user_name_as_a_metrics_label_exhausts_memory() {
    let metrics = common::address(kit::free_port());
    let admin = format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'");
    let gateway = Gateway::start(&Text::new().auth(EPHEMERAL).admin(&admin));
    let series = |users: std::ops::Range<u32>| {
        for user in users {
            let credentials = Credentials::ephemeral("my-secret", &format!("4000000000:somebody{user}"));
            allocates_and_echoes(TurnClient::udp(gateway.address()).with(credentials));
            let expired = Credentials::ephemeral("my-secret", &format!("1:somebody{user}"));
            assert_eq!(code(TurnClient::udp(gateway.address()).with(expired).allocate()), 401);
        }
        let series = common::scrape(metrics, "/");
        series.into_keys().inspect(|name| assert!(!name.contains("somebody"), "{name}")).collect::<Vec<_>>()
    };
    assert_eq!(series(0..1), series(1..30));
}

#[test]
fn a02_switching_the_type_shuts_old_clients_out_and_back_without_a_restart() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let ephemeral = || Credentials::ephemeral_for("my-secret", "user", Duration::from_secs(600));
    allocates_and_echoes(gateway.udp());

    assert!(gateway.apply(&text.clone().auth(EPHEMERAL)).restarted.is_empty());
    assert_eq!(code(gateway.udp().allocate()), 401);
    allocates_and_echoes(TurnClient::udp(gateway.address()).with(ephemeral()));

    assert!(gateway.apply(&text).restarted.is_empty());
    assert_eq!(code(TurnClient::udp(gateway.address()).with(ephemeral()).allocate()), 401);
    allocates_and_echoes(gateway.udp());
}

/// RFC 8489: the client chooses SHA-256 and hides its name, on real sockets.
#[test]
fn a_client_of_the_newer_standard_allocates_with_sha256_and_without_its_name() {
    let gateway = Gateway::start(&Text::new());
    let mut client = gateway.udp();
    let refusal = match client.request_plain(&Request::new(Method::Allocate)) {
        Err(kit::Failure::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let nonce = refusal.nonce.unwrap();
    let features = Nonce::new(&nonce).unwrap().security_features().unwrap();
    assert!(features.password_algorithms && features.username_anonymity, "{features:?}");
    let offered = [PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5];
    let mut packet = [0; 512];
    let id = TransactionId::new([9; 12]);
    let mut writer = Writer::new(&mut packet, Class::Request, Method::Allocate, id).unwrap();
    writer.put(&RequestedTransport::UDP).unwrap().put(&Userhash::of("user", "r")).unwrap();
    writer.put(&Realm::new("r").unwrap()).unwrap().put(&Nonce::new(&nonce).unwrap()).unwrap();
    writer.put(&PasswordAlgorithms::new(&offered).unwrap()).unwrap().put(&offered[0]).unwrap();
    let key = Key::long_term_sha256("user", "r", "pass");
    let len = writer.finish_with_integrity_sha256(&key).unwrap();
    let answer = client.exchange(&packet[..len]).unwrap().unwrap();
    assert!(answer.message().verify_integrity_sha256(&key).is_ok(), "{answer:?}");
    gateway.await_allocations(1);
}

/// Rotation: both sets are good while one replaces the other, and a call goes on through both changes.
#[test]
fn former_credentials_are_good_until_they_are_taken_out_of_the_configuration() {
    let auth = |kind: &str, credentials: &str| {
        format!("{{ type: {kind}, realm: r, credentials: {{ {credentials} }} }}")
    };
    let ephemeral = |secret| Credentials::ephemeral(secret, "4000000000:user");
    for (kind, steps, old, new) in [
        (
            "static",
            [
                "username: user, password: old",
                "username: user, password: new, previous_password: old",
                "username: user, password: new",
            ],
            Credentials::fixed("user", "old"),
            Credentials::fixed("user", "new"),
        ),
        (
            "ephemeral",
            ["secret: old", "secret: new, previous_secret: old", "secret: new"],
            ephemeral("old"),
            ephemeral("new"),
        ),
    ] {
        let text = Text::new().auth(&auth(kind, steps[0]));
        let gateway = Gateway::start(&text);
        let client = |credentials: &Credentials| TurnClient::udp(gateway.address()).with(credentials.clone());
        let peer = EchoPeer::start();
        let mut call = client(&old);
        call.allocate().unwrap();
        call.channel_bind(0x4000, peer.address()).unwrap();
        assert_eq!(code(client(&new).allocate()), 401);

        assert!(gateway.apply(&text.clone().auth(&auth(kind, steps[1]))).restarted.is_empty());
        call.refresh(600).unwrap();
        allocates_and_echoes(client(&old));
        allocates_and_echoes(client(&new));

        gateway.apply(&text.clone().auth(&auth(kind, steps[2])));
        assert_eq!(code(client(&old).allocate()), 401);
        allocates_and_echoes(client(&new));
        echo(&mut call, 0x4000, 8);
    }
}

#[test]
fn a03_without_authentication_binding_works_and_nothing_else() {
    let text = Text::new();
    let gateway = Gateway::start(&text.clone().auth("{ type: none, realm: r }"));
    let mut client = gateway.udp();
    assert_eq!(client.binding().unwrap(), client.local());
    assert_eq!(code(client.allocate()), 401);
    // W-04 of the original: the listener must not stay without authentication.
    assert!(gateway.apply(&text).restarted.is_empty());
    allocates_and_echoes(gateway.udp());
}

#[test]
fn a06_a_udp_listener_with_four_workers_passes_the_same_tests() {
    let gateway = Gateway::with_workers(&Text::new(), 4);
    assert_eq!(gateway.dataplane.workers(), 4);
    for _ in 0..16 {
        allocates_and_echoes(gateway.udp());
        allocates_and_echoes(gateway.tcp());
    }
}

#[test]
fn c05_an_old_configuration_serves_traffic() {
    let text = Text::new();
    for (auth, credentials) in [
        ("{ type: plaintext, realm: r, credentials: { username: user, password: pass } }", static_user()),
        (
            "{ type: longterm, realm: r, credentials: { secret: my-secret } }",
            Credentials::ephemeral("my-secret", "4000000000:user"),
        ),
    ] {
        let yaml = text.clone().auth(auth).yaml().replace("version: v1", "version: v1alpha1");
        let config = config::Config::parse(&yaml, &config::env::empty).unwrap();
        let dataplane = dataplane::Dataplane::start(common::options()).unwrap();
        dataplane.apply(&[("gw".to_owned(), config)].into()).unwrap();
        allocates_and_echoes(TurnClient::udp(common::address(text.port)).with(credentials));
    }
}
