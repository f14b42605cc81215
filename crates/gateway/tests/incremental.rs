//! Rendering what a change touches comes to the same as rendering everything.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod strategies;

use std::collections::{BTreeMap, BTreeSet};

use gateway::{
    Extent, Incremental, Problem, Rendered, RouteApi, RouteKey, Settings, Snapshot, Stored, Touched, Visitor,
    api::{
        DaemonSet, Deployment, Gateway, GatewayClass, GatewayUdpRoute, Key, ObjectRef, Resource, Service,
        Type, UdpRoute, from_value,
    },
    render,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use strategies::{objects, settings};

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn w04_an_update_is_a_rendering_of_everything(
        history in prop::collection::vec((objects(), prop::collection::vec(any::<prop::sample::Index>(), 0..4)), 1..5),
        settings in settings(),
    ) {
        // In the other modes Gateways cannot be told apart, so there is nothing to prove.
        let settings = Settings { one_host: false, mode: gateway::Mode::Managed, ..settings };
        let mut incremental = Incremental::default();
        let mut snapshot = Snapshot::default();
        let mut whole = Rendered::default();
        for (objects, removed) in history {
            // One object at a time, so that the second and later steps are small.
            let removals = removed.iter().filter_map(|index| pick(&snapshot, index)).collect::<Vec<_>>();
            let changes = objects.into_iter().map(Change::Put).chain(removals.into_iter().map(Change::Remove));
            for change in changes {
                let changed = change.apply(&mut snapshot);
                let before = incremental.rendered().clone();
                let said: Vec<Problem> = before.problems.iter().cloned().collect();
                if let Extent::Part(touched) = incremental.update(&snapshot, &settings, &changed) {
                    let objects: BTreeSet<_> = touched.objects().collect();
                    for target in differences(&before, incremental.rendered()) {
                        prop_assert!(objects.contains(&target), "{target} is different and was not touched");
                    }
                }
                let mut rendered = render(&snapshot, &settings);
                rendered.keep_last_good(&whole, &settings);
                whole = rendered;
                prop_assert_eq!(incremental.rendered(), &whole);
                let problems: Vec<_> = whole.problems.iter().cloned().collect();
                prop_assert_eq!(incremental.rendered().problems.iter().cloned().collect::<Vec<_>>(), problems.clone());
                prop_assert!(problems.is_sorted_by_key(|problem| &problem.object));
                let unique: BTreeSet<_> = problems.iter().collect();
                prop_assert_eq!(unique.len(), problems.len());
                let new = problems.into_iter().filter(|problem| !said.contains(problem)).collect::<Vec<_>>();
                prop_assert_eq!(&incremental.news().problems, &new);
                let stale = whole.stale.iter().filter(|(key, problem)| before.stale.get(*key) != Some(problem));
                let stale: Vec<_> = stale.map(|(key, _)| key.clone()).collect();
                prop_assert_eq!(&incremental.news().stale, &stale);
            }
        }
    }
}

