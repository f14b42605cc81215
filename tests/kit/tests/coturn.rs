//! The client against a server that nobody here wrote: Debian's coturn.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use kit::{
    AllocateOptions, Credentials, EchoPeer, Event, Failure, Part, Process, Request, Stream, TcpEchoPeer,
};
use kit::{Deadline, TurnClient, await_tcp, free_port, need};
use stun::Method;

const SECRET: &str = "a secret that both sides know";

/// A TURN server on loopback that lets clients reach loopback peers.
struct Coturn {
    address: SocketAddr,
    tls_address: SocketAddr,
    _process: Process,
}

impl Coturn {
    fn start(part: &Part, options: &[&str]) -> Self {
        let [address, tls_address] =
            [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let mut command = part.command("turnserver");
        command.args([
            "-n",
            "--no-cli",
            "--allow-loopback-peers",
            "--realm=example.org",
            "--log-file=stdout",
        ]);
        command.args(["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--pidfile=/dev/null"]);
        command.arg(format!("--listening-port={}", address.port()));
        command.arg(format!("--tls-listening-port={}", tls_address.port()));
        command.args(options);
        let process = Process::spawn(command);
        await_tcp(address);
        TurnClient::udp(address).binding().expect("coturn answers on UDP");
        Self { address, tls_address, _process: process }
    }

    fn with_user(part: &Part) -> Self {
        Self::start(part, &["--lt-cred-mech", "--user=user:pass"])
    }
}

fn user() -> Credentials {
    Credentials::fixed("user", "pass")
}

#[test]
fn data_goes_round_over_udp_and_tcp() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::with_user(&coturn);
    for client in [TurnClient::udp(server.address), TurnClient::tcp(server.address)] {
        let peer = EchoPeer::start();
        let mut client = client.with(user());
        let allocation = client.allocate().unwrap();
        assert_eq!(allocation.mapped, client.local());

        client.create_permission(peer.address()).unwrap();
        client.send(peer.address(), b"in an indication");
        let event = client.recv();
        assert_eq!((event.peer(), event.data()), (peer.address(), b"in an indication".as_slice()));

        client.channel_bind(0x4001, peer.address()).unwrap();
        client.send_channel(0x4001, b"on a channel");
        let event = client.recv();
        assert!(
            matches!(&event, Event::Data { channel: Some(0x4001), data, .. } if data == b"on a channel"),
            "{event:?}"
        );

        assert_eq!(peer.await_datagrams(2), [allocation.relayed; 2]);
        assert_eq!(client.refresh(0), Ok(0));
    }
}

#[test]
fn a_wrong_password_is_refused_and_binding_needs_none() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::with_user(&coturn);
    let mut client = TurnClient::udp(server.address).with(Credentials::fixed("user", "wrong"));
    assert_eq!(client.binding(), Ok(client.local()));
    assert_eq!(client.allocate().unwrap_err().code(), 401);
    client.log_in(user());
    client.allocate().unwrap();
}

#[test]
fn ephemeral_credentials_are_what_other_servers_understand() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::start(&coturn, &["--use-auth-secret", &format!("--static-auth-secret={SECRET}")]);
    let good = Credentials::ephemeral_for(SECRET, "alice", Duration::from_secs(60));
    TurnClient::udp(server.address).with(good).allocate().unwrap();
    let expired = Credentials::ephemeral(SECRET, "1000000000:alice");
    assert_eq!(TurnClient::udp(server.address).with(expired).allocate().unwrap_err().code(), 401);
}

#[test]
fn a_stale_nonce_is_replaced() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::with_user(&coturn);
    let mut client = TurnClient::udp(server.address).with(user());
    client.allocate().unwrap();
    client.set_nonce("long past");
    assert_eq!(client.refresh(900), Ok(900));
    assert_ne!(client.nonce(), Some("long past"));
}

#[test]
fn two_ports_in_a_row_can_be_had() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::with_user(&coturn);
    let even = AllocateOptions { even_port: Some(true), ..AllocateOptions::default() };
    let first = TurnClient::udp(server.address).with(user()).allocate_with(&even).unwrap();
    let next = AllocateOptions { token: first.token, ..AllocateOptions::default() };
    let second = TurnClient::udp(server.address).with(user()).allocate_with(&next).unwrap();
    assert_eq!(first.relayed.port() % 2, 0);
    assert_eq!(second.relayed.port(), first.relayed.port() + 1);
}

#[test]
fn a_tcp_relay_connects_to_a_peer() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::with_user(&coturn);
    let peer = TcpEchoPeer::start();
    let mut control = TurnClient::tcp(server.address).with(user());
    let tcp = AllocateOptions { transport: Some(6), ..AllocateOptions::default() };
    control.allocate_with(&tcp).unwrap();
    control.create_permission(peer.address()).unwrap();
    let connection = control.connect(peer.address()).unwrap();

    let mut data = control.connection_bind(connection, TurnClient::tcp(server.address)).unwrap();
    data.set_read_timeout(kit::PATIENCE).unwrap();
    data.write_all(b"straight through").unwrap();
    let mut echo = [0; 16];
    data.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"straight through");
}

#[test]
fn what_the_server_does_not_understand_is_named() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::with_user(&coturn);
    let mut client = TurnClient::udp(server.address);
    let request = Request::new(Method::Binding).with_raw(0x7777, b"what?");
    let Failure::Refused(refusal) = client.request_plain(&request).unwrap_err() else { panic!("no answer") };
    assert_eq!((refusal.code, refusal.unknown.as_slice()), (420, [0x7777].as_slice()));
}

#[test]
fn settling_sees_what_came_before() {
    let Some(coturn) = need("coturn") else { return };
    let server = Coturn::with_user(&coturn);
    let peer = EchoPeer::start();
    let mut client = TurnClient::udp(server.address).with(user());
    client.allocate().unwrap();
    client.send(peer.address(), b"without a permission");
    assert!(client.settle().unwrap().is_empty());
    assert!(peer.sources().is_empty());
}

#[test]
fn tls_and_dtls_carry_the_same() {
    let (Some(coturn), Some(openssl)) = (need("coturn"), need("openssl")) else { return };
    let folder = kit::temp_dir();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    let mut make = openssl.command("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    make.args(["-subj", "/CN=localhost", "-out"]).arg(&certificate).arg("-keyout").arg(&key);
    Process::run(make, Deadline::default());

    let [certificate, key] =
        [("cert", certificate), ("pkey", key)].map(|(o, path)| format!("--{o}={}", path.display()));
    let server = Coturn::start(&coturn, &["--lt-cred-mech", "--user=user:pass", &certificate, &key]);
    await_tcp(server.tls_address);
    for client in [TurnClient::tls(server.tls_address), TurnClient::dtls(&openssl, server.tls_address)] {
        let peer = EchoPeer::start();
        let mut client = client.with(user());
        let relayed = client.allocate().unwrap().relayed;
        client.channel_bind(0x4000, peer.address()).unwrap();
        client.send_channel(0x4000, b"three");
        assert_eq!(client.recv().data(), b"three");
        assert_eq!(peer.sources(), [relayed]);
    }
}
