//! pion's TURN client, on which much of the Go world is built.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use interop::{Gateway, PASSWORD, USERNAME};
use kit::{Deadline, EchoPeer, Part, Process, cache, need, workspace};

/// The first build also compiles Go's own library.
const BUILD: Duration = Duration::from_secs(600);

fn build(go: &Part) -> PathBuf {
    let program = cache().join("bin/pion-turn-client");
    let mut command = go.command("go");
    command.current_dir(workspace().join("tests/interop/pion"));
    command.args(["build", "-mod=readonly", "-o"]).arg(&program).arg(".");
    Process::run(command, Deadline::after(BUILD));
    program
}

fn relays(transport: &str, server: fn(&Gateway) -> SocketAddr) {
    let Some(go) = need("go") else { return };
    let program = build(&go);
    let gateway = Gateway::start();
    let peer = EchoPeer::start();
    let mut client = Command::new(program);
    client.args([
        &server(&gateway).to_string(),
        transport,
        USERNAME,
        PASSWORD,
        &peer.address().to_string(),
        "200",
    ]);
    let lines = Process::run(client, Deadline::default());

    let relayed = peer.sources()[0];
    assert_eq!(lines[1..], [format!("relayed {relayed}"), "echoed 200".to_owned()]);
    assert!(lines[0].starts_with("mapped 127.0.0.1:"), "{lines:?}");
    assert_eq!(peer.sources(), vec![relayed; 200]);
}

#[test]
fn pion_relays_over_udp() {
    relays("udp", |gateway| gateway.plain);
}

#[test]
fn pion_relays_over_tcp() {
    relays("tcp", |gateway| gateway.plain);
}

#[test]
fn pion_relays_over_tls() {
    relays("tls", |gateway| gateway.secure);
}

#[test]
fn pion_relays_over_dtls() {
    relays("dtls", |gateway| gateway.secure);
}
