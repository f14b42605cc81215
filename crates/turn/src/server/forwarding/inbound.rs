//! One relay's share of the table as a value of its own, for readers on other threads.

use std::net::IpAddr;
use std::time::Instant;

use smallvec::SmallVec;
use stun::ChannelNumber;

use super::{Channel, Permission, Relay, ToClient, Way};
use crate::addr::{Client, ClusterId, PeerAddr, RelayId, RelayedAddr};
use crate::server::admission::Grant;
use crate::server::counters::DropReason;

/// What one relay lets through to its client, as of one moment. Immutable: whoever wants another thread to forward to
/// this client replaces the value after every [`Change`].
#[derive(Clone, Debug)]
pub struct Inbound {
    relay: RelayId,
    client: Client,
    expires: Instant,
    channels: SmallVec<[OpenChannel; 1]>,
    permissions: SmallVec<[OpenPermission; 1]>,
}

#[derive(Clone, Copy, Debug)]
struct OpenChannel {
    number: ChannelNumber,
    peer: PeerAddr,
    cluster: Option<ClusterId>,
    until: Instant,
}

#[derive(Clone, Debug)]
struct OpenPermission {
    ip: IpAddr,
    grant: Grant,
    until: Instant,
}

/// What has become of a relay's share of the table, for whoever keeps a copy of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is another one now, see [`Server::inbound`](crate::server::Server::inbound); or the relay has ended since,
    /// which is the next thing said about it.
    Changed(RelayId),
    /// The relay that was advertised by this address has ended. Its socket is still open: the address is nobody
    /// else's yet.
    Ended(RelayId, RelayedAddr),
}

impl Inbound {
    pub(super) fn new<'t>(
        relay: &Relay,
        expires: Instant,
        channels: impl Iterator<Item = &'t Channel>,
        permissions: impl Iterator<Item = &'t Permission>,
    ) -> Self {
        let channel = |channel: &Channel| OpenChannel {
            number: channel.number,
            peer: channel.peer,
            cluster: channel.cluster,
            until: channel.until,
        };
        let permission = |permission: &Permission| OpenPermission {
            ip: permission.ip,
            grant: permission.grant.clone(),
            until: permission.until,
        };
        Self {
            relay: relay.id,
            client: relay.client,
            expires,
            channels: channels.map(channel).collect(),
            permissions: permissions.map(permission).collect(),
        }
    }

    /// The relay.
    pub const fn relay(&self) -> RelayId {
        self.relay
    }

    /// Whose it is.
    pub const fn client(&self) -> Client {
        self.client
    }

    /// Where data goes that a peer sent to the relay: what [`Forwarding::by_peer`](super::Forwarding::by_peer) said
    /// when this was made.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    pub fn by_peer(&self, peer: PeerAddr, now: Instant) -> Result<ToClient, DropReason> {
        if now >= self.expires {
            return Err(DropReason::UnknownRelay);
        }
        let channel = self.channels.iter().find(|channel| channel.peer == peer);
        let way = Way {
            channel: channel.map(|channel| (channel.number, channel.cluster, channel.until)),
            permission: || {
                let permission = self.permissions.iter().find(|permission| permission.ip == peer.ip())?;
                Some((&permission.grant, permission.until))
            },
        };
        way.judge(self.client, peer, now)
    }
}
