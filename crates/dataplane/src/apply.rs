//! Carrying out a plan: everything that can fail first, then the change, which cannot.
//!
//! New sockets are bound while the old ones still serve, so a port that is taken leaves everything as it was.
//! Listeners that trade ports hold them together for a moment: their sockets share ports, and clients of the
//! old listener are gone with it anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use config::{Cluster, ClusterKind, ClusterProtocol, Config};
use net::TcpListener;
use thiserror::Error;
use turn::addr::{ClusterId, ListenerId};
use turn::server::{Limits, ListenerPolicy, PeerProtocol, Ports};

use crate::HandshakeLimits;
use crate::admin;
use crate::endpoint::Bind;
use crate::listener::ListenerSocket;
use crate::metrics::{Meter, Metrics};
use crate::plan::{Gateway, Key, Plan, Roles, Wanted, WantedListener};
use crate::quota::Quota;
use crate::route::{self, Guard, Routes, Rule};
use crate::view::{ListenerView, View, slot_of};

/// What became of a new configuration that is now in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What had to start over, as `listener: NAME`, `cluster: NAME`, `metrics: default-metrics`,
    /// `health: default-health` or `offload: default-offload`.
    pub restarted: Vec<String>,
    /// Gateways whose new configuration makes no sense, and why: the field, what is wrong with it, and what to write
    /// instead. What ran of them runs on; all others have changed.
    pub refused: BTreeMap<String, String>,
}

/// Why a configuration was refused. What ran before runs on, untouched.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// A gateway's configuration makes no sense.
    #[error("gateway {gateway:?}: {problem}")]
    Invalid {
        /// The gateway.
        gateway: String,
        /// The field, what is wrong with it, and what to write instead.
        problem: String,
    },
    /// Two listeners want one port.
    #[error(
        "listeners {first:?} and {second:?} both want {transport} port {port}; give one of them another port"
    )]
    PortClash {
        /// The port.
        port: u16,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// The one that comes first.
        first: String,
        /// The other.
        second: String,
    },
    /// A listener's port cannot be had.
    #[error("listener {listener:?} cannot listen on {address}: {source}")]
    Listen {
        /// The listener.
        listener: String,
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The health or metrics server's port cannot be had.
    #[error("no HTTP server on {address}: {source}; change healthcheck_endpoint or metrics_endpoint")]
    Serve {
        /// Where.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// There are more than 65,535 listeners or clusters.
    #[error("too many listeners or clusters")]
    TooMany,
    /// A worker thread ended on its own: the process has to be started anew.
    #[error("a worker has died")]
    WorkerDied,
}

/// What is running.
#[derive(Debug, Default)]
pub(crate) struct Running {
    pub(crate) wanted: Wanted,
    listeners: BTreeMap<Key, (ListenerId, Arc<Meter>)>,
    clusters: BTreeMap<Key, (ClusterId, Arc<Meter>)>,
    pub(crate) servers: BTreeMap<Bind, admin::Server>,
    /// What was wrong with the last configurations: of a gateway, or of all of them together.
    pub(crate) problems: Vec<(Option<String>, String)>,
}

/// Everything a plan needs that could not be had for certain.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Per worker.
    pub(crate) sockets: Vec<Vec<ListenerSocket>>,
    pub(crate) servers: Vec<(Bind, TcpListener)>,
    opened: BTreeMap<Key, ListenerId>,
}

