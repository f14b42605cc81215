//! Taking a merged configuration apart.

use std::str::FromStr;

use cds::Origin;
use config::Config;
use indexmap::IndexMap;
use thiserror::Error;

/// What becomes one entry of `iceServers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// A configuration as it came, whatever it holds.
    Config,
    /// A gateway, even if several share a configuration.
    Gateway,
}

/// Neither of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be config or gateway")]
pub struct UnknownGroup;

impl FromStr for GroupBy {
    type Err = UnknownGroup;

    fn from_str(word: &str) -> Result<Self, UnknownGroup> {
        match word {
            "config" => Ok(Self::Config),
            "gateway" => Ok(Self::Gateway),
            _ => Err(UnknownGroup),
        }
    }
}

impl GroupBy {
    /// What people expect: config discovery sends one configuration per gateway anyway, a file is a legacy ConfigMap
    /// that holds all of them.
    pub fn usual(origin: &Origin) -> Self {
        match origin {
            Origin::Http(_) | Origin::Kubernetes => Self::Config,
            Origin::File(_) => Self::Gateway,
        }
    }

    /// The configurations to answer from.
    pub fn apply(self, config: Config) -> Vec<Config> {
        match self {
            Self::Config => vec![config],
            Self::Gateway => by_gateway(config),
        }
    }
}

/// One configuration per gateway, named after it, in the order in which the gateways first appear.
///
/// Legacy installations keep all gateways in one configuration, whose listeners are named
/// `namespace/gateway/listener`. Listeners with other names stay together under the name of the whole, and so does a
/// configuration without listeners.
pub fn by_gateway(mut config: Config) -> Vec<Config> {
    if config.listeners.is_empty() {
        return vec![config];
    }
    let mut gateways: IndexMap<String, Vec<_>> = IndexMap::new();
    for listener in std::mem::take(&mut config.listeners) {
        let gateway = match listener.name.rsplit_once('/') {
            Some((gateway, _)) if gateway.matches('/').count() == 1 => gateway.to_owned(),
            _ => config.admin.name.clone(),
        };
        gateways.entry(gateway).or_default().push(listener);
    }
    let part = |(name, listeners)| {
        let mut part = config.clone();
        part.admin.name = name;
        part.listeners = listeners;
        part
    };
    gateways.into_iter().map(part).collect()
}
