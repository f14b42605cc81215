//! The parts of a cluster that one machine without Kubernetes has to make up for.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde_json::Value;

use crate::{
    Rendered, Settings, Snapshot,
    api::{
        Endpoint, EndpointSlice, Ingress, Key, LoadBalancer, Metadata, Service, ServicePort, ServiceSpec,
        from_value,
    },
    names, render,
};

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// IP address or host name at which clients reach the machine.
    pub public_address: String,
    /// Addresses that relayed traffic comes from: what a pod address is on a cluster. One for each IP family in use.
    pub relay_addresses: Vec<IpAddr>,
}

/// Adds what the controllers of a cluster would add, so that [`render()`] need not know where it runs:
///
/// - the Service of every Gateway, taken in by a load balancer at the public address. It exposes UDP and TCP together,
///   and it cannot translate ports: the process listens on the port that the Gateway names, and the `targetport`
///   annotation has no effect;
/// - the Service `stunner` beside every Gateway, which an installation brings along and older manifests lead routes to;
/// - the relay addresses as the endpoints of all Services whose selector picks dataplane pods;
/// - EndpointSlices for Endpoints that were written by hand;
/// - the Namespaces of Gateways and routes, each with the label that holds its name.
///
/// `settings` should be what the result is rendered with.
pub fn complete(snapshot: &Snapshot, settings: &Settings, host: &Host) -> Snapshot {
    let mut completed = snapshot.clone();
    adapt_annotations(&mut completed);
    add_namespaces(&mut completed);
    let rendered = render(&completed, settings);
    for service in rendered.services.values() {
        if let Ok(mut service) = from_value::<Service>(service.clone()) {
            take_in(&mut service, &host.public_address);
            completed.insert(service);
        }
    }
    add_common_services(&mut completed, &rendered);
    let pods = pods(&rendered);
    let selected: Vec<_> = (completed.services.values())
        .filter(|service| selects(service, &pods))
        .map(|service| service.metadata.key())
        .collect();
    mirror_endpoints(&mut completed);
    for service in selected {
        lead_here(&mut completed, &service, &host.relay_addresses);
    }
    completed
}

/// There is no load balancer to translate ports or to be choosy about protocols, and no node ports.
fn adapt_annotations(snapshot: &mut Snapshot) {
    let own = snapshot.gateways.values_mut().map(|gateway| &mut gateway.metadata.annotations);
    let shared = snapshot.gateway_configs.values_mut();
    let shared = shared.map(|config| &mut config.spec.load_balancer_service_annotations);
    for annotations in own.chain(shared) {
        annotations.remove(names::TARGET_PORT);
        annotations.remove(names::NO_DATAPLANE);
        if annotations.get(names::SERVICE_TYPE).is_some_and(|kind| kind != "ClusterIP") {
            annotations.insert(names::SERVICE_TYPE.to_owned(), "LoadBalancer".to_owned());
        }
    }
    for gateway in snapshot.gateways.values_mut() {
        gateway.metadata.annotations.insert(names::MIXED_PROTOCOL.to_owned(), "true".to_owned());
    }
}

fn add_namespaces(snapshot: &mut Snapshot) {
    let gateways = snapshot.gateways.keys();
    let routes = snapshot.udp_routes.keys().chain(snapshot.gateway_udp_routes.keys());
    let names: BTreeSet<_> = gateways.chain(routes).map(|key| key.namespace.clone()).collect();
    for name in names {
        let namespace = snapshot.namespaces.entry(Key::cluster(&name)).or_default();
        namespace.metadata.labels.insert(names::NAMESPACE_NAME.to_owned(), name.clone());
        namespace.metadata.name = name;
    }
}

fn take_in(service: &mut Service, public_address: &str) {
    if service.spec.kind.as_deref() != Some("LoadBalancer") {
        return;
    }
    let mut ingress = Ingress::default();
    match public_address.parse::<IpAddr>() {
        Ok(address) => ingress.ip = address.to_string(),
        Err(_) => public_address.clone_into(&mut ingress.hostname),
    }
    service.status.load_balancer = LoadBalancer { ingress: vec![ingress] };
}