impl Running {
    /// Opens what the plan needs. Dropped, it leaves no trace.
    pub(crate) fn prepare(
        &self,
        plan: &Plan,
        wanted: &Wanted,
        workers: usize,
    ) -> Result<Prepared, ApplyError> {
        let mut prepared = Prepared { sockets: Vec::new(), ..Prepared::default() };
        prepared.sockets.resize_with(workers, Vec::new);
        let mut taken: BTreeSet<u16> = self.listeners.values().map(|(id, _)| id.0).collect();
        for key in &plan.open {
            let Some(listener) = wanted.listeners.get(key) else { continue };
            let id = ListenerId(free(&mut taken)?);
            prepared.opened.insert(key.clone(), id);
            self.open(id, listener, &mut prepared.sockets).map_err(|source| ApplyError::Listen {
                listener: key.name.clone(),
                address: format!("{:?} {}", listener.transport, listener.bind).to_uppercase(),
                source,
            })?;
        }
        for bind in &plan.serve {
            let ours = self.servers.keys().any(|server| server.port() == bind.port());
            let listener = admin::bind(*bind, ours)
                .map_err(|source| ApplyError::Serve { address: bind.to_string(), source })?;
            prepared.servers.push((*bind, listener));
        }
        Ok(prepared)
    }

    fn open(
        &self,
        id: ListenerId,
        listener: &WantedListener,
        sockets: &mut [Vec<ListenerSocket>],
    ) -> io::Result<()> {
        let ours = self.wanted.listeners.values().any(|running| running.shares_port_with(listener));
        if !ours {
            ListenerSocket::probe(listener.transport, listener.bind)?;
        }
        let second = listener.second();
        let second_is_ours = self.wanted.listeners.values().any(|running| running.second() == second);
        if let Some(second) = second.filter(|_| !second_is_ours) {
            ListenerSocket::probe(listener.transport, second)?;
        }
        for worker in sockets {
            worker.push(ListenerSocket::open(id, listener.transport, listener.bind)?);
            if let Some(second) = second {
                worker.push(ListenerSocket::open_second(id, second)?);
            }
        }
        Ok(())
    }

    /// Takes over what was prepared, and returns the listeners that end.
    pub(crate) fn commit(
        &mut self,
        plan: &Plan,
        wanted: Wanted,
        opened: BTreeMap<Key, ListenerId>,
        metrics: &Metrics,
    ) -> Result<Vec<ListenerId>, ApplyError> {
        let clusters = self.number_clusters(&wanted, metrics)?;
        let close =
            plan.close.iter().filter_map(|key| self.listeners.remove(key)).map(|(id, _)| id).collect();
        for (key, id) in opened {
            let meter = metrics.listener(&key.name);
            self.listeners.insert(key, (id, meter));
        }
        self.clusters = clusters;
        self.wanted = wanted;
        Ok(close)
    }

    /// Clusters keep their numbers for as long as they exist, since forwarding entries refer to them.
    fn number_clusters(
        &self,
        wanted: &Wanted,
        metrics: &Metrics,
    ) -> Result<BTreeMap<Key, (ClusterId, Arc<Meter>)>, ApplyError> {
        let mut taken: BTreeSet<u16> = self.clusters.values().map(|(id, _)| id.0).collect();
        let mut numbered = BTreeMap::new();
        for (gateway, Gateway { config, .. }) in &wanted.gateways {
            for cluster in &config.clusters {
                let key = Key { gateway: gateway.clone(), name: cluster.name.clone() };
                let entry = match self.clusters.get(&key) {
                    Some((id, meter)) => (*id, Arc::clone(meter)),
                    None => (ClusterId(free(&mut taken)?), metrics.cluster(&cluster.name)),
                };
                numbered.insert(key, entry);
            }
        }
        Ok(numbered)
    }

