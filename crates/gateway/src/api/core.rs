//! The core kinds that we read, and of those only the fields that matter here.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{LabelSelector, Metadata, resource};

/// A Service: what exposes a Gateway, or what a route leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Metadata.
    pub metadata: Metadata,
    /// What the user asks for.
    #[serde(default)]
    pub spec: ServiceSpec,
    /// What became of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: ServiceStatus,
}

resource!(Service, "", ["v1"], namespaced);

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP` (also if absent), `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Address within the cluster; `None` for a headless Service.
    #[serde(rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<String>,
    /// The same for each IP family.
    #[serde(rename = "clusterIPs", skip_serializing_if = "Vec::is_empty")]
    pub cluster_ips: Vec<String>,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Labels of the pods behind the Service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Unique within the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `TCP` (also if absent) or `UDP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Port of the Service.
    pub port: i32,
    /// Port on every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<i32>,
}

/// What became of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Where the load balancer takes traffic in.
    pub load_balancer: LoadBalancer,
}

/// Where a load balancer takes traffic in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<Ingress>,
}

/// An address of a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// IP address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Host name, where there is no IP address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Ports that the address is good for, if the load balancer says so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<IngressPort>,
}

/// A port that an address of a load balancer is good for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressPort {
    /// Port of the Service.
    pub port: i32,
    /// `TCP` or `UDP`.
    #[serde(default)]
    pub protocol: String,
    /// Why the port does not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Some of the pods behind a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// Metadata; a label names the Service.
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    #[serde(default)]
    pub address_type: String,
    /// The pods.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

resource!(EndpointSlice, "discovery.k8s.io", ["v1", "v1beta1"], namespaced);

/// A pod behind a Service, ready or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Addresses of the pod.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// The pods behind the Service of the same name, in the form that EndpointSlices have replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Metadata.
    pub metadata: Metadata,
    /// The pods.
    #[serde(default)]
    pub subsets: Vec<EndpointSubset>,
}

resource!(Endpoints, "", ["v1"], namespaced);

/// Pods with the same ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSubset {
    /// Ready pods.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<EndpointAddress>,
    /// The others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ready_addresses: Vec<EndpointAddress>,
}

/// Address of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAddress {
    /// IP address.
    #[serde(default)]
    pub ip: String,
}

/// Credentials or a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Metadata.
    pub metadata: Metadata,
    /// What is in it; informative.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Values in base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, SecretBytes>,
    /// Values as they are, which override those of `data`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, SecretText>,
}

resource!(Secret, "", ["v1"], namespaced);

impl Secret {
    /// The bytes stored under `key`, if there are any.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let text = self.string_data.get(key).map(|text| text.0.expose().as_bytes());
        text.or_else(|| self.data.get(key).map(|bytes| bytes.0.as_slice()))
    }
}

/// Bytes that print as `<SECRET>`; base64 on the wire.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<SECRET>")
    }
}

impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = SecretText::deserialize(deserializer)?.0.expose().to_owned();
        text.retain(|character| !character.is_ascii_whitespace());
        // The decoder's own message would repeat a byte of the secret.
        let bytes = STANDARD.decode(text).map_err(|_| de::Error::custom("not base64"))?;
        Ok(Self(bytes))
    }
}

/// Text that prints as `<SECRET>`, also in the messages of failed parsing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SecretText(pub config::Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl SecretVisitor {
    fn refuse<E: de::Error>() -> Result<SecretText, E> {
        Err(E::custom("a number or truth value where a text belongs (put it in quotes)"))
    }
}

impl de::Visitor<'_> for SecretVisitor {
    type Value = SecretText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretText, E> {
        Ok(SecretText(config::Secret::new(text)))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<SecretText, E> {
        Self::refuse()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretText, E> {
        Self::refuse()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretText, E> {
        Self::refuse()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretText, E> {
        Self::refuse()
    }
}

/// A machine of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Metadata.
    pub metadata: Metadata,
    /// What the cluster knows about it.
    #[serde(default)]
    pub status: NodeStatus,
}

resource!(Node, "", ["v1"], cluster);

/// What the cluster knows about a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its addresses.
    pub addresses: Vec<NodeAddress>,
    /// Whether it is `Ready`.
    pub conditions: Vec<NodeCondition>,
}

/// An address of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    /// `ExternalIP`, `ExternalDNS`, `InternalIP` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
}

/// Something the cluster knows about a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// A namespace; its labels decide which routes may attach.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Metadata.
    pub metadata: Metadata,
}

resource!(Namespace, "", ["v1"], cluster);

/// A Deployment that exists already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Metadata.
    pub metadata: Metadata,
    /// What it was asked to do.
    #[serde(default)]
    pub spec: WorkloadSpec,
    /// How far it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: DeploymentStatus,
}

resource!(Deployment, "apps", ["v1"], namespaced);

/// A DaemonSet that exists already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSet {
    /// Metadata.
    pub metadata: Metadata,
    /// What it was asked to do.
    #[serde(default)]
    pub spec: WorkloadSpec,
    /// How far it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: DaemonSetStatus,
}

resource!(DaemonSet, "apps", ["v1"], namespaced);

/// What a Deployment or DaemonSet was asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkloadSpec {
    /// Its pods.
    pub selector: LabelSelector,
}

/// How far a Deployment is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    /// Whether any pod is ready; how many there are makes no difference to anything here.
    #[serde(rename = "readyReplicas", with = "any", skip_serializing_if = "is_default")]
    pub is_ready: bool,
}

/// How far a DaemonSet is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetStatus {
    /// Whether any pod is ready; how many there are makes no difference to anything here.
    #[serde(rename = "numberReady", with = "any", skip_serializing_if = "is_default")]
    pub is_ready: bool,
}

/// A number of which only matters whether it is zero.
mod any {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        Ok(Option::<i64>::deserialize(deserializer)?.unwrap_or_default() > 0)
    }

    pub(super) fn serialize<S: Serializer>(is_any: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(i64::from(*is_any))
    }
}

/// A ConfigMap that exists already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigMap {
    /// Metadata.
    pub metadata: Metadata,
}

resource!(ConfigMap, "", ["v1"], namespaced);

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
