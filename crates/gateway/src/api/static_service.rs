use serde::{Deserialize, Serialize};

use super::{Metadata, resource};

/// Peers known by address instead of by Service (`stunner.l7mp.io/v1`, also spelt `v1alpha1`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticService {
    /// Metadata.
    pub metadata: Metadata,
    /// What the user asks for.
    #[serde(default)]
    pub spec: StaticServiceSpec,
}

resource!(StaticService, "stunner.l7mp.io", ["v1", "v1alpha1"], namespaced);

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticServiceSpec {
    /// IP addresses and prefixes; all ports.
    #[serde(default)]
    pub prefixes: Vec<String>,
}
