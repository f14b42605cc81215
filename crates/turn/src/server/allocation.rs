//! One allocation, ignorant of all others.

use std::net::IpAddr;
use std::time::Instant;

use smallvec::SmallVec;
use stun::TransactionId;
use stun::attribute::ReservationToken;

use super::admission::{PeerProtocol, QuotaUnit};
use super::connection::Connection;
use super::forwarding::{ChannelKey, PermissionKey};
use crate::addr::{Client, Family, RelayedAddr};
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
    /// The second family that was asked for and not given.
    pub(super) refused: Option<Family>,
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
        Self { client, user, birth, stage, permissions, channels, connections: None, unit }
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
