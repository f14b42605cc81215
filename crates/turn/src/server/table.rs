//! Every index there is, and the only place that changes them: what holds which relay slot, whose client it is,
//! what it forwards, when it ends.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use stun::ChannelNumber;

use super::admission::{Grant, PeerProtocol, QuotaUnit};
use super::allocation::{Allocation, Bound, Live, Stage};
use super::connection::{self, Connection};
use super::counters::DropReason;
use super::deadlines::Deadlines;
use super::forwarding::{Change, ChannelKey, Forwarding, Inbound, PermissionKey};
use super::mobility::{Ticket, Tickets};
use super::output::{Deadline, DeadlineReason};
use super::reject::RejectReason;
use crate::addr::{Client, ClusterId, ConnectionId, Family, PeerAddr, RelayId, RelayedAddr};

pub(super) struct Table {
    slots: Vec<Slot>,
    /// Slots without a holder, the one freed last at the end.
    free: Vec<u32>,
    forwarding: Forwarding,
    deadlines: Deadlines,
    live: usize,
    /// What an observer has not been told yet; absent if there is none.
    changes: Option<VecDeque<Change>>,
    /// Whose a TCP connection with a peer is.
    connections: HashMap<ConnectionId, RelayId, RandomState>,
    /// Which allocation a ticket is for; either one if there are two.
    tickets: HashMap<Ticket, RelayId, RandomState>,
    /// Which allocation is moving to a 5-tuple; either one if there are two.
    movers: HashMap<Client, RelayId, RandomState>,
}

struct Slot {
    generation: u32,
    holder: Option<Allocation>,
}

/// What [`Table::sweep`] found out about a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swept {
    /// Its holder lives on, or there is none.
    Alive,
    /// Its allocation has expired, and is still in the table.
    Expired,
    /// Its allocation has waited too long for its socket, and is still in the table.
    GaveUp,
}

