//! What the log says about refusals, and that nothing else in it names a client.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use common::{Gateway, Text, await_that, code, echo};
use kit::{Credentials, EchoPeer, TurnClient};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

/// One test, since a process has one log.
#[test]
fn d02_d04_refusals_are_logged_with_addresses_and_nothing_else_is() {
    let log = Log::default();
    logs::init("all:INFO", logs::Format::Text, log.clone());
    let gateway = Gateway::start(&Text::new());
    let peer = EchoPeer::start();

    // A whole healthy life, on both transports, leaves no trace of the client.
    let mut healthy = Vec::new();
    for mut client in [gateway.udp(), gateway.tcp()] {
        client.allocate().unwrap();
        client.channel_bind(0x4000, peer.address()).unwrap();
        echo(&mut client, 0x4000, 3);
        client.refresh(0).unwrap();
        healthy.push(client.local());
    }
    TurnClient::tcp(gateway.address()).send_raw(b"garbage");
    // A forged or unsigned request earns no line either: nobody has proved to be anywhere.
    let mut unsigned = TurnClient::udp(gateway.address());
    assert_eq!(code(unsigned.allocate()), 401);
    healthy.push(unsigned.local());

    // D2: wrong credentials.
    let mut stranger = TurnClient::udp(gateway.address()).with(Credentials::fixed("user", "wrong"));
    assert_eq!(code(stranger.allocate()), 401);
    let refused = |parts: &[&str]| {
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let log = log.clone();
        await_that(&format!("a line with {parts:?}"), move || {
            log.lines().iter().any(|line| parts.iter().all(|part| line.contains(part)))
        });
    };
    refused(&["WARNING", "unauthorized", "permission denied", &stranger.local().to_string(), "\"udp\""]);

    // D4: a peer that no route leads to.
    let mut client = gateway.udp();
    client.allocate().unwrap();
    assert_eq!(code(client.create_permission("10.0.0.1:99".parse().unwrap())), 403);
    refused(&["WARNING", "permission denied", "10.0.0.1:99", &client.local().to_string()]);

    // A flood of refusals is a few lines and a number.
    for _ in 0..100 {
        assert_eq!(code(client.create_permission("10.0.0.1:99".parse().unwrap())), 403);
    }
    let denied = log.lines().iter().filter(|line| line.contains("10.0.0.1")).count();
    assert!(denied < 60, "{denied} lines");

    // A refused client names itself; a healthy one is nowhere.
    for local in healthy {
        let named: Vec<_> =
            log.lines().into_iter().filter(|line| line.contains(&local.to_string())).collect();
        assert!(named.is_empty(), "{named:?}");
    }
    let others = log.lines().into_iter().filter(|line| !line.contains("permission denied"));
    for line in others {
        assert!(!line.contains("127.0.0.1"), "{line}");
    }
}
