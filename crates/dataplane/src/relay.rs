//! Relay sockets: one UDP socket per allocation, on a port the kernel chooses unpredictably.
//!
//! A datagram for a peer that is itself a relay of this process passes two of these sockets today. A short cut
//! through the forwarding table would go from client to client instead; it belongs into the worker, where a
//! verdict names the peer, and these sockets would not notice.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use net::{UdpOptions, UdpSocket};
use turn::addr::{Family, RelayId};
use turn::server::{RelayError, RelayPort};

/// How often an even port is looked for. Each attempt succeeds half of the time while ports are plenty.
const ATTEMPTS: usize = 64;

/// A relay socket of a worker.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) id: RelayId,
    pub(crate) socket: UdpSocket,
}

/// What was opened for one request.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) port: u16,
    pub(crate) relay: Relay,
    /// The relay on the next higher port, if a pair was asked for.
    pub(crate) next: Option<Relay>,
}

/// Opens what a client asked for.
pub(crate) fn open(
    id: RelayId,
    family: Family,
    bind: Option<IpAddr>,
    port: RelayPort,
) -> Result<Opened, RelayError> {
    let ip = local_address(family, bind);
    match port {
        RelayPort::Any => {
            let socket = bind_to(ip, 0).map_err(|error| reason(&error))?;
            Ok(Opened { port: socket.local_addr().port(), relay: Relay { id, socket }, next: None })
        }
        RelayPort::Even => {
            let socket = even(ip)?;
            Ok(Opened { port: socket.local_addr().port(), relay: Relay { id, socket }, next: None })
        }
        RelayPort::EvenPair { next } => {
            let (socket, upper) = pair(ip)?;
            let port = socket.local_addr().port();
            let next = Some(Relay { id: next, socket: upper });
            Ok(Opened { port, relay: Relay { id, socket }, next })
        }
    }
}

/// A configured address only fits relays of its own family.
fn local_address(family: Family, bind: Option<IpAddr>) -> IpAddr {
    match (family, bind) {
        (_, Some(ip)) if Family::of(ip) == family => ip,
        (Family::V4, _) => Ipv4Addr::UNSPECIFIED.into(),
        (Family::V6, _) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn bind_to(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(ip, port), &UdpOptions::RELAY)?;
    socket.allow_fragments()?;
    Ok(socket)
}

fn even(ip: IpAddr) -> Result<UdpSocket, RelayError> {
    for _ in 0..ATTEMPTS {
        let socket = bind_to(ip, 0).map_err(|error| reason(&error))?;
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

fn pair(ip: IpAddr) -> Result<(UdpSocket, UdpSocket), RelayError> {
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

    fn id(word: u64) -> RelayId {
        RelayId::from_u64(word)
    }

    #[test]
    fn even_ports_and_pairs_are_what_they_say() {
        for _ in 0..20 {
            let opened = open(id(1), Family::V4, None, RelayPort::Even).unwrap();
            assert!(opened.port.is_multiple_of(2));
            assert_eq!(opened.port, opened.relay.socket.local_addr().port());
            let opened = open(id(1), Family::V6, None, RelayPort::EvenPair { next: id(2) }).unwrap();
            let next = opened.next.unwrap();
            assert!(opened.port.is_multiple_of(2));
            assert_eq!(next.socket.local_addr().port(), opened.port + 1);
            assert_eq!((opened.relay.id, next.id), (id(1), id(2)));
        }
    }

    #[test]
    fn a_relay_binds_a_configured_address_of_its_family_and_all_others_otherwise() {
        let loopback = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for (family, expected) in [(Family::V4, "127.0.0.1"), (Family::V6, "::")] {
            let opened = open(id(1), family, loopback, RelayPort::Any).unwrap();
            assert_eq!(opened.relay.socket.local_addr().ip().to_string(), expected);
        }
    }
}
