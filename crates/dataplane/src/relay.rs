//! Relay sockets: one UDP socket per allocation, on a port the kernel chooses unpredictably.
//!
//! A datagram for a peer that is itself a relay of this process passes none of these sockets, unless the short cut
//! is off.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use net::{TcpListener, TcpOptions, UdpOptions, UdpSocket};
use turn::addr::{Family, RelayId};
use turn::server::RelayError;

/// How often an even port is looked for. Each attempt succeeds half of the time while ports are plenty.
const ATTEMPTS: usize = 64;

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

/// Opens a socket on any port.
pub(crate) fn any(ip: IpAddr) -> Result<UdpSocket, RelayError> {
    bind_to(ip, 0).map_err(|error| reason(&error))
}

fn bind_to(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, port), &UdpOptions::RELAY)?;
    socket.allow_fragments()?;
    Ok(socket)
}

/// Opens a socket that listens for peers, on any port.
pub(crate) fn listening(ip: IpAddr) -> Result<TcpListener, RelayError> {
    TcpListener::bind(SocketAddr::new(ip, 0), &TcpOptions::RELAY).map_err(|error| reason(&error))
}

/// Opens a socket on an even port.
pub(crate) fn even(ip: IpAddr) -> Result<UdpSocket, RelayError> {
    for _ in 0..ATTEMPTS {
        let socket = any(ip)?;
        let port = socket.local_addr().port();
        if port.is_multiple_of(2) {
            return Ok(socket);
        }
        // The even port just below is as unpredictable as the one we got.
        if let Ok(socket) = bind_to(ip, port - 1) {
            return Ok(socket);
        }
    }
    Err(RelayError::NoPort)
}

/// Opens a socket on an even port, and one on the next higher port.
pub(crate) fn pair(ip: IpAddr) -> Result<(UdpSocket, UdpSocket), RelayError> {
    for _ in 0..ATTEMPTS {
        let lower = even(ip)?;
        if let Ok(upper) = bind_to(ip, lower.local_addr().port() + 1) {
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
            assert!(port(&even(Ipv4Addr::UNSPECIFIED.into()).unwrap()).is_multiple_of(2));
            let (lower, upper) = pair(Ipv6Addr::UNSPECIFIED.into()).unwrap();
            assert!(port(&lower).is_multiple_of(2));
            assert_eq!(port(&upper), port(&lower) + 1);
        }
    }

    #[test]
    fn a_relay_binds_a_configured_address_of_its_family_and_all_others_otherwise() {
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for (family, expected) in [(Family::V4, "127.0.0.1"), (Family::V6, "::")] {
            let socket = any(local_address(family, loopback)).unwrap();
            assert_eq!(socket.local_addr().ip().to_string(), expected);
        }
    }
}
