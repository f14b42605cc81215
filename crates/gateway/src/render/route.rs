use std::collections::{BTreeMap, BTreeSet};

use config::Cluster;

use super::{
    cluster::Backends,
    world::{Owner, World},
};
use crate::{
    Finding, Problem, RouteApi, RouteKey,
    api::{
        Condition, Gateway, Key, Listener, Metadata, Namespace, ObjectRef, ParentRef, ParentStatus, Resource,
        Truth, UdpRouteSpec, UdpRouteStatus,
    },
    condition, names,
    overview::parent_name,
};

/// A route of either API group.
pub(super) struct Route<'a> {
    pub(super) api: RouteApi,
    pub(super) metadata: &'a Metadata,
    pub(super) spec: &'a UdpRouteSpec,
    pub(super) status: &'a UdpRouteStatus,
    /// A route of our group has the same name.
    pub(super) masked: bool,
    /// Its parents, in order.
    pub(super) parents: Vec<Parent<'a>>,
}

/// A parent of a route.
pub(super) struct Parent<'a> {
    pub(super) reference: &'a ParentRef,
    /// The Gateway, if there is one and it is ours.
    pub(super) gateway: Option<&'a Gateway>,
    /// Positions of its listeners that let the route in.
    pub(super) listeners: Vec<usize>,
    /// The Gateway exists, but its class does not: nobody knows whose it is.
    orphan: bool,
}

impl Route<'_> {
    /// `namespace/route`, the name of its cluster.
    pub(super) fn name(&self) -> String {
        self.metadata.key().to_string()
    }

    pub(super) fn object(&self) -> ObjectRef {
        ObjectRef { group: self.api.group(), kind: "UDPRoute", key: self.metadata.key() }
    }

    pub(super) fn key(&self) -> RouteKey {
        RouteKey { api: self.api, key: self.metadata.key() }
    }

    /// Whether any parent is a Gateway of ours.
    pub(super) fn is_controlled(&self) -> bool {
        self.parents.iter().any(|parent| parent.gateway.is_some())
    }
}

/// All routes, with their parents looked up.
pub(super) fn all<'a>(world: &World<'a>) -> Vec<Route<'a>> {
    let ours = world
        .snapshot
        .udp_routes
        .values()
        .map(|route| (RouteApi::Stunner, &route.metadata, &route.spec, &route.status));
    let theirs = world.snapshot.gateway_udp_routes.values();
    let theirs = theirs.map(|route| (RouteApi::Gateway, &route.metadata, &route.spec, &route.status));
    let route = |(api, metadata, spec, status): (_, &'a Metadata, &'a UdpRouteSpec, _)| Route {
        api,
        metadata,
        spec,
        status,
        masked: api == RouteApi::Gateway && world.snapshot.udp_routes.contains_key(&metadata.key()),
        parents: spec.parent_refs.iter().map(|reference| parent(world, metadata, reference)).collect(),
    };
    ours.chain(theirs).map(route).collect()
}

fn parent<'a>(world: &World<'a>, route: &Metadata, reference: &'a ParentRef) -> Parent<'a> {
    let nobody = Parent { reference, gateway: None, listeners: Vec::new(), orphan: false };
    let group = reference.group.as_deref().unwrap_or(names::GATEWAY_GROUP);
    let kind = reference.kind.as_deref().unwrap_or("Gateway");
    if group != names::GATEWAY_GROUP || kind != "Gateway" {
        return nobody;
    }
    let namespace = reference.namespace.as_deref().unwrap_or(&route.namespace);
    let Some(gateway) = world.snapshot.gateways.get(&Key::new(namespace, &reference.name)) else {
        return nobody;
    };
    match world.owner(gateway) {
        Owner::Foreign => nobody,
        Owner::Nobody => Parent { orphan: true, ..nobody },
        Owner::Ours(_) => {
            let lets_in = |listener: &Listener| {
                let named = reference.section_name.as_ref().is_none_or(|name| *name == listener.name);
                named && admits(world, gateway, listener, &route.namespace)
            };
            let listeners = gateway.spec.listeners.iter().enumerate();
            let listeners = listeners.filter(|(_, listener)| lets_in(listener)).map(|(at, _)| at).collect();
            Parent { reference, gateway: Some(gateway), listeners, orphan: false }
        }
    }
}

/// Whether a listener lets routes of a namespace in.
fn admits(world: &World<'_>, gateway: &Gateway, listener: &Listener, namespace: &str) -> bool {
    let policy = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match policy.and_then(|policy| policy.from.as_deref()) {
        Some("All") => true,
        Some("Selector") => {
            let selector = policy.and_then(|policy| policy.selector.as_ref());
            let labels = world.snapshot.namespaces.get(&Key::cluster(namespace)).map(Namespace::metadata);
            selector.zip(labels).is_some_and(|(selector, metadata)| selector.matches(&metadata.labels))
        }
        _ => gateway.metadata.namespace == namespace,
    }
}

/// A route and listeners of one Gateway that let it in.
pub(super) struct Attachment<'r> {
    /// `namespace/route`.
    pub(super) route: String,
    /// Positions of the listeners; there is at least one.
    pub(super) listeners: &'r [usize],
    /// The peers, unless the route has no rule.
    pub(super) cluster: Option<&'r Cluster>,
}

