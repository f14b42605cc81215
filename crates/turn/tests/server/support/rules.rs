//! What operators configure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use turn::addr::{ClusterId, ListenerId, Transport};
use turn::credentials::Authority;
use turn::server::{
    AllocationRequest, Denial, Flow, Grant, Limits, ListenerPolicy, PeerProtocol, Policy, Ports, QuotaUnit,
};

use super::{PASS, USER, realm};

/// What an operator would have configured.
pub(crate) struct Rules {
    pub(crate) listeners: BTreeMap<u16, ListenerPolicy>,
    pub(crate) routes: Vec<Route>,
    /// How many allocations a user may have.
    pub(crate) quota: usize,
    /// Refuses every allocation.
    pub(crate) denial: Option<Denial>,
    used: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// A network that may be reached.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    pub(crate) net: IpAddr,
    pub(crate) prefix: u8,
    pub(crate) ports: Ports,
    pub(crate) protocol: PeerProtocol,
    pub(crate) cluster: u16,
}

pub(crate) fn route(net: &str, cluster: u16) -> Route {
    let (ip, prefix) = net.split_once('/').unwrap();
    Route {
        net: ip.parse().unwrap(),
        prefix: prefix.parse().unwrap(),
        ports: Ports::ALL,
        protocol: PeerProtocol::Udp,
        cluster,
    }
}

impl Route {
    pub(crate) fn ports(self, first: u16, last: u16) -> Self {
        Self { ports: Ports { first, last }, ..self }
    }

    pub(crate) fn tcp(self) -> Self {
        Self { protocol: PeerProtocol::Tcp, ..self }
    }

    fn contains(&self, peer: IpAddr) -> bool {
        match (self.net, peer) {
            (IpAddr::V4(net), IpAddr::V4(peer)) => {
                (net.to_bits() ^ peer.to_bits()).checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(peer)) => {
                (net.to_bits() ^ peer.to_bits()).checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl Rules {
    pub(super) fn new() -> Self {
        Self {
            listeners: BTreeMap::from([(1, listener(Transport::Udp)), (2, listener(Transport::Tcp))]),
            routes: vec![route("192.0.2.0/24", 1)],
            quota: usize::MAX,
            denial: None,
            used: Arc::default(),
        }
    }

    pub(crate) fn listener_mut(&mut self, id: u16) -> &mut ListenerPolicy {
        self.listeners.get_mut(&id).unwrap()
    }

    /// How many units of the quota a user has.
    pub(crate) fn used(&self, user: &str) -> usize {
        self.used.lock().unwrap().get(user).copied().unwrap_or(0)
    }
}

pub(crate) fn listener(transport: Transport) -> ListenerPolicy {
    ListenerPolicy {
        transport,
        authority: Authority::fixed(realm(), USER, PASS),
        relay_v4: Some(Ipv4Addr::new(203, 0, 113, 1)),
        relay_v6: None,
        relays_tcp: transport != Transport::Udp,
        limits: Limits::default(),
        mobility: false,
        discovery: None,
        alternate: None,
    }
}

impl Policy for Rules {
    fn listener(&self, id: ListenerId) -> Option<&ListenerPolicy> {
        self.listeners.get(&id.0)
    }

    fn peer(&self, _: ListenerId, peer: IpAddr) -> Grant {
        let routes = self.routes.iter().filter(|route| route.contains(peer));
        routes
            .map(|route| Flow {
                ports: route.ports,
                protocol: route.protocol,
                cluster: ClusterId(route.cluster),
            })
            .collect()
    }

    fn allocation(&self, request: AllocationRequest<'_>) -> Result<QuotaUnit, Denial> {
        if let Some(denial) = self.denial {
            return Err(denial);
        }
        let mut used = self.used.lock().unwrap();
        let count = used.entry(request.user.into()).or_default();
        if *count >= self.quota {
            return Err(Denial::Quota);
        }
        *count += 1;
        Ok(QuotaUnit::holding(Unit { user: request.user.into(), used: Arc::clone(&self.used) }))
    }
}

struct Unit {
    user: String,
    used: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Drop for Unit {
    fn drop(&mut self) {
        *self.used.lock().unwrap().get_mut(&self.user).unwrap() -= 1;
    }
}
