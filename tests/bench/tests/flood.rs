//! A flood from 100,000 addresses that have proved nothing, on UDP and on DTLS, at a whole `stunnerd`: it keeps nothing
//! for any of them, tells none of them more than it may, and calls go on without losing a packet.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bench::flood::{Flood, Kind, SOURCES};
use bench::machine::Account;
use kit::{Credentials, EchoPeer, Process, TurnClient, free_port, need};

/// Packets from each kind of flood between two packets of calls, which take turns. What a call gets back has passed all
/// of the flood that was sent to its port before, so no more than three of these ever wait in a socket's queue, which
/// has room for them: no packet of a call has a reason to be lost, however busy the machine is.
const ROUND: usize = 50;
/// Addresses that have sent something when memory is looked at for the first time.
const WARM_UP: usize = 20_000;
/// So much more at the end is noise, such as packet memory that is used for the first time: 120 bytes for each address
/// that came after that would be more.
const GROWTH: u64 = 8 << 20;

fn configuration(plain: u16, secure: u16) -> String {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let cert = BASE64_STANDARD.encode(signed.cert.pem());
    let key = BASE64_STANDARD.encode(signed.signing_key.serialize_pem());
    let listener = |name: &str, port: u16, more: &str| {
        let protocol = name.to_uppercase();
        format!(
            "{{ name: {name}, protocol: {protocol}, address: 127.0.0.1, port: {port}, routes: [loop]{more} }}"
        )
    };
    let pair = format!(", cert: {cert}, key: {key}");
    format!(
        "version: v1
admin: {{ name: a/b, healthcheck_endpoint: '', limits: {{ handshakes: 32 }} }}
auth: {{ realm: r, credentials: {{ username: user, password: pass }} }}
listeners: [{}, {}, {}]
clusters: [{{ name: loop, endpoints: [127.0.0.0/8] }}]
",
        listener("udp", plain, ""),
        listener("tls", secure, &pair),
        listener("dtls", secure, &pair)
    )
}

/// A client with a channel to a peer that sends everything back.
struct Call {
    client: TurnClient,
    _peer: EchoPeer,
}

impl Call {
    fn start(client: TurnClient) -> Self {
        let mut client = client.with(Credentials::fixed("user", "pass"));
        let peer = EchoPeer::start();
        client.allocate().unwrap();
        client.channel_bind(0x4000, peer.address()).unwrap();
        Self { client, _peer: peer }
    }

    /// The next packet there and back; nothing is sent again.
    fn goes_on(&mut self, number: usize) {
        let message = number.to_be_bytes();
        self.client.send_channel(0x4000, &message);
        assert_eq!(self.client.recv().data(), message, "packet {number}");
    }
}

#[test]
fn weakness_memory_answers_and_calls_hold_under_a_flood_from_100_000_sources() {
    let Some(openssl) = need("openssl") else { return };
    let (plain, secure) = (free_port(), free_port());
    let folder = kit::temp_dir();
    let path = folder.path().join("stunnerd.yaml");
    std::fs::write(&path, configuration(plain, secure)).unwrap();
    let mut command = Command::new(kit::binary("stunnerd"));
    command.arg("-c").arg(path).args(["--udp-thread-num", "2"]);
    let daemon = Process::spawn(command);
    daemon.await_line("configuration in force: 3 listeners");
    let [plain, secure] = [plain, secure].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let clients = [TurnClient::udp(plain), TurnClient::tls(secure), TurnClient::dtls(&openssl, secure)];
    let mut calls = clients.map(Call::start);
    let mut floods = [(Kind::Udp, plain), (Kind::Dtls, secure)]
        .map(|(kind, server)| Flood::new(kind, server, SOURCES).unwrap());

    let account = Account::of(daemon.id());
    let mut before = 0;
    for round in 0..SOURCES / ROUND {
        for flood in &mut floods {
            flood.send(ROUND).unwrap();
        }
        calls[round % 3].goes_on(round);
        if round * ROUND == WARM_UP {
            before = account.resident().unwrap();
        }
    }
    let after = account.resident().unwrap();
    assert!(after < before + GROWTH, "from {before} to {after} bytes");

    let [udp, dtls] = floods.map(|mut flood| {
        flood.take(Duration::from_millis(200)).unwrap();
        flood.sum()
    });
    for sum in [udp, dtls] {
        assert_eq!((sum.sources, sum.too_many), (SOURCES, 0), "{sum:?}");
        assert!(sum.answers > 0, "{sum:?}");
    }
    // Before the cookie, a hello is answered with less than it has, and nothing else is answered at all. Over UDP, what
    // is asked has to be answered; how often a source may ask is in its budget.
    assert!(dtls.amplification < 1.0, "{dtls:?}");
    assert!(udp.amplification < 6.0, "{udp:?}");
    let warnings: Vec<_> = daemon.lines().into_iter().filter(|line| line.contains("127.64.")).collect();
    assert_eq!(warnings, [""; 0], "nothing is written about sources that may be forged");
}
