//! coturn's load client and its echo server, the reference that every TURN server is tried with.

use interop::{Gateway, PASSWORD, USERNAME};
use kit::{Deadline, Part, Process, TurnClient, free_port, need};

const CLIENTS: usize = 4;
const MESSAGES: usize = 50;

/// What a run of `turnutils_uclient` says at its end.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    sent: usize,
    received: usize,
    lost: usize,
}

/// Runs clients against a gateway and an echo server; `flags` are `turnutils_uclient`'s.
fn run(coturn: &Part, gateway: &Gateway, flags: &[&str]) -> Summary {
    // With RTCP the client sends to the next port too, on which the echo server listens by itself.
    let peer = free_port();
    let address = gateway.plain.ip();
    let mut echo = coturn.command("turnutils_peer");
    echo.args(["-L", &address.to_string(), "-p", &peer.to_string()]);
    let _echo = Process::spawn(echo);

    let server = if flags.contains(&"-S") { gateway.secure } else { gateway.plain };
    let mut client = coturn.command("turnutils_uclient");
    client.args(["-u", USERNAME, "-w", PASSWORD, "-e", &address.to_string(), "-l", "170"]);
    client.args([format!("-r{peer}"), format!("-p{}", server.port())]);
    client.args(address.is_ipv6().then_some("-x"));
    client.args([format!("-m{CLIENTS}"), format!("-n{MESSAGES}"), "-z2".to_owned()]);
    client.args(flags).arg(address.to_string());
    let lines = Process::run(client, Deadline::default());
    let last = |word: &str| {
        let line = lines.iter().rev().find(|line| line.contains(word));
        line.unwrap_or_else(|| panic!("no {word} in: {lines:#?}")).as_str()
    };
    let messages = last("tot_send_msgs=");
    Summary {
        sent: number_after(messages, "tot_send_msgs="),
        received: number_after(messages, "tot_recv_msgs="),
        lost: number_after(last("Total lost packets"), "Total lost packets "),
    }
}

fn number_after(line: &str, mark: &str) -> usize {
    let rest = line.split(mark).nth(1).unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after {mark:?} in {line:?}"))
}

fn nothing_is_lost(flags: &[&str]) {
    nothing_is_lost_at(Gateway::start, flags);
}

fn nothing_is_lost_over_ipv6(flags: &[&str]) {
    nothing_is_lost_at(Gateway::over_ipv6, flags);
}

fn nothing_is_lost_at(start: fn() -> Gateway, flags: &[&str]) {
    let Some(coturn) = need("coturn") else { return };
    let gateway = start();
    let summary = run(&coturn, &gateway, flags);
    assert_eq!(summary.lost, 0, "{flags:?}: {summary:?}");
    assert_eq!(summary.received, summary.sent, "{flags:?}: {summary:?}");
    assert!(summary.sent >= CLIENTS * MESSAGES, "{flags:?}: {summary:?}");
}

/// Over TLS this client loses messages with its own server too: it forgets a record that was decrypted together
/// with the one it read. So it is one client, in no hurry, and some of what it sends must come back.
fn tls_works(start: fn() -> Gateway, flags: &[&str]) {
    let Some(coturn) = need("coturn") else { return };
    let gateway = start();
    let summary = run(&coturn, &gateway, &[flags, &["-m1", "-z20"]].concat());
    assert_eq!(summary.sent, MESSAGES, "{flags:?}: {summary:?}");
    assert!(summary.received > MESSAGES / 2, "{flags:?}: {summary:?}");
}

#[test]
fn indications_over_udp() {
    nothing_is_lost(&["-s", "-c"]);
}

#[test]
fn indications_over_tcp() {
    nothing_is_lost(&["-s", "-c", "-t"]);
}

#[test]
fn indications_over_tls() {
    tls_works(Gateway::start, &["-s", "-c", "-t", "-S"]);
}

#[test]
fn indications_over_dtls() {
    nothing_is_lost(&["-s", "-c", "-S"]);
}

