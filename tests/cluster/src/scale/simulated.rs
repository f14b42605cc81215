use std::{
    collections::{BTreeMap, BTreeSet},
    process,
    time::Duration,
};

use cds::Store;
use gateway::{
    Extent, Incremental, Snapshot,
    api::{Key, ObjectRef, Type},
};
use operator::{
    cache::{Cache, Change, Effect},
    plan::{Done, Memory, Situation, Targets, What, Write, plan},
};
use serde_json::{Value, json};

use super::{
    figures::{head, memory, millis, most_memory, say, spread},
    objects,
};
use crate::clock;

/// Changes of endpoints.
const CHANGES: usize = 200;

pub(super) fn measure(gateways: usize) {
    head(&format!("{gateways} Gateways without an API server, {} endpoints", gateways * objects::ENDPOINTS));
    let mut simulation = Simulation::default();
    let started = clock::now();
    simulation.list(gateways);
    say("reading the objects", millis(clock::since(started)));
    let started = clock::now();
    simulation.render();
    say("rendering everything for the first time", millis(clock::since(started)));
    let started = clock::now();
    let planned = simulation.plan();
    say("planning all writes", format!("{} ({} writes)", millis(clock::since(started)), planned.len()));
    let writes = simulation.settle(planned);
    say("writes until nothing is missing", writes);
    simulation.unplanned = None;
    let started = clock::now();
    let rest = simulation.plan();
    assert!(rest.is_empty(), "{rest:?}");
    say("looking at everything when nothing is missing", millis(clock::since(started)));
    simulation.unplanned = Some(BTreeMap::new());
    let times = (1..=CHANGES).map(|change| simulation.change(change * 7919 % gateways, change));
    say("a change of endpoints, from the watch to the discovery and the plan", spread(times.collect()));
    let process = process::id();
    say("memory", format!("{:.0} MiB, at most {:.0}", memory(process), most_memory(process)));
}

/// The operator's values, with an API server that does as it is told.
struct Simulation {
    cache: Cache,
    rendering: Incremental,
    changed: BTreeSet<ObjectRef>,
    /// Nothing stands for everything.
    unplanned: Option<BTreeMap<ObjectRef, ()>>,
    memory: Memory,
    store: Store,
    settings: gateway::Settings,
    version: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        let controller_name = objects::CONTROLLER.to_owned();
        Self {
            cache: Cache::new([]),
            rendering: Incremental::default(),
            changed: BTreeSet::new(),
            unplanned: None,
            memory: Memory::new(),
            store: Store::new(),
            settings: gateway::Settings { controller_name, ..gateway::Settings::default() },
            version: 0,
        }
    }
}

impl Simulation {
    fn list(&mut self, gateways: usize) {
        for object in objects::shared() {
            self.put(object);
        }
        for at in 0..gateways {
            objects::own(at).into_iter().for_each(|object| self.put(object));
        }
    }

    /// What a watch says.
    fn put(&mut self, object: Value) {
        let (of, object) = self.as_stored(object);
        for effect in self.cache.apply(Change::Put(of, object)) {
            self.note(effect);
        }
    }

    /// The object as the API server returns it.
    fn as_stored(&mut self, mut object: Value) -> (Type, Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        object["metadata"]["uid"] = format!("{}-{}", object["kind"], object["metadata"]["name"]).into();
        object["metadata"]["generation"] = 1.into();
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let of = Snapshot::TYPES.iter().find(|of| object["kind"] == of.kind && of.group == group);
        (*of.expect("a kind that is read"), object)
    }

    fn note(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Written(target) => self.look_at(target),
            Effect::Render(target) => {
                self.changed.insert(target);
            }
            Effect::Unreadable(target, reason) => panic!("{target}: {reason}"),
        }
    }

    fn look_at(&mut self, target: ObjectRef) {
        if let Some(unplanned) = &mut self.unplanned {
            unplanned.insert(target, ());
        }
    }

    fn render(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        let extent = self.rendering.update(self.cache.snapshot(), &self.settings, &changed);
        let configs = &self.rendering.rendered().configs;
        match extent {
            Extent::Everything => {
                self.store.set(configs.clone());
                self.unplanned = None;
            }
            Extent::Part(touched) => {
                let ids = touched.gateways.iter().map(Key::to_string);
                self.store.update(ids.map(|id| {
                    let config = configs.get(&id).cloned();
                    (id, config)
                }));
                touched.objects().for_each(|target| self.look_at(target));
            }
        }
    }

    fn plan(&mut self) -> Vec<Write> {
        let unplanned = self.unplanned.replace(BTreeMap::new());
        plan(Situation {
            cache: &self.cache,
            rendered: self.rendering.rendered(),
            memory: &self.memory,
            failures: &BTreeMap::new(),
            made: &BTreeSet::new(),
            controller: objects::CONTROLLER,
            gateway_version: "gateway.networking.k8s.io/v1",
            now: "2026-01-01T00:00:00Z",
            targets: unplanned.as_ref().map_or(Targets::All, Targets::Some),
        })
    }

    /// Writes until nothing is missing; returns how often.
    fn settle(&mut self, mut planned: Vec<Write>) -> usize {
        let mut writes = 0;
        while !planned.is_empty() {
            writes += planned.len();
            planned.into_iter().for_each(|write| self.write(write));
            self.render();
            planned = self.plan();
        }
        writes
    }

    fn write(&mut self, write: Write) {
        let Write { target, what, fingerprint, .. } = write;
        let part = what.part();
        let object = match what {
            What::Apply { object, .. } => object,
            What::Status { patch } => {
                let mut object = base(&target);
                object["status"] = patch["status"].clone();
                object
            }
            What::Strip { .. } | What::Delete { .. } => panic!("{target}: nothing is there to take away"),
        };
        let (of, object) = self.as_stored(object);
        let version = self.version.to_string();
        self.memory.insert((target, part), Done { fingerprint, version });
        let effect = self.cache.answer(of, object);
        self.note(effect);
    }

    /// A change of endpoints, and how long it takes.
    fn change(&mut self, at: usize, change: usize) -> Duration {
        let (of, object) = self.as_stored(objects::slice(at, change));
        let started = clock::now();
        for effect in self.cache.apply(Change::Put(of, object)) {
            self.note(effect);
        }
        self.render();
        let planned = self.plan();
        let took = clock::since(started);
        let config = self.store.get(&objects::gateway_id(at)).expect("a configuration");
        assert!(config.clusters[0].endpoints.contains(&objects::marker(change)), "it has arrived");
        assert!(planned.is_empty(), "{planned:?}");
        took
    }
}

/// The object without its status.
fn base(target: &ObjectRef) -> Value {
    let number = target.key.name.rsplit_once('-').and_then(|(_, number)| number.parse().ok());
    let own = number.map(objects::own).into_iter().flatten();
    let is_it =
        |object: &Value| object["kind"] == target.kind && object["metadata"]["name"] == target.key.name;
    objects::shared().into_iter().chain(own).find(is_it).unwrap_or_else(|| json!({}))
}
