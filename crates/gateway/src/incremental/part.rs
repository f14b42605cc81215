//! The part of a snapshot that some objects are rendered from.

use std::collections::BTreeSet;

use super::{
    Touched, both,
    links::{self, Index},
};
use crate::{
    Rendered, Snapshot, Stored,
    api::{
        DaemonSet, Dataplane, Deployment, EndpointSlice, Endpoints, Gateway, GatewayClass, GatewayConfig,
        GatewayUdpRoute, Key, Namespace, Secret, Service, StaticService, UdpRoute,
    },
    names,
};

/// A snapshot with everything that the rules look at for the touched objects, and what it came to.
pub(super) struct Part {
    pub(super) snapshot: Snapshot,
    pub(super) rendered: Rendered,
}

impl Part {
    pub(super) fn of(all: &Snapshot, index: &Index, touched: &Touched) -> Self {
        // What reaches everywhere is few and small.
        let mut part = Snapshot {
            nodes: all.nodes.clone(),
            reference_grants: all.reference_grants.clone(),
            ..Snapshot::default()
        };
        // The clusters of a Gateway come from all of its routes, and the status of a route from all of its Gateways.
        let mut gateways = touched.gateways.clone();
        let mut routes = touched.routes.clone();
        for route in &touched.routes {
            gateways.extend(index.parents.targets(route).cloned());
        }
        for gateway in &touched.gateways {
            routes.extend(index.parents.sources(gateway).cloned());
        }
        let names: BTreeSet<_> = routes.into_iter().map(|route| route.key).collect();
        let routes: Vec<_> = names.iter().flat_map(both).collect();
        copy::<UdpRoute>(all, &mut part, names.iter());
        copy::<GatewayUdpRoute>(all, &mut part, names.iter());
        for route in &routes {
            for backend in index.backends.targets(route) {
                if super::is::<Service>(backend) {
                    service(all, &mut part, index, &backend.key);
                } else if super::is::<StaticService>(backend) {
                    copy::<StaticService>(all, &mut part, [&backend.key]);
                }
            }
            let namespace = Key::cluster(&route.key.namespace);
            copy::<Namespace>(all, &mut part, [&namespace]);
        }
        for key in &gateways {
            gateway(all, &mut part, index, key);
        }
        Self { snapshot: part, rendered: Rendered::default() }
    }
}

/// A Service with its pods.
fn service(all: &Snapshot, part: &mut Snapshot, index: &Index, key: &Key) {
    copy::<Service>(all, part, [key]);
    copy::<Endpoints>(all, part, [key]);
    copy::<EndpointSlice>(all, part, index.slices.sources(key));
}

/// A Gateway with its class, what its class has in common, its certificates and what was created for it.
fn gateway(all: &Snapshot, part: &mut Snapshot, index: &Index, key: &Key) {
    let Some(gateway) = all.gateways.get(key) else { return };
    copy::<Gateway>(all, part, [key]);
    let class = Key::cluster(&gateway.spec.gateway_class_name);
    copy::<GatewayClass>(all, part, [&class]);
    let parameters = all.gateway_classes.get(&class).and_then(|class| class.spec.parameters_ref.as_ref());
    if let Some(parameters) = parameters {
        let config = Key::new(parameters.namespace.as_deref().unwrap_or_default(), &parameters.name);
        copy::<GatewayConfig>(all, part, [&config]);
        if let Some(config) = all.gateway_configs.get(&config) {
            let dataplane = config.spec.dataplane.as_deref().unwrap_or(names::DEFAULT_DATAPLANE);
            copy::<Dataplane>(all, part, [&Key::cluster(dataplane)]);
            let secret = links::auth_secret(config);
            copy::<Secret>(all, part, secret.iter());
        }
    }
    copy::<Secret>(all, part, index.certificates.targets(key));
    copy::<Service>(all, part, index.exposures.sources(key));
    let own = links::workload(key);
    copy::<Service>(all, part, [&own]);
    copy::<Deployment>(all, part, [&own]);
    copy::<DaemonSet>(all, part, [&own]);
}

/// Copies objects of a kind.
fn copy<R: Stored + Clone>(
    all: &Snapshot,
    part: &mut Snapshot,
    keys: impl IntoIterator<Item = impl std::borrow::Borrow<Key>>,
) {
    for key in keys {
        if let Some(object) = R::all(all).get(key.borrow()) {
            part.insert(object.clone());
        }
    }
}
