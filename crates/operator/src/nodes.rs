//! Where the nodes are, for dataplanes that relay on the address of their node.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use cds::Store;
use gateway::{Snapshot, api::Node};
use tokio::sync::watch;

/// How often names are looked up again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What is known of the nodes: an address, or a name that has one.
pub(crate) type Places = BTreeMap<String, String>;

/// Addresses of nodes, to be asked from anywhere at any time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nodes(Arc<RwLock<BTreeMap<String, IpAddr>>>);

impl Nodes {
    /// The address of a node.
    pub(crate) fn get(&self, node: &str) -> Option<IpAddr> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    /// Makes `addresses` the whole content, and returns the nodes that have another address than before.
    fn set(&self, addresses: BTreeMap<String, IpAddr>) -> Vec<String> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let names = known.keys().chain(addresses.keys().filter(|name| !known.contains_key(*name)));
        let changed = names.filter(|name| known.get(*name) != addresses.get(*name)).cloned().collect();
        *known = addresses;
        changed
    }
}

/// The first external address of each node, or else its first external name.
pub(crate) fn places(snapshot: &Snapshot) -> Places {
    let place = |node: &Node| {
        let first = |kind: &str| node.status.addresses.iter().find(|address| address.kind == kind);
        let found = first("ExternalIP").or_else(|| first("ExternalDNS"))?;
        Some((node.metadata.name.clone(), found.address.clone()))
    };
    snapshot.nodes.values().filter_map(place).collect()
}

/// Looks names up and tells subscribers of the store whose node has moved, until nobody knows of nodes any more.
pub(crate) async fn follow(mut places: watch::Receiver<Places>, nodes: Nodes, store: Store) {
    let mut addresses = BTreeMap::new();
    loop {
        let current = places.borrow_and_update().clone();
        addresses = resolve(&current, &addresses).await;
        for node in nodes.set(addresses.clone()) {
            tracing::debug!(target: "operator", node, "the address of the node has changed");
            store.touch_node(&node);
        }
        let has_names = current.values().any(|place| place.parse::<IpAddr>().is_err());
        let changed = if has_names {
            tokio::time::timeout(LOOK_AGAIN, places.changed()).await.unwrap_or(Ok(()))
        } else {
            places.changed().await
        };
        if changed.is_err() {
            return;
        }
    }
}

/// A name that cannot be looked up now keeps the address it had.
async fn resolve(places: &Places, before: &BTreeMap<String, IpAddr>) -> BTreeMap<String, IpAddr> {
    let mut addresses = BTreeMap::new();
    for (node, place) in places {
        let address = match place.parse() {
            Ok(address) => Some(address),
            Err(_) => look_up(place).await.or_else(|| before.get(node).copied()),
        };
        addresses.extend(address.map(|address| (node.clone(), address)));
    }
    addresses
}

async fn look_up(name: &str) -> Option<IpAddr> {
    let found = tokio::time::timeout(Duration::from_secs(5), tokio::net::lookup_host((name, 0))).await;
    found.ok()?.ok()?.map(|address| address.ip()).min()
}
