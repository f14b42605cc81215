//! The program measures what it says, with the servers that are here. No figure is judged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

use kit::{Deadline, Process, need, temp_dir};
use serde_json::Value;

/// Measures some cases briefly and gives the rows, after checking that no server failed.
fn rows(only: &str, servers: &str) -> Vec<Value> {
    let folder = temp_dir();
    let json = folder.path().join("rows.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command
        .args(["--rounds", "1", "--window", "100", "--only", only, "--servers", servers, "--json"])
        .arg(&json);
    let lines = Process::run(command, Deadline::after(Duration::from_secs(120)));
    assert!(lines.iter().any(|line| line.starts_with("### ")), "{lines:?}");
    serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
}

fn figure(row: &Value, name: &str) -> f64 {
    row["figures"][name]["median"].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"))
}

#[test]
fn the_bare_forwarder_forwards_in_every_mode() {
    let rows = rows("udp-single-172-w1,udp-burst-1200-w1", "bare,sockets");
    // Four modes one by one and in bursts; between clients there is nothing to have sockets for.
    assert_eq!(rows.len(), 2 * (4 + 3));
    for row in &rows {
        assert!(figure(row, "packets_per_second") > 0.0, "{row}");
        assert!(figure(row, "median") > 0.0, "{row}");
    }
}

#[test]
fn coturn_relays_for_udp_and_tcp_clients() {
    if need("coturn").is_none() {
        return;
    }
    let rows = rows("udp-single-172-w1,tcp-single-1200-w1,tcp-burst-1200-w1", "coturn");
    assert_eq!(rows.len(), 3 * 4);
    for row in &rows {
        assert!(figure(row, "packets_per_second") > 0.0, "{row}");
    }
}

#[test]
fn servers_relay_for_tls_and_dtls_clients() {
    if need("coturn").is_none() {
        return;
    }
    // `bench` looks for the other program beside itself, which is where this one is built.
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_bench")).with_file_name("stunnerd");
    let servers = if kit::binary("stunnerd") == beside { "stunnerd,coturn" } else { "coturn" };
    let rows = rows("tls-single-1200,dtls-single-1200", servers);
    assert_eq!(rows.len(), servers.split(',').count() * 2 * 3);
    for row in &rows {
        assert!(figure(row, "packets_per_second") > 0.0, "{row}");
    }
}

#[test]
fn load_and_workers_share_one_processor_and_two() {
    if need("coturn").is_none() {
        return;
    }
    let rows = rows("scale-burst", "coturn");
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert!(figure(row, "packets_per_second") > 0.0, "{row}");
    }
}

#[test]
fn clients_come_and_go() {
    if need("coturn").is_none() {
        return;
    }
    let rows = rows("churn", "coturn");
    assert!(figure(&rows[0], "allocations_per_second") > 0.0);
}

#[test]
fn the_anatomy_has_what_can_be_counted_here() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(["--anatomy", "--window", "50", "--only", "echo-udp-single-172-w1", "--servers", "bare"]);
    let lines = Process::run(command, Deadline::after(Duration::from_secs(120)));
    assert!(
        lines.iter().any(|line| line.starts_with("| echo-udp-single-172-w1 | bare forwarder |")),
        "{lines:?}"
    );
}

#[test]
fn the_list_names_every_case() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.arg("--list");
    let lines = Process::run(command, Deadline::default());
    assert_eq!(lines.len(), bench::case::all().len());
}