/// What attaches to each Gateway, a route once for each of its references. `backends` has those of the routes that count.
pub(super) fn attachments<'r>(
    routes: &'r [Route<'_>],
    backends: &'r BTreeMap<RouteKey, Backends>,
) -> BTreeMap<Key, Vec<Attachment<'r>>> {
    let mut attachments = BTreeMap::<_, Vec<_>>::new();
    for route in routes {
        let Some(backends) = backends.get(&route.key()) else { continue };
        for parent in route.parents.iter().filter(|parent| !parent.listeners.is_empty()) {
            if let Some(gateway) = parent.gateway {
                attachments.entry(gateway.metadata.key()).or_default().push(Attachment {
                    route: route.name(),
                    listeners: &parent.listeners,
                    cluster: backends.cluster.as_ref(),
                });
            }
        }
    }
    attachments
}

/// Our part of the status of a route; `None` if it is no business of ours.
///
/// A route that has lost its last parent of ours gets an empty one, which removes what we once said.
pub(super) fn status(
    world: &World<'_>,
    route: &Route<'_>,
    backends: Option<&Backends>,
) -> Option<UdpRouteStatus> {
    let controller = &world.settings.controller_name;
    if !route.is_controlled() {
        let known = route.status.parents.iter().any(|parent| parent.controller_name == *controller);
        let orphan = route.parents.iter().any(|parent| parent.orphan);
        return (known && !orphan).then(UdpRouteStatus::default);
    }
    let parents = route.parents.iter().map(|parent| ParentStatus {
        parent_ref: echo(parent.reference),
        controller_name: controller.clone(),
        conditions: vec![accepted(route, parent), resolved_refs(route, backends)],
    });
    Some(UdpRouteStatus { parents: parents.collect() })
}

/// The reference as given, without what the API server fills in anyway and what has no effect.
fn echo(reference: &ParentRef) -> ParentRef {
    ParentRef {
        group: reference.group.clone().filter(|group| group != names::GATEWAY_GROUP),
        kind: reference.kind.clone().filter(|kind| kind != "Gateway"),
        port: None,
        ..reference.clone()
    }
}

fn accepted(route: &Route<'_>, parent: &Parent<'_>) -> Condition {
    let name = parent_name(&route.metadata.namespace, parent.reference);
    let (truth, reason, message) = match finding(route, parent) {
        None => (Truth::True, "Accepted", format!("{name} accepts the route")),
        Some(finding) => {
            let reason = match finding {
                Finding::Masked => "Pending",
                Finding::NoParent(_) => "NoMatchingParent",
                _ => "NotAllowedByListeners",
            };
            (Truth::False, reason, format!("{finding}; {}", finding.remedy()))
        }
    };
    condition::new(route.metadata, condition::ACCEPTED, truth, reason, message)
}

/// Why a parent does not accept a route.
fn finding(route: &Route<'_>, parent: &Parent<'_>) -> Option<Finding> {
    let name = || parent_name(&route.metadata.namespace, parent.reference);
    if route.masked {
        Some(Finding::Masked)
    } else if parent.gateway.is_none() {
        Some(Finding::NoParent(name()))
    } else if parent.listeners.is_empty() {
        Some(Finding::NotAllowed(name()))
    } else {
        None
    }
}

fn resolved_refs(route: &Route<'_>, backends: Option<&Backends>) -> Condition {
    let new = |truth, reason, message| {
        condition::new(route.metadata, condition::RESOLVED_REFS, truth, reason, message)
    };
    let Some(backends) = backends.filter(|_| !route.masked) else {
        return new(Truth::True, "ResolvedRefs", "not looked at".to_owned());
    };
    let Some(last) = backends.errors.last() else {
        return new(
            Truth::True,
            "ResolvedRefs",
            format!("all backends found{}", ungranted(&backends.ungranted)),
        );
    };
    let reason = match last.finding {
        Finding::NotPermitted(_) => "RefNotPermitted",
        Finding::ForeignBackend { .. } => "InvalidKind",
        _ => "BackendNotFound",
    };
    let errors = backends
        .errors
        .iter()
        .map(|error| format!("{}: {}; {}", error.field, error.finding, error.finding.remedy()));
    new(Truth::False, reason, errors.collect::<Vec<_>>().join(". "))
}

/// Says which references would need a ReferenceGrant if anybody asked for one.
pub(super) fn ungranted(references: &BTreeSet<ObjectRef>) -> String {
    if references.is_empty() {
        return String::new();
    }
    let names = references.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    format!("; {names} in another namespace accepted without a ReferenceGrant, because enforcement is off")
}

/// What users should know about the parents of a route.
pub(super) fn problems(route: &Route<'_>) -> Vec<Problem> {
    let parents = route.parents.iter().enumerate();
    let problem = |(at, parent)| {
        let finding = finding(route, parent)?;
        let field = if finding == Finding::Masked {
            "metadata.name".to_owned()
        } else {
            format!("spec.parentRefs[{at}]")
        };
        Some(Problem::new(route.object(), field, finding))
    };
    parents.filter_map(problem).collect()
}
