use std::collections::BTreeMap;

use config::{Admin, Cluster, Config, OffloadEngine};
use serde_json::Value;

use super::{
    address,
    admin::admin,
    annotation::{Annotations, is_true},
    class::{Parameters, Shared},
    listener::{self, Plan, Ports},
    route::Attachment,
    service, status,
    workload::{self, Workload},
    world::{World, fatal, is_ours, problem},
};
use crate::{
    Finding, Mode, Problem,
    api::{DaemonSet, Deployment, Gateway, GatewayStatus, ObjectRef, Service},
    names,
    snapshot::Stored,
};

/// What a Gateway comes to.
pub(super) struct Outcome<'a> {
    pub(super) config: Config,
    pub(super) status: GatewayStatus,
    /// The Service, unless there is nothing to expose or its name is taken.
    pub(super) service: Option<Value>,
    /// The workload, unless it is somebody else's business or its name is taken.
    pub(super) workload: Option<(Workload, Value)>,
    pub(super) problems: Vec<Problem>,
    pub(super) gateway: &'a Gateway,
}

pub(super) fn render<'a>(
    world: &World<'a>,
    gateway: &'a Gateway,
    shared: &Shared<'_>,
    attachments: &[Attachment<'_>],
    ports: &mut Ports<'a>,
) -> Result<Outcome<'a>, Box<Problem>> {
    let mut problems = Vec::new();
    let parameters = shared.parameters;
    let annotations = Annotations::new(world.settings, parameters.config, gateway);
    let targets = annotations.ports(names::TARGET_PORT, &mut problems);
    let mut plans = listener::plan(world, gateway, &targets, ports);
    attach(&mut plans, attachments);

    let taken = taken::<Service>(world, gateway);
    let exposure = address::exposure(world, gateway);
    for plan in &mut plans {
        plan.public = match (&taken, exposure) {
            (Some(taken), None) => Err(taken.clone()),
            (_, exposure) => address::public(world, gateway, plan, exposure),
        };
    }
    let service = service::render(world.settings.mode, gateway, &annotations, &plans, &mut problems);
    let service = service.filter(|_| taken.is_none());
    let (workload, taken_workload) = match workload(world, gateway, parameters) {
        Ok(workload) => (workload, None),
        Err(taken) => (None, Some(taken)),
    };
    let unready = workload.as_ref().filter(|_| world.settings.await_dataplane);
    let unready =
        unready.filter(|(kind, _)| !has_ready_pod(world, gateway, *kind)).map(|_| Finding::NoReadyPod);
    let taken = taken.or(taken_workload);
    problems.extend(taken.clone().map(|finding| problem(gateway, "metadata.name", finding)));
    problems.extend(plans.iter().flat_map(|plan| listener::problems(gateway, plan)));

    let config = config(gateway, shared, &plans, clusters(attachments), &mut problems)?;
    let status = status::gateway(world.settings, gateway, &plans, taken.as_ref(), unready.as_ref());
    Ok(Outcome { config, status, service, workload, problems, gateway })
}

/// Tells listeners which routes they have.
fn attach(plans: &mut [Plan<'_>], attachments: &[Attachment<'_>]) {
    for attachment in attachments {
        for &at in attachment.listeners {
            if let Some(plan) = plans.get_mut(at) {
                plan.routes.insert(attachment.route.clone());
                plan.attached += 1;
            }
        }
    }
}

/// The clusters of the routes that some listener lets in, by name.
fn clusters(attachments: &[Attachment<'_>]) -> Vec<Cluster> {
    let clusters = attachments.iter().filter_map(|attachment| attachment.cluster);
    let by_name: BTreeMap<_, _> = clusters.map(|cluster| (&cluster.name, cluster)).collect();
    by_name.into_values().cloned().collect()
}

fn config(
    gateway: &Gateway,
    Shared { parameters, auth }: &Shared<'_>,
    plans: &[Plan<'_>],
    clusters: Vec<Cluster>,
    problems: &mut Vec<Problem>,
) -> Result<Config, Box<Problem>> {
    let node_relay = listener::node_relay(gateway);
    let dataplane = &parameters.dataplane;
    let mut unknown = |field: &str, value: &str, instead, known| {
        let finding = Finding::UnknownValue { value: value.to_owned(), instead, known };
        problems.push(Problem::new(parameters.dataplane_ref(), field, finding));
    };
    if let Some(odd) = dataplane.dataplane_resource.as_deref().filter(|kind| !Workload::is_known(kind)) {
        unknown("spec.dataplaneResource", odd, "Deployment", "use Deployment or DaemonSet");
    }
    let engine = dataplane.offload_engine.as_deref().unwrap_or_default();
    let offload_engine = engine.parse().unwrap_or_else(|_| {
        unknown("spec.offloadEngine", engine, "None", "use None, XDP, TC or Auto");
        OffloadEngine::None
    });
    let metrics = dataplane.enable_metrics_endpoint.unwrap_or_default();
    let health = !dataplane.disable_health_check.unwrap_or_default();
    let config = Config {
        admin: Admin {
            metrics_endpoint: if metrics { names::METRICS_ENDPOINT.to_owned() } else { String::new() },
            healthcheck_endpoint: (!health).then(String::new),
            offload_engine,
            offload_interfaces: dataplane.offload_interfaces.clone(),
            ..admin(parameters.config, gateway.metadata.key().to_string(), problems)
        },
        auth: auth.clone(),
        listeners: plans.iter().filter_map(|plan| listener::render(gateway, plan, node_relay)).collect(),
        clusters,
        ..Config::default()
    };
    // The parts are checked where they come from, so that a bad one only costs itself. This is the last line of defence.
    config.validate().map_err(|error| fatal(gateway, "", Finding::Unrenderable(error.to_string())))
}

/// The object that has the name ours would have, if there is one and it is not ours.
fn taken<R: Stored>(world: &World<'_>, gateway: &Gateway) -> Option<Finding> {
    let object = R::all(world.snapshot).get(&service::key(gateway))?;
    (!is_ours(object.metadata(), gateway)).then(|| Finding::NameTaken(ObjectRef::of(object)))
}

/// Whether some pod of the workload says that it is ready.
fn has_ready_pod(world: &World<'_>, gateway: &Gateway, kind: Workload) -> bool {
    let (snapshot, key) = (world.snapshot, service::key(gateway));
    match kind {
        Workload::Deployment => {
            snapshot.deployments.get(&key).is_some_and(|workload| workload.status.is_ready)
        }
        Workload::DaemonSet => {
            snapshot.daemon_sets.get(&key).is_some_and(|workload| workload.status.is_ready)
        }
    }
}

/// The workload of a Gateway, if it is to have one, or what is in its place.
fn workload(
    world: &World<'_>,
    gateway: &Gateway,
    parameters: &Parameters<'_>,
) -> Result<Option<(Workload, Value)>, Finding> {
    let unmanaged = gateway.metadata.annotations.get(names::NO_DATAPLANE).is_some_and(|value| is_true(value));
    if world.settings.mode == Mode::Legacy || unmanaged {
        return Ok(None);
    }
    let kind = Workload::of(&parameters.dataplane);
    let taken = match kind {
        Workload::Deployment => taken::<Deployment>(world, gateway),
        Workload::DaemonSet => taken::<DaemonSet>(world, gateway),
    };
    let workload = || workload::render(world.settings, gateway, &parameters.dataplane);
    taken.map_or_else(|| Ok(Some((kind, workload()))), Err)
}
