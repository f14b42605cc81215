//! The pipeline: classes, routes and their backends, Gateways with their listeners, what else exists.

mod address;
mod annotation;
mod auth;
mod class;
mod cluster;
mod gateway;
mod legacy;
mod listener;
mod route;
mod service;
mod status;
mod workload;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use config::Auth;
use serde_json::Value;

use self::{
    class::Class,
    cluster::Backends,
    gateway::Outcome,
    listener::Ports,
    route::Route,
    workload::Workload,
    world::{Owner, World, is_ours_for_sure},
};
use crate::{
    Finding, Mode, Problem, Rendered, RouteKey, Settings, Snapshot,
    api::{DaemonSet, Deployment, Gateway, ObjectRef, Service},
    snapshot::Stored,
};

/// What the objects come to.
///
/// Every object is rendered for itself: a bad one costs what depends on it and nothing else, and Gateways whose input is
/// missing or invalid as a whole are [stale](Rendered::stale).
pub fn render(snapshot: &Snapshot, settings: &Settings) -> Rendered {
    Pipeline::new(snapshot, settings).run()
}

/// What is left when the operator goes away for good: statuses that say so, and orders to delete what we created.
pub fn finalize(snapshot: &Snapshot, settings: &Settings) -> Rendered {
    let mut pipeline = Pipeline::new(snapshot, settings);
    pipeline.shut_down = true;
    for class in pipeline.world.classes.values_mut() {
        class.parameters = Err(world::fatal(class.object, "", Finding::ShutDown));
    }
    pipeline.run()
}

struct Pipeline<'a> {
    world: World<'a>,
    shut_down: bool,
    rendered: Rendered,
}

impl<'a> Pipeline<'a> {
    fn new(snapshot: &'a Snapshot, settings: &'a Settings) -> Self {
        Self { world: World::new(snapshot, settings), shut_down: false, rendered: Rendered::default() }
    }

    fn run(mut self) -> Rendered {
        self.classes();
        let routes = route::all(&self.world);
        let backends = self.routes(&routes);
        self.gateways(&routes, &backends);
        let problems = &mut self.rendered.problems;
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.clone()));
        problems.sort_by(|a, b| a.object.cmp(&b.object));
        self.rendered
    }

    fn classes(&mut self) {
        for class in self.world.classes.values() {
            let status = class::status(class, self.world.settings);
            self.rendered.gateway_classes.insert(class.object.metadata.key(), status);
            self.rendered.problems.extend(class.parameters.as_ref().err().map(|problem| (**problem).clone()));
        }
    }

    /// Looks up the backends of every route that is ours, once, and writes the statuses.
    fn routes(&mut self, routes: &[Route<'a>]) -> BTreeMap<RouteKey, Backends> {
        let mut all = BTreeMap::new();
        for route in routes {
            let controlled = route.is_controlled();
            let backends = (controlled && !route.masked).then(|| cluster::backends(&self.world, route));
            if let Some(status) = route::status(&self.world, route, backends.as_ref()) {
                self.rendered.routes.insert(route.key(), status);
            }
            if controlled {
                self.rendered.problems.extend(route::problems(route));
            }
            if let Some(backends) = backends {
                self.rendered.problems.extend(backends.errors.iter().chain(&backends.warnings).cloned());
                all.insert(route.key(), backends);
            }
        }
        all
    }

    fn gateways(&mut self, routes: &[Route<'a>], backends: &BTreeMap<RouteKey, Backends>) {
        let attachments = route::by_gateway(routes);
        let auths = self.auths();
        let mut ports = Ports::new(self.world.settings);
        let mut merged = legacy::Merged::default();
        for gateway in by_age(self.world.snapshot) {
            let key = gateway.metadata.key();
            let class = match self.world.owner(gateway) {
                Owner::Ours(class) => class,
                Owner::Foreign => {
                    delete_all(&self.world, gateway, &mut self.rendered);
                    continue;
                }
                Owner::Nobody => {
                    let name = gateway.spec.gateway_class_name.clone();
                    let problem =
                        world::problem(gateway, "spec.gatewayClassName", Finding::MissingClass(name));
                    self.rendered.problems.push(problem.clone());
                    self.rendered.stale.insert(key, problem);
                    continue;
                }
            };
            let attached = attachments.get(&key).map_or(&[][..], Vec::as_slice);
            let auth = auths.get(class.object.metadata.name.as_str());
            let outcome = match (&class.parameters, auth) {
                (Err(problem), _) | (Ok(_), Some(Err(problem))) => Err(problem.clone()),
                (Ok(parameters), Some(Ok(auth))) => {
                    gateway::render(&self.world, gateway, parameters, auth, attached, backends, &mut ports)
                }
                (Ok(_), None) => continue,
            };
            match outcome {
                Ok(outcome) => accept(&self.world, class, outcome, &mut merged, &mut self.rendered),
                Err(problem) => {
                    listener::hold_ports(&self.world, gateway, &mut ports);
                    self.reject(gateway, *problem);
                }
            }
        }
        legacy::render(&self.world, &auths, &mut merged, &mut self.rendered);
    }

    /// Authentication of each class that has its parameters.
    fn auths(&self) -> BTreeMap<&'a str, Result<Auth, Box<Problem>>> {
        let auth = |(name, class): (&&'a str, &Class<'a>)| {
            Some((*name, auth::auth(&self.world, class.parameters.as_ref().ok()?.config)))
        };
        self.world.classes.iter().filter_map(auth).collect()
    }

    fn reject(&mut self, gateway: &'a Gateway, problem: Problem) {
        let key = gateway.metadata.key();
        let status = status::stale(self.world.settings, gateway, &problem, self.shut_down);
        self.rendered.gateways.insert(key.clone(), status);
        if self.shut_down {
            delete_all(&self.world, gateway, &mut self.rendered);
        } else {
            self.rendered.problems.push(problem.clone());
            self.rendered.stale.insert(key, problem);
        }
    }
}

