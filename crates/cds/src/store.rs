//! The current configuration of every gateway, and who waits for which.
//!
//! The store is a log with one entry per gateway: every change gets the next version number and replaces the
//! gateway's earlier entry. A subscriber is a position in that log. It cannot be too slow: what it has not read yet is
//! the latest state of each gateway, never a queue, and nobody waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use config::Config;
use tokio::sync::watch;

use crate::wire::{License, Scope};

/// Configurations by gateway id (`namespace/name`). Clones share one store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What has become of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which gateway.
    pub id: String,
    /// Its configuration, or nothing if it is gone.
    pub config: Option<Arc<Config>>,
}

/// Somebody's position in the log of changes.
pub struct Subscription {
    shared: Arc<Shared>,
    scope: Scope,
    node: Option<String>,
    versions: watch::Receiver<u64>,
    /// The last version read; the store must not forget deletions after it.
    position: Arc<AtomicU64>,
    is_new: bool,
}

struct Shared {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    version: u64,
    entries: BTreeMap<String, Entry>,
    /// Which entry has a version; every entry has one.
    log: BTreeMap<u64, String>,
    /// Versions of the entries of gateways that are gone.
    gone: BTreeSet<u64>,
    /// The version at which a node's address changed last.
    nodes: BTreeMap<String, u64>,
    license: License,
    positions: Vec<Weak<AtomicU64>>,
}

struct Entry {
    version: u64,
    /// Nothing for a gateway that is gone, until every subscriber knows.
    config: Option<Arc<Config>>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// A store without configurations.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), version: watch::Sender::new(0) }) }
    }

    /// Makes `configs` the whole content. Entries that are the same already do not count as changed, and ids that are
    /// not `namespace/name` are left out.
    pub fn set(&self, configs: BTreeMap<String, Config>) {
        self.change(|state| {
            let gone: Vec<String> =
                state.current().map(|(id, _)| id).filter(|id| !configs.contains_key(*id)).cloned().collect();
            for id in gone {
                state.put(id, None);
            }
            for (id, config) in configs {
                state.put(id, Some(config));
            }
        });
    }

    /// Sets the configuration of one gateway; does nothing if the id is not `namespace/name`.
    pub fn insert(&self, id: impl Into<String>, config: Config) {
        self.change(|state| state.put(id.into(), Some(config)));
    }

    /// Sets or removes the configurations of some gateways at once.
    pub fn update(&self, configs: impl IntoIterator<Item = (String, Option<Config>)>) {
        self.change(|state| configs.into_iter().for_each(|(id, config)| state.put(id, config)));
    }

    /// Removes the configuration of one gateway.
    pub fn remove(&self, id: &str) {
        self.change(|state| state.put(id.to_owned(), None));
    }

    /// The configuration of one gateway.
    pub fn get(&self, id: &str) -> Option<Arc<Config>> {
        self.shared.lock().entries.get(id)?.config.clone()
    }

    /// Configurations with their ids, in the order of those.
    pub fn list(&self, scope: &Scope) -> Vec<(String, Arc<Config>)> {
        let state = self.shared.lock();
        let matching = state.current().filter(|(id, _)| scope.contains(id));
        matching.map(|(id, config)| (id.clone(), Arc::clone(config))).collect()
    }

    /// Says that a node has another address than before, so that its subscribers look again.
    pub fn touch_node(&self, node: &str) {
        self.change(|state| {
            state.version += 1;
            state.nodes.insert(node.to_owned(), state.version);
        });
    }

    /// How many follow changes.
    pub fn watchers(&self) -> usize {
        let state = self.shared.lock();
        state.positions.iter().filter(|position| position.strong_count() > 0).count()
    }

    /// What to say about the licence.
    pub fn license(&self) -> License {
        self.shared.lock().license.clone()
    }

    /// Sets what to say about the licence.
    pub fn set_license(&self, license: License) {
        self.shared.lock().license = license;
    }

    /// Follows changes from now on, beginning with the current state. Whoever names a node is also told when the
    /// address of that node changes.
    pub fn subscribe(&self, scope: Scope, node: Option<String>) -> Subscription {
        let mut state = self.shared.lock();
        let position = Arc::new(AtomicU64::new(state.version));
        state.positions.retain(|position| position.strong_count() > 0);
        state.positions.push(Arc::downgrade(&position));
        drop(state);
        Subscription {
            versions: self.shared.version.subscribe(),
            shared: Arc::clone(&self.shared),
            scope,
            node,
            position,
            is_new: true,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.lock();
        change(&mut state);
        state.forget();
        let version = state.version;
        drop(state);
        self.shared.version.send_if_modified(|current| {
            let is_later = version > *current;
            *current = version.max(*current);
            is_later
        });
    }
}

impl Subscription {
    /// Waits until something has changed, and returns what: at first everything there is, later everything that is
    /// different from what was returned before, at most once per gateway and in the order of the changes.
    ///
    /// Dropping the future before it is ready loses nothing.
    pub async fn next(&mut self) -> Vec<Change> {
        loop {
            self.versions.borrow_and_update();
            let changes = self.read();
            if !changes.is_empty() {
                return changes;
            }
            if self.versions.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn read(&mut self) -> Vec<Change> {
        let state = self.shared.lock();
        let position = self.position.swap(state.version, Ordering::AcqRel);
        let node = self.node.as_ref().and_then(|node| state.nodes.get(node));
        let all = std::mem::take(&mut self.is_new) || node.is_some_and(|version| *version > position);
        let first = if all { 0 } else { position + 1 };
        let ids = state.log.range(first..).map(|(_, id)| id).filter(|id| self.scope.contains(id));
        let changes = ids.filter_map(|id| {
            let entry = state.entries.get(id)?;
            let is_news = entry.config.is_some() || entry.version > position;
            is_news.then(|| Change { id: id.clone(), config: entry.config.clone() })
        });
        changes.collect()
    }
}

impl Shared {
    /// A panic elsewhere cannot leave the state half changed, so it is good to use.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn current(&self) -> impl Iterator<Item = (&String, &Arc<Config>)> {
        self.entries.iter().filter_map(|(id, entry)| entry.config.as_ref().map(|config| (id, config)))
    }

    fn put(&mut self, id: String, config: Option<Config>) {
        let old = self.entries.get(&id);
        let is_same = match (old.and_then(|entry| entry.config.as_deref()), &config) {
            (Some(old), Some(new)) => old == new,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if is_same || id.parse::<Scope>().is_err() {
            return;
        }
        if let Some(old) = old {
            self.log.remove(&old.version);
            self.gone.remove(&old.version);
        }
        self.version += 1;
        if config.is_none() {
            self.gone.insert(self.version);
        }
        self.log.insert(self.version, id.clone());
        self.entries.insert(id, Entry { version: self.version, config: config.map(Arc::new) });
    }

    /// Drops entries of gateways that are gone as soon as every subscriber has read so.
    fn forget(&mut self) {
        self.positions.retain(|position| position.strong_count() > 0);
        let positions = self.positions.iter().filter_map(Weak::upgrade);
        let read_by_all =
            positions.map(|position| position.load(Ordering::Acquire)).min().unwrap_or(u64::MAX);
        let waiting = self.gone.split_off(&read_by_all.saturating_add(1));
        let known = std::mem::replace(&mut self.gone, waiting);
        for version in known {
            if let Some(id) = self.log.remove(&version) {
                self.entries.remove(&id);
            }
        }
    }
}