    /// What the workers have to know of this state, with the addresses that domains have now.
    pub(crate) fn view(&self, quota: &Arc<Quota>, resolved: &dyn Fn(&str) -> Vec<IpAddr>) -> View {
        let mut view = View::empty(Arc::clone(quota));
        for (key, (id, meter)) in &self.clusters {
            *slot_of(&mut view.clusters, usize::from(id.0)) = Some(Arc::clone(meter));
            let name = (key.gateway.as_str().into(), key.name.as_str().into());
            *slot_of(&mut view.cluster_names, usize::from(id.0)) = Some(name);
        }
        let guard = Arc::new(self.guard());
        for (key, (id, meter)) in &self.listeners {
            let (Some(listener), Some(gateway)) =
                (self.wanted.listeners.get(key), self.wanted.gateways.get(&key.gateway))
            else {
                continue;
            };
            let (relay_v4, relay_v6) = advertised(listener.address, listener.additional);
            for ip in relay_v4.map(IpAddr::V4).into_iter().chain(relay_v6.map(IpAddr::V6)) {
                if !view.advertises(ip) {
                    view.advertised.push(ip);
                }
            }
            let rules = self.rules(key, listener, gateway, resolved);
            *slot_of(&mut view.listeners, usize::from(id.0)) = Some(ListenerView {
                name: key.name.as_str().into(),
                gateway: key.gateway.as_str().into(),
                policy: ListenerPolicy {
                    transport: listener.transport,
                    authority: gateway.authority.clone(),
                    relay_v4,
                    relay_v6,
                    relays_tcp: routes_tcp(&gateway.config, listener),
                    limits: limits_of(gateway.config.admin.limits),
                    mobility: listener.mobility,
                    discovery: listener.discovery,
                    alternate: listener.alternate,
                },
                routes: Routes::new(rules, Arc::clone(&guard)),
                meter: Arc::clone(meter),
                security: listener.security.clone(),
                user_quota: gateway.config.admin.user_quota,
                address_quota: u32::from(gateway.config.admin.limits.allocations_per_address),
                handshakes: handshakes_of(gateway.config.admin.limits),
                relay_ports: listener.relay_ports,
                bind: listener.bind_ip,
                icmp_errors: listener.icmp_errors,
            });
        }
        view
    }

    /// The rules of a listener's clusters in route order; names without a cluster admit nobody.
    fn rules(
        &self,
        key: &Key,
        listener: &WantedListener,
        gateway: &Gateway,
        resolved: &dyn Fn(&str) -> Vec<IpAddr>,
    ) -> Vec<Rule> {
        let mut rules = Vec::new();
        for name in &listener.routes {
            let Some(cluster) = cluster_named(&gateway.config, name) else { continue };
            let cluster_key = Key { gateway: key.gateway.clone(), name: name.clone() };
            let Some((id, _)) = self.clusters.get(&cluster_key) else { continue };
            let protocol = peer_protocol(cluster.protocol);
            match cluster.kind {
                ClusterKind::Static => {
                    let endpoints = cluster.parsed_endpoints().unwrap_or_default();
                    rules.extend(route::static_rules(*id, protocol, &endpoints));
                }
                ClusterKind::StrictDns => {
                    let addresses = cluster.domains().iter().flat_map(|domain| resolved(domain));
                    rules.extend(route::resolved_rules(*id, protocol, addresses));
                }
            }
        }
        rules
    }

    /// Which addresses are this machine's, as of now: those of its interfaces and those it advertises.
    fn guard(&self) -> Guard {
        let mut own = net::interface::addresses().unwrap_or_default();
        for listener in self.wanted.listeners.values() {
            own.extend([Some(listener.address), listener.additional].into_iter().flatten());
        }
        let mut ports: Vec<Ports> = Vec::new();
        for listener in self.wanted.listeners.values() {
            let configured = listener.relay_ports.map(|(first, last)| Ports { first, last });
            let given = configured.unwrap_or_else(relay_ports);
            if !ports.contains(&given) {
                ports.push(given);
            }
        }
        Guard::new(own, ports)
    }

    /// What each HTTP server serves.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&Bind, &Roles)> {
        self.wanted.endpoints.iter()
    }
}

impl Prepared {
    /// The numbers of the listeners that were opened.
    pub(crate) fn take_opened(&mut self) -> BTreeMap<Key, ListenerId> {
        std::mem::take(&mut self.opened)
    }
}