impl Table {
    pub(super) fn new(start: Instant, seed: u64, is_observed: bool) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            forwarding: Forwarding::new(seed),
            deadlines: Deadlines::new(start),
            live: 0,
            changes: is_observed.then(VecDeque::new),
            connections: HashMap::default(),
            tickets: HashMap::default(),
            movers: HashMap::default(),
        }
    }

    pub(super) const fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        self.deadlines.next()
    }

    /// What has changed and was not told yet.
    pub(super) fn next_change(&mut self) -> Option<Change> {
        self.changes.as_mut()?.pop_front()
    }

    /// What a live allocation lets through to its client.
    pub(super) fn inbound(&self, id: RelayId) -> Option<(RelayedAddr, Inbound)> {
        let allocation = self.allocation(id)?;
        let live = allocation.live()?;
        let channels = allocation.channels.iter().map(|bound| bound.key);
        let permissions = allocation.permissions.iter().copied();
        Some((live.relayed, self.forwarding.inbound(id, channels, permissions)?))
    }

    /// The number of allocations with a socket.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// All relays there are, in the order of their slots.
    pub(super) fn relays(&self) -> Vec<RelayId> {
        let held = self.slots.iter().enumerate().filter(|(_, slot)| slot.holder.is_some());
        held.map(|(at, slot)| RelayId::new(at as u32, slot.generation)).collect()
    }

    pub(super) fn allocation(&self, id: RelayId) -> Option<&Allocation> {
        self.slots.get(id.slot()).filter(|slot| slot.generation == id.generation())?.holder.as_ref()
    }

    /// The allocation on a 5-tuple or on its way there, with or without its socket; either one if there are two.
    pub(super) fn allocation_of(&self, client: &Client) -> Option<(RelayId, &Allocation)> {
        let id = self.forwarding.relay_of(client).or_else(|| self.mover_to(client))?;
        Some((id, self.allocation(id)?))
    }

    /// Enters an allocation on a 5-tuple that has none, or none but its twin.
    pub(super) fn open(&mut self, allocation: Allocation) -> RelayId {
        let client = allocation.client;
        let id = self.occupy(allocation);
        self.forwarding.attach(id, client);
        self.rearm(id);
        id
    }

    /// Makes two waiting allocations of one client twins.
    pub(super) fn pair(&mut self, one: RelayId, other: RelayId) {
        for (id, twin) in [(one, other), (other, one)] {
            if let Some(allocation) = allocation_in(&mut self.slots, id) {
                allocation.twin = Some(twin);
            }
        }
    }

    /// Notes the socket of an allocation that waits for its twin's.
    pub(super) fn ready(&mut self, id: RelayId, relayed: SocketAddr) {
        if let Some(Stage::Opening(opening)) = allocation_in(&mut self.slots, id).map(|held| &mut held.stage)
        {
            opening.ready = Some(relayed);
        }
    }

    /// Notes why an allocation has no twin after all.
    pub(super) fn refuse_twin(&mut self, id: RelayId, family: Family, reason: RejectReason) {
        if let Some(allocation) = allocation_in(&mut self.slots, id) {
            allocation.birth.refused = Some((family, reason));
        }
    }

    /// Notes that the socket of a waiting allocation is there. One that was in reserve brings its unit of the quota.
    pub(super) fn opened(&mut self, id: RelayId, live: Live, unit: Option<QuotaUnit>) {
        let Some(allocation) = allocation_in(&mut self.slots, id) else { return };
        allocation.stage = Stage::Live(live);
        if let Some(unit) = unit {
            allocation.unit = unit;
        }
        if allocation.connections.is_none() {
            self.forwarding.publish(id, live);
        }
        self.live += 1;
        self.rearm(id);
        self.note(Change::Changed(id));
    }

    /// Gives an allocation that has its socket a new end.
    pub(super) fn prolong(&mut self, id: RelayId, until: Instant) {
        let Some(allocation) = allocation_in(&mut self.slots, id) else { return };
        if let Stage::Live(live) = &mut allocation.stage {
            live.expires = until;
            self.forwarding.prolong(id, until);
        }
        self.rearm(id);
        self.note(Change::Changed(id));
    }

    /// Takes out whatever holds a slot, with all its entries everywhere, and frees the slot.
    pub(super) fn remove(&mut self, id: RelayId) -> Option<Allocation> {
        let allocation = held(&mut self.slots, id)?.take()?;
        if let Some(twin) = allocation.twin.and_then(|twin| allocation_in(&mut self.slots, twin)) {
            twin.twin = None;
        }
        self.leave_to_twin(&allocation);
        let slot = &mut self.slots[id.slot()];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot() as u32);
        self.deadlines.clear(id.slot() as u32);
        for bound in &allocation.channels {
            self.forwarding.remove_channel(bound.key);
        }
        for key in &allocation.permissions {
            self.forwarding.remove_permission(*key);
        }
        for connection in allocation.connections.iter().flat_map(|connections| connections.iter()) {
            self.connections.remove(&connection.id);
        }
        self.forwarding.detach(id);
        if let Some(live) = allocation.live() {
            self.live -= 1;
            self.note(Change::Ended(id, live.relayed));
        }
        Some(allocation)
    }

    /// Adds a permission to an allocation, or refreshes it.
    pub(super) fn permit(&mut self, id: RelayId, ip: IpAddr, grant: Grant, until: Instant) {
        let Some(allocation) = allocation_in(&mut self.slots, id) else { return };
        let key = match self.forwarding.permission_key(id.slot() as u32, ip) {
            Some(key) => {
                let permission = self.forwarding.permission_mut(key);
                permission.grant = grant;
                permission.until = until;
                key
            }
            None => {
                let key = self.forwarding.insert_permission(id, ip, grant, until);
                allocation.permissions.push(key);
                key
            }
        };
        follow_permission(allocation, &mut self.forwarding, key);
        self.rearm(id);
        self.note(Change::Changed(id));
    }

    /// Binds a channel of an allocation that has a permission for the peer, or refreshes it. The caller has made sure
    /// that neither the number nor the peer is bound otherwise.
    pub(super) fn bind(&mut self, id: RelayId, number: ChannelNumber, peer: PeerAddr, expires: Instant) {
        let Some(allocation) = allocation_in(&mut self.slots, id) else { return };
        let Some(permission) = self.forwarding.permission_key(id.slot() as u32, peer.ip()) else { return };
        match self.forwarding.channel_key(id.slot() as u32, number) {
            Some(key) => {
                for bound in allocation.channels.iter_mut().filter(|bound| bound.key == key) {
                    bound.expires = expires;
                }
            }
            None => {
                let key = self.forwarding.insert_channel(id, number, peer, None, expires);
                allocation.channels.push(Bound { key, expires });
            }
        }
        follow_permission(allocation, &mut self.forwarding, permission);
        self.rearm(id);
        self.note(Change::Changed(id));
    }

    /// Judges every permission of an allocation anew.
    pub(super) fn regrant(&mut self, id: RelayId, judge: impl Fn(IpAddr) -> Grant) {
        let Some(allocation) = allocation_in(&mut self.slots, id) else { return };
        for key in &allocation.permissions {
            let permission = self.forwarding.permission_mut(*key);
            permission.grant = judge(permission.ip());
            follow_permission(allocation, &mut self.forwarding, *key);
        }
        self.note(Change::Changed(id));
    }

    /// Clears away what has expired of an allocation, and says whether it has come to its end itself.
    pub(super) fn sweep(&mut self, id: RelayId, now: Instant) -> Swept {
        let Some(allocation) = allocation_in(&mut self.slots, id) else { return Swept::Alive };
        match &allocation.stage {
            Stage::Opening(opening) if now >= opening.patience => return Swept::GaveUp,
            Stage::Live(live) if now >= live.expires => return Swept::Expired,
            Stage::Opening(_) | Stage::Live(_) => clear_away(allocation, &mut self.forwarding, now),
        }
        self.rearm(id);
        Swept::Alive
    }

    /// Tells the observer, if there is one. What has expired is not news: every entry says how long it holds.
    fn note(&mut self, change: Change) {
        if let Some(changes) = &mut self.changes
            && changes.back() != Some(&change)
        {
            changes.push_back(change);
        }
    }

    /// Takes a relay that [`Table::sweep`] has something to do for.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<RelayId> {
        let slot = self.deadlines.take_due(now)?;
        Some(RelayId::new(slot, self.slots[slot as usize].generation))
    }

    fn occupy(&mut self, holder: Allocation) -> RelayId {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, holder: None });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[at as usize];
        slot.holder = Some(holder);
        RelayId::new(at, slot.generation)
    }

    /// Sets the slot's deadline to the first end of anything its holder has.
    fn rearm(&mut self, id: RelayId) {
        let slot = id.slot() as u32;
        let first = match &self.slots[id.slot()].holder {
            None => None,
            Some(allocation) => Some(first_end(allocation, &self.forwarding)),
        };
        match first {
            Some((at, reason)) => self.deadlines.set(slot, at, reason),
            None => self.deadlines.clear(slot),
        }
    }
}

