//! What a test makes in a cluster, as values.

use reach::Kind;
use serde_json::{Value, json};

use crate::cli::{Offload, Transport};

pub(super) const NAMESPACE: Kind = Kind { api_version: "v1", name: "Namespace" };
pub(super) const POD: Kind = Kind { api_version: "v1", name: "Pod" };
pub(super) const CLASS: Kind = Kind { api_version: GATEWAY_API, name: "GatewayClass" };
pub(super) const DATAPLANE: Kind = Kind { api_version: STUNNER, name: "Dataplane" };
pub(super) const DEFINITION: Kind =
    Kind { api_version: "apiextensions.k8s.io/v1", name: "CustomResourceDefinition" };
const SERVICE: Kind = Kind { api_version: "v1", name: "Service" };
const GATEWAY: Kind = Kind { api_version: GATEWAY_API, name: "Gateway" };
const CONFIG: Kind = Kind { api_version: STUNNER, name: "GatewayConfig" };
const ROUTE: Kind = Kind { api_version: STUNNER, name: "UDPRoute" };

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";
const STUNNER: &str = "stunner.l7mp.io/v1";

/// Kinds in the namespace of a test, in the order in which their objects are removed: what others are made of goes last.
pub(super) const INSIDE: [Kind; 5] = [ROUTE, GATEWAY, CONFIG, SERVICE, POD];

/// Kinds without a namespace.
pub(super) const OUTSIDE: [Kind; 2] = [CLASS, DATAPLANE];

/// Definitions of the kinds that a test uses.
pub(super) const DEFINITIONS: [&str; 5] = [
    "gatewayclasses.gateway.networking.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "dataplanes.stunner.l7mp.io",
    "gatewayconfigs.stunner.l7mp.io",
    "udproutes.stunner.l7mp.io",
];

/// Label of everything that a test has made; its value says which test.
pub(super) const LABEL: &str = "stunner.l7mp.io/icetest";

pub(super) const CLASS_NAME: &str = "icetest-gatewayclass";
pub(super) const DATAPLANE_NAME: &str = "icetester-dataplane";
pub(super) const DEFAULT_DATAPLANE: &str = "default";
pub(super) const BACKEND: &str = "icetest-backend";
pub(super) const BACKEND_LABEL: &str = "app=icetester";
pub(super) const BACKEND_PORT: u16 = 8089;
const CONFIG_NAME: &str = "icetest-gatewayconfig";
const PORT: u16 = 3478;

/// One test's names and choices.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) namespace: String,
    /// Tells it from other tests.
    pub(super) run: String,
    pub(super) transports: Vec<Transport>,
    pub(super) image: String,
    pub(super) offload: Offload,
}

impl Plan {
    /// What its objects are labelled with, as a selector.
    pub(super) fn selector(&self) -> String {
        format!("{LABEL}={}", self.run)
    }

