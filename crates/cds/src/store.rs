//! The current configuration of every gateway, and who waits for which.
//!
//! The store is a log with one entry per gateway: every change gets the next version number and replaces the
//! gateway's earlier entry. A subscriber is a position in that log. It cannot be too slow: what it has not read yet is
//! the latest state of each gateway, never a queue, and nobody waits for it. What it holds is the one change that it has
//! read last. A change wakes those whom it concerns and nobody else.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Bound::{Excluded, Unbounded},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use config::Config;
use tokio::sync::watch;

use crate::wire::{self, License, Scope};

/// Configurations by gateway id (`namespace/name`). Clones share one store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

/// What has become of a gateway.
#[derive(Clone)]
pub struct Change {
    /// Which gateway.
    pub id: String,
    /// Its configuration, or nothing if it is gone.
    pub config: Option<Arc<Config>>,
    frame: SharedFrame,
}

/// Somebody's position in the log of changes.
pub struct Subscription {
    shared: Arc<Shared>,
    number: u64,
    scope: Scope,
    node: Option<String>,
    news: watch::Receiver<()>,
    position: Position,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
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
    audiences: HashMap<Scope, Audience>,
    /// Subscriptions that there have been, which numbers them.
    subscriptions: u64,
}

struct Entry {
    version: u64,
    /// Nothing for a gateway that is gone, until everybody knows whom it concerns.
    config: Option<Arc<Config>>,
    frame: SharedFrame,
}

/// What all watchers are sent, made for the first of them.
type SharedFrame = Arc<OnceLock<Bytes>>;

/// Those who wait for the same.
#[derive(Default)]
struct Audience {
    news: watch::Sender<()>,
    /// The version up to which each of them, by its number, knows who is gone.
    informed: BTreeMap<u64, u64>,
}

#[derive(Clone, Copy)]
struct Position {
    /// The last version looked at.
    last: u64,
    /// Gateways that were gone by this version were never told of, or are known to be gone.
    informed: u64,
    /// When the address of the node changed, as far as known.
    node: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// A store without configurations.
    pub fn new() -> Self {
        Self { shared: Arc::default() }
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
        let mut state = self.shared.lock();
        state.version += 1;
        let version = state.version;
        state.nodes.insert(node.to_owned(), version);
        let everybody: Vec<_> = state.audiences.values().map(|audience| audience.news.clone()).collect();
        drop(state);
        tell(everybody);
    }

    /// How many follow changes.
    pub fn watchers(&self) -> usize {
        self.shared.lock().audiences.values().map(|audience| audience.informed.len()).sum()
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
        let moved = node.as_ref().and_then(|node| state.nodes.get(node)).copied().unwrap_or_default();
        let position = Position { last: 0, informed: state.version, node: moved };
        state.subscriptions += 1;
        let number = state.subscriptions;
        let audience = state.audiences.entry(scope.clone()).or_default();
        audience.informed.insert(number, position.informed);
        let news = audience.news.subscribe();
        drop(state);
        Subscription { shared: Arc::clone(&self.shared), number, scope, node, news, position }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.lock();
        let before = state.version;
        change(&mut state);
        let concerned = state.concerned(before);
        state.forget();
        drop(state);
        tell(concerned);
    }
}

/// Wakes them, when nobody holds the state any more.
fn tell(audiences: Vec<watch::Sender<()>>) {
    for news in audiences {
        news.send_replace(());
    }
}

impl Change {
    /// What watchers are sent, the same bytes for all of them.
    pub(crate) fn frame(&self) -> Bytes {
        let text =
            || self.config.as_ref().map_or_else(|| Config::zero_json(&self.id), |config| config.to_json());
        self.frame.get_or_init(|| wire::frame(&text())).clone()
    }
}

/// Leaves the contents out, of which a part is credentials.
impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("id", &self.id).field("is_gone", &self.config.is_none()).finish()
    }
}

