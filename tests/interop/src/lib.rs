//! A running gateway for clients that nobody here wrote. The clients are in `tests/`, one file a program.
//!
//! Everything is on one address, of loopback unless a test says otherwise, which the gateway's clusters admit: as
//! address of peers, and as its own relay address, so that clients reach each other through two relays.

#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kit::{Credentials, Process, TurnClient, Way, await_tcp, binary, free_port, temp_dir};
use tempfile::TempDir;

/// The name that clients log in with.
pub const USERNAME: &str = "user-1";
/// The password that goes with it.
pub const PASSWORD: &str = "pass-1";

/// The dataplane as its own process; its log is shown when a test fails.
#[derive(Debug)]
pub struct Gateway {
    /// TURN over UDP and TCP.
    pub plain: SocketAddr,
    /// TURN over TLS and DTLS.
    pub secure: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Gateway {
    /// Starts a gateway on 127.0.0.1 and waits until it answers on all its listeners.
    #[track_caller]
    pub fn start() -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), "")
    }

    /// The same on `::1`.
    #[track_caller]
    pub fn over_ipv6() -> Self {
        Self::at(Ipv6Addr::LOCALHOST.into(), "")
    }

    /// The first with one more field, as a line of YAML, in the UDP listener.
    #[track_caller]
    pub fn with_udp_field(field: &str) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), field)
    }

    /// The same on an address of this machine.
    #[track_caller]
    pub fn at(address: IpAddr, udp_field: &str) -> Self {
        let [plain, secure] = [free_port(), free_port()].map(|port| SocketAddr::new(address, port));
        let folder = temp_dir();
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, configuration(address, [plain.port(), secure.port()], udp_field))
            .expect("a file for the configuration");
        let mut command = Command::new(binary("stunnerd"));
        command.arg("--config").arg(&file);
        Way::chosen().tell(&mut command, "--udp-thread-num");
        let process = Process::spawn(command);
        await_tcp(plain);
        await_tcp(secure);
        TurnClient::udp(plain).binding().expect("the UDP listener answers");
        Self { plain, secure, _process: process, _folder: folder }
    }
}

/// What clients log in with.
pub fn credentials() -> Credentials {
    Credentials::fixed(USERNAME, PASSWORD)
}

fn configuration(address: IpAddr, [plain, secure]: [u16; 2], udp_field: &str) -> String {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = STANDARD.encode(signed.cert.pem());
    let key = STANDARD.encode(signed.signing_key.serialize_pem());
    let listener = |protocol: &str, port: u16| {
        format!(
            "  - name: {protocol}\n    protocol: {protocol}\n    address: \"{address}\"\n    port: {port}\n    \
             cert: {certificate}\n    key: {key}\n    routes: [loopback, loopback-tcp]\n"
        )
    };
    let listeners = [
        format!("{}    {udp_field}\n", listener("TURN-UDP", plain)),
        listener("TURN-TCP", plain),
        listener("TURN-DTLS", secure),
        listener("TURN-TLS", secure),
    ];
    format!(
        "version: v1\nadmin: {{ name: interop/gateway, healthcheck_endpoint: \"\" }}\n\
         auth: {{ type: static, credentials: {{ username: {USERNAME}, password: {PASSWORD} }} }}\n\
         listeners:\n{}clusters:\n  - name: loopback\n    endpoints: [\"{address}\"]\n  \
         - name: loopback-tcp\n    protocol: TCP\n    endpoints: [\"{address}\"]\n",
        listeners.concat()
    )
}
