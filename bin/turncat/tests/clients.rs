//! Clients of all kinds, how they come and go, and what is said when they cannot.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::{UnixDatagram, UnixStream};

use cds::{Store, server::Server};
use config::Config;
use kit::{EchoPeer, PATIENCE, Process, free_port, temp_dir};
use support::{EPHEMERAL, Gateway, Listening, STATIC, echo_tcp, echo_udp, pipe, turncat};

/// Exit code and standard error of a run that prints nothing else.
#[track_caller]
fn fail(arguments: &[&str]) -> (Option<i32>, String) {
    let output = pipe(arguments, b"");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn standard_input_goes_to_the_peer_and_its_answers_to_standard_output() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let to = format!("udp://{}", peer.address());
    for transport in ["udp", "tcp"] {
        let output = pipe(&["-", &gateway.uri(transport), &to], b"Hello");
        assert_eq!(output.stdout, b"Hello", "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(output.stderr, b"", "nothing but data without being asked");
        gateway.await_allocations(0);
    }
}

#[test]
fn a_long_input_is_cut_into_datagrams_and_loses_nothing_on_the_way_to_the_relay() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let to = format!("udp://{}", peer.address());
    let input: Vec<u8> = (0..60_000_u32).map(|at| (at / 7) as u8).collect();
    let output = pipe(&["-", &gateway.uri("tcp"), &to], &input);
    assert_eq!(output.stdout, input);
}

#[test]
fn clients_on_udp_have_an_allocation_each() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let cat = Listening::start("udp://127.0.0.1:0", &gateway.uri("udp"), &peer, &[]);
    let clients: Vec<_> = (0..5).map(|_| cat.udp_client()).collect();
    for round in 0..3_u8 {
        for (number, client) in (0_u8..).zip(&clients) {
            echo_udp(client, &[round, number]);
        }
    }
    assert_eq!(gateway.dataplane.allocations(), 5);
    let mut relays: Vec<SocketAddr> = peer.sources();
    relays.sort();
    relays.dedup();
    assert_eq!(relays.len(), 5, "the peer sees five clients");
    echo_udp(&clients[0], &[7; 8000]);
}

#[test]
fn silent_clients_on_udp_are_forgotten_and_may_come_back() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let options = ["--idle", "300ms"];
    let cat = Listening::start("udp://127.0.0.1:0", &gateway.uri("udp"), &peer, &options);
    let client = cat.udp_client();
    echo_udp(&client, b"one");
    gateway.await_allocations(0);
    let before = cat.process.line_count();
    echo_udp(&client, b"two");
    cat.process.await_line_after(before, "new connection");
}

#[test]
fn clients_on_tcp_come_and_go() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let cat = Listening::start("tcp://127.0.0.1:0", &gateway.uri("tcp"), &peer, &["--linger", "100ms"]);
    let mut first = cat.tcp_client();
    let mut second = cat.tcp_client();
    echo_tcp(&mut first, b"first");
    echo_tcp(&mut second, b"second");
    gateway.await_allocations(2);
    drop(first);
    gateway.await_allocations(1);
    echo_tcp(&mut second, b"still here");
    second.shutdown(Shutdown::Write).unwrap();
    gateway.await_allocations(0);
    assert_eq!(second.read(&mut [0]).unwrap(), 0, "closed");
}

#[test]
fn clients_on_unix_sockets() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let folder = temp_dir();
    let path = folder.path().join("stream");
    let mut cat = Listening::start(&format!("unix://{}", path.display()), &gateway.uri("udp"), &peer, &[]);
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"Hello").unwrap();
    let mut buffer = [0; 5];
    client.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"Hello");
    cat.process.terminate();
    assert!(cat.process.await_exit().success());
    assert!(!path.exists(), "the file goes with the program");

    let path = folder.path().join("datagrams");
    let _cat = Listening::start(&format!("unixgram://{}", path.display()), &gateway.uri("udp"), &peer, &[]);
    let client = UnixDatagram::bind(folder.path().join("client")).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(b"Hello", &path).unwrap();
    let mut buffer = [0; 100];
    assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    assert_eq!(&buffer[..5], b"Hello");
}

#[test]
fn only_the_peer_is_heard() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let cat = Listening::start("udp://127.0.0.1:0", &gateway.uri("udp"), &peer, &["-v"]);
    let client = cat.udp_client();
    echo_udp(&client, b"one");
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"listen to me", peer.sources()[0]).unwrap();
    cat.process.await_line("not the peer");
    echo_udp(&client, b"two");
}

#[test]
fn a_lost_allocation_closes_the_connection_or_is_replaced() {
    let gateway = Gateway::start(STATIC);
    let port = gateway.port;
    let peer = EchoPeer::start();
    let uri = gateway.uri("tcp");
    let closing = Listening::start("tcp://127.0.0.1:0", &uri, &peer, &[]);
    let staying = Listening::start("tcp://127.0.0.1:0", &uri, &peer, &["--reconnect", "1m"]);
    let (mut closed, mut stays) = (closing.tcp_client(), staying.tcp_client());
    echo_tcp(&mut closed, b"one");
    echo_tcp(&mut stays, b"one");
    drop(gateway);
    assert_eq!(closed.read(&mut [0]).unwrap(), 0);
    closing.process.await_line("the allocation is lost");
    staying.process.await_line("trying again");
    let _gateway = Gateway::on(STATIC, port);
    let before = staying.process.line_count();
    let connected = staying.process.lines().iter().filter(|line| line.contains("new connection")).count();
    if connected < 2 {
        staying.process.await_line_after(before, "new connection");
    }
    echo_tcp(&mut stays, b"two");
}

