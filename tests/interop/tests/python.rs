//! A WebRTC stack in Python: aioice's TURN client, and aiortc's data channels over it.

use interop::{Gateway, PASSWORD, USERNAME};
use kit::{Deadline, EchoPeer, Part, Process, need, workspace};

fn run(python: &Part, script: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = python.command("python");
    command.arg(workspace().join("tests/interop").join(script)).args(arguments);
    Process::run(command, Deadline::default())
}

fn turn_client(transport: &str) {
    let Some(python) = need("aiortc") else { return };
    let gateway = Gateway::start();
    let peer = EchoPeer::start();
    let [server_port, peer_port] = [gateway.plain, peer.address()].map(|address| address.port().to_string());
    let server = ["127.0.0.1", &server_port, transport, USERNAME, PASSWORD];
    let lines =
        run(&python, "turn_client.py", &[server.as_slice(), &["127.0.0.1", &peer_port, "200"]].concat());

    let relayed = peer.sources()[0];
    assert_eq!(lines, [format!("relayed {} {}", relayed.ip(), relayed.port()), "echoed 200".to_owned()]);
    assert_eq!(peer.sources(), vec![relayed; 200]);
}

#[test]
fn aioice_relays_over_udp() {
    turn_client("udp");
}

#[test]
fn aioice_relays_over_tcp() {
    turn_client("tcp");
}

/// Both peers are behind relays of the same gateway, as the two windows of the tutorial are.
fn data_channel(first: &str, second: &str) {
    let Some(python) = need("aiortc") else { return };
    let gateway = Gateway::start();
    let [first, second] =
        [first, second].map(|transport| format!("turn:{}?transport={transport}", gateway.plain));
    let lines = run(&python, "data_channel.py", &[&first, &second, USERNAME, PASSWORD, "100"]);

    let candidates: Vec<&String> = lines.iter().filter(|line| line.starts_with("candidate")).collect();
    assert_eq!(candidates.len(), 2, "{lines:?}");
    for candidate in candidates {
        assert!(
            candidate.starts_with("candidate 127.0.0.1 ") && candidate.ends_with(" relay"),
            "{candidate}"
        );
    }
    assert_eq!(lines.last().map(String::as_str), Some("echoed 100"));
}

#[test]
fn a_data_channel_opens_over_two_udp_relays() {
    data_channel("udp", "udp");
}

#[test]
fn a_data_channel_opens_over_two_tcp_connections() {
    data_channel("tcp", "tcp");
}

#[test]
fn t21_a_data_channel_opens_between_udp_and_tcp() {
    data_channel("udp", "tcp");
}
