//! The forwarding table: written by signalling, only read by packets.
//!
//! ```text
//! (client 5-tuple, channel)      -> (relay socket, peer, cluster)
//! (relay socket, peer)           -> (client 5-tuple, channel, cluster)
//! (relay socket, peer's IP)      -> what the peer's ports may carry
//! relayed address                -> relay socket
//! ```
//!
//! Both directions of a channel are one entry behind two indexes, so they cannot disagree. An entry carries the
//! decision that admitted it (its cluster, or its [`Grant`]) and the moment until which it holds. A packet is
//! forwarded by comparing addresses and times; no policy, no allocation record and no clock is consulted.
//!
//! All lookups are public and take `&self`: whoever wants to forward without passing through a relay socket, or to
//! mirror entries elsewhere, asks the same questions as the ordinary path and gets the same answers. Whoever cannot
//! reach the table, because it is another thread's, reads a copy: an [`Inbound`].

mod inbound;
mod index;

use std::cell::Cell;
use std::hash::BuildHasher as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use slab::Slab;
use stun::ChannelNumber;

pub use self::inbound::{Change, Inbound};
use self::index::{AsKey, Index, IpKey};
use super::admission::{Grant, PeerProtocol};
use super::allocation::Live;
use super::counters::DropReason;
use crate::addr::{Client, ClusterId, Family, PeerAddr, RelayId, RelayedAddr};

/// Where a client's data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToPeer {
    /// The socket to send from.
    pub relay: RelayId,
    /// Where to send to.
    pub peer: PeerAddr,
    /// The cluster that consents.
    pub cluster: ClusterId,
}

/// Where a peer's data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToClient {
    /// Whose relay it is.
    pub client: Client,
    /// The channel to send it on; without one, a Data indication.
    pub channel: Option<ChannelNumber>,
    /// The cluster that consents.
    pub cluster: ClusterId,
}

/// See the [module](self).
pub struct Forwarding {
    hash: SeedableRandomState,
    /// By slot. Empty while the slot is free or holds a port in reserve.
    relays: Vec<Option<Relay>>,
    by_client: Index,
    by_relayed: Index,
    channels: Slab<Channel>,
    by_number: Index,
    by_peer: Index,
    permissions: Slab<Permission>,
    by_ip: Index,
    /// The channels that the last data came on from a client, and from a peer.
    last_from_client: Cell<u32>,
    last_from_peer: Cell<u32>,
}

/// One end of the relay: the client's.
struct Relay {
    id: RelayId,
    client: Client,
    /// Absent until the socket is open.
    live: Option<Live>,
}

impl Relay {
    fn is_live(&self, now: Instant) -> bool {
        self.live.is_some_and(|live| now < live.expires)
    }
}

/// A channel's entry. One cache line.
pub(super) struct Channel {
    slot: u32,
    number: ChannelNumber,
    pub(super) cluster: Option<ClusterId>,
    peer: PeerAddr,
    /// The end of the binding or of the permission under it, whichever is first.
    pub(super) until: Instant,
}

impl Channel {
    /// Whether it leads from this relay to this peer.
    fn leads_to(&self, slot: u32, peer: PeerAddr) -> bool {
        self.slot == slot && self.peer == peer
    }

    pub(super) const fn number(&self) -> ChannelNumber {
        self.number
    }

    pub(super) const fn peer(&self) -> PeerAddr {
        self.peer
    }
}

/// A permission's entry.
pub(super) struct Permission {
    slot: u32,
    ip: IpAddr,
    pub(super) grant: Grant,
    pub(super) until: Instant,
}

impl Permission {
    pub(super) const fn ip(&self) -> IpAddr {
        self.ip
    }
}

/// Names a channel's entry to those who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelKey(u32);

/// Names a permission's entry to those who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PermissionKey(u32);

