use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{Endpoint, Error};

/// A set of peers that clients may be relayed to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// Unique among the clusters; `namespace/route` when rendered from a UDPRoute.
    pub name: String,
    /// How to read the endpoints.
    #[serde(rename = "type")]
    pub kind: ClusterKind,
    /// What peers speak.
    pub protocol: ClusterProtocol,
    /// Static: address ranges in the notation of [`Endpoint`], in canonical spelling and sorted once validated.
    /// Strict DNS: domain names, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
}

/// How to read a cluster's endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClusterKind {
    /// Addresses.
    #[default]
    Static,
    /// Domain names to resolve, again and again.
    StrictDns,
}

/// What a cluster's peers speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClusterProtocol {
    /// UDP relaying (RFC 8656).
    #[default]
    Udp,
    /// TCP relaying (RFC 6062).
    Tcp,
}

impl Cluster {
    /// The address ranges of a static cluster, in the order of [`Cluster::endpoints`]; nothing for a strict DNS one.
    ///
    /// # Errors
    /// An endpoint is not in the notation of [`Endpoint`]. Cannot happen once the cluster is validated.
    pub fn parsed_endpoints(&self) -> Result<Vec<Endpoint>, Error> {
        match self.kind {
            ClusterKind::StrictDns => Ok(Vec::new()),
            ClusterKind::Static => {
                let endpoint = |(at, text): (usize, &String)| {
                    text.parse().map_err(|error| {
                        Error::new(
                            format!("endpoints[{at}]"),
                            format!("invalid endpoint {text:?}: {error}"),
                            "write an address or prefix with an optional port range, as in 10.1.0.0/16:<1000-2000>",
                        )
                    })
                };
                self.endpoints.iter().enumerate().map(endpoint).collect()
            }
        }
    }

    /// The domain names of a strict DNS cluster; nothing for a static one.
    pub fn domains(&self) -> &[String] {
        match self.kind {
            ClusterKind::Static => &[],
            ClusterKind::StrictDns => &self.endpoints,
        }
    }
}

impl ClusterKind {
    /// Canonical spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::StrictDns => "STRICT_DNS",
        }
    }
}

impl FromStr for ClusterKind {
    type Err = Error;

    /// Reads any capitalisation; the empty text is the default.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_uppercase().as_str() {
            "" | "STATIC" => Ok(Self::Static),
            "STRICT_DNS" => Ok(Self::StrictDns),
            _ => Err(Error::new("", format!("unknown cluster type: {text:?}"), "use STATIC or STRICT_DNS")),
        }
    }
}

impl fmt::Display for ClusterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ClusterKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl ClusterProtocol {
    /// Canonical spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

impl FromStr for ClusterProtocol {
    type Err = Error;

    /// Reads any capitalisation; the empty text is the default.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_uppercase().as_str() {
            "" | "UDP" => Ok(Self::Udp),
            "TCP" => Ok(Self::Tcp),
            _ => Err(Error::new("", format!("unknown cluster protocol: {text:?}"), "use UDP or TCP")),
        }
    }
}

impl fmt::Display for ClusterProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ClusterProtocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