/// What a relay's slot holds, unless the slot has been given to another relay since.
fn held(slots: &mut [Slot], id: RelayId) -> Option<&mut Option<Allocation>> {
    let slot = slots.get_mut(id.slot()).filter(|slot| slot.generation == id.generation())?;
    Some(&mut slot.holder)
}

fn allocation_in(slots: &mut [Slot], id: RelayId) -> Option<&mut Allocation> {
    held(slots, id)?.as_mut()
}

/// The first end of anything an allocation has.
fn first_end(allocation: &Allocation, forwarding: &Forwarding) -> (Instant, DeadlineReason) {
    let own = match &allocation.stage {
        Stage::Opening(opening) => (opening.patience, DeadlineReason::RelayOpening),
        Stage::Live(live) => (live.expires, DeadlineReason::Allocation),
    };
    let permissions = allocation.permissions.iter().map(|key| forwarding.permission(*key).until);
    let channels = allocation.channels.iter().map(|bound| bound.expires);
    let connections = allocation.connections.iter().flat_map(|connections| connections.iter());
    let ends = permissions
        .map(|until| (until, DeadlineReason::Permission))
        .chain(channels.map(|expires| (expires, DeadlineReason::Channel)))
        .chain(connections.filter_map(Connection::until).map(|until| (until, DeadlineReason::Connection)));
    ends.fold(own, |first, end| if end.0 < first.0 { end } else { first })
}

