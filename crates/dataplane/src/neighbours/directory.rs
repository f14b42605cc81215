//! Who is behind an address: written by the worker that owns it, read by all.

use std::net::SocketAddr;

use turn::addr::RelayId;

use crate::sync::Map;

/// What workers say about their relays, by address.
pub(crate) struct Directory<T: 'static> {
    entries: Map<SocketAddr, Entry<T>>,
}

/// A relay of some worker.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) worker: usize,
    pub(crate) relay: RelayId,
    pub(crate) about: T,
}

impl<T: 'static> Default for Directory<T> {
    fn default() -> Self {
        Self { entries: Map::default() }
    }
}

impl<T: 'static> Directory<T> {
    /// What is said of a relay, to `read`.
    pub(crate) fn look_up<R>(&self, relayed: SocketAddr, read: impl FnOnce(&Entry<T>) -> R) -> Option<R> {
        self.entries.pin().get(&relayed).map(read)
    }

    /// Says something about a worker's relay, instead of what was said before. Should two relays be advertised by one
    /// address, which takes sockets on different addresses of this machine, one of them is found here.
    pub(crate) fn publish(&self, relayed: SocketAddr, worker: usize, relay: RelayId, about: T) {
        let entries = self.entries.pin();
        if entries.get(&relayed).is_none_or(|entry| entry.is_of(worker, relay)) {
            entries.insert(relayed, Entry { worker, relay, about });
        }
    }

    /// Says that a worker's relay has ended. Before its port is free: then the next one there is not in its way.
    pub(crate) fn withdraw(&self, relayed: SocketAddr, worker: usize, relay: RelayId) {
        // Somebody else's stays.
        let _ = self.entries.pin().remove_if(&relayed, |_, entry| entry.is_of(worker, relay));
    }
}

impl<T> Entry<T> {
    fn is_of(&self, worker: usize, relay: RelayId) -> bool {
        self.worker == worker && self.relay == relay
    }
}
