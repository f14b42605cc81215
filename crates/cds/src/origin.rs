//! The text that says where configurations come from.

use std::{fmt, path::PathBuf, str::FromStr};

use crate::wire;

/// Where configurations come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file that holds one configuration.
    File(PathBuf),
    /// A discovery server.
    Http(Server),
    /// A discovery server to be found through the Kubernetes API.
    Kubernetes,
}

/// Where a discovery server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// IP address (without brackets) or host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What was given behind that; empty or starting with a slash. Requests replace it.
    pub path: String,
}

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid config origin {origin:?}: {problem}; write a path, file://PATH, http://HOST:PORT or k8s")]
pub struct InvalidOrigin {
    origin: String,
    problem: &'static str,
}

impl Server {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    /// Reads `file://PATH`, `http://`, `https://`, `ws://` or `wss://HOST:PORT`, and `k8s`. Without any of those, a text
    /// that starts like a path or names an existing file is a file, and everything else is `HOST:PORT`, with either
    /// part optional: `:13478` is a server on this machine. The port is [`wire::DEFAULT_PORT`], or that of the scheme
    /// if one is given.
    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |problem| InvalidOrigin { origin: text.to_owned(), problem };
        if text == "k8s" {
            return Ok(Self::Kubernetes);
        }
        match text.split_once("://") {
            Some(("file", "")) => Err(invalid("no path")),
            Some(("file", path)) => Ok(Self::File(PathBuf::from(path))),
            Some(("http" | "ws", rest)) => server(rest, false, 80).map(Self::Http).map_err(invalid),
            Some(("https" | "wss", rest)) => server(rest, true, 443).map(Self::Http).map_err(invalid),
            Some(_) => Err(invalid("unknown scheme")),
            None if is_path(text) => Ok(Self::File(PathBuf::from(text))),
            None => server(text, false, wire::DEFAULT_PORT).map(Self::Http).map_err(invalid),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Http(server) => {
                let scheme = if server.tls { "https" } else { "http" };
                write!(f, "{scheme}://{}{}", server.authority(), server.path)
            }
            Self::Kubernetes => f.write_str("k8s"),
        }
    }
}

fn is_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start)) || std::path::Path::new(text).is_file()
}

fn server(text: &str, tls: bool, default_port: u16) -> Result<Server, &'static str> {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or("no closing bracket")?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port {
        "" | ":" => default_port,
        port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or("not a port")?,
    };
    if text.is_empty()
        || !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'))
    {
        return Err("not a host");
    }
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    Ok(Server { tls, host: host.to_owned(), port, path: path.to_owned() })
}