#[test]
fn channels_over_udp() {
    nothing_is_lost(&["-c"]);
}

#[test]
fn channels_over_tcp() {
    nothing_is_lost(&["-c", "-t"]);
}

#[test]
fn channels_over_tls() {
    tls_works(Gateway::start, &["-c", "-t", "-S"]);
}

#[test]
fn channels_over_dtls() {
    nothing_is_lost(&["-c", "-S"]);
}

#[test]
fn ipv6_indications_over_udp() {
    nothing_is_lost_over_ipv6(&["-s", "-c"]);
}

#[test]
fn ipv6_channels_over_udp() {
    nothing_is_lost_over_ipv6(&["-c"]);
}

#[test]
fn ipv6_channels_over_tcp() {
    nothing_is_lost_over_ipv6(&["-c", "-t"]);
}

#[test]
fn ipv6_channels_over_tls() {
    tls_works(Gateway::over_ipv6, &["-c", "-t", "-S"]);
}

#[test]
fn ipv6_channels_over_dtls() {
    nothing_is_lost_over_ipv6(&["-c", "-S"]);
}

#[test]
fn ipv6_client_to_client_over_udp() {
    nothing_is_lost_over_ipv6(&["-y", "-c"]);
}

#[test]
fn ipv6_tcp_relays() {
    nothing_is_lost_over_ipv6(&["-t", "-T"]);
}

#[test]
fn pairs_of_ports_for_rtcp() {
    nothing_is_lost(&[]);
}

#[test]
fn client_to_client_over_udp() {
    nothing_is_lost(&["-y", "-c"]);
}

#[test]
fn client_to_client_over_tcp() {
    nothing_is_lost(&["-y", "-c", "-t"]);
}

#[test]
fn client_to_client_with_indications() {
    nothing_is_lost(&["-y", "-s", "-c"]);
}

#[test]
fn packets_that_may_not_be_fragmented() {
    nothing_is_lost(&["-g", "-c"]);
}

/// RFC 6062: clients connect to each other through their relays, and data goes over connections of its own. This client
/// signs what it asks on one connection with the nonce it was given on another. If that is refused, it asks for a
/// connection with the wrong peer the second time, and waits half a minute for the one that is missing.
#[test]
fn tcp_relays() {
    nothing_is_lost(&["-t", "-T"]);
}

/// RFC 5780. There is no NAT on loopback, which looks like a very friendly one.
#[test]
fn behaviour_of_a_nat() {
    let Some(coturn) = need("coturn") else { return };
    let gateway = Gateway::with_udp_field(&format!("nat_discovery: 127.0.0.2:{}", free_port()));
    for (flags, found) in [
        (&["-m"][..], "NAT with Endpoint Independent Mapping!"),
        (&["-m", "-P"], "NAT with Endpoint Independent Mapping!"),
        (&["-f"], "NAT with Endpoint Independent Filtering!"),
        (&["-f", "-P"], "NAT with Endpoint Independent Filtering!"),
    ] {
        let mut client = coturn.command("turnutils_natdiscovery");
        client.args(flags).args([format!("-p{}", gateway.plain.port()), gateway.plain.ip().to_string()]);
        let lines = Process::run(client, Deadline::default());
        assert!(lines.iter().any(|line| line.contains(found)), "{flags:?}: {lines:#?}");
    }
}

#[test]
fn repeated_permissions_and_bindings() {
    nothing_is_lost(&["-G", "-c"]);
}

#[test]
fn a_wrong_password_allocates_nothing() {
    let Some(coturn) = need("coturn") else { return };
    let gateway = Gateway::start();
    let mut client = coturn.command("turnutils_uclient");
    client.args(["-u", USERNAME, "-w", "guessed", "-e", "127.0.0.1", "-c"]);
    client.args([format!("-p{}", gateway.plain.port()), gateway.plain.ip().to_string()]);
    let mut client = Process::spawn(client);
    client.await_line("Cannot complete Allocation");
    assert!(!client.await_exit().success());
    TurnClient::udp(gateway.plain).binding().unwrap();
}
