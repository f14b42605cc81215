//! Which peers the clients of a listener may reach: an immutable table, asked when a permission is made and
//! when the configuration changes, never for a relayed packet.
//!
//! Clusters are consulted in route order, and every routed cluster that contains the peer's address adds the
//! ports it allows; the first that contains the port carries the traffic.
//!
//! # Addresses that a wide prefix does not open
//!
//! An operator who routes `0.0.0.0/0` means the outside world, not this machine's loopback or the cloud's
//! metadata service. Peers in a special range ([`SPECIAL`]) are therefore reachable only through an endpoint
//! that lies inside the range itself, such as `127.0.0.1` or `169.254.0.0/16`. This machine's own addresses
//! count as such ranges, one each, with one exception: ports that relays are given are open, so that two
//! clients of one gateway can talk to each other through any prefix that contains it.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use ipnet::IpNet;
use smallvec::{SmallVec, smallvec};
use turn::addr::ClusterId;
use turn::server::{Flow, Grant, PeerProtocol, Ports};

#[cfg(test)]
mod tests;

/// Ranges that only an endpoint inside them opens.
const SPECIAL: [&str; 14] = [
    "0.0.0.0/8",          // this network, RFC 1122
    "127.0.0.0/8",        // loopback, RFC 1122
    "169.254.0.0/16",     // link-local and most clouds' metadata services, RFC 3927
    "192.0.0.0/24",       // protocol assignments, RFC 6890; a metadata service
    "100.100.100.200/32", // a metadata service
    "168.63.129.16/32",   // a metadata service
    "224.0.0.0/4",        // multicast, RFC 5771
    "240.0.0.0/4",        // reserved and broadcast, RFC 1112
    "::/128",             // unspecified, RFC 4291
    "::1/128",            // loopback, RFC 4291
    "fe80::/10",          // link-local, RFC 4291
    "fec0::/10",          // site-local, RFC 3879
    "fd00:ec2::254/128",  // a metadata service
    "ff00::/8",           // multicast, RFC 4291
];

/// Some peers of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) net: IpNet,
    pub(crate) flow: Flow,
}

/// The peers of one listener.
#[derive(Debug)]
pub(crate) struct Routes {
    /// In route order.
    rules: Vec<Rule>,
    /// Positions of the rules for a prefix, ascending.
    by_prefix: HashMap<IpNet, SmallVec<[u32; 2]>, foldhash::fast::RandomState>,
    /// The lengths of prefixes there are, per family: one look-up each.
    lengths_v4: SmallVec<[u8; 4]>,
    lengths_v6: SmallVec<[u8; 4]>,
    guard: Arc<Guard>,
}

impl Routes {
    /// A table of `rules`, which are in route order.
    pub(crate) fn new(rules: Vec<Rule>, guard: Arc<Guard>) -> Self {
        let mut by_prefix: HashMap<_, SmallVec<[u32; 2]>, _> = HashMap::default();
        let mut lengths_v4 = SmallVec::new();
        let mut lengths_v6 = SmallVec::new();
        for (rule, position) in rules.iter().zip(0..) {
            by_prefix.entry(rule.net).or_default().push(position);
            let lengths = if rule.net.addr().is_ipv4() { &mut lengths_v4 } else { &mut lengths_v6 };
            if !lengths.contains(&rule.net.prefix_len()) {
                lengths.push(rule.net.prefix_len());
            }
        }
        Self { rules, by_prefix, lengths_v4, lengths_v6, guard }
    }

    /// What is allowed towards a peer. The address is canonical.
    pub(crate) fn grant(&self, peer: IpAddr) -> Grant {
        let lengths = if peer.is_ipv4() { &self.lengths_v4 } else { &self.lengths_v6 };
        let mut positions: SmallVec<[u32; 8]> = SmallVec::new();
        for length in lengths {
            let prefix = IpNet::new(peer, *length).map(|net| net.trunc());
            if let Some(found) = prefix.ok().and_then(|prefix| self.by_prefix.get(&prefix)) {
                positions.extend_from_slice(found);
            }
        }
        positions.sort_unstable();
        let protection = self.guard.protection(peer);
        positions
            .into_iter()
            .flat_map(|position| {
                let rule = &self.rules[position as usize];
                let open = protection.open(rule.net, rule.flow.ports);
                open.into_iter().map(|ports| Flow { ports, ..rule.flow })
            })
            .collect()
    }
}

/// Which addresses need an endpoint of their own.
#[derive(Debug)]
pub(crate) struct Guard {
    special: Vec<IpNet>,
    own: Vec<IpAddr>,
    relay_ports: Vec<Ports>,
}

/// What stands between a prefix and one address.
enum Protection<'g> {
    None,
    /// Only a prefix inside this one opens the address.
    Special(&'g IpNet),
    /// Only the address itself opens it; anything wider opens these ports.
    Own(IpAddr, &'g [Ports]),
}

impl Guard {
    /// A guard of the special ranges, and of this machine's `own` addresses except for the ports relays get.
    pub(crate) fn new(own: Vec<IpAddr>, relay_ports: Vec<Ports>) -> Self {
        let special = SPECIAL.iter().filter_map(|net| net.parse().ok()).collect();
        Self { special, own, relay_ports }
    }

    fn protection(&self, peer: IpAddr) -> Protection<'_> {
        if let Some(range) = self.special.iter().find(|range| range.contains(&peer)) {
            return Protection::Special(range);
        }
        if self.own.contains(&peer) { Protection::Own(peer, &self.relay_ports) } else { Protection::None }
    }
}

impl Protection<'_> {
    /// The ports that remain open of those a prefix would open.
    fn open(&self, prefix: IpNet, ports: Ports) -> SmallVec<[Ports; 1]> {
        match self {
            Self::None => smallvec![ports],
            Self::Special(range) => range.contains(&prefix).then_some(ports).into_iter().collect(),
            Self::Own(address, _) if prefix == IpNet::from(*address) => smallvec![ports],
            Self::Own(_, relays) => {
                let common = relays.iter().map(|relays| Ports {
                    first: ports.first.max(relays.first),
                    last: ports.last.min(relays.last),
                });
                common.filter(|common| common.first <= common.last).collect()
            }
        }
    }
}

/// The rules of one cluster for its endpoints.
pub(crate) fn static_rules(
    cluster: ClusterId,
    protocol: PeerProtocol,
    endpoints: &[config::Endpoint],
) -> impl Iterator<Item = Rule> {
    endpoints.iter().filter(|endpoint| !endpoint.ports.is_empty()).map(move |endpoint| Rule {
        net: endpoint.net.trunc(),
        flow: Flow {
            ports: Ports { first: *endpoint.ports.start(), last: *endpoint.ports.end() },
            protocol,
            cluster,
        },
    })
}

/// The rules of one cluster for the addresses its domains resolved to. A name that resolves to a special
/// address opens it: whoever routes `localhost` means it.
pub(crate) fn resolved_rules(
    cluster: ClusterId,
    protocol: PeerProtocol,
    addresses: impl IntoIterator<Item = IpAddr>,
) -> impl Iterator<Item = Rule> {
    addresses.into_iter().map(move |address| Rule {
        net: IpNet::from(address.to_canonical()),
        flow: Flow { ports: Ports::ALL, protocol, cluster },
    })
}
