use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    annotation,
    service::{metadata, related},
};
use crate::{
    Settings,
    api::{DataplaneSpec, Gateway},
    names,
};

/// What runs dataplane pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workload {
    Deployment,
    DaemonSet,
}

impl Workload {
    /// The one that a template asks for. The schema knows no third.
    pub(super) fn of(dataplane: &DataplaneSpec) -> Self {
        match dataplane.dataplane_resource.as_deref() {
            Some("DaemonSet") => Self::DaemonSet,
            _ => Self::Deployment,
        }
    }

    /// Whether a template may ask for it.
    pub(super) fn is_known(kind: &str) -> bool {
        [Self::Deployment, Self::DaemonSet].iter().any(|known| known.kind() == kind)
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
        }
    }
}

/// The workload of a Gateway, with the fields that are ours.
pub(super) fn render(settings: &Settings, gateway: &Gateway, dataplane: &DataplaneSpec) -> Value {
    let labels = gateway.metadata.labels.iter().filter(|(key, _)| !settings.label_filter.contains(*key));
    let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
    let kind = Workload::of(dataplane);
    let mut spec = Map::new();
    // One replica is what everybody gets who asks for nothing, and it must not undo what an autoscaler did.
    if let (Some(replicas), Workload::Deployment) =
        (dataplane.replicas.filter(|replicas| *replicas != 1), kind)
    {
        spec.insert("replicas".to_owned(), replicas.into());
    }
    spec.insert("selector".to_owned(), selector(gateway));
    spec.insert("template".to_owned(), template(settings, gateway, dataplane));
    json!({
        "apiVersion": "apps/v1",
        "kind": kind.kind(),
        "metadata": metadata(gateway, labels, annotation::own(settings, gateway)),
        "spec": spec,
    })
}

/// Labels of the Gateway's pods. Selectors cannot be changed, so neither can these.
pub(super) fn pod_labels(gateway: &Gateway) -> BTreeMap<String, String> {
    let mut labels = related(gateway);
    labels.insert(names::APP.to_owned(), names::APP_DATAPLANE.to_owned());
    labels
}

fn selector(gateway: &Gateway) -> Value {
    let requirement = |(key, value)| json!({"key": key, "operator": "In", "values": [value]});
    json!({"matchExpressions": pod_labels(gateway).into_iter().map(requirement).collect::<Vec<_>>()})
}

fn template(settings: &Settings, gateway: &Gateway, dataplane: &DataplaneSpec) -> Value {
    let mut labels = dataplane.labels.clone();
    labels.extend(pod_labels(gateway));
    let mut annotations = dataplane.annotations.clone();
    annotations.insert(names::RELATED_GATEWAY.to_owned(), gateway.metadata.key().to_string());

    let mut spec = Map::new();
    spec.insert("containers".to_owned(), json!([container(settings, gateway, dataplane)]));
    let grace = dataplane.termination_grace_period_seconds.unwrap_or(GRACE_PERIOD);
    spec.insert("terminationGracePeriodSeconds".to_owned(), grace.into());
    if dataplane.host_network.unwrap_or_default() {
        spec.insert("hostNetwork".to_owned(), true.into());
        // Config discovery has a cluster name, which the resolver of the node does not know.
        spec.insert("dnsPolicy".to_owned(), "ClusterFirstWithHostNet".into());
    }
    let optional = [
        ("imagePullSecrets", &dataplane.image_pull_secrets),
        ("affinity", &dataplane.affinity),
        ("securityContext", &dataplane.security_context),
        ("tolerations", &dataplane.tolerations),
        ("topologySpreadConstraints", &dataplane.topology_spread_constraints),
    ];
    insert(&mut spec, optional);
    if let Some(audience) = &settings.discovery_security.audience {
        let token = json!({"audience": audience, "expirationSeconds": 3600, "path": TOKEN});
        let sources = json!([{ "serviceAccountToken": token }]);
        spec.insert("volumes".to_owned(), json!([{"name": TOKEN_VOLUME, "projected": {"sources": sources}}]));
    }
    json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec})
}

/// Of a dataplane whose template has none. A pod that is to go has to stay ready while calls go through it: packets of UDP
/// clients are led to ready pods only, and new clients to other ones anyway.
const ARGUMENTS: [&str; 3] = ["-w", "--udp-thread-num=16", "--force-ready-status"];

