//! What has to be written so that the API server has what was rendered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use gateway::{
    Rendered, RouteApi, RouteKey,
    api::{
        ConfigMap, DaemonSet, Deployment, Gateway, GatewayClass, GatewayStatus, GatewayUdpRoute, Key,
        ObjectRef, Resource, Service, Truth, Type, UdpRoute, UdpRouteStatus,
    },
    condition, names,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Document,
    cache::{Cache, Live},
    compare,
};

/// One request to the API server.
#[derive(Clone, PartialEq)]
pub struct Write {
    /// The object to write.
    pub target: ObjectRef,
    /// What is written of it.
    pub what: What,
    /// The Gateway for whose sake, if there is one.
    pub gateway: Option<Key>,
    /// Tells what is wanted from anything else that could be.
    pub fingerprint: u64,
}

/// What is written of an object.
#[derive(Clone, PartialEq)]
pub enum What {
    /// The fields that are the operator's, by server-side apply.
    Apply {
        /// The fields.
        object: Value,
        /// Identity of the object that is there; nothing if there should be none, and then an object that turns up in
        /// between is not taken over.
        uid: Option<String>,
        /// Replicas that are set now and have to outlive the operator's having set them.
        keep_replicas: Option<i64>,
    },
    /// A merge patch that takes out what others put into places that are the operator's alone.
    Strip {
        /// The patch.
        patch: Value,
    },
    /// A merge patch of the status, good for one version of the object only.
    Status {
        /// The patch.
        patch: Value,
    },
    /// The object with this identity goes.
    Delete {
        /// The identity.
        uid: String,
    },
}

/// Parts of objects that are written independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The object itself.
    Object,
    /// What others added to it.
    Strays,
    /// Its status.
    Status,
}

impl What {
    /// The part that is written.
    pub fn part(&self) -> Part {
        match self {
            Self::Apply { .. } | Self::Delete { .. } => Part::Object,
            Self::Strip { .. } => Part::Strays,
            Self::Status { .. } => Part::Status,
        }
    }

    /// For metrics: what has come of a write that changed something.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Apply { uid: None, .. } => "created",
            Self::Apply { .. } | Self::Strip { .. } | Self::Status { .. } => "updated",
            Self::Delete { .. } => "deleted",
        }
    }

    /// For people, in the past tense.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Apply { uid: None, .. } => "created",
            Self::Apply { .. } => "applied",
            Self::Strip { .. } => "stripped",
            Self::Status { .. } => "status written",
            Self::Delete { .. } => "deleted",
        }
    }
}

/// Leaves the contents out: those of ConfigMaps are credentials.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.target, self.what.verb())
    }
}

/// What was last written of an object, and the version that came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// [`Write::fingerprint`] of the write.
    pub fingerprint: u64,
    /// Version of the object after it.
    pub version: String,
}

/// What was written since the operator started.
pub type Memory = BTreeMap<(ObjectRef, Part), Done>;

/// Which objects a plan is about.
#[derive(Debug)]
pub enum Targets<'a, Why> {
    /// All of them.
    All,
    /// These, and why.
    Some(&'a BTreeMap<ObjectRef, Why>),
}

impl<Why> Clone for Targets<'_, Why> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Why> Copy for Targets<'_, Why> {}

impl<Why> Targets<'_, Why> {
    /// Whether the object is one of them.
    pub fn contain(&self, target: &ObjectRef) -> bool {
        match self {
            Self::All => true,
            Self::Some(targets) => targets.contains_key(target),
        }
    }

    /// The entries of `all`, objects of the kind `R`, that are among them.
    fn of<'m, R: Resource, V>(&self, all: &'m BTreeMap<Key, V>) -> Vec<(&'m Key, &'m V)> {
        match self {
            Self::All => all.iter().collect(),
            Self::Some(targets) => {
                let own = targets.keys().filter(|one| (one.group, one.kind) == (R::TYPE.group, R::TYPE.kind));
                own.filter_map(|target| all.get_key_value(&target.key)).collect()
            }
        }
    }
}

/// What a plan is made from.
#[derive(Debug)]
pub struct Situation<'a, Why> {
    /// What the API server has.
    pub cache: &'a Cache,
    /// What it should have.
    pub rendered: &'a Rendered,
    /// What was written already.
    pub memory: &'a Memory,
    /// Why objects of Gateways cannot be written, for the statuses of those.
    pub failures: &'a BTreeMap<Key, String>,
    /// Identities of the objects that this operator has written since it started. What was made for Gateways that are
    /// not its own any more is deleted if it is among them; anything else may be another operator's.
    pub made: &'a BTreeSet<String>,
    /// Name of this controller in the statuses of routes.
    pub controller: &'a str,
    /// `group/version` in which the API server has Gateways, for owner references.
    pub gateway_version: &'a str,
    /// The time, as RFC 3339.
    pub now: &'a str,
    /// What to look at: what has changed since everything else was planned.
    pub targets: Targets<'a, Why>,
}

