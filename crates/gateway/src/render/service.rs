use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{annotation::Annotations, listener::Plan};
use crate::{
    Mode, Problem, Transport,
    api::{Gateway, Key},
    names,
};

/// The Service that exposes a Gateway, with the fields that are ours; `None` if there is nothing to expose.
pub(super) fn render(
    mode: Mode,
    gateway: &Gateway,
    annotations: &Annotations,
    plans: &[Plan<'_>],
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let exposed: Vec<_> = plans.iter().filter_map(|plan| Some((plan, plan.exposed()?))).collect();
    let (_, first) = *exposed.first()?;
    let mixed = annotations.flag(names::MIXED_PROTOCOL);
    let node_ports = annotations.ports(names::NODE_PORT, problems);
    let mut ports: Vec<_> = (exposed.iter())
        .filter(|(_, transport)| mixed || *transport == first)
        .map(|(plan, transport)| port(plan, *transport, node_ports.get(&plan.listener.name).copied()))
        .collect();

    let kind = kind(annotations.get(names::SERVICE_TYPE));
    if kind == "LoadBalancer" && !annotations.flag(names::NO_HEALTH_PORT) {
        let port = health_port(annotations, problems);
        let taken =
            |port| exposed.iter().any(|(plan, transport)| plan.port == port && *transport == Transport::Tcp);
        ports.extend(port.filter(|port| !taken(*port)).map(|port| {
            json!({"name": names::HEALTH_PORT_NAME, "port": port, "protocol": "TCP", "targetPort": port})
        }));
    }

    let affinity = if annotations.flag(names::NO_AFFINITY) { "None" } else { "ClientIP" };
    let mut spec = Map::new();
    spec.insert("type".to_owned(), kind.into());
    spec.insert("selector".to_owned(), json!(selector(mode, gateway)));
    spec.insert("ports".to_owned(), ports.into());
    spec.insert("sessionAffinity".to_owned(), affinity.into());
    if matches!(kind, "LoadBalancer" | "NodePort") {
        let local =
            annotations.get(names::TRAFFIC_POLICY).is_some_and(|policy| policy.eq_ignore_ascii_case("local"));
        spec.insert("externalTrafficPolicy".to_owned(), if local { "Local" } else { "Cluster" }.into());
    }
    if let (Some(address), "LoadBalancer") = (wanted_address(gateway), kind) {
        spec.insert("loadBalancerIP".to_owned(), address.into());
    }
    Some(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(gateway, BTreeMap::new(), annotations.all.clone()),
        "spec": spec,
    }))
}

/// Name of the Service and workload of a Gateway.
pub(super) fn key(gateway: &Gateway) -> Key {
    Key::new(&gateway.metadata.namespace, names::service_name(&gateway.metadata.name))
}

/// Metadata of whatever is generated for a Gateway; what we must have wins over the labels and annotations given.
pub(super) fn metadata(
    gateway: &Gateway,
    mut labels: BTreeMap<String, String>,
    mut annotations: BTreeMap<String, String>,
) -> Value {
    labels.insert(names::OWNED_BY.to_owned(), names::OWNER.to_owned());
    labels.extend(related(gateway));
    annotations.insert(names::RELATED_GATEWAY.to_owned(), gateway.metadata.key().to_string());
    json!({
        "name": key(gateway).name,
        "namespace": gateway.metadata.namespace,
        "labels": labels,
        "annotations": annotations,
        "ownerReferences": [{
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "name": gateway.metadata.name,
            "uid": gateway.metadata.uid,
        }],
    })
}

/// Labels that name the Gateway.
pub(super) fn related(gateway: &Gateway) -> BTreeMap<String, String> {
    let label = |key: &str, value: &str| (key.to_owned(), names::label_value(value).into_owned());
    BTreeMap::from([
        label(names::RELATED_GATEWAY, &gateway.metadata.name),
        label(names::RELATED_GATEWAY_NAMESPACE, &gateway.metadata.namespace),
    ])
}

fn selector(mode: Mode, gateway: &Gateway) -> BTreeMap<String, String> {
    let mut labels = match mode {
        Mode::Managed => related(gateway),
        Mode::Legacy => BTreeMap::new(),
    };
    labels.insert(names::APP.to_owned(), names::APP_DATAPLANE.to_owned());
    labels
}

fn port(plan: &Plan<'_>, transport: Transport, node_port: Option<u16>) -> Value {
    let mut port = json!({
        "name": names::label_value(&plan.listener.name),
        "port": plan.port,
        "protocol": transport.as_str(),
        "targetPort": plan.target,
    });
    if let Some(node_port) = node_port {
        port["nodePort"] = node_port.into();
    }
    port
}

fn kind(asked: Option<&str>) -> &'static str {
    match asked {
        Some("ClusterIP") => "ClusterIP",
        Some("NodePort") => "NodePort",
        Some("ExternalName") => "ExternalName",
        _ => "LoadBalancer",
    }
}

fn wanted_address(gateway: &Gateway) -> Option<&str> {
    let address = gateway.spec.addresses.first()?;
    let is_ip = address.kind.as_deref().is_none_or(|kind| kind == "IPAddress");
    (is_ip && !address.value.is_empty()).then_some(&address.value)
}

/// The TCP port that the annotations of some cloud's load balancer say it checks. It has to be a port of the Service,
/// because those load balancers check nothing else.
fn health_port(annotations: &Annotations, problems: &mut Vec<Problem>) -> Option<u16> {
    let find = |ending: &str| {
        annotations.all.iter().find(|(key, _)| {
            let key =
                key.strip_prefix("service.beta.kubernetes.io/").and_then(|key| key.strip_suffix(ending));
            key.is_some_and(|key| key.contains("health"))
        })
    };
    let ((port_key, port), (protocol_key, protocol)) = find("port").zip(find("protocol"))?;
    if !["TCP", "HTTP"].iter().any(|known| protocol.eq_ignore_ascii_case(known)) {
        problems.push(annotations.bad(protocol_key, "is neither TCP nor HTTP"));
        return None;
    }
    let number = port.parse().ok().filter(|port: &u16| *port > 0);
    if number.is_none() {
        problems.push(annotations.bad(port_key, "is not a port"));
    }
    number
}
