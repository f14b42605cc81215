//! Rendering what a change touches, and nothing else.

mod links;
mod part;

use std::collections::{BTreeMap, BTreeSet};

use self::{links::Index, part::Part};
use crate::{
    Mode, Problem, Rendered, RouteApi, RouteKey, Settings, Snapshot,
    api::{
        DaemonSet, Deployment, EndpointSlice, Endpoints, Gateway, GatewayUdpRoute, Key, ObjectRef, Resource,
        Secret, Service, StaticService, UdpRoute,
    },
    problems::Source,
    render,
};

/// What an update has rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All there is.
    Everything,
    /// Some Gateways and routes.
    Part(Touched),
}

/// What an update has brought that was not there before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Findings, in the order of [`Rendered::problems`].
    pub problems: Vec<Problem>,
    /// Gateways that have become [stale](Rendered::stale), or are for another reason.
    pub stale: Vec<Key>,
}

/// A rendering that is kept up to date.
///
/// After any sequence of updates it is what [`render()`], with [`Rendered::keep_last_good`] each time, would have come to
/// for the last snapshot. An update costs what the changed objects reach: a pod of a backend the routes to it and the
/// Gateways of those.
#[derive(Debug, Default)]
pub struct Incremental {
    rendered: Rendered,
    index: Index,
    news: News,
    is_begun: bool,
}

impl Incremental {
    /// The rendering.
    pub fn rendered(&self) -> &Rendered {
        &self.rendered
    }

    /// What the last update has brought.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// Takes note that the `changed` objects are as `snapshot` has them, or gone if it has not; everything else must be
    /// as it was. Returns what was rendered.
    pub fn update(
        &mut self,
        snapshot: &Snapshot,
        settings: &Settings,
        changed: &BTreeSet<ObjectRef>,
    ) -> Extent {
        let is_separable = settings.mode == Mode::Managed && !settings.one_host && self.is_begun;
        let mut touched = Touched::default();
        let is_small =
            is_separable && changed.iter().all(|object| self.touch(snapshot, object, &mut touched));
        if !is_small {
            self.index = Index::of(snapshot);
            let mut rendered = render(snapshot, settings);
            rendered.keep_last_good(&self.rendered, settings);
            self.news = News::of_all(&self.rendered, &rendered);
            self.rendered = rendered;
            self.is_begun = true;
            return Extent::Everything;
        }
        let mut part = Part::of(snapshot, &self.index, &touched);
        part.rendered = render(&part.snapshot, settings);
        part.rendered.keep_last_good(&self.rendered, settings);
        self.news = News::of_part(&self.rendered, &part.rendered, &touched);
        self.replace(part.rendered, &touched);
        Extent::Part(touched)
    }

    /// Works out what has to be rendered because of one object, before and after its change. False for one that reaches
    /// everywhere.
    fn touch(&mut self, snapshot: &Snapshot, object: &ObjectRef, touched: &mut Touched) -> bool {
        let key = &object.key;
        if is::<Gateway>(object) {
            self.index.gateway(key, snapshot.gateways.get(key));
            touched.gateway(&self.index, key);
        } else if is::<UdpRoute>(object) || is::<GatewayUdpRoute>(object) {
            // One may hide the other.
            for route in both(key) {
                touched.route(&self.index, &route);
                self.index.route(snapshot, &route);
                touched.route(&self.index, &route);
            }
        } else if is::<Service>(object) {
            touched.service(&self.index, key);
            self.index.service(key, snapshot.services.get(key));
            touched.service(&self.index, key);
        } else if is::<EndpointSlice>(object) {
            touched.slice(&self.index, key);
            self.index.slice(key, snapshot.endpoint_slices.get(key));
            touched.slice(&self.index, key);
        } else if is::<Endpoints>(object) {
            touched.backend(&self.index, &ObjectRef::to::<Service>(key.clone()));
        } else if is::<StaticService>(object) {
            touched.backend(&self.index, &ObjectRef::to::<StaticService>(key.clone()));
        } else if is::<Secret>(object) {
            let is_shared = snapshot
                .gateway_configs
                .values()
                .any(|config| links::auth_secret(config).as_ref() == Some(key));
            touched.gateways.extend(self.index.certificates.sources(key).cloned());
            return !is_shared;
        } else if is::<Deployment>(object) || is::<DaemonSet>(object) {
            touched.gateways.extend(self.index.workloads.sources(key).cloned());
        } else {
            return false;
        }
        true
    }

    /// Puts what was rendered of the touched objects in the place of what there was of them.
    fn replace(&mut self, part: Rendered, touched: &Touched) {
        let all = &mut self.rendered;
        for gateway in &touched.gateways {
            let own = links::workload(gateway);
            let id = gateway.to_string();
            put(&mut all.configs, &part.configs, &id);
            put(&mut all.services, &part.services, &own);
            put(&mut all.deployments, &part.deployments, &own);
            put(&mut all.daemon_sets, &part.daemon_sets, &own);
            put(&mut all.gateways, &part.gateways, gateway);
            put(&mut all.stale, &part.stale, gateway);
            all.problems.replace(&Source::Gateway(gateway.clone()), &part.problems);
            for target in deletable(&own) {
                all.deletes.remove(&target);
                all.deletes.extend(part.deletes.get(&target).cloned());
            }
        }
        for route in &touched.routes {
            put(&mut all.routes, &part.routes, route);
            all.problems.replace(&Source::Route(route.clone()), &part.problems);
        }
    }
}

