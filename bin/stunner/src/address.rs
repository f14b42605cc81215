//! The address of this machine that others reach it by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The address of the default route's interface, or loopback where there is no default route.
///
/// A connected UDP socket is asked for its own address. Connecting sends nothing; the documentation prefixes
/// (RFC 5737, RFC 3849) only select the route.
pub(crate) fn of_default_route() -> IpAddr {
    let v4 = ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(198, 51, 100, 1), 9).into());
    let v6 = ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into());
    [v4, v6].into_iter().find_map(source_towards).unwrap_or(Ipv4Addr::LOCALHOST.into())
}

fn source_towards((from, to): (SocketAddr, SocketAddr)) -> Option<IpAddr> {
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}
