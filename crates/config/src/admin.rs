use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{Error, HttpEndpoint, Secret};

/// Instance name of a configuration that gives none.
pub const DEFAULT_NAME: &str = "default-stunnerd";
/// Log specification of a configuration that gives none.
pub const DEFAULT_LOGLEVEL: &str = "all:INFO";
/// Health check endpoint of a configuration that does not mention one.
pub const DEFAULT_HEALTHCHECK_ENDPOINT: &str = "http://:8086";

/// Settings of the process as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// Instance id, `namespace/gateway` when the configuration comes from discovery.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Comma-separated `scope:LEVEL` items, for instance `all:INFO,turn:DEBUG`. Parts that make no sense are ignored by
    /// the logger, so any text is valid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub loglevel: String,
    /// `http://address:port/path` of the metrics server; empty means none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metrics_endpoint: String,
    /// `http://address:port` of the health check server. `None` stands for [`DEFAULT_HEALTHCHECK_ENDPOINT`] (which is
    /// what validation replaces it by), the empty text for no health check server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck_endpoint: Option<String>,
    /// Most allocations one user may hold at a time; 0 is no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub user_quota: u32,
    /// Which kernel offload to try.
    pub offload_engine: OffloadEngine,
    /// Network interfaces to offload on, sorted; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offload_interfaces: Vec<String>,
    /// What one client may have at a time. The original knows no such section and ignores it.
    #[serde(skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// Licence of the original's paid features. Stored and passed on; every feature works without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license_config: Option<LicenseConfig>,
}

impl Admin {
    /// Where the metrics server listens, if there is one: port 8080 and path `/` unless given.
    ///
    /// # Errors
    /// [`Admin::metrics_endpoint`] does not name an HTTP endpoint.
    pub fn metrics(&self) -> Result<Option<HttpEndpoint>, Error> {
        HttpEndpoint::parse(&self.metrics_endpoint, 8080).map_err(|error| error.within("metrics_endpoint"))
    }

    /// Where the health check server listens, if there is one: port 8086 unless given. The path has no meaning.
    ///
    /// # Errors
    /// [`Admin::healthcheck_endpoint`] does not name an HTTP endpoint.
    pub fn healthcheck(&self) -> Result<Option<HttpEndpoint>, Error> {
        let endpoint = self.healthcheck_endpoint.as_deref().unwrap_or(DEFAULT_HEALTHCHECK_ENDPOINT);
        HttpEndpoint::parse(endpoint, 8086).map_err(|error| error.within("healthcheck_endpoint"))
    }
}

/// What one client may have at a time; 0 is the default of each, which is given with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Permissions of one allocation: 256.
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub permissions: u16,
    /// Channels of one allocation: 256.
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub channels: u16,
    /// TCP connections between one allocation and peers, those under way included: 64.
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub connections: u16,
    /// Allocations of one IPv4 address, or of one IPv6 network of 64 bits: no limit.
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub allocations_per_address: u16,
    /// TLS and DTLS handshakes in flight: 512 at each worker, of DTLS for each listener.
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub handshakes: u16,
    /// Those of them from one IPv4 address, or from one IPv6 network of 64 bits: 128. All clients behind a load
    /// balancer that hides their addresses are one.
    #[serde(skip_serializing_if = "is_zero_u16")]
    pub handshakes_per_address: u16,
}

impl Limits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Licence key as the original expects it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LicenseConfig {
    /// The licence itself.
    pub key: Secret,
    /// Its authentication code.
    pub hmac: Secret,
}

/// Kernel offload of relayed packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OffloadEngine {
    /// Relay in user space.
    #[default]
    None,
    /// eBPF program at the driver.
    Xdp,
    /// eBPF program at traffic control.
    Tc,
    /// The best one that works on this machine.
    Auto,
}

impl OffloadEngine {
    /// Canonical spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Xdp => "XDP",
            Self::Tc => "TC",
            Self::Auto => "Auto",
        }
    }
}

impl FromStr for OffloadEngine {
    type Err = Error;

    /// Reads any capitalisation; the empty text is the default.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        [Self::None, Self::Xdp, Self::Tc, Self::Auto]
            .into_iter()
            .find(|engine| engine.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                Error::new("", format!("unknown offload engine: {text:?}"), "use None, XDP, TC or Auto")
            })
    }
}

impl fmt::Display for OffloadEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for OffloadEngine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn is_zero_u16(number: &u16) -> bool {
    *number == 0
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
