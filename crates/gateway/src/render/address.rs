use std::net::IpAddr;

use super::{
    listener::Plan,
    world::{World, is_owned},
};
use crate::{
    Finding, Transport,
    api::{Gateway, GatewayAddress, Node, Service, ServicePort},
};

/// Where clients reach a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicAddress {
    /// IP address (IPv6 without brackets) or host name.
    pub(super) value: String,
    /// `IPAddress` or `Hostname`.
    pub(super) kind: String,
    pub(super) port: u16,
}

const IP_ADDRESS: &str = "IPAddress";
const HOSTNAME: &str = "Hostname";

/// The Service that exposes the Gateway: it says so and is owned by the Gateway.
pub(super) fn exposure<'a>(world: &World<'a>, gateway: &Gateway) -> Option<&'a Service> {
    let candidates = world.exposures(&gateway.metadata.key()).iter().copied();
    candidates.filter(|service| is_owned(&service.metadata, gateway)).min_by_key(|service| {
        match kind(service) {
            "LoadBalancer" => 0,
            "ExternalName" => 1,
            "NodePort" => 2,
            _ => 3,
        }
    })
}

/// Where clients reach a listener, or why they do not.
pub(super) fn public(
    world: &World<'_>,
    gateway: &Gateway,
    plan: &Plan<'_>,
    service: Option<&Service>,
) -> Result<PublicAddress, Finding> {
    let service = service.ok_or(Finding::NoService)?;
    let transport = plan.exposed().ok_or(Finding::NoService)?;
    let key = service.metadata.key();
    let port = service.spec.ports.iter().find(|port| is(port, transport, plan.port));
    let port =
        port.ok_or_else(|| Finding::NotExposed { service: key.clone(), transport, port: plan.port })?;
    from_hint(gateway, plan.port)
        .or_else(|| from_load_balancer(service, transport, plan.port))
        .or_else(|| from_node(world, gateway, port.node_port?))
        .ok_or_else(|| Finding::NoAddress { service: key, kind: kind(service).to_owned() })
}

/// The address that the user wants for the Gateway.
fn from_hint(gateway: &Gateway, port: u16) -> Option<PublicAddress> {
    let hint = gateway.spec.addresses.first().filter(|hint| !hint.value.is_empty())?;
    let given = hint.kind.clone().filter(|kind| kind != IP_ADDRESS);
    Some(PublicAddress {
        kind: given.unwrap_or_else(|| kind_of(&hint.value)),
        value: hint.value.clone(),
        port,
    })
}

/// An address that is said to be good for the port, else the first one.
fn from_load_balancer(service: &Service, transport: Transport, port: u16) -> Option<PublicAddress> {
    if kind(service) != "LoadBalancer" {
        return None;
    }
    let ingress = &service.status.load_balancer.ingress;
    let good = |candidate: &crate::api::IngressPort| {
        candidate.error.is_none()
            && candidate.port == i32::from(port)
            && candidate.protocol == transport.as_str()
    };
    let named = ingress.iter().find(|ingress| ingress.ports.iter().any(good));
    let ingress = named.or_else(|| ingress.first())?;
    let value = if ingress.ip.is_empty() { &ingress.hostname } else { &ingress.ip };
    (!value.is_empty()).then(|| PublicAddress { value: value.clone(), kind: kind_of(value), port })
}

/// The API server takes nothing but IP addresses for an `IPAddress`.
fn kind_of(value: &str) -> String {
    if value.parse::<IpAddr>().is_ok() { IP_ADDRESS } else { HOSTNAME }.to_owned()
}

/// An external address of a node. The one in the Gateway's status stays as long as a node has it, so that clients are
/// not sent from node to node.
fn from_node(world: &World<'_>, gateway: &Gateway, node_port: i32) -> Option<PublicAddress> {
    let port = u16::try_from(node_port).ok().filter(|port| *port > 0)?;
    let mut nodes: Vec<_> = world.snapshot.nodes.values().collect();
    nodes.sort_by_key(|node| !is_ready(node));
    let addresses = |kind: &'static str| nodes.iter().filter_map(move |node| external(node, kind));
    let mut candidates: Vec<_> = addresses("ExternalIP").collect();
    if candidates.is_empty() {
        candidates = addresses("ExternalDNS").collect();
    }
    let current = gateway.status.addresses.first().map(|address| address.value.as_str());
    let kept = candidates.iter().find(|(ready, address)| *ready && Some(*address) == current);
    let (_, value) = kept.or_else(|| candidates.first())?;
    Some(PublicAddress { value: (*value).to_owned(), kind: kind_of(value), port })
}

fn external<'n>(node: &'n Node, kind: &str) -> Option<(bool, &'n str)> {
    let address =
        node.status.addresses.iter().find(|address| address.kind == kind && !address.address.is_empty())?;
    Some((is_ready(node), &address.address))
}

/// A node that nobody has said anything about counts as ready.
fn is_ready(node: &Node) -> bool {
    node.status
        .conditions
        .iter()
        .find(|condition| condition.kind == "Ready")
        .is_none_or(|ready| ready.status == "True")
}

fn kind(service: &Service) -> &str {
    service.spec.kind.as_deref().unwrap_or("ClusterIP")
}

fn is(candidate: &ServicePort, transport: Transport, port: u16) -> bool {
    candidate.port == i32::from(port) && candidate.protocol.as_deref().unwrap_or("TCP") == transport.as_str()
}

/// The address that the status of a Gateway shows.
pub(super) fn in_status(plans: &[Plan<'_>]) -> Vec<GatewayAddress> {
    let last = plans.iter().rev().find_map(|plan| plan.public.as_ref().ok());
    let address =
        last.map(|address| GatewayAddress { kind: Some(address.kind.clone()), value: address.value.clone() });
    address.into_iter().collect()
}