impl<Why> Clone for Situation<'_, Why> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Why> Copy for Situation<'_, Why> {}

/// The writes that are missing. Nothing is written that is there already, and nothing twice that the API server keeps
/// in another form than it was given.
pub fn plan<Why>(situation: Situation<'_, Why>) -> Vec<Write> {
    let mut plan = Plan { situation, writes: Vec::new() };
    let rendered = situation.rendered;
    plan.statuses();
    plan.objects::<Service>(&rendered.services);
    plan.objects::<ConfigMap>(&rendered.config_maps);
    plan.objects::<Deployment>(&rendered.deployments);
    plan.objects::<DaemonSet>(&rendered.daemon_sets);
    plan.deletes();
    plan.writes
}

struct Plan<'a, Why> {
    situation: Situation<'a, Why>,
    writes: Vec<Write>,
}

impl<'a, Why> Plan<'a, Why> {
    fn objects<R: Resource>(&mut self, wanted: &BTreeMap<Key, Value>) {
        for (key, object) in self.situation.targets.of::<R, _>(wanted) {
            let target = ObjectRef::to::<R>(key.clone());
            let object = self.owned_by_served_version(object);
            if let Some((what, fingerprint)) = self.object(&target, &object) {
                let gateway = related_gateway(&object);
                self.writes.push(Write { target, what, gateway, fingerprint });
            }
        }
    }

    fn object(&self, target: &ObjectRef, wanted: &Value) -> Option<(What, u64)> {
        let wanted_print = fingerprint(wanted);
        let Some(live) = self.situation.cache.live(target) else {
            let what = What::Apply { object: wanted.clone(), uid: None, keep_replicas: None };
            return Some((what, wanted_print));
        };
        let done = self.situation.memory.get(&(target.clone(), Part::Object));
        let settled = done.is_some_and(|done| {
            done.fingerprint == wanted_print
                && (done.version == live.resource_version || has_all(live, wanted))
        });
        if !settled {
            let keep_replicas = replicas_to_keep(live, wanted);
            let what = What::Apply { object: wanted.clone(), uid: Some(live.uid.clone()), keep_replicas };
            return Some((what, wanted_print));
        }
        let patch = compare::strays(&live.object.as_ref()?.read(), wanted)?;
        let print = fingerprint(&patch);
        self.is_undone(target, Part::Strays, print).then_some((What::Strip { patch }, print))
    }

    /// Owner references name the version that the API server has, or its garbage collector finds nobody.
    fn owned_by_served_version(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let owners = object["metadata"]["ownerReferences"].as_array_mut();
        for owner in owners.into_iter().flatten().filter(|owner| owner["kind"] == "Gateway") {
            owner["apiVersion"] = self.situation.gateway_version.into();
        }
        object
    }

    fn deletes(&mut self) {
        let targets = self.situation.targets;
        for target in self.situation.rendered.deletes.iter().filter(|target| targets.contain(target)) {
            let Some(live) = self.situation.cache.live(target) else { continue };
            let object = live.object.as_ref().map(Document::read);
            let gateway = object.as_ref().and_then(related_gateway);
            let is_own =
                gateway.as_ref().is_some_and(|key| self.situation.rendered.gateways.contains_key(key));
            let is_known = is_own || self.situation.made.contains(&live.uid);
            let is_going = object.as_ref().is_some_and(is_going);
            if is_known && !is_going && self.is_undone(target, Part::Object, 0) {
                let what = What::Delete { uid: live.uid.clone() };
                self.writes.push(Write { target: target.clone(), what, gateway, fingerprint: 0 });
            }
        }
    }

    fn statuses(&mut self) {
        let Situation { cache, rendered, controller, now, targets, .. } = self.situation;
        let snapshot = cache.snapshot();
        for (key, new) in targets.of::<GatewayClass, _>(&rendered.gateway_classes) {
            let Some(class) = snapshot.gateway_classes.get(key) else { continue };
            let merged = condition::merge_class(&class.status, new, now);
            self.status(ObjectRef::of(class), None, &class.status, &merged, new);
        }
        for (key, new) in targets.of::<Gateway, _>(&rendered.gateways) {
            let Some(gateway) = snapshot.gateways.get(key) else { continue };
            let new = self.with_failure(gateway, new);
            let merged = condition::merge_gateway(&gateway.status, &new, now);
            self.status(ObjectRef::of(gateway), Some(key), &gateway.status, &merged, &new);
        }
        for (route, target, new) in self.routes() {
            let old = match route.api {
                RouteApi::Stunner => snapshot.udp_routes.get(&route.key).map(|route| &route.status),
                RouteApi::Gateway => snapshot.gateway_udp_routes.get(&route.key).map(|route| &route.status),
            };
            let Some(old) = old else { continue };
            let merged = condition::merge_route(old, new, controller, now);
            self.status(target, None, old, &merged, new);
        }
    }

