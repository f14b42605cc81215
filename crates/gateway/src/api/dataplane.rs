use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Metadata, resource};

/// Template of dataplane pods (`stunner.l7mp.io/v1`, also spelt `v1alpha1`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dataplane {
    /// Metadata.
    pub metadata: Metadata,
    /// What the user asks for.
    #[serde(default)]
    pub spec: DataplaneSpec,
}

resource!(Dataplane, "stunner.l7mp.io", ["v1", "v1alpha1"], cluster);

/// What the user asks for. Parts that go into pods untouched stay the JSON they came as.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataplaneSpec {
    /// Container image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// When to pull the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Credentials to pull the image with; Secrets in the Gateway's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<Value>,
    /// `Deployment` or `DaemonSet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataplane_resource: Option<String>,
    /// Labels of pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of pods.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Command that replaces the default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Arguments that replace the default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Sources of environment variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_from: Option<Value>,
    /// Environment variables after the mandatory ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Value>,
    /// Security context of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_security_context: Option<Value>,
    /// Number of pods; absent or 1 leaves scaling to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Resources of the container, replacing the default as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Value>,
    /// Seconds a pod has to finish its calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// Use the network of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_network: Option<bool>,
    /// Scheduling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Value>,
    /// Security context of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Value>,
    /// Scheduling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Value>,
    /// Scheduling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topology_spread_constraints: Option<Value>,
    /// Switch the health check server and the probes off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_health_check: Option<bool>,
    /// Switch the metrics server on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_metrics_endpoint: Option<bool>,
    /// `None`, `XDP`, `TC` or `Auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload_engine: Option<String>,
    /// Interfaces to offload on; none given means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offload_interfaces: Vec<String>,
}
