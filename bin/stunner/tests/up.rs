//! `stunner up` as it is used: YAML files, a terminal, and clients with calls in progress.

mod support;

use std::{fs, net::UdpSocket};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kit::{Credentials, EchoPeer, TurnClient};
use support::{Files, GATEWAY, Up, gateway, manifest};

#[test]
fn a_directory_of_yaml_becomes_a_gateway() {
    let files = Files::of(&manifest());
    let up = Up::start(&files);
    up.output.await_line("media/edge");
    let mut client = up.client(&Credentials::fixed("user-1", "pass-1"));
    up.echo(&mut client);
    assert!(up.get("/ready").contains("READY"));
    assert!(up.get("/status").contains(r#""allocationCount":1"#));
    assert!(!up.get("/status").contains("pass-1"));
}

#[test]
fn the_tables_show_what_became_of_gateways_and_routes() {
    let files = Files::of(&manifest());
    let up = Up::start(&files);
    for line in ["GATEWAY ", "media/edge  media ", "ROUTE ", "media/loop  media/edge  True      True"] {
        up.output.await_line(line);
    }
}

#[test]
fn a_new_password_is_for_new_sessions_and_calls_go_on() {
    let files = Files::of(&manifest());
    let up = Up::start(&files);
    let mut talking = up.client(&Credentials::fixed("user-1", "pass-1"));
    let peer = EchoPeer::start();
    talking.channel_bind(0x4000, peer.address()).expect("bound");
    files.write("gateway.yaml", &manifest().replace("pass-1", "pass-2"));
    support::eventually("new credentials are handed out", || up.ice().contains("pass-2"));
    talking.send_channel(0x4000, b"still here");
    assert_eq!(talking.recv().data(), b"still here");
    up.echo(&mut up.client(&Credentials::fixed("user-1", "pass-2")));
    let old = TurnClient::udp(up.gateway).with(Credentials::fixed("user-1", "pass-1")).allocate();
    assert!(old.is_err(), "the old password still opens sessions");
}

#[test]
fn a_broken_file_is_named_with_its_line_and_changes_nothing() {
    let files = Files::of(&manifest());
    let up = Up::start(&files);
    let mut talking = up.client(&Credentials::fixed("user-1", "pass-1"));
    for (broken, reason) in [
        (manifest().replace("realm: test", "realm: \"test"), "gateway.yaml:"),
        (manifest().replace("kind: Gateway\n", "kind: Gateway\nspec: [\n"), "gateway.yaml:"),
        (String::new(), "is empty"),
    ] {
        let seen = up.output.line_count();
        files.write("gateway.yaml", &broken);
        up.output.await_line_after(seen, reason);
        up.output.await_line_after(seen, "what worked goes on");
        up.echo(&mut talking);
        assert!(up.ice().contains("pass-1"));
    }
    files.write("gateway.yaml", &manifest().replace("pass-1", "pass-3"));
    support::eventually("the mended file is in force", || up.ice().contains("pass-3"));
}

#[test]
fn a_route_that_goes_takes_its_flows_with_it_and_brings_them_back() {
    let files = Files::of(&manifest());
    let up = Up::start(&files);
    let peer = EchoPeer::start();
    let mut client = up.client(&Credentials::fixed("user-1", "pass-1"));
    client.create_permission(peer.address()).expect("permitted");
    client.channel_bind(0x4000, peer.address()).expect("bound");
    support::eventually("data flows", || support::echoes(&mut client, 0x4000));
    let seen = up.output.line_count();
    files.write("gateway.yaml", &manifest().replace("name: edge # parent", "name: elsewhere # parent"));
    up.output.await_line_after(seen, "GATEWAY");
    support::eventually("data stops", || !support::echoes(&mut client, 0x4000));
    files.write("gateway.yaml", &manifest());
    support::eventually("data flows again", || support::echoes(&mut client, 0x4000));
}

#[test]
fn two_gateways_share_a_port_if_their_protocols_differ() {
    let files = Files::of(&manifest());
    let other = gateway("other", "TURN-TCP");
    files.write("other.yaml", &other);
    let up = Up::start(&files);
    up.echo(&mut up.client(&Credentials::fixed("user-1", "pass-1")));
    let mut tcp = TurnClient::tcp(up.gateway).with(Credentials::fixed("user-1", "pass-1"));
    tcp.allocate().expect("allocated over TCP");
    let seen = up.output.line_count();
    files.write("other.yaml", &other.replace("TURN-TCP", "TURN-UDP"));
    up.output.await_line_after(seen, "media/other");
    up.output.await_line_after(seen, "False (");
    up.echo(&mut up.client(&Credentials::fixed("user-1", "pass-1")));
}

/// A Secret with a new certificate.
fn certificate() -> String {
    let signed = rcgen::generate_simple_self_signed([GATEWAY.to_owned()]).expect("made");
    secret(&signed.cert.pem(), &signed.signing_key.serialize_pem())
}

/// A Secret with a certificate and the key of another one.
fn mismatch() -> String {
    let [one, other] =
        [0, 1].map(|_| rcgen::generate_simple_self_signed([GATEWAY.to_owned()]).expect("made"));
    secret(&one.cert.pem(), &other.signing_key.serialize_pem())
}

fn secret(chain: &str, key: &str) -> String {
    let [chain, key] = [chain, key].map(|pem| BASE64_STANDARD.encode(pem));
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: certificate, namespace: media }}\n\
         type: kubernetes.io/tls\ndata: {{ tls.crt: {chain}, tls.key: {key} }}\n"
    )
}

