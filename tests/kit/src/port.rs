//! Ports for servers that cannot say which port the kernel gave them.

use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

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

fn is_free(port: u16) -> bool {
    let everywhere = (Ipv6Addr::UNSPECIFIED, port);
    UdpSocket::bind(everywhere).is_ok() && TcpListener::bind(everywhere).is_ok()
}
