use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Metadata, SecretText, resource};

/// Settings shared by the Gateways of a class (`stunner.l7mp.io/v1`, also spelt `v1alpha1`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayConfig {
    /// Metadata.
    pub metadata: Metadata,
    /// What the user asks for.
    #[serde(default)]
    pub spec: GatewayConfigSpec,
}

resource!(GatewayConfig, "stunner.l7mp.io", ["v1", "v1alpha1"], namespaced);

/// What the user asks for; see the custom resource definition for defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayConfigSpec {
    /// Name of the Dataplane template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataplane: Option<String>,
    /// Realm of TURN authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// `static` (`plaintext`) or `ephemeral` (`longterm`, `timewindowed`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<String>,
    /// User name of static authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Password of static authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretText>,
    /// Shared secret of ephemeral authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_secret: Option<SecretText>,
    /// Accepted and without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_lifetime: Option<i32>,
    /// Secret that replaces all of the inline authentication fields but the realm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<SecretRef>,
    /// Annotations of every generated Service; those of a Gateway override them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub load_balancer_service_annotations: BTreeMap<String, String>,
    /// Log specification of the dataplane, for instance `all:INFO,turn:DEBUG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
    /// Most allocations one user may hold at a time in one pod; 0 or less is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_quota: Option<i64>,
    /// What one client may have at a time in one pod. An addition of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ClientLimits>,
    /// Answer Binding requests only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stun_mode: Option<bool>,
}

/// What one client may have at a time in one pod: from 0 to 65 535, of which 0 and none are the default of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientLimits {
    /// Permissions of one allocation: 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<i64>,
    /// Channels of one allocation: 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<i64>,
    /// TCP connections between one allocation and peers: 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<i64>,
    /// Allocations of one IPv4 address, or of one IPv6 network of 64 bits: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations_per_address: Option<i64>,
    /// TLS and DTLS handshakes in flight at each worker: 512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshakes: Option<i64>,
    /// Those of them from one IPv4 address, or from one IPv6 network of 64 bits: 128.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshakes_per_address: Option<i64>,
}

/// Reference to a Secret (`authRef`, `certificateRefs`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// API group, that of core if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind, `Secret` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name.
    pub name: String,
    /// Namespace, that of the referring object if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
