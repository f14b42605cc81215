//! What is known of the cluster: the objects that the renderer reads, and the objects that the operator writes as the
//! API server has them.

use std::collections::{BTreeMap, BTreeSet};

use gateway::{
    Snapshot, Stored, Visitor,
    api::{ConfigMap, DaemonSet, Deployment, Key, ObjectRef, Resource as _, Service, Type, from_value},
    names,
};
use serde_json::Value;

use crate::{Document, compare};

/// Something a watch has to say about its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The objects that follow until [`Change::Listed`] are all there are.
    Listing(Type),
    /// That was all.
    Listed(Type),
    /// An object is there, or different.
    Put(Type, Value),
    /// An object is gone.
    Gone(Type, Key),
}

/// What a change means for the work to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// None.
    Nothing,
    /// An object that the operator wrote is different in something the renderer does not look at.
    Written(ObjectRef),
    /// Something that is rendered from is different.
    Render(ObjectRef),
    /// The object cannot be read; the one before it, if there was one, stays.
    Unreadable(ObjectRef, String),
}

/// An object that the operator may write, as the API server has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// Identity.
    pub uid: String,
    /// Version, which every write changes.
    pub resource_version: String,
    /// All of it but who set what, if it carries our label or annotation.
    pub object: Option<Document>,
    /// The operator is on record as having set its number of replicas.
    pub owns_replicas: bool,
}

/// Everything known of the cluster.
#[derive(Debug, Default)]
pub struct Cache {
    snapshot: Snapshot,
    live: BTreeMap<ObjectRef, Live>,
    versions: BTreeMap<ObjectRef, String>,
    awaited: BTreeSet<Type>,
    listings: BTreeMap<Type, BTreeSet<Key>>,
    /// Objects that have gone while writes were under way.
    gone: BTreeSet<ObjectRef>,
}

impl Cache {
    /// A cache that is not complete before each of these kinds has been listed.
    pub fn new(awaited: impl IntoIterator<Item = Type>) -> Self {
        Self { awaited: awaited.into_iter().collect(), ..Self::default() }
    }

    /// The objects to render.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// An object that the operator may write.
    pub fn live(&self, target: &ObjectRef) -> Option<&Live> {
        self.live.get(target)
    }

    /// The version of any object.
    pub fn version(&self, target: &ObjectRef) -> Option<&str> {
        self.versions.get(target).map(String::as_str)
    }

    /// Identities of the objects that the operator may write.
    pub fn identities(&self) -> BTreeSet<&str> {
        self.live.values().map(|live| live.uid.as_str()).collect()
    }

    /// Kinds that have never been listed. As long as there are any, what is missing may just not have been seen.
    pub fn awaited(&self) -> &BTreeSet<Type> {
        &self.awaited
    }

    /// Takes note of a change. A list that begins with a change comes to effects only as its objects do; those that are
    /// missing from it are gone when it ends.
    pub fn apply(&mut self, change: Change) -> Vec<Effect> {
        match change {
            Change::Listing(of) => {
                self.listings.insert(of, BTreeSet::new());
                Vec::new()
            }
            Change::Listed(of) => {
                self.awaited.remove(&of);
                let Some(seen) = self.listings.remove(&of) else { return Vec::new() };
                let known = Snapshot::dispatch(of, Keys(&self.snapshot)).unwrap_or_default();
                let gone = known.into_iter().filter(|key| !seen.contains(key));
                gone.map(|key| self.remove(of, key)).collect()
            }
            Change::Put(of, value) => {
                self.gone.remove(&reference(of, &value));
                vec![self.put(of, value)]
            }
            Change::Gone(of, key) => vec![self.remove(of, key)],
        }
    }

    /// Takes note of an object as a write was answered. The answer to one that was sent before the object was deleted
    /// may come after the watch has said so, and must not bring it back.
    pub fn answer(&mut self, of: Type, value: Value) -> Effect {
        if self.gone.contains(&reference(of, &value)) { Effect::Nothing } else { self.put(of, value) }
    }

    /// Says that no write is under way.
    pub fn rest(&mut self) {
        self.gone.clear();
    }