/// Puts what a Gateway has come to where it belongs.
fn accept<'a>(
    world: &World<'a>,
    class: &Class<'a>,
    outcome: Outcome<'a>,
    merged: &mut legacy::Merged,
    rendered: &mut Rendered,
) {
    let gateway = outcome.gateway;
    let key = gateway.metadata.key();
    rendered.gateways.insert(key.clone(), outcome.status);
    rendered.problems.extend(outcome.problems);
    rendered.services.extend(outcome.service.map(|service| (service::key(gateway), service)));
    match world.settings.mode {
        Mode::Legacy => merged.add(class.object.metadata.name.as_str(), outcome.config),
        Mode::Managed => {
            rendered.configs.insert(key.to_string(), outcome.config);
            workloads(world, gateway, outcome.workload, rendered);
        }
    }
}

/// The workload of a Gateway; the one of the other kind, or of none, goes.
fn workloads(
    world: &World<'_>,
    gateway: &Gateway,
    workload: Option<(Workload, Value)>,
    rendered: &mut Rendered,
) {
    let kind = workload.as_ref().map(|(kind, _)| *kind);
    if kind != Some(Workload::Deployment) {
        delete::<Deployment>(world, gateway, rendered);
    }
    if kind != Some(Workload::DaemonSet) {
        delete::<DaemonSet>(world, gateway, rendered);
    }
    if let Some((kind, workload)) = workload {
        let workloads = match kind {
            Workload::Deployment => &mut rendered.deployments,
            Workload::DaemonSet => &mut rendered.daemon_sets,
        };
        workloads.insert(service::key(gateway), workload);
    }
}

/// Orders the object that goes with a Gateway to be deleted, if it exists and is ours.
fn delete<R: Stored>(world: &World<'_>, gateway: &Gateway, rendered: &mut Rendered) {
    let object = R::all(world.snapshot).get(&service::key(gateway));
    if let Some(object) = object.filter(|object| is_ours_for_sure(object.metadata(), gateway)) {
        rendered.deletes.insert(ObjectRef::of(object));
    }
}

fn delete_all(world: &World<'_>, gateway: &Gateway, rendered: &mut Rendered) {
    delete::<Service>(world, gateway, rendered);
    delete::<Deployment>(world, gateway, rendered);
    delete::<DaemonSet>(world, gateway, rendered);
}

/// Gateways from the oldest to the newest, which decides who gets a port that two of them ask for. Those without a time
/// of creation come last, by name.
fn by_age(snapshot: &Snapshot) -> Vec<&Gateway> {
    let mut gateways: Vec<_> = snapshot.gateways.values().collect();
    gateways.sort_by_key(|gateway| {
        let created = &gateway.metadata.creation_timestamp;
        (created.is_none(), created.clone(), gateway.metadata.key())
    });
    gateways
}