#[test]
fn a_withdrawn_route_ends_the_connection() {
    let gateway = Gateway::start(STATIC);
    gateway.admit("192.0.2.1");
    let peer = EchoPeer::start();
    let to = format!("udp://{}", peer.address());
    let (code, text) = fail(&["-", &gateway.uri("udp"), &to]);
    assert_eq!(code, Some(1));
    assert!(text.contains("may not be reached") && text.contains("403"), "{text}");
}

#[test]
fn failures_are_named_and_have_an_exit_code() {
    let gateway = Gateway::start(STATIC);
    let port = gateway.port;
    let nobody = free_port();
    let table = [
        (vec![], 1, "Usage"),
        (vec!["-", "turn://u:p@h"], 1, "Usage"),
        (vec!["nonsense", "turn://u:p@h", "udp://h:1"], 1, "write udp://HOST:PORT"),
        (vec!["-", "k8s://a b/c:d", "udp://h:1"], 1, "cannot parse STUNner K8s URI"),
        (vec!["-", "http://u:p@h", "udp://h:1"], 1, "invalid scheme/protocol"),
    ];
    for (arguments, code, text) in table {
        let (exit, printed) = fail(&arguments);
        assert_eq!(exit, Some(code), "{arguments:?}: {printed}");
        assert!(printed.contains(text), "{arguments:?}: {printed}");
    }
    let running = [
        (format!("turn://127.0.0.1:{port}"), "username/password must be set"),
        (format!("turn://user1:guessed@127.0.0.1:{port}"), "401"),
        (format!("turn://u:p@127.0.0.1:{nobody}?transport=tcp"), "cannot connect to"),
    ];
    for (server, text) in running {
        let (exit, printed) = fail(&["-", &server, "udp://127.0.0.1:9"]);
        assert_eq!(exit, Some(1), "{server}: {printed}");
        assert!(printed.contains(text) && !printed.contains("guessed"), "{server}: {printed}");
    }
    let output = pipe(&["--help"], b"");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_went_through_is_counted() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let to = format!("udp://{}", peer.address());
    let output = pipe(&["--statistics=1h", "-", &gateway.uri("udp"), &to], b"Hello");
    let printed = String::from_utf8_lossy(&output.stderr);
    let expected = "connections: 0 open, 1 in all, 0 failed; to the peer: 1 packets, 5 bytes; from the peer: 1 \
                    packets, 5 bytes; dropped: 0 packets";
    assert_eq!(printed.trim_end(), expected);
}

/// A discovery server with one gateway's configuration.
struct Discovery {
    store: Store,
    port: u16,
    _runtime: tokio::runtime::Runtime,
}

impl Discovery {
    fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let store = Store::new();
        runtime.spawn(Server::new(store.clone()).serve(listener));
        Self { store, port, _runtime: runtime }
    }

    fn add(&self, name: &str, text: &str) {
        let config = Config::parse(&text.replace("test/gateway", name), &|_: &str| None).unwrap();
        self.store.insert(name.to_owned(), config);
    }
}

#[test]
fn gateways_are_found_by_discovery() {
    let discovery = Discovery::start();
    let port = format!("--cds-server-port={}", discovery.port);
    let peer = EchoPeer::start();
    let to = format!("udp://{}", peer.address());
    let fixed = Gateway::start(STATIC);
    let minted = Gateway::start(EPHEMERAL);
    discovery.add("media/edge", &fixed.text("127.0.0.1"));
    discovery.add("media/other", &minted.text("127.0.0.1").replace("-listener", "-other"));
    let servers = [
        vec!["k8s://media/edge:udp-listener"],
        vec!["k8s://media/edge:tcp-listener"],
        vec!["k8s://media/other:udp-other"],
        vec!["k8s:///edge:udp-listener", "-n", "media"],
        vec!["k8s://media/stunnerd-config:tcp-other"],
    ];
    for server in servers {
        let output = pipe(&[&["-", server[0], &to, &port], &server[1..]].concat(), b"Hello");
        assert_eq!(output.stdout, b"Hello", "{server:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let failures = [
        ("k8s://media/edge:none", "cannot find listener \"none\""),
        ("k8s://media/none:udp-listener", "Config not found"),
        ("k8s:///edge:udp-listener", "Config not found"),
    ];
    for (server, text) in failures {
        let (code, printed) = fail(&["-", server, &to, &port]);
        assert!(code == Some(1) && printed.contains(text), "{server}: {printed}");
    }
    let none = free_port();
    let (code, printed) = fail(&["-", "k8s://a/b:c", &to, &format!("--cds-server-port={none}")]);
    assert!(code == Some(1) && printed.contains("--cds-server-address"), "{printed}");
    let text = fixed.text("127.0.0.1");
    discovery.add("media/pending", &text.replace("public_address: 127.0.0.1, ", ""));
    discovery.add("media/portless", &text.replace(&format!("public_port: {}, ", fixed.port), ""));
    for (server, text) in [("pending", "no public address for listener"), ("portless", "no public port")] {
        let (code, printed) = fail(&["-", &format!("k8s://media/{server}:udp-listener"), &to, &port]);
        assert!(code == Some(1) && printed.contains(text), "{server}: {printed}");
    }
    let (_, printed) = fail(&["-", "k8s://media/stunnerd-config:udp-listener", &to, &port]);
    assert!(printed.contains("found multiple listeners named \"udp-listener\""), "{printed}");
}

#[test]
fn a_signal_gives_everything_back() {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    for signal in ["INT", "TERM"] {
        let to = format!("udp://{}", peer.address());
        let mut cat = Process::spawn(turncat(&["-l", "all:INFO", "-", &gateway.uri("udp"), &to]));
        let _input = cat.take_stdin();
        cat.await_line("new connection");
        gateway.await_allocations(1);
        cat.signal(signal);
        assert!(cat.await_exit().success());
        gateway.await_allocations(0);
    }
}
