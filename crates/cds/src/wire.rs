//! Paths and payloads.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// TCP port of discovery servers unless somebody says otherwise.
pub const DEFAULT_PORT: u16 = 13478;
/// Payload of pings and their pongs.
pub(crate) const KEEPALIVE: &[u8] = b"keepalive";

const CONFIGS: &str = "/api/v1/configs";
pub(crate) const LICENSE: &str = "/api/v1/license";

/// Which gateways one is interested in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of them.
    All,
    /// Those of a namespace.
    Namespace(String),
    /// A single one.
    Gateway {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// The text does not name a gateway.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid id: {0:?}; write NAMESPACE/NAME")]
pub struct InvalidId(pub String);

impl Scope {
    /// A single gateway.
    pub fn gateway(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::Gateway { namespace: namespace.into(), name: name.into() }
    }

    /// Whether the gateway of this id is among them.
    pub fn contains(&self, id: &str) -> bool {
        match (self, id.split_once('/')) {
            (Self::All, _) => true,
            (Self::Namespace(wanted), Some((namespace, _))) => wanted == namespace,
            (Self::Gateway { namespace, name }, Some(id)) => (namespace.as_str(), name.as_str()) == id,
            (Self::Namespace(_) | Self::Gateway { .. }, None) => false,
        }
    }

    /// All scopes that have the gateway of this id in them.
    pub(crate) fn all_of(id: &str) -> Vec<Self> {
        let narrow = id
            .split_once('/')
            .map(|(namespace, name)| [Self::Namespace(namespace.to_owned()), Self::gateway(namespace, name)]);
        std::iter::once(Self::All).chain(narrow.into_iter().flatten()).collect()
    }

    pub(crate) fn path(&self) -> String {
        match self {
            Self::All => CONFIGS.to_owned(),
            Self::Namespace(namespace) => format!("{CONFIGS}/{}", encoded(namespace)),
            Self::Gateway { namespace, name } => {
                format!("{CONFIGS}/{}/{}", encoded(namespace), encoded(name))
            }
        }
    }

    /// Path and query of a request. A node is a matter of single gateways only.
    pub(crate) fn target(&self, node: Option<&str>, watch: bool) -> String {
        let node = node.filter(|node| !node.is_empty() && matches!(self, Self::Gateway { .. }));
        let node = node.map(|node| format!("node={}", encoded(node)));
        let items: Vec<String> = node.into_iter().chain(watch.then(|| "watch=true".to_owned())).collect();
        if items.is_empty() { self.path() } else { format!("{}?{}", self.path(), items.join("&")) }
    }
}

impl FromStr for Scope {
    type Err = InvalidId;

    /// Reads the id of a single gateway, `namespace/name`.
    fn from_str(id: &str) -> Result<Self, InvalidId> {
        match id.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::gateway(namespace, name))
            }
            _ => Err(InvalidId(id.to_owned())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all gateways"),
            Self::Namespace(namespace) => write!(f, "gateways of namespace {namespace}"),
            Self::Gateway { namespace, name } => write!(f, "gateway {namespace}/{name}"),
        }
    }
}

/// What the server knows about a licence. Ours needs none; the payload is there for tools that ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct License {
    /// Names of the features that are switched on.
    pub enabled_features: Vec<String>,
    /// Kind of subscription.
    pub subscription_type: String,
    /// When the licence was looked at last, as text.
    pub last_updated: String,
    /// Why the rest means nothing; empty if it does.
    pub last_error: String,
}

impl Default for License {
    /// Every feature, for free.
    fn default() -> Self {
        let features = ["UserQuota", "STUNServer", "DaemonSet", "RelayAddressDiscovery", "TURNOffload"];
        Self {
            enabled_features: features.map(str::to_owned).to_vec(),
            subscription_type: "free".to_owned(),
            last_updated: "N/A".to_owned(),
            last_error: String::new(),
        }
    }
}

/// A text as one unmasked frame of a WebSocket ([RFC 6455, section 5.2]), as servers send it.
///
/// [RFC 6455, section 5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
pub(crate) fn frame(text: &str) -> Bytes {
    const FINAL_TEXT: u8 = 0x81;
    let mut frame = Vec::with_capacity(text.len() + 10);
    frame.push(FINAL_TEXT);
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(length @ ..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(127);
            frame.extend((text.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text.as_bytes());
    frame.into()
}

/// Answer to a request that cannot be fulfilled.
#[derive(Serialize)]
pub(crate) struct Refusal {
    pub(crate) code: u16,
    pub(crate) message: String,
}

/// Answer that lists configurations, which are JSON already.
pub(crate) fn list(configs: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = configs.into_iter().collect();
    format!(r#"{{"version":"v1","items":[{}]}}"#, items.join(","))
}

/// The configurations of such an answer, as JSON each.
pub(crate) fn items(body: &str) -> Result<Vec<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct List {
        #[serde(default)]
        items: Option<Vec<serde_json::Value>>,
    }
    let list: List = serde_json::from_str(body)?;
    Ok(list.items.unwrap_or_default().iter().map(ToString::to_string).collect())
}

/// The id that a configuration claims, valid or not.
pub(crate) fn claimed_id(document: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Document {
        admin: Admin,
    }
    #[derive(Deserialize)]
    struct Admin {
        name: String,
    }
    serde_json::from_str::<Document>(document).ok().map(|document| document.admin.name)
}

fn encoded(segment: &str) -> String {
    segment.bytes().fold(String::with_capacity(segment.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
