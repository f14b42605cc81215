use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::{Error, Secret};

/// Port of a listener that gives none.
pub const DEFAULT_PORT: u16 = 3478;
/// Stands for the address of the node a dataplane runs on; the discovery server replaces it for each node.
pub const NODE_ADDRESS_PLACEHOLDER: &str = "__node_address_placeholder";
/// Stands for the address of the pod a dataplane runs in; the dataplane replaces it from its environment.
pub const RELAY_ADDRESS_VARIABLE: &str = "$STUNNER_ADDR";

/// One port that clients connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listener {
    /// Unique among the listeners; `namespace/gateway/listener` when rendered from a Gateway.
    pub name: String,
    /// What clients speak on the port.
    pub protocol: Protocol,
    /// Address that clients reach the listener at; empty if not known. Used in TURN URIs and statuses only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_address: String,
    /// Port that clients reach the listener at; 0 if not known. Used in TURN URIs and statuses only.
    #[serde(skip_serializing_if = "is_zero")]
    pub public_port: u16,
    /// Address that relayed candidates carry: an IP address, `localhost`, [`RELAY_ADDRESS_VARIABLE`] or
    /// [`NODE_ADDRESS_PLACEHOLDER`]. Sockets do not bind it; see [`Listener::bind_address`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Port to listen on; validation replaces 0 by [`DEFAULT_PORT`].
    #[serde(skip_serializing_if = "is_zero")]
    pub port: u16,
    /// IP address to bind the listener's sockets to; `None` binds all addresses of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_address: Option<String>,
    /// Certificate chain of a TLS or DTLS listener: PEM in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert: String,
    /// Private key of a TLS or DTLS listener: PEM in base64.
    #[serde(skip_serializing_if = "Secret::is_empty")]
    pub key: Secret,
    /// Ports of relays of this listener, as `FIRST-LAST`; `None` leaves the choice to the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_ports: Option<String>,
    /// Address that relayed candidates of the other family than that of [`Listener::address`] carry: an IP address;
    /// `None` leaves the listener with one family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_address: Option<String>,
    /// Whether clients are told of ICMP errors about what they send to peers (RFC 8656 section 11.5).
    #[serde(skip_serializing_if = "is_false")]
    pub icmp_errors: bool,
    /// Whether clients may take their allocations along to another address of theirs (RFC 8016). Not on DTLS listeners.
    #[serde(skip_serializing_if = "is_false")]
    pub mobility: bool,
    /// Another address of this machine and another port, as `ADDRESS:PORT`: with them, clients of a UDP listener can find
    /// out how their NAT behaves (RFC 5780); `None` offers that to nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_discovery: Option<String>,
    /// Where clients that ask for a relay are sent instead, as `ADDRESS:PORT`; `None` keeps them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alternate_server: Option<String>,
    /// Names of the clusters that clients of this listener may reach, sorted. A name without a cluster admits nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
}

/// What clients speak on a listener's port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TURN over UDP.
    #[default]
    Udp,
    /// TURN over TCP.
    Tcp,
    /// TURN over TLS over TCP.
    Tls,
    /// TURN over DTLS over UDP.
    Dtls,
}

impl Listener {
    /// TURN URI of the listener in the form of RFC 7065, for instance `turn:192.0.2.1:3478?transport=udp`.
    ///
    /// Names the public address and port where they are known and the listener's own where they are not, each for
    /// itself; an address that only the node knows shows as `0.0.0.0`.
    pub fn uri(&self) -> String {
        let (host, port) = self.contact();
        format!("{}:{host}:{port}?transport={}", self.protocol.uri_scheme(), self.protocol.transport())
    }

    /// The same as [`Listener::uri`] in the form of a URL, for instance `turn://192.0.2.1:3478?transport=udp`.
    pub fn url(&self) -> String {
        let (host, port) = self.contact();
        format!("{}://{host}:{port}?transport={}", self.protocol.uri_scheme(), self.protocol.transport())
    }

    /// The address that relayed candidates carry.
    ///
    /// # Errors
    /// [`Listener::address`] is neither an IP address nor `localhost` nor empty (which means `0.0.0.0`); placeholders
    /// have to be replaced first.
    pub fn relay_address(&self) -> Result<IpAddr, Error> {
        parse_address("address", &self.address)
    }