    fn put(&mut self, of: Type, value: Value) -> Effect {
        let target = reference(of, &value);
        let version = text(&value, "resourceVersion").to_owned();
        if let Some(listing) = self.listings.get_mut(&of) {
            listing.insert(target.key.clone());
        } else if self.version(&target).is_some_and(|known| is_older(&version, known)) {
            return Effect::Nothing;
        }
        let live = is_written(of).then(|| Live {
            uid: text(&value, "uid").to_owned(),
            resource_version: version.clone(),
            object: is_ours(&value).then(|| Document::of(&without_managers(&value))),
            owns_replicas: compare::owns_replicas(&value),
        });
        let is_news = match Snapshot::dispatch(of, Put { snapshot: &mut self.snapshot, value }) {
            Some(Ok(is_news)) => is_news,
            Some(Err(reason)) => return Effect::Unreadable(target, reason),
            None => false,
        };
        self.versions.insert(target.clone(), version);
        let is_other = live.is_some_and(|live| {
            let before = self.live.insert(target.clone(), live);
            before.as_ref() != self.live.get(&target)
        });
        match (is_news, is_other) {
            (true, _) => Effect::Render(target),
            (false, true) => Effect::Written(target),
            (false, false) => Effect::Nothing,
        }
    }

    fn remove(&mut self, of: Type, key: Key) -> Effect {
        let was_there =
            Snapshot::dispatch(of, Remove { snapshot: &mut self.snapshot, key: &key }).unwrap_or(false);
        let target = ObjectRef { group: of.group, kind: of.kind, key };
        self.live.remove(&target);
        self.versions.remove(&target);
        self.gone.insert(target.clone());
        if was_there { Effect::Render(target) } else { Effect::Nothing }
    }
}

/// Whether the operator creates objects of the kind.
fn is_written(of: Type) -> bool {
    [Service::TYPE, Deployment::TYPE, DaemonSet::TYPE, ConfigMap::TYPE].contains(&of)
}

/// Whether an object says that the operator made it. Labels are easily taken away, so the annotation does as well.
fn is_ours(value: &Value) -> bool {
    let labels = &value["metadata"]["labels"];
    labels[names::OWNED_BY] == names::OWNER
        || !value["metadata"]["annotations"][names::RELATED_GATEWAY].is_null()
}

/// The record of who set what is often longer than the rest.
fn without_managers(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    value
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value["metadata"][field].as_str().unwrap_or_default()
}

fn reference(of: Type, value: &Value) -> ObjectRef {
    ObjectRef { group: of.group, kind: of.kind, key: key(value) }
}

/// `namespace/name` of an object in the JSON of the API.
pub fn key(value: &Value) -> Key {
    Key::new(text(value, "namespace"), text(value, "name"))
}

/// Whether a version is older than the one that is known: what the operator has just written is known from the answer,
/// and the watch may still be behind that. Versions are numbers in every API server there is; any other is taken as new.
fn is_older(version: &str, known: &str) -> bool {
    matches!((version.parse::<u64>(), known.parse::<u64>()), (Ok(version), Ok(known)) if version < known)
}

struct Put<'s> {
    snapshot: &'s mut Snapshot,
    value: Value,
}

impl Visitor for Put<'_> {
    /// Whether the object is different from before, or why it cannot be read.
    type Output = Result<bool, String>;

    fn visit<R: Stored>(self) -> Self::Output {
        let object: R = from_value(self.value).map_err(|error| error.to_string())?;
        let key = object.key();
        let all = R::all_mut(self.snapshot);
        let is_news = all.get(&key) != Some(&object);
        all.insert(key, object);
        Ok(is_news)
    }
}

struct Remove<'s, 'k> {
    snapshot: &'s mut Snapshot,
    key: &'k Key,
}

impl Visitor for Remove<'_, '_> {
    type Output = bool;

    fn visit<R: Stored>(self) -> bool {
        self.snapshot.remove::<R>(self.key).is_some()
    }
}

struct Keys<'s>(&'s Snapshot);

impl Visitor for Keys<'_> {
    type Output = Vec<Key>;

    fn visit<R: Stored>(self) -> Vec<Key> {
        R::all(self.0).keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