    /// The routes to look at, of both groups.
    fn routes(&self) -> Vec<(&'a RouteKey, ObjectRef, &'a UdpRouteStatus)> {
        let Situation { rendered: Rendered { routes, .. }, .. } = self.situation;
        match self.situation.targets {
            Targets::All => routes.iter().map(|(route, status)| (route, reference(route), status)).collect(),
            Targets::Some(targets) => {
                let found = targets.keys().filter_map(|target| {
                    let is = |of: Type| (target.group, target.kind) == (of.group, of.kind);
                    let api = match () {
                        () if is(UdpRoute::TYPE) => RouteApi::Stunner,
                        () if is(GatewayUdpRoute::TYPE) => RouteApi::Gateway,
                        () => return None,
                    };
                    let (route, status) = routes.get_key_value(&RouteKey { api, key: target.key.clone() })?;
                    Some((route, target.clone(), status))
                });
                found.collect()
            }
        }
    }

    fn status<S: Serialize + PartialEq>(
        &mut self,
        target: ObjectRef,
        gateway: Option<&Key>,
        old: &S,
        merged: &S,
        new: &S,
    ) {
        if old == merged {
            return;
        }
        let print = fingerprint(&json!(new));
        let Some(version) = self.situation.cache.version(&target) else { return };
        if !self.is_undone(&target, Part::Status, print) {
            return;
        }
        let mut patch = json!({"metadata": {"resourceVersion": version}, "status": merged});
        if target.kind == Gateway::TYPE.kind && patch["status"].get("addresses").is_none() {
            // A merge patch leaves what it does not name.
            patch["status"]["addresses"] = Value::Null;
        }
        let what = What::Status { patch };
        self.writes.push(Write { target, what, gateway: gateway.cloned(), fingerprint: print });
    }

    /// Whether this very thing has not just been written, with the object still as it was after that.
    fn is_undone(&self, target: &ObjectRef, part: Part, fingerprint: u64) -> bool {
        let Situation { cache, memory, .. } = self.situation;
        let done = memory.get(&(target.clone(), part));
        done.is_none_or(|done| {
            done.fingerprint != fingerprint || Some(done.version.as_str()) != cache.version(target)
        })
    }

    /// A Gateway whose Service or workload the API server does not take is not programmed, whatever was rendered.
    fn with_failure(&self, gateway: &Gateway, new: &GatewayStatus) -> GatewayStatus {
        let mut status = new.clone();
        if let Some(message) = self.situation.failures.get(&gateway.metadata.key()) {
            let programmed = status.conditions.iter_mut().find(|one| one.kind == condition::PROGRAMMED);
            if let Some(condition) = programmed {
                condition.status = Truth::False;
                condition.reason = "Invalid".to_owned();
                condition.message.clone_from(message);
            }
        }
        status
    }
}

fn reference(route: &RouteKey) -> ObjectRef {
    match route.api {
        RouteApi::Stunner => ObjectRef::to::<UdpRoute>(route.key.clone()),
        RouteApi::Gateway => ObjectRef::to::<GatewayUdpRoute>(route.key.clone()),
    }
}

/// Whether somebody has deleted the object already, and it waits for others to let go of it.
fn is_going(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn has_all(live: &Live, wanted: &Value) -> bool {
    live.object.as_ref().is_some_and(|object| compare::covers(&object.read(), wanted))
}

/// The replicas that go on being right when the operator stops asking for a number: without another manager on record,
/// the API server would go back to one.
fn replicas_to_keep(live: &Live, wanted: &Value) -> Option<i64> {
    let is_workload = wanted["kind"] == Deployment::TYPE.kind;
    let is_dropped = is_workload && wanted["spec"].get("replicas").is_none() && live.owns_replicas;
    let object = live.object.as_ref().filter(|_| is_dropped)?;
    object.read()["spec"]["replicas"].as_i64()
}

fn related_gateway(object: &Value) -> Option<Key> {
    let text = object["metadata"]["annotations"][names::RELATED_GATEWAY].as_str()?;
    let (namespace, name) = text.split_once('/')?;
    (!namespace.is_empty()).then(|| Key::new(namespace, name))
}

fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
