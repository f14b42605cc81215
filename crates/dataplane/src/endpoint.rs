//! Where the health and metrics servers listen.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use config::HttpEndpoint;

/// An address to listen on. Any address means both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bind {
    /// `None` is every address of the machine.
    ip: Option<IpAddr>,
    port: u16,
}

impl Bind {
    /// Where an endpoint of a configuration is served; `None` if its host is not an address.
    pub(crate) fn of(endpoint: &HttpEndpoint) -> Option<Self> {
        let ip = match endpoint.host.as_deref() {
            None => None,
            Some("localhost") => Some(Ipv4Addr::LOCALHOST.into()),
            Some(host) => Some(host.parse::<IpAddr>().ok()?).filter(|ip| !ip.is_unspecified()),
        };
        Some(Self { ip, port: endpoint.port })
    }

    /// The port, which two addresses may have in common.
    pub(crate) fn port(self) -> u16 {
        self.port
    }

    /// What to try, in order: a machine without IPv6 has no wildcard for both families.
    pub(crate) fn candidates(self) -> impl Iterator<Item = SocketAddr> {
        let (first, second) = match self.ip {
            Some(ip) => (ip, None),
            None => (Ipv6Addr::UNSPECIFIED.into(), Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
        };
        std::iter::once(first).chain(second).map(move |ip| SocketAddr::new(ip, self.port))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
            None => write!(f, "*:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(text: &str) -> Option<String> {
        let endpoint = HttpEndpoint::parse(text, 8086).unwrap().unwrap();
        Bind::of(&endpoint).map(|bind| bind.to_string())
    }

    #[test]
    fn l02_an_endpoint_without_an_address_is_served_on_all() {
        for (text, expected) in [
            ("http://:8087", "*:8087"),
            ("http://", "*:8086"),
            ("0.0.0.0", "*:8086"),
            ("http://[::]:90", "*:90"),
            ("http://127.0.0.1:8087/x", "127.0.0.1:8087"),
            ("http://[::1]:90", "[::1]:90"),
            ("localhost:90", "127.0.0.1:90"),
        ] {
            assert_eq!(bind(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(bind("http://example.org:80"), None);
    }
}
