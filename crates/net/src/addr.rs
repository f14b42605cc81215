//! One spelling per address.
//!
//! A dual-stack socket reports IPv4 peers as `::ffff:a.b.c.d`. Everything above this crate sees the plain
//! IPv4 form only: two spellings of one host must never be two keys of a table or two answers of a policy.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The canonical form of an address: IPv4-mapped IPv6 becomes IPv4, and flow information is dropped.
///
/// The scope of a link-local IPv6 address is kept, since the address means nothing without it; the scope
/// of any other address is dropped.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(IpAddr::V4(v4), v6.port()),
            None => {
                let scope = if v6.ip().is_unicast_link_local() { v6.scope_id() } else { 0 };
                SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope))
            }
        },
    }
}

/// The form an IPv6 socket wants: IPv4 becomes IPv4-mapped, IPv6 stays.
pub fn mapped(addr: SocketAddr) -> SocketAddrV6 {
    match addr {
        SocketAddr::V4(v4) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0),
        SocketAddr::V6(v6) => v6,
    }
}

/// The wildcard that accepts IPv4 and IPv6 clients on one socket.
pub const fn dual_stack(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_mapped_address_and_its_ipv4_form_are_one() {
        assert_eq!(canonical(addr("[::ffff:192.0.2.1]:5")), addr("192.0.2.1:5"));
        assert_eq!(canonical(addr("192.0.2.1:5")), addr("192.0.2.1:5"));
        assert_eq!(canonical(addr("[::192.0.2.1]:5")), addr("[::192.0.2.1]:5"), "compatible is not mapped");
        assert_eq!(canonical(SocketAddr::V6(mapped(addr("192.0.2.1:5")))), addr("192.0.2.1:5"));
    }

    #[test]
    fn only_link_local_addresses_keep_their_scope() {
        assert_eq!(canonical(addr("[2001:db8::1%7]:5")), addr("[2001:db8::1]:5"));
        assert_eq!(canonical(addr("[fe80::1%7]:5")), addr("[fe80::1%7]:5"));
    }
}
