//! Load through `turncat`, as a traffic generator makes it: so many messages, a window of them on the way at a time,
//! and every one comes back. `cargo test -p turncat --test load -- --nocapture` prints what was measured.
//!
//! The generator is our own: `iperf3` wants a TCP connection to the same peer beside the datagrams that it counts, and a
//! relay for UDP carries none.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::time::Instant;

use kit::EchoPeer;
use support::{Gateway, Listening, STATIC, Secure};

const MESSAGES: usize = 10_000;
const LEN: usize = 1000;
/// Messages on the way, few enough for every socket's buffer.
const WINDOW: usize = 32;

#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "what is measured is printed, and nothing depends on it"
)]
fn measured(what: &str, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let seconds = start.elapsed().as_secs_f64();
    let megabits = (MESSAGES * LEN * 8) as f64 / seconds / 1e6;
    println!(
        "{what}: {MESSAGES} messages of {LEN} bytes there and back in {seconds:.2} s, {megabits:.0} Mbit/s each way"
    );
}

fn datagrams(transport: &str, server: &str, options: &[&str]) {
    let peer = EchoPeer::start();
    let cat = Listening::start("udp://127.0.0.1:0", server, &peer, options);
    let client = cat.udp_client();
    measured(&format!("UDP client, {transport} server"), || {
        let mut buffer = [0; 2 * LEN];
        let mut returned = vec![false; MESSAGES];
        for number in 0..MESSAGES + WINDOW {
            if number < MESSAGES {
                let mut message = [number as u8; LEN];
                message[..8].copy_from_slice(&number.to_be_bytes());
                client.send(&message).unwrap();
            }
            if number >= WINDOW {
                assert_eq!(client.recv(&mut buffer).unwrap(), LEN);
                let number = usize::from_be_bytes(*buffer.first_chunk().unwrap());
                assert!(!std::mem::replace(&mut returned[number], true), "{number} came twice");
            }
        }
        assert!(returned.iter().all(|it| *it));
    });
}

fn stream(transport: &str) {
    let gateway = Gateway::start(STATIC);
    let peer = EchoPeer::start();
    let cat = Listening::start("tcp://127.0.0.1:0", &gateway.uri(transport), &peer, &[]);
    let mut client = cat.tcp_client();
    measured(&format!("TCP client, {transport} server"), || {
        let mut buffer = vec![0; LEN * WINDOW];
        let mut expected = vec![0; LEN * WINDOW];
        for round in 0..MESSAGES / WINDOW + 1 {
            expected.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at / 3 + round) as u8);
            client.write_all(&expected).unwrap();
            client.read_exact(&mut buffer).unwrap();
            assert!(buffer == expected, "round {round} is not what was sent");
        }
    });
}

#[test]
fn a_udp_client_over_udp() {
    let gateway = Gateway::start(STATIC);
    datagrams("udp", &gateway.uri("udp"), &[]);
}

#[test]
fn a_udp_client_over_tcp() {
    let gateway = Gateway::start(STATIC);
    datagrams("tcp", &gateway.uri("tcp"), &[]);
}

#[test]
fn a_udp_client_over_dtls() {
    let gateway = Secure::start(&rcgen::PKCS_ECDSA_P256_SHA256);
    datagrams("dtls", &gateway.uri("turns udp"), &["--insecure"]);
}

#[test]
fn a_tcp_client_over_udp() {
    stream("udp");
}

#[test]
fn a_tcp_client_over_tcp() {
    stream("tcp");
}