impl Forwarding {
    /// Where data on one of a client's channels goes.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    pub fn by_channel(
        &self,
        client: &Client,
        number: ChannelNumber,
        now: Instant,
    ) -> Result<ToPeer, DropReason> {
        let is_it =
            |channel: &Channel| channel.number == number && self.client_of(channel.slot) == Some(client);
        let hash = || self.hash.hash_one((client, number));
        let Some(channel) = self.find_channel(&self.last_from_client, &self.by_number, hash, is_it) else {
            self.live_relay(client, now)?;
            return Err(DropReason::UnboundChannel);
        };
        let relay = self.relay(channel.slot).filter(|relay| relay.is_live(now));
        let relay = relay.ok_or(DropReason::NoAllocation)?.id;
        if now >= channel.until {
            return Err(DropReason::UnboundChannel);
        }
        let cluster = channel.cluster.ok_or(DropReason::PeerRefused)?;
        Ok(ToPeer { relay, peer: channel.peer, cluster })
    }

    /// Where data goes that a client addresses to a peer itself, in a Send indication.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    pub fn by_address(&self, client: &Client, peer: PeerAddr, now: Instant) -> Result<ToPeer, DropReason> {
        let Some(relay) = self.relay_to(client, peer.family(), now) else {
            self.live_relay(client, now)?;
            return Err(DropReason::NoPermission);
        };
        let cluster = self.permitted(relay, peer, now)?;
        Ok(ToPeer { relay, peer, cluster })
    }

    /// Where data goes that a peer sent to a relay socket.
    ///
    /// # Errors
    /// Why the packet is to be dropped.
    pub fn by_peer(&self, relay: RelayId, peer: PeerAddr, now: Instant) -> Result<ToClient, DropReason> {
        let entry = self.relay(relay.slot() as u32).filter(|entry| entry.id == relay && entry.is_live(now));
        let client = entry.ok_or(DropReason::UnknownRelay)?.client;
        let channel = self.channel_to(relay.slot() as u32, peer);
        let way = Way {
            channel: channel.map(|channel| (channel.number, channel.cluster, channel.until)),
            permission: || self.permission_to(relay, peer),
        };
        way.judge(client, peer, now)
    }

    /// The relay socket that is advertised by this address, if it is one of ours.
    pub fn relay_at(&self, relayed: SocketAddr) -> Option<RelayId> {
        let hash = self.hash.hash_one(AsKey(relayed));
        let found = self.by_relayed.find(hash, |slot| self.relayed_of(slot) == Some(relayed))?;
        Some(self.relay(found)?.id)
    }

    /// The address by which a relay socket is advertised: the source of what its client sends, as peers see it.
    pub fn relayed_addr(&self, relay: RelayId) -> Option<RelayedAddr> {
        let entry = self.relay(relay.slot() as u32).filter(|entry| entry.id == relay)?;
        entry.live.map(|live| live.relayed)
    }

    /// The relay of a live allocation with its channels and permissions, as a value.
    pub(super) fn inbound(
        &self,
        id: RelayId,
        channels: impl Iterator<Item = ChannelKey>,
        permissions: impl Iterator<Item = PermissionKey>,
    ) -> Option<Inbound> {
        let relay = self.relay(id.slot() as u32).filter(|relay| relay.id == id)?;
        let channels = channels.map(|key| self.channel(key));
        let permissions = permissions.map(|key| self.permission(key));
        Some(Inbound::new(relay, relay.live?.expires, channels, permissions))
    }

    fn live_relay(&self, client: &Client, now: Instant) -> Result<RelayId, DropReason> {
        let relay =
            [Family::V4, Family::V6].into_iter().find_map(|family| self.relay_to(client, family, now));
        relay.ok_or(DropReason::NoAllocation)
    }

    /// A client's live relay of this family.
    fn relay_to(&self, client: &Client, family: Family, now: Instant) -> Option<RelayId> {
        let slot = self.by_client.find(self.hash.hash_one(client), |slot| {
            let relay = self.relay(slot).filter(|relay| relay.client == *client);
            relay.and_then(|relay| relay.live).is_some_and(|live| live.family() == family)
        })?;
        self.relay(slot).filter(|relay| relay.is_live(now)).map(|relay| relay.id)
    }

    fn permitted(&self, relay: RelayId, peer: PeerAddr, now: Instant) -> Result<ClusterId, DropReason> {
        permitted(self.permission_to(relay, peer), peer, now)
    }

    fn permission_to(&self, relay: RelayId, peer: PeerAddr) -> Option<(&Grant, Instant)> {
        let permission = self.permission(self.permission_key(relay.slot() as u32, peer.ip())?);
        Some((&permission.grant, permission.until))
    }

    fn channel_to(&self, slot: u32, peer: PeerAddr) -> Option<&Channel> {
        let hash = || self.hash.hash_one((slot, peer));
        self.find_channel(&self.last_from_peer, &self.by_peer, hash, |channel| channel.leads_to(slot, peer))
    }

    /// Looks at the entry found last time first: the datagrams of a burst have one way.
    fn find_channel(
        &self,
        last: &Cell<u32>,
        index: &Index,
        hash: impl FnOnce() -> u64,
        is_it: impl Fn(&Channel) -> bool,
    ) -> Option<&Channel> {
        if let Some(channel) = self.channels.get(last.get() as usize)
            && is_it(channel)
        {
            return Some(channel);
        }
        let found = index.find(hash(), |key| is_it(&self.channels[key as usize]))?;
        last.set(found);
        Some(&self.channels[found as usize])
    }

    fn relay(&self, slot: u32) -> Option<&Relay> {
        self.relays.get(slot as usize)?.as_ref()
    }

    fn client_of(&self, slot: u32) -> Option<&Client> {
        self.relay(slot).map(|relay| &relay.client)
    }

    fn relayed_of(&self, slot: u32) -> Option<SocketAddr> {
        self.relay(slot)?.live.map(|live| live.relayed.get())
    }
}

