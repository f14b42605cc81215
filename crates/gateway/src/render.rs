//! The pipeline: classes, routes and their backends, Gateways with their listeners, what else exists.

mod address;
mod admin;
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

use std::collections::BTreeMap;

use serde_json::Value;

use self::{
    class::Shared,
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
    problems::Source,
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
        self.rendered
    }

    fn classes(&mut self) {
        for class in self.world.classes.values() {
            let status = class::status(class, self.world.settings);
            self.rendered.gateway_classes.insert(class.object.metadata.key(), status);
            self.rendered.problems.extend(class.parameters.as_ref().err().map(|problem| (**problem).clone()));
            self.rendered.problems.file(Source::Class(class.object.metadata.key()));
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
            self.rendered.problems.file(Source::Route(route.key()));
        }
        all
    }

    fn gateways(&mut self, routes: &[Route<'a>], backends: &BTreeMap<RouteKey, Backends>) {
        let Self { world, shut_down, rendered } = self;
        let attachments = route::attachments(routes, backends);
        let classes = shared(world);
        let mut ports = Ports::new(world.settings);
        let mut merged = legacy::Merged::default();
        for gateway in by_age(world.snapshot) {
            let source = Source::Gateway(gateway.metadata.key());
            let class = match world.owner(gateway) {
                Owner::Ours(class) => class.object.metadata.name.as_str(),
                Owner::Foreign => {
                    delete_all(world, gateway, rendered);
                    continue;
                }
                Owner::Nobody => {
                    let finding = Finding::MissingClass(gateway.spec.gateway_class_name.clone());
                    listener::hold_ports(world, gateway, &mut ports);
                    keep(gateway, world::problem(gateway, "spec.gatewayClassName", finding), rendered);
                    rendered.problems.file(source);
                    continue;
                }
            };
            let attached = attachments.get(&gateway.metadata.key()).map_or(&[][..], Vec::as_slice);
            let outcome = match &classes[class] {
                Ok(shared) => gateway::render(world, gateway, shared, attached, &mut ports),
                Err(problem) => Err(problem.clone()),
            };
            match outcome {
                Ok(outcome) => accept(world, class, outcome, &mut merged, rendered),
                Err(problem) => {
                    listener::hold_ports(world, gateway, &mut ports);
                    reject(world, gateway, *problem, *shut_down, rendered);
                }
            }
            rendered.problems.file(source);
        }
        legacy::render(world, &classes, &mut merged, rendered);
        rendered.problems.file(Source::Merged);
    }
}

/// What the Gateways of each class share, or why it cannot be used.
fn shared<'w>(world: &'w World<'_>) -> BTreeMap<&'w str, Result<Shared<'w>, Box<Problem>>> {
    let shared = |class: &'w class::Class<'_>| {
        let parameters = class.parameters.as_ref().map_err(Clone::clone)?;
        Ok(Shared { parameters, auth: auth::auth(world, parameters.config)? })
    };
    world.classes.iter().map(|(name, class)| (*name, shared(class))).collect()
}

/// Writes the status of a Gateway that could not be rendered.
fn reject(world: &World<'_>, gateway: &Gateway, problem: Problem, shut_down: bool, rendered: &mut Rendered) {
    let status = status::stale(world.settings, gateway, &problem, shut_down);
    rendered.gateways.insert(gateway.metadata.key(), status);
    if shut_down {
        delete_all(world, gateway, rendered);
    } else {
        keep(gateway, problem, rendered);
    }
}

/// Notes that what was last rendered for a Gateway stays in force.
fn keep(gateway: &Gateway, problem: Problem, rendered: &mut Rendered) {
    rendered.problems.push(problem.clone());
    rendered.stale.insert(gateway.metadata.key(), problem);
}

/// Puts what a Gateway has come to where it belongs.
fn accept(
    world: &World<'_>,
    class: &str,
    outcome: Outcome<'_>,
    merged: &mut legacy::Merged,
    rendered: &mut Rendered,
) {
    let gateway = outcome.gateway;
    let key = gateway.metadata.key();
    rendered.gateways.insert(key.clone(), outcome.status);
    rendered.problems.extend(outcome.problems);
    rendered.services.extend(outcome.service.map(|service| (service::key(gateway), service)));
    match world.settings.mode {
        Mode::Legacy => merged.add(class, outcome.config),
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
