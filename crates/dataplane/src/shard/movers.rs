//! Clients that have moved to an address which the kernel gives to another worker than the one that has their allocation.
//!
//! A connection is handed over with its first frame. Datagrams cannot be: they go on arriving here, and are passed on
//! through the other worker's mailbox, one copy each. What is for such a client does not come back this way: the other
//! worker sends it from its own socket of the same listener.

use std::ops::Range;

use hashbrown::HashMap;
use net::Slot;
use turn::addr::Client;

use super::{Order, Shard, Turn};

/// How many of its clients a worker passes on. Each has shown good credentials.
const MOST: usize = 1 << 16;

/// Who is where.
#[derive(Default)]
pub(super) struct Movers {
    /// Clients of this worker's sockets, and which worker has their allocation.
    elsewhere: HashMap<Client, u8, foldhash::fast::RandomState>,
    /// Clients of this worker's allocations, and which worker gets their datagrams.
    here: HashMap<Client, usize, foldhash::fast::RandomState>,
}

impl Movers {
    /// Which worker handles the datagrams of a client, if it is not this one.
    pub(super) fn worker_of(&self, client: &Client) -> Option<u8> {
        if self.elsewhere.is_empty() { None } else { self.elsewhere.get(client).copied() }
    }

    /// No longer passes on what clients send that are not `kept`.
    pub(super) fn retain(&mut self, kept: impl Fn(&Client) -> bool) {
        self.elsewhere.retain(|client, _| kept(client));
    }
}

impl Shard {
    /// Has a client's datagrams handled by another worker from this one on.
    pub(super) fn pass_on_from_now(&mut self, client: Client, to: u8, slot: Slot, place: Range<usize>) {
        // DTLS sessions stay where they are; no listener has a policy that would lead here.
        if self.speaks_dtls(client.listener()) || self.movers.elsewhere.len() >= MOST {
            return;
        }
        self.movers.elsewhere.insert(client, to);
        self.pass_to_worker(to, client, slot, place);
    }

    /// Passes a datagram on to the worker that has its client's allocation.
    pub(super) fn pass_to_worker(&mut self, to: u8, client: Client, slot: Slot, place: Range<usize>) {
        let datagram = &self.arena.payload(slot)[place];
        if !self.short_cut.post_datagram(usize::from(to), self.index, client, datagram) {
            self.metrics.worker(self.index).mailbox_full.add(1);
        }
    }

    /// Handles a datagram that another worker has received.
    pub(super) fn handle_passed_datagram(
        &mut self,
        from: usize,
        client: Client,
        datagram: &[u8],
        turn: Turn<'_>,
    ) {
        self.make_room(1, turn);
        let (slot, at_once) = self.take_slot();
        self.arena.payload_mut(slot)[..datagram.len()].copy_from_slice(datagram);
        self.handle_client_datagram(client, slot, 0..datagram.len(), turn);
        if self.server.has_allocation(&client) {
            self.movers.here.insert(client, from);
        } else {
            self.tell_to_forget(client, from);
        }
        if at_once {
            self.send_all();
        }
    }

    /// A client has no business here any more.
    pub(super) fn release_mover(&mut self, client: Client) {
        if !self.movers.here.is_empty()
            && !self.server.has_allocation(&client)
            && let Some(from) = self.movers.here.remove(&client)
        {
            self.tell_to_forget(client, from);
        }
    }

    fn tell_to_forget(&self, client: Client, worker: usize) {
        if let Some((orders, waker)) = self.others.get().and_then(|others| others.get(worker)) {
            // A worker that is gone has nothing to forget.
            let _ = orders.send(Order::Forget(client));
            waker.wake();
        }
    }

    /// The other worker has nothing of this client's (any more).
    pub(super) fn forget_mover(&mut self, client: Client) {
        self.movers.elsewhere.remove(&client);
    }
}