/// The addresses relays of a listener are advertised by.
///
/// A configured address serves its own family only, and the other one has an address of its own. An unspecified one means that nobody said what this
/// machine is called: then it is the address the machine itself would use towards the outside, and loopback
/// if there is no outside.
fn advertised(address: IpAddr, additional: Option<IpAddr>) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    match (address, additional) {
        (IpAddr::V4(v4), Some(IpAddr::V6(v6))) | (IpAddr::V6(v6), Some(IpAddr::V4(v4))) => {
            (Some(v4), Some(v6))
        }
        (IpAddr::V4(v4), _) if !v4.is_unspecified() => (Some(v4), None),
        (IpAddr::V6(v6), _) if !v6.is_unspecified() => (None, Some(v6)),
        _ => {
            let v4 = match net::interface::outward(false) {
                Some(IpAddr::V4(v4)) => Some(v4),
                _ => None,
            };
            let v6 = match net::interface::outward(true) {
                Some(IpAddr::V6(v6)) => Some(v6),
                _ => None,
            };
            let nothing = v4.is_none() && v6.is_none();
            (v4.or_else(|| nothing.then_some(Ipv4Addr::LOCALHOST)), v6)
        }
    }
}

/// The ports that the kernel gives to sockets that ask for none: those of relays.
fn relay_ports() -> Ports {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) => Ports { first, last },
        _ => Ports { first: 32_768, last: 60_999 },
    }
}

fn cluster_named<'c>(config: &'c Config, name: &str) -> Option<&'c Cluster> {
    config.clusters.iter().find(|cluster| cluster.name == name)
}

/// What one allocation may have: as configured, or the default where nothing is.
fn limits_of(configured: config::Limits) -> Limits {
    let default = Limits::default();
    let or = |limit, default| if limit == 0 { default } else { limit };
    Limits {
        permissions: or(configured.permissions, default.permissions),
        channels: or(configured.channels, default.channels),
        connections: or(configured.connections, default.connections),
    }
}

/// How many handshakes may be in flight, in the same way.
fn handshakes_of(configured: config::Limits) -> HandshakeLimits {
    let default = HandshakeLimits::default();
    let or = |limit: u16, default| if limit == 0 { default } else { usize::from(limit) };
    HandshakeLimits {
        per_worker: or(configured.handshakes, default.per_worker),
        per_source: or(configured.handshakes_per_address, default.per_source),
    }
}

/// Whether some cluster of the listener takes TCP, whatever addresses it has now.
fn routes_tcp(config: &Config, listener: &WantedListener) -> bool {
    let mut routed = listener.routes.iter().filter_map(|name| cluster_named(config, name));
    routed.any(|cluster| cluster.protocol == ClusterProtocol::Tcp)
}

fn peer_protocol(protocol: ClusterProtocol) -> PeerProtocol {
    match protocol {
        ClusterProtocol::Udp => PeerProtocol::Udp,
        ClusterProtocol::Tcp => PeerProtocol::Tcp,
    }
}

/// The lowest number that is not taken, which is taken then.
fn free(taken: &mut BTreeSet<u16>) -> Result<u16, ApplyError> {
    let free = (0..u16::MAX).find(|number| !taken.contains(number)).ok_or(ApplyError::TooMany)?;
    taken.insert(free);
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_advertised_for_its_own_family() {
        let (v4, v6) = (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::LOCALHOST);
        assert_eq!(advertised(v4.into(), None), (Some(v4), None));
        assert_eq!(advertised(v6.into(), None), (None, Some(v6)));
        assert_eq!(advertised(v4.into(), Some(v6.into())), (Some(v4), Some(v6)));
        assert_eq!(advertised(v6.into(), Some(v4.into())), (Some(v4), Some(v6)));
    }

    #[test]
    fn without_an_address_some_address_of_this_machine_is_advertised() {
        let (v4, v6) = advertised(Ipv4Addr::UNSPECIFIED.into(), None);
        assert!(v4.is_some() || v6.is_some());
        assert!(v4.is_none_or(|ip| !ip.is_unspecified()) && v6.is_none_or(|ip| !ip.is_unspecified()));
    }

    #[test]
    fn the_lowest_free_number_is_given_out_once() {
        let mut taken = BTreeSet::from([0, 2]);
        assert_eq!((free(&mut taken).unwrap(), free(&mut taken).unwrap()), (1, 3));
    }
}