/// Brings the channels to a permission's address in line with the permission: they forward for as long as it lasts,
/// and what it grants.
fn follow_permission(allocation: &Allocation, forwarding: &mut Forwarding, key: PermissionKey) {
    let permission = forwarding.permission(key);
    let (ip, until) = (permission.ip(), permission.until);
    for bound in &allocation.channels {
        let peer = forwarding.channel(bound.key).peer();
        if peer.ip() == ip {
            let cluster = forwarding.permission(key).grant.cluster(PeerProtocol::Udp, peer.port());
            let channel = forwarding.channel_mut(bound.key);
            channel.cluster = cluster;
            channel.until = until.min(bound.expires);
        }
    }
}

fn clear_away(allocation: &mut Allocation, forwarding: &mut Forwarding, now: Instant) {
    allocation.permissions.retain(|key| {
        let lives = now < forwarding.permission(*key).until;
        if !lives {
            forwarding.remove_permission(*key);
        }
        lives
    });
    allocation.channels.retain(|bound| {
        let lives = now < bound.expires;
        if !lives {
            forwarding.remove_channel(bound.key);
        }
        lives
    });
}

/// Allocations that move.
impl Table {
    pub(super) fn relay_by_ticket(&self, ticket: Ticket) -> Option<RelayId> {
        self.tickets.get(&ticket).copied()
    }

    /// Gives an allocation, and its twin, other tickets.
    pub(super) fn renew_ticket(&mut self, id: RelayId, tickets: Tickets) {
        let Some(allocation) = allocation_in(&mut self.slots, id) else { return };
        let (before, twin) = (allocation.tickets.replace(tickets), allocation.twin);
        if let Some(twin) = twin.and_then(|twin| allocation_in(&mut self.slots, twin)) {
            twin.tickets = Some(tickets);
        }
        for ticket in before.iter().flat_map(Tickets::iter) {
            self.tickets.remove(&ticket);
        }
        self.tickets.extend(tickets.iter().map(|ticket| (ticket, id)));
    }

    /// Leaves to its twin, if it has one, what leads to an allocation that is taken out.
    fn leave_to_twin(&mut self, allocation: &Allocation) {
        for ticket in allocation.tickets.iter().flat_map(Tickets::iter) {
            let _ = match allocation.twin {
                Some(twin) => self.tickets.insert(ticket, twin),
                None => self.tickets.remove(&ticket),
            };
        }
        if let Some(client) = allocation.moving {
            let _ = match allocation.twin {
                Some(twin) => self.movers.insert(client, twin),
                None => self.movers.remove(&client),
            };
        }
    }

    /// The allocation that is moving to a 5-tuple.
    pub(super) fn mover_to(&self, client: &Client) -> Option<RelayId> {
        if self.movers.is_empty() { None } else { self.movers.get(client).copied() }
    }

    /// Has an allocation, and its twin, move to a 5-tuple that has none. Returns where they have been moving to so far,
    /// if that was elsewhere.
    pub(super) fn begin_move(&mut self, id: RelayId, client: Client) -> Option<Client> {
        let before = self.set_moving(id, Some(client));
        self.movers.insert(client, id);
        before.filter(|before| *before != client)
    }

    /// Has an allocation, and its twin, stay where they are.
    pub(super) fn cancel_move(&mut self, id: RelayId) {
        self.set_moving(id, None);
    }

    fn set_moving(&mut self, id: RelayId, to: Option<Client>) -> Option<Client> {
        let allocation = allocation_in(&mut self.slots, id)?;
        let (before, twin) = (std::mem::replace(&mut allocation.moving, to), allocation.twin);
        if let Some(twin) = twin.and_then(|twin| allocation_in(&mut self.slots, twin)) {
            twin.moving = to;
        }
        if let Some(before) = &before {
            self.movers.remove(before);
        }
        before
    }

    /// Has an allocation arrive where it was moving to: no longer by way of where it was. Its twin is not touched.
    /// Returns both 5-tuples.
    pub(super) fn complete_move(&mut self, id: RelayId) -> Option<(Client, Client)> {
        let allocation = allocation_in(&mut self.slots, id)?;
        let to = allocation.moving.take()?;
        let from = std::mem::replace(&mut allocation.client, to);
        self.forwarding.reattach(id, to, allocation.channels.iter().map(|bound| bound.key));
        if let Some(tickets) = &mut allocation.tickets
            && let Some(former) = tickets.former.take()
        {
            self.tickets.remove(&former);
        }
        self.movers.remove(&to);
        self.note(Change::Changed(id));
        Some((from, to))
    }
}