#[test]
fn w04_a_pod_costs_the_gateways_that_reach_it() {
    let mut snapshot = Snapshot::default();
    let put = |snapshot: &mut Snapshot, object| Change::Put(object).apply(snapshot);
    let named = |kind: &str, api: &str, name: &str, rest: Value| {
        let mut object =
            json!({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "n"}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    let parameters =
        json!({"group": "stunner.l7mp.io", "kind": "GatewayConfig", "name": "c", "namespace": "n"});
    let class = json!({"controllerName": "stunner.l7mp.io/gateway-operator", "parametersRef": parameters});
    let api = "gateway.networking.k8s.io/v1";
    put(&mut snapshot, named("GatewayClass", api, "class", json!({"spec": class})));
    let config = json!({"spec": {"userName": "u", "password": "p"}});
    put(&mut snapshot, named("GatewayConfig", "stunner.l7mp.io/v1", "c", config));
    put(&mut snapshot, named("Dataplane", "stunner.l7mp.io/v1", "default", json!({})));
    for at in 0..10 {
        let listener = json!([{"name": "udp", "port": 3478, "protocol": "TURN-UDP"}]);
        let spec = json!({"spec": {"gatewayClassName": "class", "listeners": listener}});
        put(&mut snapshot, named("Gateway", api, &format!("g{at}"), spec));
        let backend = json!([{"backendRefs": [{"name": format!("s{at}")}]}]);
        let spec = json!({"spec": {"parentRefs": [{"name": format!("g{at}")}], "rules": backend}});
        put(&mut snapshot, named("UDPRoute", "stunner.l7mp.io/v1", &format!("r{at}"), spec));
    }
    let settings = Settings::default();
    let mut incremental = Incremental::default();
    assert_eq!(incremental.update(&snapshot, &settings, &BTreeSet::new()), Extent::Everything);
    let mut slice = named(
        "EndpointSlice",
        "discovery.k8s.io/v1",
        "s3-x",
        json!({"endpoints": [{"addresses": ["10.0.0.1"]}]}),
    );
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": "s3"});
    let changed = put(&mut snapshot, slice);
    let touched = Touched {
        gateways: BTreeSet::from([Key::new("n", "g3")]),
        routes: BTreeSet::from([RouteKey { api: RouteApi::Stunner, key: Key::new("n", "r3") }]),
    };
    assert_eq!(incremental.update(&snapshot, &settings, &changed), Extent::Part(touched));
    assert_eq!(incremental.rendered().configs["n/g3"].clusters[0].endpoints, ["10.0.0.1"]);
}

/// What of two renderings is written differently.
fn differences(before: &Rendered, after: &Rendered) -> BTreeSet<ObjectRef> {
    fn of<R: Resource, V: PartialEq>(
        before: &BTreeMap<Key, V>,
        after: &BTreeMap<Key, V>,
    ) -> impl Iterator<Item = ObjectRef> {
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let different: Vec<_> = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).collect();
        different.into_iter().map(|key| ObjectRef::to::<R>(key.clone())).collect::<Vec<_>>().into_iter()
    }
    let routes: BTreeSet<_> = before.routes.keys().chain(after.routes.keys()).collect();
    let routes = routes.into_iter().filter(|route| before.routes.get(*route) != after.routes.get(*route));
    of::<Service, _>(&before.services, &after.services)
        .chain(of::<Deployment, _>(&before.deployments, &after.deployments))
        .chain(of::<DaemonSet, _>(&before.daemon_sets, &after.daemon_sets))
        .chain(of::<Gateway, _>(&before.gateways, &after.gateways))
        .chain(of::<GatewayClass, _>(&before.gateway_classes, &after.gateway_classes))
        .chain(before.deletes.symmetric_difference(&after.deletes).cloned())
        .chain(routes.map(|route| match route.api {
            RouteApi::Stunner => ObjectRef::to::<UdpRoute>(route.key.clone()),
            RouteApi::Gateway => ObjectRef::to::<GatewayUdpRoute>(route.key.clone()),
        }))
        .collect()
}

/// One step of a history.
enum Change {
    Put(Value),
    Remove((Type, Key)),
}

impl Change {
    /// Makes it, and says what has changed.
    fn apply(self, snapshot: &mut Snapshot) -> BTreeSet<ObjectRef> {
        let changed = match self {
            Self::Put(object) => {
                let kind = object["kind"].as_str().unwrap();
                let group =
                    object["apiVersion"].as_str().unwrap().rsplit_once('/').map_or("", |(group, _)| group);
                let of = Snapshot::TYPES.iter().find(|of| (of.group, of.kind) == (group, kind)).unwrap();
                Snapshot::dispatch(*of, Put { snapshot, object }).unwrap()
            }
            Self::Remove((of, key)) => {
                Snapshot::dispatch(of, Remove { snapshot, key: &key }).unwrap();
                ObjectRef { group: of.group, kind: of.kind, key }
            }
        };
        BTreeSet::from([changed])
    }
}

/// Any object there is.
fn pick(snapshot: &Snapshot, index: &prop::sample::Index) -> Option<(Type, Key)> {
    let mut all = Vec::new();
    for of in Snapshot::TYPES {
        let keys = Snapshot::dispatch(*of, Keys(snapshot)).unwrap();
        all.extend(keys.into_iter().map(|key| (*of, key)));
    }
    (!all.is_empty()).then(|| all[index.index(all.len())].clone())
}

struct Put<'s> {
    snapshot: &'s mut Snapshot,
    object: Value,
}

impl Visitor for Put<'_> {
    type Output = ObjectRef;

    fn visit<R: Stored>(self) -> ObjectRef {
        let mut object: R = from_value(self.object).unwrap();
        if !R::TYPE.namespaced {
            object.metadata_mut().namespace.clear();
        } else if object.metadata().namespace.is_empty() {
            object.metadata_mut().namespace = "default".to_owned();
        }
        let reference = ObjectRef::of(&object);
        self.snapshot.insert(object);
        reference
    }
}

struct Remove<'s, 'k> {
    snapshot: &'s mut Snapshot,
    key: &'k Key,
}

impl Visitor for Remove<'_, '_> {
    type Output = ();

    fn visit<R: Stored>(self) {
        self.snapshot.remove::<R>(self.key);
    }
}

struct Keys<'s>(&'s Snapshot);

impl Visitor for Keys<'_> {
    type Output = Vec<Key>;

    fn visit<R: Stored>(self) -> Vec<Key> {
        R::all(self.0).keys().cloned().collect()
    }
}
