//! Relay sockets: one UDP socket per allocation, on a port the kernel chooses unpredictably.
//!
//! A datagram for a peer that is itself a relay of this process passes none of these sockets, unless the short cut
//! is off.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use net::{TcpListener, TcpOptions, UdpOptions, UdpSocket};
use turn::addr::{Family, RelayId};
use turn::server::RelayError;

/// How often an even port is looked for. Each attempt succeeds half of the time while ports are plenty.
const ATTEMPTS: usize = 64;
/// Ports of a range that are tried.
const MAX_TRIED: u32 = 1024;

/// A relay socket of a worker.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) id: RelayId,
    pub(crate) socket: UdpSocket,
    /// The turn in which more waited than was taken.
    pub(crate) full_at: u32,
}

/// The address to bind for relays of a family. A configured one only fits those of its own.
pub(crate) fn local_address(family: Family, bind: Option<IpAddr>) -> IpAddr {
    match (family, bind) {
        (_, Some(ip)) if Family::of(ip) == family => ip,
        (Family::V4, _) => Ipv4Addr::UNSPECIFIED.into(),
        (Family::V6, _) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// The lowest and the highest port that relays may have, if not any.
pub(crate) type Range = Option<(u16, u16)>;

/// Opens a socket on any port.
pub(crate) fn any(ip: IpAddr, range: Range) -> Result<UdpSocket, RelayError> {
    on_some_port(range, |port| bind_to(ip, port))
}

fn bind_to(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, port), &UdpOptions::RELAY)?;
    socket.allow_fragments()?;
    Ok(socket)
}

/// Opens a socket that listens for peers, on any port.
pub(crate) fn listening(ip: IpAddr, range: Range) -> Result<TcpListener, RelayError> {
    on_some_port(range, |port| {
        let addr = SocketAddr::new(ip, port);
        // Sockets that share their port never notice each other.
        if port > 0 {
            net::probe_tcp(addr)?;
        }
        TcpListener::bind(addr, &TcpOptions::RELAY)
    })
}

/// Binds a port of the kernel's choice, or an unpredictable one of the range. Of a wide range only some are tried, so
/// that a full one costs no more than a narrow one.
fn on_some_port<S>(range: Range, bind: impl Fn(u16) -> io::Result<S>) -> Result<S, RelayError> {
    let Some((first, last)) = range else { return bind(0).map_err(|error| reason(&error)) };
    let count = u32::from(last - first) + 1;
    let start = chance();
    for attempt in 0..count.min(MAX_TRIED) {
        let offset = (start as u32).wrapping_add(attempt) % count;
        match bind(first + offset as u16) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other.map_err(|error| reason(&error)),
        }
    }
    Err(RelayError::NoPort)
}

/// Each hasher has a key of its own, drawn from the operating system's randomness.
fn chance() -> u64 {
    RandomState::new().hash_one(0)
}

/// Opens a socket on an even port.
pub(crate) fn even(ip: IpAddr, range: Range) -> Result<UdpSocket, RelayError> {
    for _ in 0..ATTEMPTS {
        let socket = any(ip, range)?;
        let port = socket.local_addr().port();
        if port.is_multiple_of(2) {
            return Ok(socket);
        }
        // The even port just below is as unpredictable as the one we got.
        let is_allowed = range.is_none_or(|(first, _)| port > first);
        if is_allowed && let Ok(socket) = bind_to(ip, port - 1) {
            return Ok(socket);
        }
    }
    Err(RelayError::NoPort)
}

/// Opens a socket on an even port, and one on the next higher port.
pub(crate) fn pair(ip: IpAddr, range: Range) -> Result<(UdpSocket, UdpSocket), RelayError> {
    for _ in 0..ATTEMPTS {
        let lower = even(ip, range)?;
        let next = lower.local_addr().port() + 1;
        let is_allowed = range.is_none_or(|(_, last)| next <= last);
        if is_allowed && let Ok(upper) = bind_to(ip, next) {
            return Ok((lower, upper));
        }
    }
    Err(RelayError::NoPort)
}

fn reason(error: &io::Error) -> RelayError {
    match error.kind() {
        io::ErrorKind::AddrInUse => RelayError::NoPort,
        _ => RelayError::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_ports_and_pairs_are_what_they_say() {
        for _ in 0..20 {
            let port = |socket: &UdpSocket| socket.local_addr().port();
            assert!(port(&even(Ipv4Addr::UNSPECIFIED.into(), None).unwrap()).is_multiple_of(2));
            let (lower, upper) = pair(Ipv6Addr::UNSPECIFIED.into(), None).unwrap();
            assert!(port(&lower).is_multiple_of(2));
            assert_eq!(port(&upper), port(&lower) + 1);
        }
    }

    #[test]
    fn a_relay_binds_a_configured_address_of_its_family_and_all_others_otherwise() {
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for (family, expected) in [(Family::V4, "127.0.0.1"), (Family::V6, "::")] {
            let socket = any(local_address(family, loopback), None).unwrap();
            assert_eq!(socket.local_addr().ip().to_string(), expected);
        }
    }

    #[test]
    fn a_range_is_used_up_and_then_there_is_no_port() {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let free = any(ip, None).unwrap().local_addr().port().clamp(1024, 60_000);
        let range = Some((free, free + 3));
        let mut held = Vec::new();
        while let Ok(socket) = any(ip, range) {
            assert!((free..=free + 3).contains(&socket.local_addr().port()));
            held.push(socket);
        }
        assert!(!held.is_empty() && held.len() <= 4);
        assert_eq!(any(ip, range).unwrap_err(), RelayError::NoPort);
        assert_eq!(even(ip, range).unwrap_err(), RelayError::NoPort);
    }
}