/// What an entry, wherever it is kept, has to say about a peer's data: the channel that is bound to the peer, and the
/// permission for its address, which is only looked for if need be.
struct Way<P> {
    channel: Option<(ChannelNumber, Option<ClusterId>, Instant)>,
    permission: P,
}

impl<'t, P: FnOnce() -> Option<(&'t Grant, Instant)>> Way<P> {
    fn judge(self, client: Client, peer: PeerAddr, now: Instant) -> Result<ToClient, DropReason> {
        match self.channel {
            Some((number, cluster, until)) if now < until => {
                let cluster = cluster.ok_or(DropReason::PeerRefused)?;
                Ok(ToClient { client, channel: Some(number), cluster })
            }
            _ => {
                let cluster = permitted((self.permission)(), peer, now)?;
                Ok(ToClient { client, channel: None, cluster })
            }
        }
    }
}

fn permitted(
    permission: Option<(&Grant, Instant)>,
    peer: PeerAddr,
    now: Instant,
) -> Result<ClusterId, DropReason> {
    let (grant, _) = permission.filter(|(_, until)| now < *until).ok_or(DropReason::NoPermission)?;
    grant.cluster(PeerProtocol::Udp, peer.port()).ok_or(DropReason::PeerRefused)
}

/// What only signalling may do.
impl Forwarding {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hash: SeedableRandomState::with_seed(seed, SharedSeed::global_random()),
            relays: Vec::new(),
            by_client: Index::default(),
            by_relayed: Index::default(),
            channels: Slab::new(),
            by_number: Index::default(),
            by_peer: Index::default(),
            permissions: Slab::new(),
            by_ip: Index::default(),
            last_from_client: Cell::default(),
            last_from_peer: Cell::default(),
        }
    }

    /// The relay of a client, open or still being opened; either one if there are two.
    pub(super) fn relay_of(&self, client: &Client) -> Option<RelayId> {
        let hash = self.hash.hash_one(client);
        let slot = self.by_client.find(hash, |slot| self.client_of(slot) == Some(client))?;
        Some(self.relay(slot)?.id)
    }

    /// Ties a client to a relay slot that nobody holds. A client may have two, of different families.
    pub(super) fn attach(&mut self, id: RelayId, client: Client) {
        let Self { hash, relays, by_client, .. } = self;
        if relays.len() <= id.slot() {
            relays.resize_with(id.slot() + 1, || None);
        }
        relays[id.slot()] = Some(Relay { id, client, live: None });
        by_client.insert(hash.hash_one(client), id.slot() as u32, |slot| {
            relays[slot as usize].as_ref().map_or(0, |relay| hash.hash_one(relay.client))
        });
    }

    /// Ties an attached relay and its channels to another client.
    pub(super) fn reattach(
        &mut self,
        id: RelayId,
        client: Client,
        keys: impl Iterator<Item = ChannelKey> + Clone,
    ) {
        let slot = id.slot() as u32;
        let Self { hash, relays, channels, by_client, by_number, .. } = self;
        let Some(relay) = relays[id.slot()].as_mut() else { return };
        let before = std::mem::replace(&mut relay.client, client);
        by_client.remove(hash.hash_one(before), slot);
        by_client.insert(hash.hash_one(client), slot, |slot| {
            relays[slot as usize].as_ref().map_or(0, |relay| hash.hash_one(relay.client))
        });
        for key in keys.clone() {
            by_number.remove(hash.hash_one((&before, channels[key.0 as usize].number)), key.0);
        }
        let number_hash = |channel: &Channel| {
            let relay = relays[channel.slot as usize].as_ref();
            relay.map_or(0, |relay| hash.hash_one((&relay.client, channel.number)))
        };
        for key in keys {
            let own = number_hash(&channels[key.0 as usize]);
            by_number.insert(own, key.0, |key| number_hash(&channels[key as usize]));
        }
    }

    /// Lets an attached relay forward, now that its socket is open.
    pub(super) fn publish(&mut self, id: RelayId, live: Live) {
        let Self { hash, relays, by_relayed, .. } = self;
        let Some(relay) = relays[id.slot()].as_mut() else { return };
        relay.live = Some(live);
        by_relayed.insert(hash.hash_one(AsKey(live.relayed.get())), id.slot() as u32, |slot| {
            let live = relays[slot as usize].as_ref().and_then(|relay| relay.live);
            live.map_or(0, |live| hash.hash_one(AsKey(live.relayed.get())))
        });
    }

    /// Moves the end of a published relay.
    pub(super) fn prolong(&mut self, id: RelayId, expires: Instant) {
        if let Some(live) = self.relays[id.slot()].as_mut().and_then(|relay| relay.live.as_mut()) {
            live.expires = expires;
        }
    }

    /// Unties a relay whose channels and permissions are gone already.
    pub(super) fn detach(&mut self, id: RelayId) {
        let Some(relay) = self.relays[id.slot()].take() else { return };
        self.by_client.remove(self.hash.hash_one(relay.client), id.slot() as u32);
        if let Some(live) = relay.live {
            self.by_relayed.remove(self.hash.hash_one(AsKey(live.relayed.get())), id.slot() as u32);
        }
    }

    pub(super) fn channel(&self, key: ChannelKey) -> &Channel {
        &self.channels[key.0 as usize]
    }

    pub(super) fn channel_mut(&mut self, key: ChannelKey) -> &mut Channel {
        &mut self.channels[key.0 as usize]
    }

    pub(super) fn channel_key(&self, slot: u32, number: ChannelNumber) -> Option<ChannelKey> {
        let hash = self.hash.hash_one((self.client_of(slot)?, number));
        let found = self.by_number.find(hash, |key| {
            let channel = &self.channels[key as usize];
            channel.number == number && channel.slot == slot
        });
        found.map(ChannelKey)
    }

    pub(super) fn channel_key_by_peer(&self, slot: u32, peer: PeerAddr) -> Option<ChannelKey> {
        let hash = self.hash.hash_one((slot, peer));
        self.by_peer.find(hash, |key| self.channels[key as usize].leads_to(slot, peer)).map(ChannelKey)
    }

    /// Adds a channel to an attached relay that has neither this number nor this peer bound.
    pub(super) fn insert_channel(
        &mut self,
        id: RelayId,
        number: ChannelNumber,
        peer: PeerAddr,
        cluster: Option<ClusterId>,
        until: Instant,
    ) -> ChannelKey {
        let slot = id.slot() as u32;
        let Self { hash, relays, channels, by_number, by_peer, .. } = self;
        let number_hash = |channel: &Channel| {
            let relay = relays[channel.slot as usize].as_ref();
            relay.map_or(0, |relay| hash.hash_one((&relay.client, channel.number)))
        };
        let peer_hash = |channel: &Channel| hash.hash_one((channel.slot, channel.peer));
        let channel = Channel { slot, number, cluster, peer, until };
        let (by_number_hash, by_peer_hash) = (number_hash(&channel), peer_hash(&channel));
        let key = channels.insert(channel) as u32;
        by_number.insert(by_number_hash, key, |key| number_hash(&channels[key as usize]));
        by_peer.insert(by_peer_hash, key, |key| peer_hash(&channels[key as usize]));
        ChannelKey(key)
    }

    pub(super) fn remove_channel(&mut self, key: ChannelKey) {
        let channel = self.channels.remove(key.0 as usize);
        if let Some(client) = self.client_of(channel.slot) {
            self.by_number.remove(self.hash.hash_one((client, channel.number)), key.0);
        }
        self.by_peer.remove(self.hash.hash_one((channel.slot, channel.peer)), key.0);
    }

    pub(super) fn permission(&self, key: PermissionKey) -> &Permission {
        &self.permissions[key.0 as usize]
    }

    pub(super) fn permission_mut(&mut self, key: PermissionKey) -> &mut Permission {
        &mut self.permissions[key.0 as usize]
    }

    pub(super) fn permission_key(&self, slot: u32, ip: IpAddr) -> Option<PermissionKey> {
        let found = self.by_ip.find(self.hash.hash_one((slot, IpKey(ip))), |key| {
            let permission = &self.permissions[key as usize];
            permission.slot == slot && permission.ip == ip
        });
        found.map(PermissionKey)
    }

    /// Adds a permission to an attached relay that has none for this address.
    pub(super) fn insert_permission(
        &mut self,
        id: RelayId,
        ip: IpAddr,
        grant: Grant,
        until: Instant,
    ) -> PermissionKey {
        let slot = id.slot() as u32;
        let Self { hash, permissions, by_ip, .. } = self;
        let key = permissions.insert(Permission { slot, ip, grant, until }) as u32;
        by_ip.insert(hash.hash_one((slot, IpKey(ip))), key, |key| {
            let permission = &permissions[key as usize];
            hash.hash_one((permission.slot, IpKey(permission.ip)))
        });
        PermissionKey(key)
    }

    pub(super) fn remove_permission(&mut self, key: PermissionKey) {
        let permission = self.permissions.remove(key.0 as usize);
        self.by_ip.remove(self.hash.hash_one((permission.slot, IpKey(permission.ip))), key.0);
    }
}