impl Subscription {
    /// Waits until something is different from what was returned before, and returns one such change: at first
    /// everything there is, one after the other, later what has changed since, in the order of the changes and only the
    /// latest state of each gateway.
    ///
    /// Dropping the future before it is ready loses nothing.
    pub async fn next(&mut self) -> Change {
        loop {
            self.news.borrow_and_update();
            if let Some(change) = self.read() {
                return change;
            }
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// One more change that there is already, without waiting. Whoever follows a single gateway has had all there is with
    /// [`Subscription::next`].
    pub(crate) fn ready(&mut self) -> Option<Change> {
        match self.scope {
            Scope::Gateway { .. } => None,
            Scope::All | Scope::Namespace(_) => self.read(),
        }
    }

    fn read(&mut self) -> Option<Change> {
        let mut state = self.shared.lock();
        let moved = self.node.as_ref().and_then(|node| state.nodes.get(node)).copied().unwrap_or_default();
        if moved > self.position.node {
            self.position = Position { last: 0, node: moved, ..self.position };
        }
        let found = state.after(&self.scope, self.position);
        self.position.last = found.as_ref().map_or(state.version, |(version, _)| *version);
        if self.position.last > self.position.informed {
            self.position.informed = self.position.last;
            let audience = state.audiences.get_mut(&self.scope);
            if let Some(informed) = audience.and_then(|audience| audience.informed.get_mut(&self.number)) {
                *informed = self.position.informed;
            }
        }
        found.map(|(_, change)| change)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if let Some(audience) = state.audiences.get_mut(&self.scope) {
            audience.informed.remove(&self.number);
            if audience.informed.is_empty() {
                state.audiences.remove(&self.scope);
            }
        }
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
        let entry = Entry { version: self.version, config: config.map(Arc::new), frame: Arc::default() };
        self.entries.insert(id, entry);
    }

    /// The first thing of a scope that somebody at this position does not know, with its version.
    fn after(&self, scope: &Scope, position: Position) -> Option<(u64, Change)> {
        if let Scope::Gateway { namespace, name } = scope {
            return self.news_of(&format!("{namespace}/{name}"), position);
        }
        let later = self.log.range((Excluded(position.last), Unbounded)).map(|(_, id)| id);
        later.filter(|id| scope.contains(id)).find_map(|id| self.news_of(id, position))
    }

    fn news_of(&self, id: &str, position: Position) -> Option<(u64, Change)> {
        let entry = self.entries.get(id).filter(|entry| entry.version > position.last)?;
        let is_news = entry.config.is_some() || entry.version > position.informed;
        let change =
            || Change { id: id.to_owned(), config: entry.config.clone(), frame: Arc::clone(&entry.frame) };
        is_news.then(|| (entry.version, change()))
    }

    /// Whom the changes after a version concern.
    fn concerned(&self, version: u64) -> Vec<watch::Sender<()>> {
        let changed = self.log.range((Excluded(version), Unbounded)).map(|(_, id)| id);
        let scopes: BTreeSet<Scope> = changed.flat_map(|id| Scope::all_of(id)).collect();
        let audiences = scopes.iter().filter_map(|scope| self.audiences.get(scope));
        audiences.map(|audience| audience.news.clone()).collect()
    }

    /// Drops entries of gateways that are gone as soon as everybody knows whom it concerns.
    fn forget(&mut self) {
        let mut known = BTreeMap::new();
        let mut known_to = |scope: Scope| {
            let slowest = || {
                let audience = self.audiences.get(&scope)?;
                audience.informed.values().min().copied()
            };
            *known.entry(scope.clone()).or_insert_with(|| slowest().unwrap_or(u64::MAX))
        };
        let is_known = |version: &u64| {
            let id = self.log.get(version)?;
            Scope::all_of(id).into_iter().all(|scope| known_to(scope) >= *version).then_some(*version)
        };
        let forgotten: Vec<u64> = self.gone.iter().filter_map(is_known).collect();
        for version in forgotten {
            self.gone.remove(&version);
            if let Some(id) = self.log.remove(&version) {
                self.entries.remove(&id);
            }
        }
    }
}
