//! Labels, annotations and other names that mean something to programs.

use std::{borrow::Cow, fmt::Write as _};

/// Controller name of our GatewayClasses.
pub const CONTROLLER: &str = "stunner.l7mp.io/gateway-operator";
/// API group of our kinds.
pub const GROUP: &str = "stunner.l7mp.io";
/// API group of the Gateway API.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Dataplane template of a GatewayConfig that names none.
pub const DEFAULT_DATAPLANE: &str = "default";
/// Where config discovery is found in a default installation.
pub const DISCOVERY_ADDRESS: &str = "stunner-config-discovery.stunner-system.svc.cluster.local:13478";
/// Port of config discovery.
pub const DISCOVERY_PORT: u16 = 13478;
/// Dataplane image of a template that names none.
pub const DATAPLANE_IMAGE: &str = "l7mp/stunnerd:latest";
/// Metrics endpoint of dataplanes that have one.
pub const METRICS_ENDPOINT: &str = "http://:8080/metrics";
/// Port of the metrics endpoint.
pub const METRICS_PORT: u16 = 8080;
/// Port of the health check endpoint.
pub const HEALTH_PORT: u16 = 8086;

/// Label of everything we create.
pub const OWNED_BY: &str = "stunner.l7mp.io/owned-by";
/// Value of [`OWNED_BY`].
pub const OWNER: &str = "stunner";
/// Label: name of the Gateway. Annotation: `namespace/name` of the Gateway.
pub const RELATED_GATEWAY: &str = "stunner.l7mp.io/related-gateway-name";
/// Label: namespace of the Gateway.
pub const RELATED_GATEWAY_NAMESPACE: &str = "stunner.l7mp.io/related-gateway-namespace";
/// Label of dataplane pods.
pub const APP: &str = "app";
/// Value of [`APP`].
pub const APP_DATAPLANE: &str = "stunner";
/// Label that ties an EndpointSlice to its Service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Label of every Namespace: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Annotation: type of the Service.
pub const SERVICE_TYPE: &str = "stunner.l7mp.io/service-type";
/// Annotation: UDP and TCP listeners in one Service.
pub const MIXED_PROTOCOL: &str = "stunner.l7mp.io/enable-mixed-protocol-lb";
/// Annotation: external traffic policy of the Service.
pub const TRAFFIC_POLICY: &str = "stunner.l7mp.io/external-traffic-policy";
/// Annotation: node ports, a JSON map from listener to port.
pub const NODE_PORT: &str = "stunner.l7mp.io/nodeport";
/// Annotation: ports of the dataplane, a JSON map from listener to port.
pub const TARGET_PORT: &str = "stunner.l7mp.io/targetport";
/// Annotation: do not expose the port that a load balancer is told to check.
pub const NO_HEALTH_PORT: &str = "stunner.l7mp.io/disable-health-check-expose";
/// Annotation: no session affinity.
pub const NO_AFFINITY: &str = "stunner.l7mp.io/disable-session-affinity";
/// Annotation: no workload for the Gateway.
pub const NO_DATAPLANE: &str = "stunner.l7mp.io/disable-managed-dataplane";
/// Annotation: relay on the address of the node.
pub const NODE_RELAY: &str = "stunner.l7mp.io/enable-relay-address-discovery";

/// Name of the ConfigMap of legacy mode.
pub const LEGACY_CONFIG_MAP: &str = "stunnerd-config";
/// Its key.
pub const LEGACY_CONFIG_KEY: &str = "stunnerd.conf";
/// Instance name of the dataplane of legacy mode.
pub const LEGACY_INSTANCE: &str = "stunner-daemon";
/// Container of dataplane pods.
pub const CONTAINER: &str = "stunner-daemon";
/// Port of the Service that a load balancer checks.
pub const HEALTH_PORT_NAME: &str = "gateway-health-check";

/// Labels that belong to whoever applied the Gateway and would confuse them on a workload.
pub const LABEL_FILTER: [&str; 6] = [
    "applyset.kubernetes.io/part-of",
    "applyset.k8s.io/part-of",
    "app.kubernetes.io/managed-by",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
];