    /// The address to bind sockets to, if not all of them.
    ///
    /// # Errors
    /// [`Listener::bind_address`] is neither an IP address nor `localhost`.
    pub fn bind_ip(&self) -> Result<Option<IpAddr>, Error> {
        match self.bind_address.as_deref() {
            None | Some("") => Ok(None),
            Some(address) => parse_address("bind_address", address).map(Some),
        }
    }

    /// The address that relayed candidates of the other family carry, if there is one.
    ///
    /// # Errors
    /// [`Listener::additional_address`] is not an IP address, or of the family of [`Listener::address`].
    pub fn additional_relay_address(&self) -> Result<Option<IpAddr>, Error> {
        const FIELD: &str = "additional_address";
        let Some(text) = &self.additional_address else { return Ok(None) };
        let problem = |problem: String, remedy| Error::new(FIELD, problem, remedy);
        let additional: IpAddr =
            text.parse().map_err(|_| problem(format!("not an IP address: {text:?}"), "write 2001:db8::1"))?;
        let (first, additional) = (self.relay_address()?.to_canonical(), additional.to_canonical());
        if first.is_unspecified() || additional.is_unspecified() {
            let said = format!("{text:?} beside address {:?}: one of them says nothing", self.address);
            return Err(problem(said, "give both addresses"));
        }
        if first.is_ipv4() == additional.is_ipv4() {
            let said = format!("{text:?} is of the same family as address {:?}", self.address);
            return Err(problem(said, "give an IPv4 and an IPv6 address"));
        }
        Ok(Some(additional))
    }

    /// The address and port of the listener, and the other ones that help clients find out about their NAT, if that is
    /// offered.
    ///
    /// # Errors
    /// [`Listener::nat_discovery`] is not an address with a port; is not of the family of [`Listener::address`], or has
    /// that address or the listener's port; or the listener is not one for UDP on all addresses of the machine.
    pub fn discovery(&self) -> Result<Option<(SocketAddr, SocketAddr)>, Error> {
        let Some(text) = &self.nat_discovery else { return Ok(None) };
        let problem = |problem: String, remedy| Err(Error::new("nat_discovery", problem, remedy));
        let Ok(second) = text.parse::<SocketAddr>() else {
            let said = format!("not an address with a port: {text:?}");
            return problem(said, "write 192.0.2.2:3479 or [2001:db8::2]:3479");
        };
        let ip = self.relay_address()?;
        let is_other = ip != second.ip() && self.port != second.port() && second.port() != 0;
        if !is_other
            || ip.is_ipv4() != second.is_ipv4()
            || ip.is_unspecified()
            || second.ip().is_unspecified()
        {
            let said = format!("{text:?} does not go with address {:?} and port {}", self.address, self.port);
            return problem(said, "give another address of the same family, and another port");
        }
        if self.protocol != Protocol::Udp || self.bind_ip()?.is_some_and(|ip| !ip.is_unspecified()) {
            return problem(
                "only a UDP listener without bind_address can answer from two addresses".to_owned(),
                "leave it out, or use such a listener",
            );
        }
        Ok(Some((SocketAddr::new(ip, self.port), second)))
    }

