//! One allocation, ignorant of all others.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use smallvec::SmallVec;
use stun::TransactionId;
use stun::attribute::ReservationToken;

use super::admission::{PeerProtocol, QuotaUnit};
use super::connection::Connection;
use super::forwarding::{ChannelKey, PermissionKey};
use super::icmp::IcmpBudget;
use super::mobility::{Ticket, Tickets};
use super::reject::RejectReason;
use crate::addr::{Client, Family, RelayId, RelayedAddr};
use crate::credentials::Signer;

/// A client's allocation, from the moment it is asked for.
pub(super) struct Allocation {
    pub(super) client: Client,
    /// Who may ask anything of it.
    pub(super) user: Box<str>,
    pub(super) birth: Birth,
    pub(super) stage: Stage,
    pub(super) permissions: SmallVec<[PermissionKey; 2]>,
    pub(super) channels: SmallVec<[Bound; 1]>,
    /// Those with peers, if it is TCP that is relayed.
    pub(super) connections: Option<Vec<Connection>>,
    /// The one of the other family that the same request asked for, while there is one. It has a life of its own.
    pub(super) twin: Option<RelayId>,
    pub(super) icmp: IcmpBudget,
    /// Of a client that may move.
    pub(super) tickets: Option<Tickets>,
    /// Where the client says that it is now.
    pub(super) moving: Option<Client>,
    /// Held only to be dropped.
    pub(super) unit: QuotaUnit,
}

/// What the answer to its Allocate said, so that a repeated request gets the same answer.
#[derive(Clone, Copy)]
pub(super) struct Birth {
    pub(super) transaction: TransactionId,
    /// In seconds.
    pub(super) lifetime: u32,
    /// The token of the next higher port, if that was asked for.
    pub(super) token: Option<ReservationToken>,
    /// The family that was asked for besides and not given, and why.
    pub(super) refused: Option<(Family, RejectReason)>,
    /// The ticket, if one was asked for.
    pub(super) ticket: Option<Ticket>,
}

/// Whether the relay socket is there yet.
pub(super) enum Stage {
    Opening(Box<Opening>),
    Live(Live),
}

/// An allocation that waits for its socket.
pub(super) struct Opening {
    /// Signs the answer.
    pub(super) signer: Signer,
    /// The address to advertise, once there is a port to go with it. Absent for a port in reserve, which has one.
    pub(super) ip: Option<IpAddr>,
    /// When the client is told that there is no socket.
    pub(super) patience: Instant,
    /// The socket is there: it is its twin's that is waited for.
    pub(super) ready: Option<SocketAddr>,
}

#[derive(Clone, Copy)]
pub(super) struct Live {
    pub(super) relayed: RelayedAddr,
    pub(super) expires: Instant,
}

impl Live {
    /// The family of the allocation, which is that of its peers.
    pub(super) const fn family(&self) -> Family {
        Family::of(self.relayed.get().ip())
    }
}

/// A channel of an allocation.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) key: ChannelKey,
    /// The end of the binding; its forwarding entry may hold for a shorter time.
    pub(super) expires: Instant,
}

impl Allocation {
    /// An allocation without permissions and channels.
    pub(super) fn new(client: Client, user: Box<str>, birth: Birth, stage: Stage, unit: QuotaUnit) -> Self {
        let (permissions, channels) = (SmallVec::new(), SmallVec::new());
        Self {
            client,
            user,
            birth,
            stage,
            permissions,
            channels,
            connections: None,
            twin: None,
            icmp: IcmpBudget::default(),
            tickets: None,
            moving: None,
            unit,
        }
    }

    /// The same for this protocol; UDP is the one it is made for.
    pub(super) fn relaying(self, protocol: PeerProtocol) -> Self {
        let connections = (protocol == PeerProtocol::Tcp).then(Vec::new);
        Self { connections, ..self }
    }

    pub(super) fn live(&self) -> Option<Live> {
        match &self.stage {
            Stage::Opening(_) => None,
            Stage::Live(live) => Some(*live),
        }
    }
}

/// A client's live allocations: one, or one of each family. Named by family, since that of a peer decides.
#[derive(Clone, Copy)]
pub(super) struct Own {
    v4: Option<RelayId>,
    v6: Option<RelayId>,
}

impl Own {
    pub(super) const NONE: Self = Self { v4: None, v6: None };

    /// The same with the allocation of this family.
    pub(super) const fn with(self, family: Family, id: RelayId) -> Self {
        match family {
            Family::V4 => Self { v4: Some(id), ..self },
            Family::V6 => Self { v6: Some(id), ..self },
        }
    }

    /// The allocation of this family.
    pub(super) const fn of(self, family: Family) -> Option<RelayId> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    pub(super) fn iter(self) -> impl Iterator<Item = RelayId> {
        [self.v4, self.v6].into_iter().flatten()
    }
}
