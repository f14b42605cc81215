use std::{collections::BTreeSet, net::IpAddr};

use config::{Cluster, ClusterKind, ClusterProtocol};
use ipnet::IpNet;

use super::{
    route::Route,
    world::{Permission, World},
};
use crate::{
    EndpointDiscovery, Finding, Problem, RouteApi,
    api::{BackendRef, Key, ObjectRef, Resource, Service, StaticService},
    names,
};

/// What the backends of a route come to.
#[derive(Default)]
pub(super) struct Backends {
    /// The peers, unless the route has no rule.
    pub(super) cluster: Option<Cluster>,
    /// What was not found; the rest is in the cluster all the same.
    pub(super) errors: Vec<Problem>,
    /// What has no effect.
    pub(super) warnings: Vec<Problem>,
    /// Backends in other namespaces that nobody granted and nobody asked a grant for.
    pub(super) ungranted: BTreeSet<ObjectRef>,
}

/// Peers behind one backend.
struct Peers {
    kind: ClusterKind,
    endpoints: Vec<String>,
    /// Something is missing, which does not make the rest wrong.
    finding: Option<Finding>,
}

/// Looks the backends of a route up, each for itself: a bad one does not take the good ones along.
pub(super) fn backends(world: &World<'_>, route: &Route<'_>) -> Backends {
    let mut backends = Backends::default();
    let wrong = |field: &str, finding| Problem::new(route.object(), field, finding);
    let Some(rule) = route.spec.rules.first() else {
        backends.errors.push(wrong("spec.rules", Finding::NoRule));
        return backends;
    };
    if route.spec.rules.len() > 1 {
        backends.warnings.push(wrong("spec.rules", Finding::ExtraRules(route.spec.rules.len())));
    }
    let mut kind = None;
    let mut endpoints = BTreeSet::new();
    for (at, reference) in rule.backend_refs.iter().enumerate() {
        let field = format!("spec.rules[0].backendRefs[{at}]");
        let peers = backend(world, route, reference, kind, &mut backends.ungranted);
        match peers.and_then(|peers| Ok((ports(route.api, peers.kind, reference)?, peers))) {
            Ok(((ports, warning), peers)) => {
                kind = Some(peers.kind);
                backends.warnings.extend(warning.map(|finding| wrong(&field, finding)));
                backends.errors.extend(peers.finding.map(|finding| wrong(&field, finding)));
                endpoints.extend(peers.endpoints.iter().map(|endpoint| format!("{endpoint}{ports}")));
            }
            Err(finding) => backends.errors.push(wrong(&field, finding)),
        }
    }
    backends.cluster = Some(Cluster {
        name: route.name(),
        kind: kind.unwrap_or_default(),
        protocol: ClusterProtocol::Udp,
        endpoints: endpoints.into_iter().collect(),
    });
    backends
}

/// The object that a backend reference names.
fn target(route: &Route<'_>, reference: &BackendRef) -> Result<ObjectRef, Finding> {
    let group = reference.group.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or("Service");
    let namespace = reference.namespace.as_deref().unwrap_or(&route.metadata.namespace);
    let key = Key::new(namespace, &reference.name);
    match (group, kind) {
        ("", "Service") => Ok(ObjectRef::to::<Service>(key)),
        (names::GROUP, "StaticService") => Ok(ObjectRef::to::<StaticService>(key)),
        _ => Err(Finding::ForeignBackend { group: group.to_owned(), kind: kind.to_owned() }),
    }
}

fn backend(
    world: &World<'_>,
    route: &Route<'_>,
    reference: &BackendRef,
    before: Option<ClusterKind>,
    ungranted: &mut BTreeSet<ObjectRef>,
) -> Result<Peers, Finding> {
    let target = target(route, reference)?;
    let is_static = target.group == StaticService::TYPE.group;
    let permission = if is_static {
        world.permits::<StaticService>(&route.object(), &target.key)?
    } else {
        world.permits::<Service>(&route.object(), &target.key)?
    };
    let peers = match world.settings.endpoint_discovery {
        _ if is_static => static_service(world, &target),
        EndpointDiscovery::Dns => Ok(Peers {
            kind: ClusterKind::StrictDns,
            endpoints: vec![format!(
                "{}.{}.svc.{}",
                target.key.name, target.key.namespace, world.settings.cluster_domain
            )],
            finding: None,
        }),
        EndpointDiscovery::Slices | EndpointDiscovery::Endpoints => service(world, &target),
    }?;
    if before.is_some_and(|kind| kind != peers.kind) {
        return Err(Finding::MixedBackends(target));
    }
    if permission == Permission::NotEnforced {
        ungranted.insert(target);
    }
    Ok(peers)
}

