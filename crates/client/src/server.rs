//! Where a TURN server is.

use std::fmt;

use turn::addr::Transport;

/// A TURN server: what it speaks, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// What carries packets to it.
    pub transport: Transport,
    /// Its name or IP address, IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Server {
    /// A server.
    pub fn new(transport: Transport, host: impl Into<String>, port: u16) -> Self {
        Self { transport, host: host.into(), port }
    }
}

/// The form of [RFC 7065](https://www.rfc-editor.org/rfc/rfc7065), as in `turn:192.0.2.1:3478?transport=udp`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, transport) = match self.transport {
            Transport::Udp => ("turn", "udp"),
            Transport::Tcp => ("turn", "tcp"),
            Transport::Tls => ("turns", "tcp"),
            Transport::Dtls => ("turns", "udp"),
        };
        if self.host.contains(':') {
            write!(f, "{scheme}:[{}]:{}?transport={transport}", self.host, self.port)
        } else {
            write!(f, "{scheme}:{}:{}?transport={transport}", self.host, self.port)
        }
    }
}
