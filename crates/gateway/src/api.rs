//! The objects the renderer reads: serde structs with the fields that matter, and nothing else.
//!
//! Every struct reads the JSON the API server hands out (unknown fields are skipped) and writes JSON back, through
//! [`from_value`] and [`to_value`].

mod core;
mod dataplane;
mod gateway_config;
mod meta;
mod static_service;
mod udp_route;
mod upstream;

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::{
    core::{
        ConfigMap, DaemonSet, DaemonSetStatus, Deployment, DeploymentStatus, Endpoint, EndpointAddress,
        EndpointSlice, EndpointSubset, Endpoints, Ingress, IngressPort, LoadBalancer, Namespace, Node,
        NodeAddress, NodeCondition, NodeStatus, Secret, SecretBytes, SecretText, Service, ServicePort,
        ServiceSpec, ServiceStatus, WorkloadSpec,
    },
    dataplane::{Dataplane, DataplaneSpec},
    gateway_config::{ClientLimits, GatewayConfig, GatewayConfigSpec, SecretRef},
    meta::{Condition, Key, Metadata, OwnerReference, Truth},
    static_service::{StaticService, StaticServiceSpec},
    udp_route::{
        BackendRef, GatewayUdpRoute, ParentRef, ParentStatus, UdpRoute, UdpRouteRule, UdpRouteSpec,
        UdpRouteStatus,
    },
    upstream::{
        AllowedRoutes, Gateway, GatewayAddress, GatewayClass, GatewayClassSpec, GatewayClassStatus,
        GatewaySpec, GatewayStatus, GrantFrom, GrantTo, LabelRequirement, LabelSelector, Listener,
        ListenerStatus, ListenerTls, ParametersRef, ReferenceGrant, ReferenceGrantSpec, RouteKind,
        RouteNamespaces, SupportedFeature,
    },
};

/// A kind of object.
pub trait Resource: Serialize + DeserializeOwned + PartialEq {
    /// What the API calls the kind.
    const TYPE: Type;

    /// Metadata of the object.
    fn metadata(&self) -> &Metadata;

    /// The same, to be changed.
    fn metadata_mut(&mut self) -> &mut Metadata;

    /// `namespace/name`.
    fn key(&self) -> Key {
        self.metadata().key()
    }
}

/// What the API calls a kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Type {
    /// API group, empty for core.
    pub group: &'static str,
    /// Versions we can read, the one we write first.
    pub versions: &'static [&'static str],
    /// Kind.
    pub kind: &'static str,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

impl Type {
    /// `group/version`, or the bare version for core.
    pub fn api_version(self) -> String {
        let version = self.versions[0];
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}

/// Whether there is nothing in a value. API servers make no difference between empty and absent.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// One object, as findings and deletions name it. Prints as `Gateway stunner/udp-gateway`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// API group, empty for core.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Namespace and name.
    pub key: Key,
}

impl ObjectRef {
    /// Reference to an object of a kind we know.
    pub fn to<R: Resource>(key: Key) -> Self {
        Self { group: R::TYPE.group, kind: R::TYPE.kind, key }
    }

    /// Reference to `object`.
    pub fn of<R: Resource>(object: &R) -> Self {
        Self::to::<R>(object.key())
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// Reads an object from the JSON of the API, treating null as absent as the API server does.
///
/// # Errors
/// A field that we need is missing or of the wrong type.
pub fn from_value<R: Resource>(mut value: Value) -> Result<R, serde_json::Error> {
    drop_nulls(&mut value);
    serde_json::from_value(value)
}

/// Writes an object as the JSON of the API, with `apiVersion` and `kind`.
pub fn to_value<R: Resource>(object: &R) -> Value {
    let mut fields = serde_json::Map::new();
    fields.insert("apiVersion".to_owned(), R::TYPE.api_version().into());
    fields.insert("kind".to_owned(), R::TYPE.kind.into());
    // Maps with text keys and plain scalars: there is nothing in our types that JSON could not hold.
    if let Ok(Value::Object(rest)) = serde_json::to_value(object) {
        fields.extend(rest);
    }
    Value::Object(fields)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Implements [`Resource`]: `resource!(Type, "Kind if it differs", "group", ["versions"], cluster | namespaced)`.
macro_rules! resource {
    ($type:ident, $group:literal, $versions:expr, $scope:ident) => {
        resource!($type, stringify!($type), $group, $versions, $scope);
    };
    ($type:ident, $kind:expr, $group:literal, $versions:expr, $scope:ident) => {
        impl crate::api::Resource for $type {
            const TYPE: crate::api::Type = crate::api::Type {
                group: $group,
                versions: &$versions,
                kind: $kind,
                namespaced: resource!(@ $scope),
            };

            fn metadata(&self) -> &Metadata {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Metadata {
                &mut self.metadata
            }
        }
    };
    (@ namespaced) => {
        true
    };
    (@ cluster) => {
        false
    };
}

use resource;