fn static_service(world: &World<'_>, target: &ObjectRef) -> Result<Peers, Finding> {
    let service = world.snapshot.static_services.get(&target.key);
    let service = service.ok_or_else(|| Finding::MissingBackend(target.clone()))?;
    let (good, bad): (Vec<&String>, Vec<&String>) =
        service.spec.prefixes.iter().partition(|text| is_prefix(text));
    let finding =
        bad.first().map(|text| Finding::BadPrefix { backend: target.clone(), value: (*text).clone() });
    Ok(Peers { kind: ClusterKind::Static, endpoints: good.into_iter().cloned().collect(), finding })
}

/// Pods behind a Service, also those that are not ready or about to end, and its own addresses.
///
/// A call outlives the readiness of a pod, and what leads to a Service may have to go through the address of the Service.
fn service(world: &World<'_>, target: &ObjectRef) -> Result<Peers, Finding> {
    let pods = pods(world, &target.key);
    let (mut endpoints, bad): (Vec<_>, Vec<_>) =
        pods.into_iter().partition(|address| address.parse::<IpAddr>().is_ok());
    let no_pods = endpoints.is_empty();
    let service = world.snapshot.services.get(&target.key);
    if let Some(service) = service.filter(|_| world.settings.relay_to_cluster_ip) {
        let addresses = service.spec.cluster_ip.iter().chain(&service.spec.cluster_ips);
        endpoints.extend(addresses.filter(|address| address.parse::<IpAddr>().is_ok()).cloned());
    }
    let finding = if endpoints.is_empty() && service.is_none() {
        return Err(Finding::MissingBackend(target.clone()));
    } else if endpoints.is_empty() {
        return Err(Finding::NoEndpoints(target.clone()));
    } else if let Some(value) = bad.into_iter().next() {
        Some(Finding::BadPrefix { backend: target.clone(), value })
    } else {
        no_pods.then(|| Finding::NoEndpoints(target.clone()))
    };
    Ok(Peers { kind: ClusterKind::Static, endpoints, finding })
}

fn pods(world: &World<'_>, service: &Key) -> Vec<String> {
    match world.settings.endpoint_discovery {
        EndpointDiscovery::Slices => {
            let slices = world.slices(service).iter();
            slices.flat_map(|slice| &slice.endpoints).flat_map(|pod| &pod.addresses).cloned().collect()
        }
        EndpointDiscovery::Endpoints => {
            let subsets =
                world.snapshot.endpoints.get(service).into_iter().flat_map(|endpoints| &endpoints.subsets);
            let addresses =
                subsets.flat_map(|subset| subset.addresses.iter().chain(&subset.not_ready_addresses));
            addresses.map(|address| address.ip.clone()).collect()
        }
        EndpointDiscovery::Dns => Vec::new(),
    }
}

/// The port range that goes behind each endpoint, if it is not all ports. A port that is none would open all of them,
/// so it closes the backend; a range that ends before it begins is its first port, with a warning.
fn ports(
    api: RouteApi,
    kind: ClusterKind,
    reference: &BackendRef,
) -> Result<(String, Option<Finding>), Finding> {
    // The ports of Gateway API routes mean something else, so that they never narrow anything down.
    if api == RouteApi::Gateway || kind == ClusterKind::StrictDns {
        return Ok((String::new(), None));
    }
    let show = |port: Option<i32>| port.map_or_else(String::new, |port| port.to_string());
    let bad = || Finding::BadPortRange(format!("{}-{}", show(reference.port), show(reference.end_port)));
    let valid = |port: i32| u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(bad);
    let (first, last) = (reference.port.map(valid).transpose()?, reference.end_port.map(valid).transpose()?);
    let (range, warning) = match (first, last) {
        (None, None) => (1..=u16::MAX, None),
        (None, Some(last)) => (1..=last, None),
        (Some(first), None) => (first..=first, None),
        (Some(first), Some(last)) if last < first => (first..=first, Some(bad())),
        (Some(first), Some(last)) => (first..=last, None),
    };
    let all = range == (1..=u16::MAX);
    let suffix = if all { String::new() } else { format!(":<{}-{}>", range.start(), range.end()) };
    Ok((suffix, warning))
}

fn is_prefix(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || text.parse::<IpNet>().is_ok()
}