    pub(super) fn namespace(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {LABEL: self.run}}})
    }

    /// The dataplane of the test is what dataplanes are by default, only smaller.
    pub(super) fn dataplane(&self, default: &Value) -> Value {
        let mut spec = default["spec"].as_object().cloned().unwrap_or_default();
        let size = json!({"cpu": "250m", "memory": "256Mi"});
        spec.insert("terminationGracePeriodSeconds".to_owned(), 0.into());
        spec.insert("resources".to_owned(), json!({"requests": size, "limits": size}));
        spec.insert("offloadEngine".to_owned(), offload_name(self.offload).into());
        if self.offload != Offload::None {
            let context = spec.entry("containerSecurityContext").or_insert_with(|| json!({}));
            context["capabilities"]["add"] = json!(["NET_ADMIN", "SYS_ADMIN", "SYS_MODULE"]);
        }
        json!({"apiVersion": STUNNER, "kind": "Dataplane", "metadata": self.outside(DATAPLANE_NAME),
            "spec": spec})
    }

    /// What is tested, and with what. Credentials come from `secret`.
    pub(super) fn objects(&self, secret: &str) -> Vec<Value> {
        let mut objects = vec![self.class(), self.config(secret)];
        objects.extend(self.transports.iter().map(|transport| self.gateway(*transport)));
        objects.extend([self.route(), self.service(), self.pod()]);
        objects
    }

    fn class(&self) -> Value {
        json!({
            "apiVersion": GATEWAY_API,
            "kind": "GatewayClass",
            "metadata": self.outside(CLASS_NAME),
            "spec": {
                "controllerName": "stunner.l7mp.io/gateway-operator",
                "description": "For the time of a test",
                "parametersRef": {
                    "group": "stunner.l7mp.io",
                    "kind": "GatewayConfig",
                    "name": CONFIG_NAME,
                    "namespace": self.namespace,
                },
            },
        })
    }

    fn config(&self, secret: &str) -> Value {
        json!({
            "apiVersion": STUNNER,
            "kind": "GatewayConfig",
            "metadata": self.inside(CONFIG_NAME),
            "spec": {
                "realm": "icetest.l7mp.io",
                "authType": "ephemeral",
                "sharedSecret": secret,
                "dataplane": DATAPLANE_NAME,
                "logLevel": "all:INFO",
            },
        })
    }

    fn gateway(&self, transport: Transport) -> Value {
        json!({
            "apiVersion": GATEWAY_API,
            "kind": "Gateway",
            "metadata": self.inside(gateway_name(transport)),
            "spec": {
                "gatewayClassName": CLASS_NAME,
                "listeners": [{
                    "name": listener_name(transport),
                    "port": PORT,
                    "protocol": transport.name(),
                }],
            },
        })
    }

    /// To the backend, and to the gateways themselves, which is where its candidates are in the symmetric test.
    fn route(&self) -> Value {
        let gateways = || self.transports.iter().map(|transport| gateway_name(*transport));
        let parents: Vec<Value> = gateways().map(|name| json!({"name": name})).collect();
        let backends: Vec<Value> =
            [BACKEND].into_iter().chain(gateways()).map(|name| json!({"name": name})).collect();
        json!({
            "apiVersion": STUNNER,
            "kind": "UDPRoute",
            "metadata": self.inside("icetest-route"),
            "spec": {"parentRefs": parents, "rules": [{"backendRefs": backends}]},
        })
    }

    fn service(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.inside(BACKEND),
            "spec": {
                "selector": {"app": "icetester", LABEL: self.run},
                "ports": [{"name": "whip-port", "port": BACKEND_PORT, "protocol": "TCP"}],
            },
        })
    }

    fn pod(&self) -> Value {
        let mut metadata = self.inside(BACKEND);
        metadata["labels"]["app"] = "icetester".into();
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": 65532,
                    "runAsGroup": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "icetester",
                    "image": self.image,
                    "ports": [{"name": "whip-port", "containerPort": BACKEND_PORT, "protocol": "TCP"}],
                    "readinessProbe": {"tcpSocket": {"port": BACKEND_PORT}, "periodSeconds": 1},
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        })
    }

    fn outside(&self, name: &str) -> Value {
        json!({"name": name, "labels": {LABEL: self.run}})
    }

    fn inside(&self, name: &str) -> Value {
        json!({"name": name, "namespace": self.namespace, "labels": {LABEL: self.run}})
    }
}

/// The gateway of a transport.
pub(super) const fn gateway_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "icetest-udp-gateway",
        Transport::Tcp => "icetest-tcp-gateway",
    }
}

const fn listener_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "icetest-udp-listener",
        Transport::Tcp => "icetest-tcp-listener",
    }
}

const fn offload_name(offload: Offload) -> &'static str {
    match offload {
        Offload::None => "None",
        Offload::Xdp => "XDP",
        Offload::Tc => "TC",
        Offload::Auto => "Auto",
    }
}

/// Which test has made an object, if one has.
pub(super) fn made_by(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][LABEL].as_str()
}

