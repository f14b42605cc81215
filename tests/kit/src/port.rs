//! Ports of servers that cannot say which one they got, or when they listen.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::Deadline;

/// Below the range that the kernel hands out for port 0, so that nobody who lets the kernel choose can take
/// a port between our look and the server's bind.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// A port that is free for UDP and TCP on every address, never given twice by this process.
///
/// Prefer port 0 wherever the server can report what it got.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(97) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Relaxed));
        let offset = (start + step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).expect("COUNT fits 16 bits");
        if is_free(port) {
            return port;
        }
    }
    panic!("no port is free between {FIRST} and {}", FIRST + COUNT);
}

/// Waits until something accepts TCP connections at `address`, for servers that do not say when they are ready.
#[track_caller]
pub fn await_tcp(address: SocketAddr) {
    let deadline = Deadline::default();
    while let Err(error) = TcpStream::connect(address) {
        assert!(deadline.left().is_some(), "nothing listens at {address}: {error}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Asks the kernel's tables instead of binding: a socket of ours, however short its life, is inherited by whatever
/// child another thread starts meanwhile, and keeps the port until that child has become its program.
fn is_free(port: u16) -> bool {
    let taken = format!(":{port:04X}");
    ["udp", "udp6", "tcp", "tcp6"].iter().all(|table| {
        let path = format!("/proc/thread-self/net/{table}");
        // A kernel without IPv6 has no table of it.
        let sockets = std::fs::read_to_string(path).unwrap_or_default();
        let mut local = sockets.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1));
        !local.any(|address| address.ends_with(&taken))
    })
}
