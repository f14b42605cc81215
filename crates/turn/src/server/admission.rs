//! The questions the server asks, answered by its caller: who may ask, who may be reached, who may have more.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

use super::discovery::Discovery;
use crate::addr::{Client, ClusterId, Family, ListenerId, Transport};
use crate::credentials::Authority;

/// What the caller knows and the server does not: listeners, routes and quotas, as of one immutable snapshot.
///
/// Answers are compared by the caller only with the address handed in, which is always canonical: never
/// IPv4-mapped, never unspecified, multicast, or another disguise of IPv4.
pub trait Policy {
    /// The listener's settings, or `None` once it is gone.
    fn listener(&self, id: ListenerId) -> Option<&ListenerPolicy>;

    /// Where clients of this listener may be relayed at `peer`. Asked when a permission or a channel is made or
    /// refreshed, and for each of them at every [`Server::reconfigure`](super::Server::reconfigure); never for a
    /// relayed packet.
    fn peer(&self, listener: ListenerId, peer: IpAddr) -> Grant;

    /// Whether `request` may be granted as far as the caller is concerned. What is returned is kept for as long as
    /// the allocation (or the reserved port) lives and dropped at its end, whatever ends it.
    ///
    /// # Errors
    /// The reason to give to the client.
    fn allocation(&self, request: AllocationRequest<'_>) -> Result<QuotaUnit, Denial>;
}

/// The settings of one listener, as far as TURN is concerned.
#[derive(Clone, Debug)]
pub struct ListenerPolicy {
    /// What the listener speaks.
    pub transport: Transport,
    /// The realm and whose credentials are accepted in it.
    pub authority: Authority,
    /// The address IPv4 relays are advertised by; `None` when this listener serves no IPv4 relays.
    pub relay_v4: Option<Ipv4Addr>,
    /// The address IPv6 relays are advertised by; `None` when this listener serves no IPv6 relays.
    pub relay_v6: Option<Ipv6Addr>,
    /// Whether a cluster takes TCP, so that TCP relays are of use.
    pub relays_tcp: bool,
    /// What one allocation may have at a time.
    pub limits: Limits,
    /// Whether clients may take their allocations to other addresses of theirs.
    pub mobility: bool,
    /// What clients are told about their NAT, over UDP.
    pub discovery: Option<Discovery>,
    /// Where clients of its family that ask for a relay are sent instead.
    pub alternate: Option<SocketAddr>,
}

/// What one allocation may have at a time. The next is refused with 508.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Permissions.
    pub permissions: u16,
    /// Channels.
    pub channels: u16,
    /// TCP connections with peers, those under way included.
    pub connections: u16,
}

impl Default for Limits {
    /// 256 permissions, 256 channels, 64 connections.
    fn default() -> Self {
        Self { permissions: 256, channels: 256, connections: 64 }
    }
}

impl ListenerPolicy {
    /// The address relays of this family are advertised by.
    pub fn relay_address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.relay_v4.map(IpAddr::V4),
            Family::V6 => self.relay_v6.map(IpAddr::V6),
        }
    }
}

/// The protocol spoken between relay and peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerProtocol {
    /// UDP relaying, [RFC 8656](https://www.rfc-editor.org/rfc/rfc8656).
    Udp,
    /// TCP relaying, [RFC 6062](https://www.rfc-editor.org/rfc/rfc6062).
    Tcp,
}

/// A range of a peer's ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl Ports {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// Whether `port` is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// One cluster's consent to flows to some ports of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The ports consented to.
    pub ports: Ports,
    /// The protocol consented to.
    pub protocol: PeerProtocol,
    /// The cluster that consents, and whose counters the traffic belongs to.
    pub cluster: ClusterId,
}

/// Where one peer may be reached: the flows some routed cluster consents to, in route order.
///
/// A grant with any flow in it is enough for a permission, which is about the IP address alone; a packet needs a
/// flow of its protocol that contains the peer's port. The first that fits counts the packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    flows: SmallVec<[Flow; 2]>,
}

impl Grant {
    /// The peer may not be reached at all.
    pub fn refused() -> Self {
        Self::default()
    }

    /// Whether the peer may not be reached at all.
    pub fn is_refused(&self) -> bool {
        self.flows.is_empty()
    }

    /// The flows, in route order.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter()
    }

    /// Adds a flow behind those already there.
    pub fn push(&mut self, flow: Flow) {
        self.flows.push(flow);
    }

    /// The cluster that lets a packet through to `port`.
    pub fn cluster(&self, protocol: PeerProtocol, port: u16) -> Option<ClusterId> {
        self.flows
            .iter()
            .find(|flow| flow.protocol == protocol && flow.ports.contains(port))
            .map(|flow| flow.cluster)
    }
}

impl FromIterator<Flow> for Grant {
    fn from_iter<I: IntoIterator<Item = Flow>>(flows: I) -> Self {
        Self { flows: flows.into_iter().collect() }
    }
}

/// Somebody who has proved who they are asks for a relay.
#[derive(Clone, Copy, Debug)]
pub struct AllocationRequest<'a> {
    /// Where they are.
    pub client: Client,
    /// Who they are: what a quota counts by, together with the listener's realm.
    pub user: &'a str,
}

/// The caller's reason to refuse an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The user has as many as they may have: 486.
    Quota,
    /// The source address has as many as it may have: 486.
    Address,
    /// The process is on its way out and takes nothing new: 508.
    Draining,
    /// The process has as many as it can carry: 508.
    Capacity,
}

/// Something of the caller's that an allocation holds from its admission to its end. Dropping is the release, so
/// there is no end an allocation can come to without it.
#[derive(Default)]
pub struct QuotaUnit(Option<Box<dyn Any + Send>>);

impl QuotaUnit {
    /// Nothing to release.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Something whose `Drop` gives the unit back.
    pub fn holding(unit: impl Any + Send) -> Self {
        Self(Some(Box::new(unit)))
    }
}

impl fmt::Debug for QuotaUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "QuotaUnit(held)" } else { "QuotaUnit(none)" })
    }
}