    /// The lowest and the highest port of relays, if not any.
    ///
    /// # Errors
    /// [`Listener::relay_ports`] is not a range of ports from 1 on.
    pub fn relay_port_range(&self) -> Result<Option<(u16, u16)>, Error> {
        let Some(text) = &self.relay_ports else { return Ok(None) };
        let range = text.split_once('-').and_then(|(first, last)| {
            let range: (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (range.0 > 0 && range.0 <= range.1).then_some(range)
        });
        let problem = || {
            Error::new(
                "relay_ports",
                format!("not a range of ports: {text:?}"),
                "write FIRST-LAST, as in 50000-59999",
            )
        };
        range.map(Some).ok_or_else(problem)
    }

    /// The server that clients are sent to, if any.
    ///
    /// # Errors
    /// [`Listener::alternate_server`] is not an address with a port.
    pub fn alternate(&self) -> Result<Option<SocketAddr>, Error> {
        let Some(text) = &self.alternate_server else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let problem = format!("not an address with a port: {text:?}");
            Error::new("alternate_server", problem, "write 192.0.2.1:3478 or [2001:db8::1]:3478")
        })
    }

    /// The certificate chain of a TLS or DTLS listener, as PEM.
    ///
    /// # Errors
    /// [`Listener::cert`] is empty, is not base64, or does not hold a PEM certificate. Whether the certificate is any
    /// good only a TLS library can tell.
    pub fn certificate_pem(&self) -> Result<Vec<u8>, Error> {
        self.pem("cert", &self.cert, "CERTIFICATE-----").map(|pem| pem.to_vec())
    }

    /// The private key of a TLS or DTLS listener, as PEM.
    ///
    /// # Errors
    /// The same as those of [`Listener::certificate_pem`], for [`Listener::key`].
    pub fn private_key_pem(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.pem("key", self.key.expose(), "PRIVATE KEY-----")
    }

    fn pem(&self, field: &str, text: &str, label: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        const REMEDY: &str = "give PEM in base64, as in the data of a Kubernetes TLS Secret";
        let problem =
            |problem| Error::new(field, format!("cannot load cert/key pair: {field} {problem}"), REMEDY);
        if text.is_empty() {
            return Err(Error::new(
                field,
                format!("empty TLS {field} for {} listener", self.protocol),
                REMEDY,
            ));
        }
        let base64: Zeroizing<Vec<u8>> =
            Zeroizing::new(text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect());
        let pem =
            BASE64_STANDARD.decode(&*base64).map(Zeroizing::new).map_err(|_| problem("is not base64"))?;
        let has = |mark: &str| {
            pem.split(|byte| matches!(byte, b'\r' | b'\n')).any(|line| {
                line.starts_with(mark.as_bytes()) && line.trim_ascii_end().ends_with(label.as_bytes())
            })
        };
        if has("-----BEGIN ") && has("-----END ") {
            Ok(pem)
        } else {
            Err(problem("is not PEM of the right kind"))
        }
    }

    fn contact(&self) -> (String, u16) {
        let host = [&self.public_address, &self.address].into_iter().find(|address| !address.is_empty());
        let host = match host.map(String::as_str) {
            None | Some(NODE_ADDRESS_PLACEHOLDER) => "0.0.0.0",
            Some(host) => host,
        };
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        (host, if self.public_port == 0 { self.port } else { self.public_port })
    }
}

impl Protocol {
    /// Canonical spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "TURN-UDP",
            Self::Tcp => "TURN-TCP",
            Self::Tls => "TURN-TLS",
            Self::Dtls => "TURN-DTLS",
        }
    }

    /// Scheme of TURN URIs: `turn`, or `turns` if the transport is encrypted.
    pub fn uri_scheme(self) -> &'static str {
        if self.is_secure() { "turns" } else { "turn" }
    }

    /// Transport of TURN URIs, which is that of the port: `udp` or `tcp`.
    pub fn transport(self) -> &'static str {
        if self.is_datagram() { "udp" } else { "tcp" }
    }

    /// Whether the port is a UDP port.
    pub fn is_datagram(self) -> bool {
        matches!(self, Self::Udp | Self::Dtls)
    }

    /// Whether clients expect a certificate.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Dtls)
    }
}

impl FromStr for Protocol {
    type Err = Error;

    /// Reads the canonical spellings with or without `TURN-`, in any capitalisation; the empty text is the default.
    fn from_str(text: &str) -> Result<Self, Error> {
        let upper = text.to_ascii_uppercase();
        match upper.strip_prefix("TURN-").unwrap_or(&upper) {
            "UDP" => Ok(Self::Udp),
            "TCP" => Ok(Self::Tcp),
            "TLS" => Ok(Self::Tls),
            "DTLS" => Ok(Self::Dtls),
            "" if text.is_empty() => Ok(Self::default()),
            _ => Err(Error::new(
                "",
                format!("unknown listener protocol: {text:?}"),
                "use TURN-UDP, TURN-TCP, TURN-TLS or TURN-DTLS",
            )),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn parse_address(field: &str, text: &str) -> Result<IpAddr, Error> {
    match text {
        "" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => text.parse().map_err(|_| {
            Error::new(
                field,
                format!("invalid listener address: {text:?}"),
                "give an IP address or localhost",
            )
        }),
    }
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}
