//! Listeners whose clients are encrypted: they relay as the others do, change their certificate under live
//! sessions, and stay there for honest clients while others mean harm.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{Call, EPHEMERAL, Gateway, Pair, Text, address, await_that, echo, get, scrape, static_user};
use dataplane::{HandshakeLimits, Options};
use kit::{Credentials, EchoPeer, Part, TurnClient};
use rustls::{ClientConnection, StreamOwned};

/// The two listeners of every test, and an encrypted one.
fn text(pair: &Pair, protocol: &str, port: u16) -> Text {
    let mut text = Text::new();
    text.listeners.push(pair.listener("secure", protocol, port));
    text
}

fn tls(port: u16) -> TurnClient {
    TurnClient::tls(address(port)).with(static_user())
}

fn dtls(openssl: &Part, port: u16) -> TurnClient {
    TurnClient::dtls(openssl, address(port)).with(static_user())
}

/// The certificate that a new client is shown.
fn shown(port: u16) -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(kit::trusting_tls(), name).unwrap();
    let mut tls = StreamOwned::new(connection, TcpStream::connect(address(port)).unwrap());
    tls.conn.complete_io(&mut tls.sock).unwrap();
    tls.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Whether the other side closes a connection on which nothing is said any more.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(kit::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    // A reset is an end, too.
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn relays_for(mut client: TurnClient, local: Option<SocketAddr>) {
    let peer = EchoPeer::start();
    let seen = client.binding().unwrap();
    assert!(local.is_none_or(|local| local == seen));
    let relayed = client.allocate().unwrap().relayed;
    client.create_permission(peer.address()).unwrap();
    client.send(peer.address(), b"in an indication");
    assert_eq!(client.recv().data(), b"in an indication");
    client.channel_bind(0x4000, peer.address()).unwrap();
    echo(&mut client, 0x4000, 20);
    assert!(peer.sources().iter().all(|source| *source == relayed));
    assert_eq!(peer.sources().len(), 21);
}

#[test]
fn a04_tls_relays_an_echo_with_static_and_ephemeral_credentials() {
    let (pair, port) = (Pair::new(), kit::free_port());
    for (auth, user) in
        [(common::STATIC, static_user()), (EPHEMERAL, Credentials::ephemeral("my-secret", "4000000000:user"))]
    {
        let _gateway = Gateway::start(&text(&pair, "TURN-TLS", port).auth(auth));
        let client = TurnClient::tls(address(port));
        let local = client.local();
        relays_for(client.with(user), Some(local));
    }
}

#[test]
fn r03_only_a_listener_that_becomes_tls_is_reported_as_restarted() {
    let (pair, port) = (Pair::new(), kit::free_port());
    let mut before = Text::new();
    before.listeners.push(common::listener("secure", "TURN-TCP", port, "[loop]"));
    let gateway = Gateway::start(&before);
    let mut call = Call::start(gateway.tcp());
    let mut after = before.clone();
    after.listeners[2] = pair.listener("secure", "TURN-TLS", port);
    after.listeners.push(common::listener("more", "TURN-UDP", kit::free_port(), "[loop]"));
    assert_eq!(gateway.apply(&after).restarted, ["listener: secure"]);
    call.goes_on();
    Call::start(tls(port));
    assert_eq!(gateway.apply(&before).restarted, ["listener: secure"]);
    Call::start(TurnClient::tcp(address(port)).with(static_user()));
    call.goes_on();
}

#[test]
fn r09_a_broken_pair_changes_nothing_and_says_why() {
    let (pair, port) = (Pair::new(), kit::free_port());
    let text = text(&pair, "TURN-TLS", port);
    let gateway = Gateway::start(&text);
    let (mut udp, mut secure) = (Call::start(gateway.udp()), Call::start(tls(port)));
    let not_pem = BASE64_STANDARD.encode("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for broken in [Pair { cert: not_pem, ..pair.clone() }, Pair { key: Pair::new().key, ..pair.clone() }] {
        let mut change = text.clone().auth(EPHEMERAL);
        change.listeners[2] = broken.listener("secure", "TURN-TLS", port);
        let problem = gateway.try_apply(&change).unwrap_err().to_string();
        assert!(problem.contains("cannot load cert/key pair"), "{problem}");
        assert!(!problem.contains(&pair.key), "{problem}");
        udp.goes_on();
        secure.goes_on();
        assert_eq!(shown(port), pair.der);
        Call::start(gateway.udp());
    }
}

#[test]
fn w03_short_names_of_protocols_are_served_and_mean_the_same() {
    let Some(openssl) = kit::need("openssl") else { return };
    let pair = Pair::new();
    let (plain, secure) = (kit::free_port(), kit::free_port());
    let named = |prefix: &str| {
        Text::new().listeners(&[
            common::listener("udp", &format!("{prefix}UDP"), plain, "[loop]"),
            common::listener("tcp", &format!("{prefix}TCP"), plain, "[loop]"),
            pair.listener("tls", &format!("{prefix}TLS"), secure),
            pair.listener("dtls", &format!("{prefix}DTLS"), secure),
        ])
    };
    let gateway = Gateway::start(&Text { port: plain, ..named("") });
    let mut calls = [gateway.udp(), gateway.tcp(), tls(secure), dtls(&openssl, secure)].map(Call::start);
    assert!(gateway.apply(&named("TURN-")).restarted.is_empty());
    calls.iter_mut().for_each(Call::goes_on);
}

/// Certificates of listeners that need none, or no longer, are nobody's business.
#[test]
fn w05_a_listener_that_was_tls_starts_over_once_and_not_with_every_configuration() {
    let (pair, port) = (Pair::new(), kit::free_port());
    let before = text(&pair, "TURN-TLS", port);
    let gateway = Gateway::start(&before);
    let mut after = before;
    after.listeners[2] = pair.listener("secure", "TURN-TCP", port);
    assert_eq!(gateway.apply(&after).restarted, ["listener: secure"]);
    let mut call = Call::start(TurnClient::tcp(address(port)).with(static_user()));
    assert!(gateway.apply(&after).restarted.is_empty());
    after.listeners[2] = common::listener("secure", "TURN-TCP", port, "[loop]");
    assert!(gateway.apply(&after).restarted.is_empty());
    call.goes_on();
}

#[test]
fn certificate_rotation_drops_every_session_of_the_listener() {
    let (old, new, port) = (Pair::new(), Pair::new(), kit::free_port());
    let before = text(&old, "TURN-TLS", port);
    let gateway = Gateway::start(&before);
    let mut call = Call::start(tls(port));
    assert_eq!(shown(port), old.der);
    let mut rotated = before;
    rotated.listeners[2] = new.listener("secure", "TURN-TLS", port);
    assert!(gateway.apply(&rotated).restarted.is_empty());
    assert_eq!(shown(port), new.der);
    call.goes_on();
    assert_eq!(call.client.refresh(600).unwrap(), 600);
    Call::start(tls(port));
    call.goes_on();
}

#[test]
fn stopped_tls_listeners_accepted_connections_live_on_as_orphans() {
    let (pair, port) = (Pair::new(), kit::free_port());
    let with = text(&pair, "TURN-TLS", port);
    let gateway = Gateway::start(&with);
    let mut other = Call::start(gateway.udp());
    let mut call = Call::start(tls(port));
    let mut handshaking = TcpStream::connect(address(port)).unwrap();
    gateway.await_allocations(2);
    let mut without = with;
    without.listeners.truncate(2);
    assert!(gateway.apply(&without).restarted.is_empty());
    assert_eq!(gateway.dataplane.allocations(), 1);
    assert!(call.client.binding().is_err());
    assert!(is_closed(&mut handshaking));
    assert!(TcpStream::connect(address(port)).is_err());
    other.goes_on();
}

#[test]
fn what_is_no_tls_is_closed_and_a_call_goes_on() {
    let (pair, port) = (Pair::new(), kit::free_port());
    let gateway = Gateway::start(&text(&pair, "TURN-TLS", port));
    let mut call = Call::start(tls(port));
    // The start of a ClientHello that announces more than there may be, HTTP, TURN in the clear, and zeroes.
    let binding = b"\x00\x01\x00\x00\x21\x12\xA4\x42stunner-test";
    for bytes in [&b"\x16\x03\x01\xFF\xFF\x01"[..], b"GET / HTTP/1.1\r\n\r\n", binding, &[0; 100]] {
        let mut stream = TcpStream::connect(address(port)).unwrap();
        stream.write_all(bytes).unwrap();
        assert!(is_closed(&mut stream), "{bytes:?}");
        call.goes_on();
    }
    assert_eq!(gateway.dataplane.allocations(), 1);
}

/// Garbage inside of TLS is what garbage on a TCP listener is.
#[test]
fn garbage_in_tls_ends_its_connection_only() {
    let (pair, port) = (Pair::new(), kit::free_port());
    let _gateway = Gateway::start(&text(&pair, "TURN-TLS", port));
    let mut call = Call::start(tls(port));
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(kit::trusting_tls(), name).unwrap();
    let mut garbage = StreamOwned::new(connection, TcpStream::connect(address(port)).unwrap());
    garbage.write_all(&[0xFF; 100]).unwrap();
    garbage.sock.set_read_timeout(Some(kit::PATIENCE)).unwrap();
    // Zero bytes without an error: the server said goodbye.
    assert_eq!(garbage.read(&mut [0; 16]).unwrap(), 0);
    call.goes_on();
}

#[test]
fn a_handshake_that_stalls_is_closed_in_time() {
    let (pair, port) = (Pair::new(), kit::free_port());
    let timeout = Duration::from_millis(300);
    let options = Options { first_message_timeout: timeout, ..common::options() };
    let _gateway = Gateway::with_options(&text(&pair, "TURN-TLS", port), options);
    let mut silent = TcpStream::connect(address(port)).unwrap();
    let mut half = TcpStream::connect(address(port)).unwrap();
    half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03").unwrap();
    let mut call = Call::start(tls(port));
    assert!(is_closed(&mut silent));
    assert!(is_closed(&mut half));
    call.goes_on();
}

/// More half-open connections than a source may have: the oldest make room, live sessions do not notice, and
/// newcomers get in.
#[test]
fn a_flood_of_handshakes_displaces_only_its_own() {
    const FLOOD: usize = 600;
    let (pair, port, metrics) = (Pair::new(), kit::free_port(), address(kit::free_port()));
    let admin = format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'");
    // The limits are each worker's.
    let _gateway = Gateway::with_workers(&text(&pair, "TURN-TLS", port).admin(&admin), 1);
    let mut call = Call::start(tls(port));
    let mut flood: Vec<TcpStream> = (0..FLOOD).map(|_| TcpStream::connect(address(port)).unwrap()).collect();
    for stream in &mut flood {
        // The first ones may be gone by now.
        let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03");
    }
    assert!(is_closed(&mut flood[0]));
    call.goes_on();
    let mut newcomer = Call::start(tls(port));
    newcomer.goes_on();
    let last = flood.last_mut().unwrap();
    last.set_nonblocking(true).unwrap();
    await_that("the last one waits on", || {
        last.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    });
    call.goes_on();
    let counted = scrape(metrics, "/");
    let of = |outcome| {
        counted[&format!(r#"stunner_listener_handshakes_total{{name="secure",outcome="{outcome}"}}"#)]
    };
    let kept = HandshakeLimits::default().per_source;
    // The newcomer's took the place of one more.
    assert_eq!(of("displaced") as usize, FLOOD - kept + 1);
    assert_eq!(of("completed"), 2.0);
}

#[test]
fn handshakes_in_flight_are_as_many_as_configured() {
    let (pair, port, metrics) = (Pair::new(), kit::free_port(), address(kit::free_port()));
    let admin = |limits: &str| {
        format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}', limits: {{ {limits} }}")
    };
    let text = text(&pair, "TURN-TLS", port);
    let gateway = Gateway::with_workers(&text.clone().admin(&admin("handshakes_per_address: 3")), 1);
    let displaced = || {
        let series = r#"stunner_listener_handshakes_total{name="secure",outcome="displaced"}"#;
        scrape(metrics, "/").get(series).copied().unwrap_or(0.0)
    };
    let mut waiting: Vec<_> = (0..5).map(|_| TcpStream::connect(address(port)).unwrap()).collect();
    await_that("two have made room", || displaced() == 2.0);
    assert!(is_closed(&mut waiting[0]) && is_closed(&mut waiting[1]));
    // Fewer are in force at once, for whoever begins.
    gateway.apply(&text.admin(&admin("handshakes: 1")));
    let mut call = Call::start(tls(port));
    await_that("one more has made room", || displaced() == 3.0);
    call.goes_on();
}

/// A certificate that nobody can use is the business of its own gateway.
#[test]
fn a_broken_pair_keeps_its_gateway_as_it_was_and_no_other_one_waiting() {
    let (pair, port, health) = (Pair::new(), kit::free_port(), address(kit::free_port()));
    let admin = format!("healthcheck_endpoint: 'http://{health}'");
    let good = text(&pair, "TURN-TLS", port).admin(&admin);
    let other = Text::new().admin(&admin);
    let dataplane = dataplane::Dataplane::start(common::options()).unwrap();
    let apply = |one: &Text, two: &Text| {
        let both = [("media/one".to_owned(), one.config()), ("media/two".to_owned(), two.config())];
        dataplane.apply(&both.into())
    };
    let status = |gateway: &str| {
        let (_, _, body) = get(health, &format!("/status?gateway={gateway}")).unwrap();
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    assert!(apply(&good, &other).unwrap().refused.is_empty());
    let mut secure = Call::start(tls(port));
    let mut call = Call::start(TurnClient::udp(address(other.port)).with(static_user()));

    let mut broken = good.clone().auth(EPHEMERAL);
    broken.listeners[2] = Pair { key: Pair::new().key, ..pair.clone() }.listener("secure", "TURN-TLS", port);
    let changed = other.auth(EPHEMERAL);
    let report = apply(&broken, &changed).unwrap();
    assert_eq!(report.refused.keys().collect::<Vec<_>>(), ["media/one"]);
    assert!(report.refused["media/one"].contains("cannot load cert/key pair"), "{report:?}");
    // The one is what it was, with its certificate and its credentials, and its status says why.
    assert_eq!(shown(port), pair.der);
    Call::start(tls(port));
    secure.goes_on();
    assert_eq!(status("media/one")["auth"]["type"], "static");
    let told = status("media/one");
    let [problem] = &told["problems"].as_array().unwrap()[..] else { panic!("{told}") };
    let problem = problem.as_str().unwrap();
    assert!(problem.contains("media/one") && problem.contains("\"secure\""), "{problem}");
    assert!(!problem.contains(&pair.key[..40]), "{problem}");
    // The other has changed.
    assert_eq!(status("media/two")["auth"]["type"], "ephemeral");
    assert_eq!(status("media/two").get("problems"), None);
    call.goes_on();
    assert!(call.client.refresh(600).is_err());

    assert!(apply(&good, &changed).unwrap().refused.is_empty());
    assert_eq!(status("media/one").get("problems"), None);
    secure.goes_on();
}

#[test]
fn secrets_and_tls_private_keys_on_an_open_status_port() {
    let (pair, port, health) = (Pair::new(), kit::free_port(), address(kit::free_port()));
    let admin = format!("healthcheck_endpoint: 'http://{health}'");
    let gateway = Gateway::start(&text(&pair, "TURN-TLS", port).admin(&admin));
    let (_, _, body) = get(health, "/status").unwrap();
    assert!(body.contains("TURN-TLS"), "{body}");
    for shown in [body, format!("{:?} {:?}", gateway.dataplane.status(), gateway.dataplane)] {
        assert!(!shown.contains(&pair.key[60..100]), "{shown}");
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
}

#[test]
fn a04_dtls_relays_an_echo_with_static_and_ephemeral_credentials() {
    let Some(openssl) = kit::need("openssl") else { return };
    let port = kit::free_port();
    for pair in [Pair::new(), Pair::rsa(&openssl)] {
        for (auth, user) in [
            (common::STATIC, static_user()),
            (EPHEMERAL, Credentials::ephemeral("my-secret", "4000000000:user")),
        ] {
            let _gateway = Gateway::start(&text(&pair, "TURN-DTLS", port).auth(auth));
            relays_for(TurnClient::dtls(&openssl, address(port)).with(user), None);
        }
    }
}

/// Replies leave from the address that the client talks to, which its socket insists on.
#[test]
fn dtls_over_ipv6_and_to_another_address_of_this_machine() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (pair, port) = (Pair::new(), kit::free_port());
    let _gateway = Gateway::start(&text(&pair, "TURN-DTLS", port));
    for server in [SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)), ([127, 0, 0, 9], port).into()] {
        let seen = TurnClient::dtls(&openssl, server).binding().unwrap();
        assert_eq!(seen.is_ipv6(), server.is_ipv6());
    }
}

#[test]
fn r03_only_a_listener_that_becomes_dtls_is_reported_as_restarted() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (pair, port) = (Pair::new(), kit::free_port());
    let mut before = Text::new();
    before.listeners.push(common::listener("secure", "TURN-UDP", port, "[loop]"));
    let gateway = Gateway::start(&before);
    let mut call = Call::start(gateway.tcp());
    let mut after = before.clone();
    after.listeners[2] = pair.listener("secure", "TURN-DTLS", port);
    after.listeners.push(common::listener("more", "TURN-UDP", kit::free_port(), "[loop]"));
    assert_eq!(gateway.apply(&after).restarted, ["listener: secure"]);
    call.goes_on();
    Call::start(dtls(&openssl, port));
    assert_eq!(gateway.apply(&before).restarted, ["listener: secure"]);
    Call::start(TurnClient::udp(address(port)).with(static_user()));
    call.goes_on();
}

