//! What a client has to say.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun::attribute::{AlternateDomain, AlternateServer, ErrorCode};
use stun::{ChannelNumber, Message, Method};

use crate::addr::unmapped;

/// What a client wants done, or known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the server.
    Send(Vec<u8>),
    /// Something happened.
    Event(Event),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is an allocation.
    Allocated(Allocated),
    /// A host is permitted.
    Permitted(IpAddr),
    /// A peer has a channel.
    Bound {
        /// The peer.
        peer: SocketAddr,
        /// Its channel.
        channel: ChannelNumber,
    },
    /// A host may not be reached, not or not any longer, or got no channel.
    Refused {
        /// The host.
        peer: IpAddr,
        /// Why.
        failure: Failure,
    },
    /// There is no allocation, and there will be none. This is the last event.
    Ended(End),
}

/// The addresses of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Where peers send to, and where they see packets come from.
    pub relayed: SocketAddr,
    /// How the server sees the client, if it says so.
    pub mapped: Option<SocketAddr>,
    /// How long the server keeps it without being asked to.
    pub lifetime: Duration,
}

/// Why there is no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It was given back.
    Released,
    /// Another server shall be asked ([RFC 8489 section 10](https://www.rfc-editor.org/rfc/rfc8489#section-10)).
    Redirected {
        /// Which.
        server: SocketAddr,
        /// The name in its certificate, if it has one.
        domain: Option<String>,
    },
    /// Allocating or refreshing failed.
    Failed(Failure),
    /// The server's answer makes no sense: no relayed address.
    Malformed,
    /// Somebody took the password algorithms out of the server's answer, to make the client use a weaker one
    /// ([RFC 8489 section 9.2.5](https://www.rfc-editor.org/rfc/rfc8489#section-9.2.5)).
    Weakened,
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server said no.
    Refused(Refusal),
    /// The server said nothing.
    NoAnswer {
        /// To what.
        method: Method,
    },
}

/// How the server said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// To what.
    pub method: Method,
    /// The error code; 0 if there was none.
    pub code: u16,
    /// Its reason in words; what the code stands for if the server gave none.
    pub reason: String,
}

impl Refusal {
    pub(super) fn read(message: &Message<'_>) -> Self {
        let (code, reason) = match message.get::<ErrorCode<'_>>() {
            Ok(Some(error)) => {
                let known = ErrorCode::named(error.code()).map_or("", |known| known.reason());
                (error.code(), if error.reason().is_empty() { known } else { error.reason() })
            }
            Ok(None) | Err(_) => (0, "no error code"),
        };
        // It is shown to people, on terminals.
        let reason = reason.chars().filter(|c| !c.is_control()).collect();
        Self { method: message.method(), code, reason }
    }
}

pub(super) fn redirected(message: &Message<'_>) -> Option<End> {
    let AlternateServer(server) = message.get().ok()??;
    let domain = message.get::<AlternateDomain<'_>>().ok()?.map(|domain| domain.as_str().to_owned());
    Some(End::Redirected { server: unmapped(server), domain })
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released => f.write_str("released"),
            Self::Redirected { server, .. } => write!(f, "the server sends its clients to {server}"),
            Self::Failed(failure) => failure.fmt(f),
            Self::Malformed => f.write_str("the server's answer has no relayed address"),
            Self::Weakened => {
                f.write_str("the server's answer was changed on its way to weaken the password")
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Refusal { method, code, reason }) => {
                write!(f, "the server refuses {method:?}: {code} {reason}")
            }
            Self::NoAnswer { method } => write!(f, "the server does not answer {method:?}"),
        }
    }
}

impl std::error::Error for End {}
impl std::error::Error for Failure {}