#[test]
fn a_gateway_that_speaks_tls_and_dtls_takes_its_certificate_from_a_secret() {
    let Some(openssl) = kit::need("openssl") else { return };
    let listener = |name: &str| {
        let protocol = name.to_uppercase();
        let tls = "tls: { certificateRefs: [ { name: certificate } ] }";
        format!("{{ name: {name}, port: PORT, protocol: TURN-{protocol}, {tls} }}")
    };
    let plain = "{ name: listener, port: PORT, protocol: TURN-UDP }";
    let secure = format!("{}\n    - {}", listener("tls"), listener("dtls"));
    let files = Files::of(&manifest().replace(plain, &secure));
    files.write("certificate.yaml", &certificate());
    let up = Up::start(&files);
    for protocol in ["TURN-TLS", "TURN-DTLS"] {
        let line = up.output.await_line(&format!("{protocol} "));
        assert!(line.contains(&up.gateway.to_string()) && line.contains("True"), "{line}");
    }
    let clients = || {
        let tls = TurnClient::tls(up.gateway);
        [tls, TurnClient::dtls(&openssl, up.gateway)].map(|client| {
            let mut client = client.with(Credentials::fixed("user-1", "pass-1"));
            client.allocate().expect("allocated");
            client
        })
    };
    let mut calls = clients();
    calls.iter_mut().for_each(|client| up.echo(client));
    assert!(up.ice().contains("turns:127.0.0.1"), "{}", up.ice());
    let seen = up.output.line_count();
    files.write("certificate.yaml", &certificate());
    up.output.await_line_after(seen, "configuration in force");
    calls.iter_mut().for_each(|client| up.echo(client));
    clients().iter_mut().for_each(|client| up.echo(client));
}

#[test]
fn a_certificate_that_does_not_fit_its_key_is_the_business_of_its_own_gateway() {
    let tls = "TURN-TLS, tls: { certificateRefs: [ { name: certificate } ] }";
    let files = Files::of(&manifest());
    files.write("secure.yaml", &gateway("secure", tls));
    files.write("certificate.yaml", &certificate());
    let up = Up::start(&files);
    let secure = || {
        let mut client = TurnClient::tls(up.gateway).with(Credentials::fixed("user-1", "pass-1"));
        client.allocate().expect("allocated");
        client
    };
    let mut call = secure();
    let seen = up.output.line_count();
    files.write("certificate.yaml", &mismatch());
    let row = up.output.await_line_after(seen, "media/secure  ");
    assert!(row.contains("False (Invalid: ") && row.contains("cannot load cert/key pair"), "{row}");
    up.output.await_line_after(seen, "what ran of it runs on");

    // Others change meanwhile, and what ran runs on, for newcomers as well.
    files.write("gateway.yaml", &manifest().replace("prefixes: [ 127.0.0.1 ]", "prefixes: [ 127.0.0.2 ]"));
    let mut client = up.client(&Credentials::fixed("user-1", "pass-1"));
    support::eventually("the other Gateway's route has changed", || {
        client.create_permission(([127, 0, 0, 1], 9).into()).is_err()
    });
    call.refresh(600).expect("refreshed");
    secure();
    assert!(up.ice().contains("turns:127.0.0.1"), "{}", up.ice());
    assert!(up.get("/status").contains("cannot load cert/key pair"));

    let seen = up.output.line_count();
    files.write("certificate.yaml", &certificate());
    let row = up.output.await_line_after(seen, "media/secure  ");
    assert!(row.contains("True"), "{row}");
    call.refresh(600).expect("refreshed");
}

