//! TURN URIs that carry a whole server configuration: `turn://user:password@host:port?transport=udp`.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::{
    Admin, Auth, AuthKind, Cluster, Config, Credentials, DEFAULT_PORT, Error, Listener, Protocol, Secret,
    http_endpoint::split_authority,
};

/// Port of a TLS or DTLS server whose URI gives none.
pub const DEFAULT_SECURE_PORT: u16 = 443;

/// A TURN server and how to authenticate with it.
///
/// Reads the form of RFC 7065 (`turn:host:port?transport=udp`) and that of a URL (`turn://...`), both with optional
/// percent-encoded `user:password@`; the scheme may be missing. Prints the form of RFC 7065, without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnUri {
    /// What the server speaks.
    pub protocol: Protocol,
    /// IP address (IPv6 without brackets) or host name.
    pub host: String,
    /// The port given, or the default of the protocol.
    pub port: u16,
    /// User name; empty if none is given.
    pub username: Secret,
    /// Password; empty if none is given.
    pub password: Secret,
}

impl TurnUri {
    /// Configuration of a server that listens where the URI points to, accepts its credentials and relays to anyone.
    ///
    /// `certificate` is the pair of [`Listener::cert`] and [`Listener::key`], needed for TLS and DTLS only.
    ///
    /// # Errors
    /// The URI has no user name or password, or no certificate is given where one is needed.
    pub fn to_config(&self, certificate: Option<(String, Secret)>) -> Result<Config, Error> {
        if self.username.is_empty() || self.password.is_empty() {
            return Err(Error::new(
                "",
                "username/password must be set",
                "write the URI as turn://user:password@address:port",
            ));
        }
        let (cert, key) = certificate.unwrap_or_default();
        let is_ipv6 = matches!(self.host.parse(), Ok(IpAddr::V6(_)));
        let anyone = if is_ipv6 { &["0.0.0.0/0", "::/0"][..] } else { &["0.0.0.0/0"] };
        let config = Config {
            admin: Admin::default(),
            auth: Auth {
                kind: AuthKind::Static,
                credentials: Credentials::for_user(self.username.expose(), self.password.expose()),
                ..Auth::default()
            },
            listeners: vec![Listener {
                name: "default-listener".to_owned(),
                protocol: self.protocol,
                address: self.host.clone(),
                port: self.port,
                cert,
                key,
                routes: vec!["allow-any".to_owned()],
                ..Listener::default()
            }],
            clusters: vec![Cluster {
                name: "allow-any".to_owned(),
                endpoints: anyone.iter().map(ToString::to_string).collect(),
                ..Cluster::default()
            }],
            ..Config::default()
        };
        config.validate()
    }
}

impl FromStr for TurnUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = split_scheme(text);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let protocol = protocol(scheme, transport(query)).ok_or_else(|| {
            invalid(
                text,
                "invalid scheme/protocol in URI",
                "use turn: or turns: with transport=udp, tcp, tls or dtls",
            )
        })?;
        let (userinfo, authority) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (username, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let credential = |encoded| {
            percent_decode(encoded).map(Secret::from).ok_or_else(|| {
                invalid(text, "bad percent-encoding in URI", "write special characters as %XX")
            })
        };
        let bad_host = || invalid(text, "invalid host in URI", "write an address or name, IPv6 in brackets");
        let (host, port) = split_authority(authority.trim_end_matches('/')).ok_or_else(bad_host)?;
        if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c)) {
            return Err(bad_host());
        }
        let port = match port {
            "" if protocol.is_secure() => DEFAULT_SECURE_PORT,
            "" => DEFAULT_PORT,
            port => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
                invalid(text, &format!("invalid port: {port}"), "give a number from 1 to 65535")
            })?,
        };
        let (username, password) = (credential(username)?, credential(password)?);
        Ok(Self { protocol, host: host.to_owned(), port, username, password })
    }
}

impl fmt::Display for TurnUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, transport) = (self.protocol.uri_scheme(), self.protocol.transport());
        if self.host.contains(':') {
            write!(f, "{scheme}:[{}]:{}?transport={transport}", self.host, self.port)
        } else {
            write!(f, "{scheme}:{}:{}?transport={transport}", self.host, self.port)
        }
    }
}

/// The text up to `://`, or up to `:` if it is a scheme of ours: without that, `host:port` would have one.
fn split_scheme(text: &str) -> (&str, &str) {
    if let Some((scheme, rest)) = text.split_once("://") {
        return (scheme, rest);
    }
    match text.split_once(':') {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("turn") || scheme.eq_ignore_ascii_case("turns") =>
        {
            (scheme, rest)
        }
        _ => ("", text.strip_prefix("//").unwrap_or(text)),
    }
}

fn transport(query: &str) -> &str {
    query.split('&').find_map(|item| item.strip_prefix("transport=")).unwrap_or_default()
}

/// `transport=tls` and `transport=dtls` are an older way to write what `turns:` says.
fn protocol(scheme: &str, transport: &str) -> Option<Protocol> {
    match (scheme.to_ascii_lowercase().as_str(), transport.to_ascii_lowercase().as_str()) {
        ("" | "turn" | "turns", "tls") | ("turns", "tcp") => Some(Protocol::Tls),
        ("" | "turn" | "turns", "dtls") | ("turns", "" | "udp") => Some(Protocol::Dtls),
        ("" | "turn", "" | "udp") => Some(Protocol::Udp),
        ("" | "turn", "tcp") => Some(Protocol::Tcp),
        _ => None,
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let high = char::from(digits[0]).to_digit(16)?;
        let low = char::from(digits[1]).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Names the URI without what stands before an `@`.
fn invalid(uri: &str, problem: &str, remedy: &str) -> Error {
    let shown = match uri.rsplit_once('@') {
        Some((_, public)) => format!("<SECRET>@{public}"),
        None => uri.to_owned(),
    };
    Error::new("", format!("{problem}: {shown:?}"), remedy)
}
