//! Which objects name which, from both ends.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    RouteApi, RouteKey, Snapshot,
    api::{
        EndpointSlice, Gateway, GatewayConfig, Key, ObjectRef, Resource, Service, StaticService, UdpRouteSpec,
    },
    names,
};

/// Who names whom, and who is named by whom.
#[derive(Debug)]
pub(super) struct Links<A, B> {
    targets: BTreeMap<A, BTreeSet<B>>,
    sources: BTreeMap<B, BTreeSet<A>>,
}

impl<A, B> Default for Links<A, B> {
    fn default() -> Self {
        Self { targets: BTreeMap::new(), sources: BTreeMap::new() }
    }
}

impl<A: Ord + Clone, B: Ord + Clone> Links<A, B> {
    /// Makes `targets` all that `source` names.
    fn set(&mut self, source: &A, targets: BTreeSet<B>) {
        for target in self.targets.remove(source).into_iter().flatten() {
            if let Some(sources) = self.sources.get_mut(&target) {
                sources.remove(source);
                if sources.is_empty() {
                    self.sources.remove(&target);
                }
            }
        }
        for target in &targets {
            self.sources.entry(target.clone()).or_default().insert(source.clone());
        }
        if !targets.is_empty() {
            self.targets.insert(source.clone(), targets);
        }
    }

    pub(super) fn targets(&self, source: &A) -> impl Iterator<Item = &B> {
        self.targets.get(source).into_iter().flatten()
    }

    pub(super) fn sources(&self, target: &B) -> impl Iterator<Item = &A> {
        self.sources.get(target).into_iter().flatten()
    }
}

/// All that the rules follow from one object to another.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// From routes to the Gateways they name.
    pub(super) parents: Links<RouteKey, Key>,
    /// From routes to Services and StaticServices.
    pub(super) backends: Links<RouteKey, ObjectRef>,
    /// From EndpointSlices to their Service.
    pub(super) slices: Links<Key, Key>,
    /// From Services to the Gateway they say they expose.
    pub(super) exposures: Links<Key, Key>,
    /// From Gateways to the Secrets of their listeners.
    pub(super) certificates: Links<Key, Key>,
    /// From Gateways to the name of what is created for them.
    pub(super) workloads: Links<Key, Key>,
}

impl Index {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut index = Self::default();
        for (key, gateway) in &snapshot.gateways {
            index.gateway(key, Some(gateway));
        }
        for key in snapshot.udp_routes.keys() {
            index.route(snapshot, &RouteKey { api: RouteApi::Stunner, key: key.clone() });
        }
        for key in snapshot.gateway_udp_routes.keys() {
            index.route(snapshot, &RouteKey { api: RouteApi::Gateway, key: key.clone() });
        }
        for (key, service) in &snapshot.services {
            index.service(key, Some(service));
        }
        for (key, slice) in &snapshot.endpoint_slices {
            index.slice(key, Some(slice));
        }
        index
    }

    pub(super) fn gateway(&mut self, key: &Key, gateway: Option<&Gateway>) {
        self.certificates.set(key, gateway.map(certificates).unwrap_or_default());
        let own = gateway.map(|gateway| workload(&gateway.metadata.key()));
        self.workloads.set(key, own.into_iter().collect());
    }

    pub(super) fn route(&mut self, snapshot: &Snapshot, route: &RouteKey) {
        let spec = match route.api {
            RouteApi::Stunner => snapshot.udp_routes.get(&route.key).map(|route| &route.spec),
            RouteApi::Gateway => snapshot.gateway_udp_routes.get(&route.key).map(|route| &route.spec),
        };
        let namespace = &route.key.namespace;
        self.parents.set(route, spec.map(|spec| parents(namespace, spec)).unwrap_or_default());
        self.backends.set(route, spec.map(|spec| backends(namespace, spec)).unwrap_or_default());
    }

    pub(super) fn service(&mut self, key: &Key, service: Option<&Service>) {
        let related = service.and_then(|service| service.metadata.annotations.get(names::RELATED_GATEWAY));
        let gateway = related.and_then(|text| text.split_once('/'));
        let gateway = gateway.map(|(namespace, name)| Key::new(namespace, name));
        self.exposures.set(key, gateway.into_iter().collect());
    }

    pub(super) fn slice(&mut self, key: &Key, slice: Option<&EndpointSlice>) {
        let service = slice.and_then(|slice| slice.metadata.labels.get(names::SERVICE_NAME));
        let service = service.map(|service| Key::new(&key.namespace, service));
        self.slices.set(key, service.into_iter().collect());
    }
}

/// Key of the Service and workload of a Gateway.
pub(super) fn workload(gateway: &Key) -> Key {
    Key::new(&gateway.namespace, names::service_name(&gateway.name))
}

/// The Secret that a GatewayConfig names.
pub(super) fn auth_secret(config: &GatewayConfig) -> Option<Key> {
    let reference = config.spec.auth_ref.as_ref()?;
    let namespace = reference.namespace.as_ref().unwrap_or(&config.metadata.namespace);
    Some(Key::new(namespace, &reference.name))
}

fn certificates(gateway: &Gateway) -> BTreeSet<Key> {
    let references = gateway.spec.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let references = references.flat_map(|tls| &tls.certificate_refs);
    let key = |namespace: &Option<String>, name: &String| {
        Key::new(namespace.as_ref().unwrap_or(&gateway.metadata.namespace), name)
    };
    references.map(|reference| key(&reference.namespace, &reference.name)).collect()
}

fn parents(namespace: &str, spec: &UdpRouteSpec) -> BTreeSet<Key> {
    let key = |namespace: &str, name: &String| Key::new(namespace, name);
    let parents = spec.parent_refs.iter();
    parents.map(|parent| key(parent.namespace.as_deref().unwrap_or(namespace), &parent.name)).collect()
}

/// Backends by name alone: which kind counts is the renderer's question.
fn backends(namespace: &str, spec: &UdpRouteSpec) -> BTreeSet<ObjectRef> {
    let references = spec.rules.iter().flat_map(|rule| &rule.backend_refs);
    references
        .flat_map(|backend| {
            let key = Key::new(backend.namespace.as_deref().unwrap_or(namespace), &backend.name);
            [of::<Service>(&key), of::<StaticService>(&key)]
        })
        .collect()
}

fn of<R: Resource>(key: &Key) -> ObjectRef {
    ObjectRef::to::<R>(key.clone())
}