#[test]
fn kinds_of_no_use_are_named_once() {
    let files = Files::of(&manifest());
    files.write(
        "app.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, namespace: media }\n",
    );
    let up = Up::start(&files);
    up.output.await_line("skipped: apps/v1 Deployment");
    let seen = up.output.line_count();
    files.write("gateway.yaml", &manifest().replace("pass-1", "pass-2"));
    support::eventually("the change is in force", || up.ice().contains("pass-2"));
    assert!(up.output.lines()[seen..].iter().all(|line| !line.contains("skipped")));
}

#[test]
fn a_dry_run_prints_what_would_run_and_fails_on_an_error() {
    let files = Files::of(&manifest());
    let good = files.dry_run();
    let text = String::from_utf8_lossy(&good.stdout);
    assert!(good.status.success(), "{good:?}");
    assert!(text.contains("media/edge") && text.contains("endpoints:") && !text.contains("pass-1"), "{text}");
    files.write("gateway.yaml", &manifest().replace("protocol: TURN-UDP", "protocol: SCTP"));
    let bad = files.dry_run();
    let text = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text.contains("SCTP") && text.contains("spec.listeners[0].protocol"), "{text}");
    files.write("gateway.yaml", "kind: [");
    assert_eq!(files.dry_run().status.code(), Some(1));
}

#[test]
fn a_taken_port_is_named_with_its_holder_and_a_remedy() {
    let taken = UdpSocket::bind((GATEWAY, 0)).expect("bound");
    let files = Files::of(&manifest());
    let port = taken.local_addr().expect("bound").port();
    let refused = files.start_on(port).output().expect("run");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    for part in [&port.to_string(), &format!("process {}", std::process::id()), "choose another port"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn a_file_that_is_replaced_is_followed() {
    let files = Files::of(&manifest());
    let up = Up::start(&files);
    files.write("next", &manifest().replace("pass-1", "pass-4"));
    fs::rename(files.path("next"), files.path("gateway.yaml")).expect("renamed");
    support::eventually("the new file is in force", || up.ice().contains("pass-4"));
}

#[test]
fn a_signal_lets_calls_end_and_a_second_one_does_not_wait() {
    let files = Files::of(&manifest());
    let mut up = Up::start(&files);
    let mut client = up.client(&Credentials::fixed("user-1", "pass-1"));
    up.output.terminate();
    up.output.await_line("waiting for 1 allocations");
    up.echo(&mut client);
    let refused = TurnClient::udp(up.gateway).with(Credentials::fixed("user-1", "pass-1")).allocate();
    assert!(refused.is_err(), "a new allocation while draining");
    client.refresh(0).expect("released");
    assert!(up.output.await_exit().success());

    let files = Files::of(&manifest());
    let mut up = Up::start(&files);
    let _client = up.client(&Credentials::fixed("user-1", "pass-1"));
    up.output.terminate();
    up.output.await_line("waiting for 1 allocations");
    up.output.signal("INT");
    assert!(up.output.await_exit().success());
}

#[test]
fn hostile_input_on_every_port_leaves_a_call_alone() {
    let files = Files::of(&manifest());
    let up = Up::start(&files);
    let mut talking = up.client(&Credentials::fixed("user-1", "pass-1"));
    let mut garbage = TurnClient::udp(up.gateway);
    for packet in
        [&[0u8; 1][..], &[0xff; 1500], &[0x00, 0x01, 0xff, 0xff], b"GET / HTTP/1.1\r\n\r\n", &[0x40, 0x00]]
    {
        garbage.send_raw(packet);
    }
    for port in [up.status, up.auth, up.discovery] {
        support::raw_http(port, b"\x00\xff\x16\x03\x01 nonsense\r\n\r\n");
        support::raw_http(port, b"GET /ice?service=%ff&ttl=x HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    up.echo(&mut talking);
    assert!(up.get("/ready").contains("READY"));
}