/// TCP connections with peers.
impl Table {
    pub(super) fn connection(&self, id: ConnectionId) -> Option<(RelayId, &Connection)> {
        let relay = *self.connections.get(&id)?;
        let mut connections = self.allocation(relay)?.connections.as_ref()?.iter();
        Some((relay, connections.find(|connection| connection.id == id)?))
    }

    /// Adds a connection to an allocation that relays TCP.
    pub(super) fn add_connection(&mut self, relay: RelayId, connection: Connection) {
        let held = allocation_in(&mut self.slots, relay).and_then(|held| held.connections.as_mut());
        let Some(connections) = held else { return };
        self.connections.insert(connection.id, relay);
        connections.push(connection);
        self.rearm(relay);
    }

    /// Gives a connection another stage, and returns the one it was in.
    pub(super) fn set_stage(
        &mut self,
        id: ConnectionId,
        stage: connection::Stage,
    ) -> Option<(RelayId, connection::Stage)> {
        let relay = *self.connections.get(&id)?;
        let connections = allocation_in(&mut self.slots, relay)?.connections.as_mut()?;
        let connection = connections.iter_mut().find(|connection| connection.id == id)?;
        let before = std::mem::replace(&mut connection.stage, stage);
        self.rearm(relay);
        Some((relay, before))
    }

    pub(super) fn remove_connection(&mut self, id: ConnectionId) -> Option<(RelayId, Connection)> {
        let relay = self.connections.remove(&id)?;
        let connections = allocation_in(&mut self.slots, relay)?.connections.as_mut()?;
        let at = connections.iter().position(|connection| connection.id == id)?;
        let connection = connections.swap_remove(at);
        self.rearm(relay);
        Some((relay, connection))
    }

    /// The cluster that lets a permitted peer through.
    pub(super) fn permitted(
        &self,
        relay: RelayId,
        peer: PeerAddr,
        protocol: PeerProtocol,
        now: Instant,
    ) -> Result<ClusterId, DropReason> {
        let key = self.forwarding.permission_key(relay.slot() as u32, peer.ip());
        let permission = key.map(|key| self.forwarding.permission(key));
        let permission = permission.filter(|held| now < held.until).ok_or(DropReason::NoPermission)?;
        permission.grant.cluster(protocol, peer.port()).ok_or(DropReason::PeerRefused)
    }
}

/// What the handler of a request wants to know about an allocation's channels.
impl Table {
    /// What a number is bound to, and which number a peer is bound to.
    pub(super) fn bindings(
        &self,
        id: RelayId,
        number: ChannelNumber,
        peer: PeerAddr,
    ) -> (Option<PeerAddr>, Option<ChannelNumber>) {
        let channel = |key: ChannelKey| self.forwarding.channel(key);
        let slot = id.slot() as u32;
        (
            self.forwarding.channel_key(slot, number).map(|key| channel(key).peer()),
            self.forwarding.channel_key_by_peer(slot, peer).map(|key| channel(key).number()),
        )
    }

    /// Takes one ICMP error out of a client's share of them.
    pub(super) fn spend_icmp(&mut self, id: RelayId, now: Instant) -> bool {
        allocation_in(&mut self.slots, id).is_some_and(|allocation| allocation.icmp.spend(now))
    }

    /// Whether an allocation has this channel.
    pub(super) fn is_bound(&self, id: RelayId, number: ChannelNumber) -> bool {
        self.forwarding.channel_key(id.slot() as u32, number).is_some()
    }

    /// Whether an allocation is for TCP.
    pub(super) fn relays_tcp(&self, id: RelayId) -> bool {
        self.allocation(id).is_some_and(|allocation| allocation.connections.is_some())
    }

    /// Whether an allocation has a permission for this address.
    pub(super) fn permits(&self, id: RelayId, ip: IpAddr) -> bool {
        self.forwarding.permission_key(id.slot() as u32, ip).is_some()
    }
}
