//! Every authentication with every client and every transport: eight rounds are echoed, and the port is free at
//! once for the next.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use kit::EchoPeer;
use support::{EPHEMERAL, Gateway, Listening, STATIC, echo_tcp, echo_udp};

fn eight_rounds(auth: &str, client: &str, transport: &str) {
    let gateway = Gateway::start(auth);
    let peer = EchoPeer::start();
    let mut cat = Listening::start(&format!("{client}://127.0.0.1:0"), &gateway.uri(transport), &peer, &[]);
    let mut stream = (client == "tcp").then(|| cat.tcp_client());
    let socket = (client == "udp").then(|| cat.udp_client());
    for _ in 0..8 {
        match (&mut stream, &socket) {
            (Some(stream), _) => echo_tcp(stream, b"Hello"),
            (None, Some(socket)) => echo_udp(socket, b"Hello"),
            (None, None) => unreachable!("a client is on TCP or UDP"),
        }
        // The rounds of the criterion are this far apart.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(gateway.dataplane.allocations(), 1);
    cat.process.terminate();
    assert!(cat.process.await_exit().success());
    gateway.await_allocations(0);
    if client == "udp" {
        UdpSocket::bind(cat.address).unwrap();
    } else {
        drop(stream);
        TcpListener::bind(cat.address).unwrap();
    }
}

#[test]
fn t01_u1_static_udp_client_udp_server() {
    eight_rounds(STATIC, "udp", "udp");
}

#[test]
fn t01_u2_static_udp_client_tcp_server() {
    eight_rounds(STATIC, "udp", "tcp");
}

#[test]
fn t01_u3_static_tcp_client_udp_server() {
    eight_rounds(STATIC, "tcp", "udp");
}

#[test]
fn t01_u4_static_tcp_client_tcp_server() {
    eight_rounds(STATIC, "tcp", "tcp");
}

#[test]
fn t01_u5_ephemeral_udp_client_udp_server() {
    eight_rounds(EPHEMERAL, "udp", "udp");
}

#[test]
fn t01_u6_ephemeral_udp_client_tcp_server() {
    eight_rounds(EPHEMERAL, "udp", "tcp");
}

#[test]
fn t01_u7_ephemeral_tcp_client_udp_server() {
    eight_rounds(EPHEMERAL, "tcp", "udp");
}

#[test]
fn t01_u8_ephemeral_tcp_client_tcp_server() {
    eight_rounds(EPHEMERAL, "tcp", "tcp");
}