#[test]
fn stopped_dtls_listeners_sessions_end_with_it() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (pair, port) = (Pair::new(), kit::free_port());
    let with = text(&pair, "TURN-DTLS", port);
    let gateway = Gateway::start(&with);
    let mut other = Call::start(gateway.udp());
    let mut call = Call::start(dtls(&openssl, port));
    gateway.await_allocations(2);
    let mut without = with;
    without.listeners.truncate(2);
    assert!(gateway.apply(&without).restarted.is_empty());
    assert_eq!(gateway.dataplane.allocations(), 1);
    // It was told so.
    assert!(call.client.binding().is_err());
    other.goes_on();
    await_that("the port is free", || std::net::UdpSocket::bind(address(port)).is_ok());
}

#[test]
fn a_dtls_client_that_says_goodbye_leaves_nothing() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (pair, port, metrics) = (Pair::new(), kit::free_port(), address(kit::free_port()));
    let admin = format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'");
    let _gateway = Gateway::start(&text(&pair, "TURN-DTLS", port).admin(&admin));
    let mut client = openssl.command("openssl");
    client.args(["s_client", "-dtls1_2", "-connect", &address(port).to_string()]);
    // It ends with its input.
    let printed = client.stdin(std::process::Stdio::null()).output().unwrap().stdout;
    let printed = String::from_utf8_lossy(&printed);
    assert!(printed.contains("Extended master secret: yes"), "{printed}");
    assert!(printed.contains("Secure Renegotiation IS supported"), "{printed}");
    let value = |series: &str| scrape(metrics, "/").get(series).copied();
    await_that("its end is noticed", || value(r#"stunner_listener_connections{name="secure"}"#) == Some(0.0));
    assert_eq!(value(r#"stunner_listener_connections_total{name="secure"}"#), Some(1.0));
    assert_eq!(value(r#"stunner_listener_handshakes_total{name="secure",outcome="completed"}"#), Some(1.0));
}

#[test]
fn silent_dtls_sessions_end_and_those_with_an_allocation_do_not() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (pair, port, metrics) = (Pair::new(), kit::free_port(), address(kit::free_port()));
    let admin = format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'");
    let timeout = Duration::from_secs(1);
    let options =
        Options { workers: 1, first_message_timeout: timeout, idle_timeout: timeout, ..Options::default() };
    let _gateway = Gateway::with_options(&text(&pair, "TURN-DTLS", port).admin(&admin), options);
    let mut call = Call::start(dtls(&openssl, port));
    let _silent = TurnClient::dtls(&openssl, address(port));
    let mut idle = TurnClient::dtls(&openssl, address(port));
    idle.binding().unwrap();
    let connections = || scrape(metrics, "/")[r#"stunner_listener_connections{name="secure"}"#];
    await_that("both idle ones are gone", || connections() == 1.0);
    call.goes_on();
}

/// Garbage inside of DTLS is dropped, as it is over UDP.
#[test]
fn what_is_no_dtls_changes_nothing() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (pair, port) = (Pair::new(), kit::free_port());
    let gateway = Gateway::start(&text(&pair, "TURN-DTLS", port));
    let mut call = Call::start(dtls(&openssl, port));
    let socket = std::net::UdpSocket::bind(address(0)).unwrap();
    socket.connect(address(port)).unwrap();
    let binding = b"\x00\x01\x00\x00\x21\x12\xA4\x42stunner-test";
    for bytes in
        [&b""[..], b"\x16", binding, &[0; 1200], &[0xFE; 100], b"\x16\xFE\xFD\0\0\0\0\0\0\0\0\xFF\xFF"]
    {
        socket.send(bytes).unwrap();
        call.goes_on();
    }
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.recv(&mut [0; 16]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(gateway.dataplane.allocations(), 1);
}
