use crate::Error;

/// Where a small HTTP server of the process listens: `http://host:port/path` with every part optional, even the scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpEndpoint {
    /// IP address or host name, without brackets; `None` is all addresses of the machine.
    pub host: Option<String>,
    /// TCP port; 0 lets the system choose one.
    pub port: u16,
    /// Path, starting with a slash.
    pub path: String,
}

impl HttpEndpoint {
    /// Reads an endpoint; the empty text is none.
    ///
    /// # Errors
    /// The port is not a number from 0 to 65535, or the host has characters that no host has.
    pub fn parse(text: &str, default_port: u16) -> Result<Option<Self>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let invalid = |problem: &str| {
            Error::new("", format!("invalid endpoint {text:?}: {problem}"), "write http://address:port/path")
        };
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_authority(authority).ok_or_else(|| invalid("not a host and port"))?;
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':')) {
            return Err(invalid("not a host"));
        }
        if path.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(invalid("not a path"));
        }
        let port = match port {
            "" => default_port,
            port => port.parse().map_err(|_| invalid("not a port"))?,
        };
        let path = if path.is_empty() { "/" } else { path };
        Ok(Some(Self { host: (!host.is_empty()).then(|| host.to_owned()), port, path: path.to_owned() }))
    }
}

/// Host without brackets, and port or nothing. A bare IPv6 address is a host without a port.
pub(crate) fn split_authority(authority: &str) -> Option<(&str, &str)> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
        return match rest.strip_prefix(':') {
            _ if !is_address => None,
            None if !rest.is_empty() => None,
            port => Some((host, port.unwrap_or_default())),
        };
    }
    if authority.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((authority, ""));
    }
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    (!port.contains(':')).then_some((host, port))
}