/// Annotations that belong to whoever applied the Gateway.
pub const ANNOTATION_FILTER: [&str; 4] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/installation-id",
    "kapp.k14s.io/identity",
];

/// Longest DNS label, label value, Service name and port name.
const LABEL_LENGTH: usize = 63;
/// Longest DNS name.
const SUBDOMAIN_LENGTH: usize = 253;

/// `name`, if it can be the name of a Service; else a shortened form of it that is unique for it.
///
/// Gateways may have names that Services may not: longer than 63 characters, with dots, beginning with a digit.
pub fn service_name(name: &str) -> Cow<'_, str> {
    if is_label(name) && name.starts_with(|first: char| first.is_ascii_lowercase()) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(shorten(name, "gw-"))
    }
}

/// `name`, if it can be a label value and the name of a port; else a shortened form of it that is unique for it.
pub fn label_value(name: &str) -> Cow<'_, str> {
    if is_label(name) { Cow::Borrowed(name) } else { Cow::Owned(shorten(name, "")) }
}

/// Whether an object may be called `name` and live in `namespace` (empty for none).
///
/// # Errors
/// What is wrong and what would be right.
pub(crate) fn check(name: &str, namespace: &str) -> Result<(), String> {
    if !is_name(name) {
        return Err(format!(
            "metadata.name {name:?} is not a name; use up to 253 lower-case letters, digits, '-' and '.'"
        ));
    }
    if !namespace.is_empty() && !is_label(namespace) {
        return Err(format!(
            "metadata.namespace {namespace:?} is not a name; use up to 63 lower-case letters, digits and '-'"
        ));
    }
    Ok(())
}

/// Whether objects and listeners may be called that.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= SUBDOMAIN_LENGTH && name.split('.').all(is_part)
}

fn is_part(part: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

fn is_label(name: &str) -> bool {
    name.len() <= LABEL_LENGTH && is_part(name)
}

fn shorten(name: &str, prefix: &str) -> String {
    let hash = format!("{:016x}", fnv1a(name.as_bytes()));
    let mut short = prefix.to_owned();
    for byte in name.bytes().take(LABEL_LENGTH - prefix.len() - hash.len() - 1) {
        let byte = byte.to_ascii_lowercase();
        short.push(if byte.is_ascii_alphanumeric() { byte.into() } else { '-' });
    }
    let keep = short.trim_matches('-').len();
    let start = short.len() - short.trim_start_matches('-').len();
    short = short[start..start + keep].to_owned();
    if !short.is_empty() {
        short.push('-');
    }
    // Writing to a String cannot fail.
    let _ = write!(short, "{hash}");
    short
}

/// FNV-1a: stable across releases, which matters more here than resistance to attacks.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::{check, label_value, service_name};

    #[test]
    fn w23_names_that_fit_stay_and_others_get_one_that_does() {
        assert_eq!(service_name("udp-gateway"), "udp-gateway");
        assert_eq!(label_value("7th"), "7th");
        for name in ["7th", "a.b", &"x".repeat(64), "-", "..", "", "ä", &"ü.".repeat(100)] {
            let short = service_name(name);
            assert!(short.len() <= 63 && short.starts_with("gw-"), "{short}");
            assert!(
                short.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{short}"
            );
            assert_ne!(label_value(&format!("{name}.1")), label_value(&format!("{name}.2")));
        }
    }

    #[test]
    fn names_are_checked_as_api_servers_do() {
        assert_eq!(check("a.b-c.7", "media"), Ok(()));
        for (name, namespace) in
            [("", ""), ("A", ""), ("a..b", ""), ("-a", ""), ("a/b", ""), ("a", "b.c"), ("a", "B")]
        {
            assert!(check(name, namespace).is_err(), "{name:?} in {namespace:?}");
        }
        assert!(check(&"x".repeat(254), "").is_err());
    }
}