impl News {
    fn of_all(before: &Rendered, after: &Rendered) -> Self {
        let problems = after.problems.iter().filter(|problem| !before.problems.contains(problem));
        let stale = after.stale.keys().filter(|key| is_new_stale(before, after, key));
        Self { problems: problems.cloned().collect(), stale: stale.cloned().collect() }
    }

    /// The same if nothing but what was touched can be different.
    fn of_part(before: &Rendered, part: &Rendered, touched: &Touched) -> Self {
        let routes = touched.routes.iter().map(|route| Source::Route(route.clone()));
        let gateways = touched.gateways.iter().map(|gateway| Source::Gateway(gateway.clone()));
        let mut problems: Vec<Problem> = Vec::new();
        for source in routes.chain(gateways) {
            for problem in part.problems.of(&source) {
                if !before.problems.contains(problem) && !problems.contains(problem) {
                    problems.push(problem.clone());
                }
            }
        }
        problems.sort_by(|a, b| a.object.cmp(&b.object));
        let stale = touched.gateways.iter().filter(|key| is_new_stale(before, part, key));
        Self { problems, stale: stale.cloned().collect() }
    }
}

fn is_new_stale(before: &Rendered, after: &Rendered, gateway: &Key) -> bool {
    after.stale.contains_key(gateway) && before.stale.get(gateway) != after.stale.get(gateway)
}

/// The routes of that name, of either API.
fn both(key: &Key) -> [RouteKey; 2] {
    [RouteApi::Stunner, RouteApi::Gateway].map(|api| RouteKey { api, key: key.clone() })
}

/// What may have to be deleted for the sake of a Gateway.
fn deletable(own: &Key) -> [ObjectRef; 3] {
    [
        ObjectRef::to::<Service>(own.clone()),
        ObjectRef::to::<Deployment>(own.clone()),
        ObjectRef::to::<DaemonSet>(own.clone()),
    ]
}

fn put<K: Ord + Clone, V: Clone>(all: &mut BTreeMap<K, V>, part: &BTreeMap<K, V>, key: &K) {
    match part.get(key) {
        Some(value) => {
            all.insert(key.clone(), value.clone());
        }
        None => {
            all.remove(key);
        }
    }
}

/// What a change reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Gateways that were rendered.
    pub gateways: BTreeSet<Key>,
    /// The routes that name them or reach what has changed.
    pub routes: BTreeSet<RouteKey>,
}

impl Touched {
    /// Everything that may have to be written for the sake of these: themselves, for their statuses, and what is created
    /// for the Gateways.
    pub fn objects(&self) -> impl Iterator<Item = ObjectRef> {
        let gateways = self.gateways.iter().flat_map(|key| {
            std::iter::once(ObjectRef::to::<Gateway>(key.clone())).chain(deletable(&links::workload(key)))
        });
        let routes = self.routes.iter().map(|route| match route.api {
            RouteApi::Stunner => ObjectRef::to::<UdpRoute>(route.key.clone()),
            RouteApi::Gateway => ObjectRef::to::<GatewayUdpRoute>(route.key.clone()),
        });
        gateways.chain(routes)
    }

    /// A Gateway, and the statuses of the routes that name it.
    fn gateway(&mut self, index: &Index, gateway: &Key) {
        self.gateways.insert(gateway.clone());
        self.routes.extend(index.parents.sources(gateway).cloned());
    }

    /// A route, and the Gateways that it names.
    fn route(&mut self, index: &Index, route: &RouteKey) {
        self.gateways.extend(index.parents.targets(route).cloned());
        self.routes.insert(route.clone());
    }

    /// The routes that lead to a backend.
    fn backend(&mut self, index: &Index, backend: &ObjectRef) {
        for route in index.backends.sources(backend) {
            self.route(index, route);
        }
    }

    /// A Service may be a backend, expose a Gateway, or be in the way of the one that should.
    fn service(&mut self, index: &Index, service: &Key) {
        self.backend(index, &ObjectRef::to::<Service>(service.clone()));
        self.gateways.extend(index.exposures.targets(service).cloned());
        self.gateways.extend(index.workloads.sources(service).cloned());
    }

    fn slice(&mut self, index: &Index, slice: &Key) {
        for service in index.slices.targets(slice) {
            self.backend(index, &ObjectRef::to::<Service>(service.clone()));
        }
    }
}

/// Whether the object is of the kind.
fn is<R: Resource>(object: &ObjectRef) -> bool {
    object.group == R::TYPE.group && object.kind == R::TYPE.kind
}
