use serde::{Deserialize, Serialize};

use super::{Condition, Metadata, resource};

/// Which peers the clients of which listeners may reach (`stunner.l7mp.io/v1`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpRoute {
    /// Metadata.
    pub metadata: Metadata,
    /// What the user asks for.
    #[serde(default)]
    pub spec: UdpRouteSpec,
    /// What became of it.
    #[serde(default)]
    pub status: UdpRouteStatus,
}

resource!(UdpRoute, "UDPRoute", "stunner.l7mp.io", ["v1"], namespaced);

/// The UDPRoute of the Gateway API itself (`gateway.networking.k8s.io/v1alpha2`), for which backend ports do not count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayUdpRoute {
    /// Metadata.
    pub metadata: Metadata,
    /// What the user asks for.
    #[serde(default)]
    pub spec: UdpRouteSpec,
    /// What became of it.
    #[serde(default)]
    pub status: UdpRouteStatus,
}

resource!(
    GatewayUdpRoute,
    "UDPRoute",
    "gateway.networking.k8s.io",
    ["v1alpha2", "v1alpha3", "v1"],
    namespaced
);

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UdpRouteSpec {
    /// Gateways and listeners to attach to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentRef>,
    /// Peers; only the first rule counts.
    pub rules: Vec<UdpRouteRule>,
}

/// Peers of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UdpRouteRule {
    /// Services and StaticServices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendRef>,
}

/// Gateway, or one listener of it, that a route attaches to.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group, that of the Gateway API if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind, `Gateway` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Namespace, that of the route if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Listener, all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Accepted and without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// Service or StaticService that a route leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// API group: that of core (empty, the default) or `stunner.l7mp.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `Service` (the default) or `StaticService`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name.
    pub name: String,
    /// Namespace, that of the route if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// First port, or the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Last port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_port: Option<i32>,
}

/// What became of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UdpRouteStatus {
    /// One entry per controller and parent.
    pub parents: Vec<ParentStatus>,
}

/// What one controller has to say about a route and one of its parents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The parent.
    pub parent_ref: ParentRef,
    /// The controller.
    pub controller_name: String,
    /// What it has to say.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
