//! Cookies: proof that a client is where its packets say, kept by the client (RFC 6347 §4.2.1).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

use super::DtlsPeer;
use super::hello::ClientHello;

/// A cookie is good for one to two of these: clients repeat their first hello for longer than one.
const PERIOD: Duration = Duration::from_secs(60);
/// The number of the period, and what authenticates it with everything else.
const LEN: usize = 1 + 16;

/// Makes and checks cookies. Nothing is kept about those that were made.
#[derive(Debug)]
pub(super) struct Cookies {
    key: Key,
    since: Instant,
}

impl Cookies {
    /// `secret` must be unpredictable.
    pub(super) fn new(secret: &[u8; 32], now: Instant) -> Self {
        Self { key: Key::new(HMAC_SHA256, secret), since: now }
    }

    pub(super) fn make(&self, peer: &DtlsPeer, hello: &ClientHello<'_>, now: Instant) -> [u8; LEN] {
        self.of_period(self.period(now), peer, hello)
    }

    /// The client was sent this cookie, at this address, in answer to the same hello, not long ago.
    pub(super) fn check(&self, peer: &DtlsPeer, hello: &ClientHello<'_>, now: Instant) -> bool {
        let Some(low) = hello.cookie.first() else { return false };
        let current = self.period(now);
        let Some(period) =
            [current, current.wrapping_sub(1)].into_iter().find(|period| *period as u8 == *low)
        else {
            return false;
        };
        verify_slices_are_equal(&self.of_period(period, peer, hello), hello.cookie).is_ok()
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_secs() / PERIOD.as_secs()
    }

    fn of_period(&self, period: u64, peer: &DtlsPeer, hello: &ClientHello<'_>) -> [u8; LEN] {
        let mut context = Context::with_key(&self.key);
        context.update(&period.to_be_bytes());
        for address in [peer.remote, peer.local] {
            context.update(&address_bytes(address));
        }
        // As long as there are no two ways to cut it.
        for part in [&hello.random[..], hello.session_id, hello.suites, hello.compressions] {
            context.update(&(part.len() as u16).to_be_bytes());
            context.update(part);
        }
        let mut cookie = [0; LEN];
        cookie[0] = period as u8;
        cookie[1..].copy_from_slice(&context.sign().as_ref()[..LEN - 1]);
        cookie
    }
}

fn address_bytes(address: SocketAddr) -> [u8; 18] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; 18];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}
