//! What every command that asks somebody prints in every format, word for word. Whoever is asked always answers the same.

use std::process::Command;

use axum::{Router, routing::get};
use tokio::net::TcpListener;

/// Commands as people type them, each followed by what it prints; the address of the server stands as `SERVER`.
const GOLDEN: &str = include_str!("golden/formats.txt");

const COMMANDS: [&str; 5] = [
    "config stunner/udp-gateway --cds-server-address SERVER",
    "status --pod-address SERVER",
    "explain --peer 10.0.0.1:80 --admin SERVER",
    "auth --auth-server-address SERVER",
    "license --cds-server-address SERVER",
];

/// A field of each answer, for the template.
const FIELDS: [&str; 5] =
    ["{.admin.name}", "{.status}", "{.refusals[*].code}", "{.iceServers[0].urls[0]}", "{.subscriptionType}"];

/// Somebody who plays discovery, dataplane and authentication service at once.
fn serve(runtime: &tokio::runtime::Runtime) -> String {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let router = Router::new()
        .route(
            "/api/v1/configs/stunner/udp-gateway",
            get(async || include_str!("golden/cds-udp-gateway.json")),
        )
        .route("/api/v1/license", get(async || include_str!("golden/license.json")))
        .route("/status", get(async || include_str!("golden/status.json")))
        .route("/explain", get(async || include_str!("golden/explain.json")))
        .route("/ice", get(async || include_str!("golden/ice.json")));
    runtime.spawn(async { axum::serve(listener, router).await });
    address
}

#[test]
fn every_command_prints_every_format() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (server, home) = (serve(&runtime), tempfile::tempdir().expect("a home"));
    let mut printed = String::new();
    for (command, field) in COMMANDS.iter().zip(FIELDS) {
        let template = format!("jsonpath={field}");
        for format in ["summary", "yaml", "json", "string", &template] {
            let line = format!("{command} -o {format}");
            let mut program = Command::new(env!("CARGO_BIN_EXE_stunnerctl"));
            program.env_clear().env("HOME", home.path());
            program.args(line.replace("SERVER", &server).split(' '));
            let output = program.output().expect("it runs");
            assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8(output.stdout).expect("text");
            printed += &format!("$ stunnerctl {line}\n{}", text.replace(&server, "SERVER"));
        }
    }
    assert!(printed == GOLDEN, "tests/golden/formats.txt should be:\n{printed}");
}
