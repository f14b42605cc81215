use std::{fmt, net::IpAddr, ops::RangeInclusive, str::FromStr};

use ipnet::IpNet;

/// A range of peer addresses and ports: `IP[/prefix length][:<first port-last port>]`, IPv4 or IPv6, for instance
/// `10.1.0.0/16:<1000-2000>` or `2001:db8::9`.
///
/// Prints in canonical spelling: host bits are masked, and a prefix length or port range shows if it was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The addresses, without host bits.
    pub net: IpNet,
    /// The ports, all from 1 on if none were given. An inverted range has no ports.
    pub ports: RangeInclusive<u16>,
    has_prefix: bool,
    has_ports: bool,
}

/// What is wrong with the text of an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No IP address where one has to be.
    #[error("not an IP address")]
    Address,
    /// The number after the slash is not the length of a prefix.
    #[error("prefix length out of range")]
    Prefix,
    /// The part from `:<` on is not a range of two ports.
    #[error("not a port range")]
    Ports,
}

impl Endpoint {
    /// Whether a peer is in the range. Port 0 asks about the address alone, and an IPv4-mapped address is the IPv4
    /// address it stands for.
    pub fn contains(&self, address: IpAddr, port: u16) -> bool {
        self.net.contains(&address.to_canonical()) && (port == 0 || self.ports.contains(&port))
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (net, ports) = match text.split_once(":<") {
            Some((net, ports)) => (net, Some(ports)),
            None => (text, None),
        };
        let (address, prefix) = match net.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (net, None),
        };
        let address: IpAddr = address.parse().map_err(|_| EndpointError::Address)?;
        let net = match prefix {
            None => IpNet::from(address.to_canonical()),
            Some(prefix) => {
                let length = prefix.parse().map_err(|_| EndpointError::Prefix)?;
                unmapped(IpNet::new(address, length).map_err(|_| EndpointError::Prefix)?.trunc())
            }
        };
        let range = ports.map_or(Ok(1..=u16::MAX), |ports| parse_ports(ports).ok_or(EndpointError::Ports))?;
        Ok(Self { net, ports: range, has_prefix: prefix.is_some(), has_ports: ports.is_some() })
    }
}

impl From<IpNet> for Endpoint {
    fn from(net: IpNet) -> Self {
        Self { net: net.trunc(), ports: 1..=u16::MAX, has_prefix: true, has_ports: false }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.net.addr())?;
        if self.has_prefix {
            write!(f, "/{}", self.net.prefix_len())?;
        }
        if self.has_ports {
            write!(f, ":<{}-{}>", self.ports.start(), self.ports.end())?;
        }
        Ok(())
    }
}

/// A prefix of IPv4-mapped addresses is the IPv4 prefix it stands for, as peers are compared in that form.
fn unmapped(net: IpNet) -> IpNet {
    match net.addr().to_canonical() {
        address @ IpAddr::V4(_) if net.prefix_len() >= 96 && net.addr().is_ipv6() => {
            IpNet::new(address, net.prefix_len() - 96).unwrap_or(net)
        }
        _ => net,
    }
}

/// Numbers beyond the last port are fine: a range ends at the last port, and one that starts later has no ports.
fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.strip_suffix('>')?.split_once('-')?;
    let (first, last) = (decimal(first)?, decimal(last)?);
    match u16::try_from(first) {
        Ok(first) => Some(first..=u16::try_from(last).unwrap_or(u16::MAX)),
        Err(_) => Some(RangeInclusive::new(1, 0)),
    }
}

fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}
