//! What the workers know of the configuration: one immutable value, replaced as a whole.

use std::net::IpAddr;
use std::sync::Arc;

use turn::addr::{ClusterId, ListenerId};
use turn::server::{AllocationRequest, Denial, Grant, ListenerPolicy, Policy, QuotaUnit};

use crate::HandshakeLimits;
use crate::metrics::Meter;
use crate::quota::Quota;
use crate::route::Routes;
use crate::security::Security;

/// The configuration as of one moment, indexed by the numbers the TURN server uses.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) listeners: Vec<Option<ListenerView>>,
    pub(crate) clusters: Vec<Option<Arc<Meter>>>,
    /// Gateway and name of each cluster.
    pub(crate) cluster_names: Vec<Option<(Arc<str>, Arc<str>)>>,
    pub(crate) quota: Arc<Quota>,
    /// The addresses that relays are advertised by: few, and looked at for every packet.
    pub(crate) advertised: Vec<IpAddr>,
}

/// One listener.
#[derive(Debug)]
pub(crate) struct ListenerView {
    /// As configured; for logs.
    pub(crate) name: Arc<str>,
    pub(crate) gateway: Arc<str>,
    pub(crate) policy: ListenerPolicy,
    pub(crate) routes: Routes,
    pub(crate) meter: Arc<Meter>,
    /// What connections that begin now are protected by.
    pub(crate) security: Security,
    /// Most allocations per user; 0 is no limit.
    pub(crate) user_quota: u32,
    /// Most allocations of one source address; 0 is no limit.
    pub(crate) address_quota: u32,
    /// How many handshakes a worker puts up with.
    pub(crate) handshakes: HandshakeLimits,
    /// The lowest and the highest port relay sockets bind, if not any.
    pub(crate) relay_ports: Option<(u16, u16)>,
    /// The address relay sockets bind, if not all of them.
    pub(crate) bind: Option<IpAddr>,
    /// Clients are told what ICMP says about what they sent.
    pub(crate) icmp_errors: bool,
}

impl View {
    pub(crate) fn empty(quota: Arc<Quota>) -> Self {
        Self {
            listeners: Vec::new(),
            clusters: Vec::new(),
            cluster_names: Vec::new(),
            quota,
            advertised: Vec::new(),
        }
    }

    pub(crate) fn get(&self, id: ListenerId) -> Option<&ListenerView> {
        self.listeners.get(usize::from(id.0))?.as_ref()
    }

    /// Whether a relay of this process may be advertised by this address.
    pub(crate) fn advertises(&self, ip: IpAddr) -> bool {
        self.advertised.contains(&ip)
    }

    pub(crate) fn cluster_name(&self, id: ClusterId) -> Option<&(Arc<str>, Arc<str>)> {
        self.cluster_names.get(usize::from(id.0))?.as_ref()
    }

    pub(crate) fn cluster(&self, id: ClusterId) -> Option<&Meter> {
        self.clusters.get(usize::from(id.0))?.as_deref()
    }
}

impl Policy for View {
    fn listener(&self, id: ListenerId) -> Option<&ListenerPolicy> {
        self.get(id).map(|listener| &listener.policy)
    }

    fn peer(&self, listener: ListenerId, peer: IpAddr) -> Grant {
        self.get(listener).map_or_else(Grant::refused, |listener| listener.routes.grant(peer))
    }

    fn allocation(&self, request: AllocationRequest<'_>) -> Result<QuotaUnit, Denial> {
        let listener = self.get(request.client.listener()).ok_or(Denial::Capacity)?;
        let limits = [listener.user_quota, listener.address_quota];
        self.quota.take(&listener.gateway, request.user, request.client.remote().ip(), limits)
    }
}

/// The entry of a table that grows as needed.
pub(crate) fn slot_of<T>(table: &mut Vec<Option<T>>, slot: usize) -> &mut Option<T> {
    if table.len() <= slot {
        table.resize_with(slot + 1, || None);
    }
    &mut table[slot]
}