fn container(settings: &Settings, gateway: &Gateway, dataplane: &DataplaneSpec) -> Value {
    let or = |given: &Vec<String>, default: &[&str]| {
        if given.is_empty() { json!(default) } else { json!(given) }
    };
    let mut container = Map::new();
    container.insert("name".to_owned(), names::CONTAINER.into());
    container
        .insert("image".to_owned(), json!(dataplane.image.as_ref().unwrap_or(&settings.dataplane_image)));
    container.insert(
        "imagePullPolicy".to_owned(),
        json!(dataplane.image_pull_policy.as_deref().unwrap_or("Always")),
    );
    container.insert("command".to_owned(), or(&dataplane.command, &["stunnerd"]));
    container.insert("args".to_owned(), or(&dataplane.args, &ARGUMENTS));
    container.insert("env".to_owned(), environment(settings, gateway, dataplane).into());
    insert(&mut container, [("envFrom", &dataplane.env_from)]);
    // On the network of a node it is a port of the node, which only one pod can have there.
    if dataplane.enable_metrics_endpoint.unwrap_or_default() || !dataplane.host_network.unwrap_or_default() {
        let port = json!({"name": "metrics-port", "containerPort": names::METRICS_PORT, "protocol": "TCP"});
        container.insert("ports".to_owned(), json!([port]));
    }
    if !dataplane.disable_health_check.unwrap_or_default() {
        container.insert("livenessProbe".to_owned(), probe("/live"));
        container.insert("readinessProbe".to_owned(), probe("/ready"));
    }
    let default = || json!({"limits": {"memory": "20M"}, "requests": {"cpu": "250m"}});
    container.insert("resources".to_owned(), dataplane.resources.clone().unwrap_or_else(default));
    insert(&mut container, [("securityContext", &dataplane.container_security_context)]);
    if settings.discovery_security.audience.is_some() {
        let mount = json!({"name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true});
        container.insert("volumeMounts".to_owned(), json!([mount]));
    }
    container.into()
}

fn environment(settings: &Settings, gateway: &Gateway, dataplane: &DataplaneSpec) -> Vec<Value> {
    let value = |name: &str, value: &str| json!({"name": name, "value": value});
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}});
    let mut variables = vec![
        field("STUNNER_ADDR", "status.podIP"),
        value("STUNNER_NAME", &gateway.metadata.name),
        value("STUNNER_NAMESPACE", &gateway.metadata.namespace),
        field("STUNNER_NODENAME", "spec.nodeName"),
        value("STUNNER_CONFIG_ORIGIN", &origin(settings)),
    ];
    let security = &settings.discovery_security;
    variables.extend(security.authority.as_deref().map(|authority| value("CDS_CA", authority)));
    let token = format!("{TOKEN_FOLDER}/{TOKEN}");
    variables.extend(security.audience.as_ref().map(|_| value("CDS_TOKEN_FILE", &token)));
    variables.extend(dataplane.env.iter().cloned());
    variables
}

/// Where pods find config discovery.
fn origin(settings: &Settings) -> String {
    let origin = discovery_origin(&settings.discovery_address);
    if settings.discovery_security.authority.is_some() { origin.replacen("http", "https", 1) } else { origin }
}

/// `http://host:port` of an address whose port may be left out and whose IPv6 host may have no brackets.
fn discovery_origin(address: &str) -> String {
    let is_port = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match address.rsplit_once(':') {
        // A second colon without brackets is part of an IPv6 address.
        Some((host, port)) if is_port(port) && (host.ends_with(']') || !host.contains(':')) => {
            (host, port.to_owned())
        }
        _ => (address, names::DISCOVERY_PORT.to_string()),
    };
    let host = host.trim_end_matches(':');
    if host.contains(':') && !host.starts_with('[') {
        format!("http://[{host}]:{port}")
    } else {
        format!("http://{host}:{port}")
    }
}

fn probe(path: &str) -> Value {
    json!({
        "httpGet": {"path": path, "port": names::HEALTH_PORT, "scheme": "HTTP"},
        "periodSeconds": 15,
        "timeoutSeconds": 1,
        "successThreshold": 1,
        "failureThreshold": 3,
    })
}

fn insert<const N: usize>(into: &mut Map<String, Value>, fields: [(&str, &Option<Value>); N]) {
    for (name, value) in fields {
        if let Some(value) = value {
            into.insert(name.to_owned(), value.clone());
        }
    }
}

/// The token that pods show to config discovery.
const TOKEN: &str = "token";
const TOKEN_FOLDER: &str = "/var/run/secrets/stunner.l7mp.io/config-discovery";
const TOKEN_VOLUME: &str = "config-discovery-token";

/// Seconds that pods have to finish their calls.
const GRACE_PERIOD: i64 = 3600;

#[cfg(test)]
mod tests {
    use super::discovery_origin;

    #[test]
    fn r19_config_discovery_is_found_in_every_spelling_of_its_address() {
        for (address, origin) in [
            (":13478", "http://:13478"),
            ("192.0.2.1:5", "http://192.0.2.1:5"),
            ("192.0.2.1", "http://192.0.2.1:13478"),
            ("discovery.example.svc:5", "http://discovery.example.svc:5"),
            ("discovery.example.svc", "http://discovery.example.svc:13478"),
            ("discovery.example.svc:", "http://discovery.example.svc:13478"),
            ("2001:db8::1", "http://[2001:db8::1]:13478"),
            ("::1", "http://[::1]:13478"),
            ("[2001:db8::1]", "http://[2001:db8::1]:13478"),
            ("[2001:db8::1]:5", "http://[2001:db8::1]:5"),
        ] {
            assert_eq!(discovery_origin(address), origin, "{address}");
        }
    }
}