/// Why a pod is not ready, in its node's or the scheduler's words.
pub(super) fn why_not_ready(pod: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let said = |value: &Value| {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        [text("reason"), text("message")]
            .into_iter()
            .filter(|it| !it.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    };
    let containers = list(&pod["status"]["containerStatuses"]);
    let states =
        containers.iter().flat_map(|one| [said(&one["state"]["waiting"]), said(&one["state"]["terminated"])]);
    let conditions = list(&pod["status"]["conditions"]);
    let unmet = conditions.iter().filter(|one| one["status"] != "True").map(said);
    let phase = pod["status"]["phase"].as_str().unwrap_or("not there").to_owned();
    states.chain(unmet).find(|it| !it.is_empty()).unwrap_or(phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(transports: &[Transport], offload: Offload) -> Plan {
        Plan {
            namespace: "icetest".to_owned(),
            run: "1f".to_owned(),
            transports: transports.to_vec(),
            image: "image".to_owned(),
            offload,
        }
    }

    #[test]
    fn everything_is_labelled_and_nothing_is_made_for_a_transport_that_is_not_tested() {
        let plan = plan(&[Transport::Tcp], Offload::None);
        let mut objects = plan.objects("s3cret");
        objects.extend([plan.namespace(), plan.dataplane(&json!({}))]);
        assert!(objects.iter().all(|object| made_by(object) == Some("1f")));
        let names: Vec<&str> = objects.iter().filter_map(|one| one["metadata"]["name"].as_str()).collect();
        let expected = [
            "icetest-gatewayclass",
            "icetest-gatewayconfig",
            "icetest-tcp-gateway",
            "icetest-route",
            "icetest-backend",
            "icetest-backend",
            "icetest",
            "icetester-dataplane",
        ];
        assert_eq!(names, expected);
        let kinds = [INSIDE.as_slice(), &OUTSIDE, &[NAMESPACE]].concat();
        for object in &objects {
            let is_known =
                |kind: &Kind| object["kind"] == kind.name && object["apiVersion"] == kind.api_version;
            assert!(kinds.iter().any(is_known), "{object} would never be removed");
        }
        assert_eq!(objects[1]["spec"]["sharedSecret"], "s3cret");
        let backends = json!([{"name": "icetest-backend"}, {"name": "icetest-tcp-gateway"}]);
        assert_eq!(objects[3]["spec"]["rules"][0]["backendRefs"], backends);
    }

    #[test]
    fn the_dataplane_is_the_default_one_but_small() {
        let default = json!({"metadata": {"name": "default", "uid": "1"}, "spec": {"image": "ours", "replicas": 2,
            "terminationGracePeriodSeconds": 3600, "resources": {"limits": {"cpu": "2"}},
            "containerSecurityContext": {"capabilities": {"drop": ["ALL"]}}}});
        let made = plan(&[], Offload::None).dataplane(&default);
        let size = json!({"cpu": "250m", "memory": "256Mi"});
        let expected = json!({"image": "ours", "replicas": 2, "terminationGracePeriodSeconds": 0,
            "resources": {"requests": size, "limits": size}, "offloadEngine": "None",
            "containerSecurityContext": {"capabilities": {"drop": ["ALL"]}}});
        assert_eq!(made["spec"], expected);
        assert_eq!(made["metadata"], json!({"name": "icetester-dataplane", "labels": {LABEL: "1f"}}));
        let made = plan(&[], Offload::Xdp).dataplane(&default);
        assert_eq!(made["spec"]["offloadEngine"], "XDP");
        let capabilities = json!({"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_ADMIN", "SYS_MODULE"]});
        assert_eq!(made["spec"]["containerSecurityContext"]["capabilities"], capabilities);
    }

    #[test]
    fn a_pod_that_is_not_ready_says_why() {
        let waiting = json!({"status": {"phase": "Pending", "containerStatuses": [{"state": {"waiting":
            {"reason": "ErrImagePull", "message": "no such host"}}}]}});
        assert_eq!(why_not_ready(&waiting), "ErrImagePull: no such host");
        let unscheduled = json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled",
            "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]}});
        assert_eq!(why_not_ready(&unscheduled), "Unschedulable: 0/1 nodes are available");
        assert_eq!(why_not_ready(&json!({"status": {"phase": "Pending"}})), "Pending");
        assert_eq!(why_not_ready(&Value::Null), "not there");
    }
}