/// Adds the Service `stunner` in every namespace that has a Gateway of ours and no such Service.
fn add_common_services(snapshot: &mut Snapshot, rendered: &Rendered) {
    let namespaces: BTreeSet<_> = rendered.gateways.keys().map(|gateway| gateway.namespace.clone()).collect();
    for namespace in namespaces {
        let service = Service {
            metadata: Metadata { name: COMMON_SERVICE.to_owned(), namespace, ..Metadata::default() },
            spec: ServiceSpec {
                selector: BTreeMap::from([(names::APP.to_owned(), names::APP_DATAPLANE.to_owned())]),
                ports: vec![ServicePort {
                    protocol: Some("UDP".to_owned()),
                    port: i32::from(config::DEFAULT_PORT),
                    ..ServicePort::default()
                }],
                ..ServiceSpec::default()
            },
            ..Service::default()
        };
        snapshot.services.entry(service.metadata.key()).or_insert(service);
    }
}

const COMMON_SERVICE: &str = "stunner";

/// Labels of the pods that a cluster would run, by namespace.
type Pods = Vec<(String, BTreeMap<String, String>)>;

fn pods(rendered: &Rendered) -> Pods {
    let workloads = rendered.deployments.iter().chain(&rendered.daemon_sets);
    let labels = |workload: &Value| {
        let labels = workload.pointer("/spec/template/metadata/labels");
        labels.cloned().and_then(|labels| serde_json::from_value(labels).ok()).unwrap_or_default()
    };
    workloads.map(|(key, workload)| (key.namespace.clone(), labels(workload))).collect()
}

fn selects(service: &Service, pods: &Pods) -> bool {
    let selector = &service.spec.selector;
    let picks = |labels: &BTreeMap<String, String>| {
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    !selector.is_empty()
        && pods.iter().any(|(namespace, labels)| *namespace == service.metadata.namespace && picks(labels))
}

/// Makes the relay addresses the only endpoints of a Service.
fn lead_here(snapshot: &mut Snapshot, service: &Key, addresses: &[IpAddr]) {
    snapshot.endpoint_slices.retain(|_, slice| !belongs(slice, service));
    for (family, addresses) in [
        ("IPv4", addresses.iter().filter(|address| address.is_ipv4()).collect::<Vec<_>>()),
        ("IPv6", addresses.iter().filter(|address| address.is_ipv6()).collect()),
    ] {
        if !addresses.is_empty() {
            snapshot.insert(slice(service, family, addresses.iter().map(ToString::to_string).collect()));
        }
    }
}

/// Gives Services with Endpoints and without EndpointSlices the EndpointSlices that a cluster would make.
fn mirror_endpoints(snapshot: &mut Snapshot) {
    let mut slices = Vec::new();
    for endpoints in snapshot.endpoints.values() {
        let service = endpoints.metadata.key();
        if snapshot.endpoint_slices.values().any(|slice| belongs(slice, &service)) {
            continue;
        }
        let addresses = endpoints
            .subsets
            .iter()
            .flat_map(|subset| subset.addresses.iter().chain(&subset.not_ready_addresses));
        let (v6, v4): (Vec<_>, Vec<_>) =
            addresses.map(|address| address.ip.clone()).partition(|ip| ip.contains(':'));
        slices.extend((!v4.is_empty()).then(|| slice(&service, "IPv4", v4)));
        slices.extend((!v6.is_empty()).then(|| slice(&service, "IPv6", v6)));
    }
    for slice in slices {
        snapshot.insert(slice);
    }
}

fn belongs(slice: &EndpointSlice, service: &Key) -> bool {
    let labels = &slice.metadata.labels;
    slice.metadata.namespace == service.namespace && labels.get(names::SERVICE_NAME) == Some(&service.name)
}

fn slice(service: &Key, family: &str, addresses: Vec<String>) -> EndpointSlice {
    EndpointSlice {
        metadata: Metadata {
            name: format!("{}-{}", service.name, family.to_ascii_lowercase()),
            namespace: service.namespace.clone(),
            labels: BTreeMap::from([(names::SERVICE_NAME.to_owned(), service.name.clone())]),
            ..Metadata::default()
        },
        address_type: family.to_owned(),
        endpoints: vec![Endpoint { addresses }],
    }
}
