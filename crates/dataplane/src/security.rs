//! What protects the bytes between a listener and its clients.

use config::{Listener, Protocol};
use net::{Identity, TlsAcceptor};
use thiserror::Error;

/// Why a listener cannot protect anybody.
#[derive(Debug, Error)]
#[error(
    "listener {listener:?}: cannot load cert/key pair: {problem}; give the chain, the listener's own certificate first, \
     and the key of that one"
)]
pub(crate) struct Unusable {
    listener: String,
    problem: String,
}

/// How a listener's clients are protected. Cloning is cheap.
#[derive(Debug, Clone)]
pub(crate) enum Security {
    /// Not at all, which is what TURN-UDP and TURN-TCP are.
    None,
    /// By TLS, from the first byte on.
    Tls { acceptor: TlsAcceptor, identity: Identity },
    /// By DTLS.
    Dtls { identity: Identity },
}

impl Security {
    /// Reads a listener's certificate and key.
    pub(crate) fn of(listener: &Listener) -> Result<Self, Unusable> {
        let unusable = |problem: &dyn std::error::Error| Unusable {
            listener: listener.name.clone(),
            problem: problem.to_string(),
        };
        match listener.protocol {
            Protocol::Udp | Protocol::Tcp => Ok(Self::None),
            Protocol::Tls | Protocol::Dtls => {
                let chain = listener.certificate_pem().map_err(|error| unusable(&error))?;
                let key = listener.private_key_pem().map_err(|error| unusable(&error))?;
                let identity = Identity::from_pem(&chain, &key).map_err(|error| unusable(&error))?;
                if listener.protocol == Protocol::Dtls {
                    return Ok(Self::Dtls { identity });
                }
                let acceptor = TlsAcceptor::new(&identity).map_err(|error| unusable(&error))?;
                Ok(Self::Tls { acceptor, identity })
            }
        }
    }

    pub(crate) fn tls(&self) -> Option<&TlsAcceptor> {
        match self {
            Self::Tls { acceptor, .. } => Some(acceptor),
            Self::None | Self::Dtls { .. } => None,
        }
    }

    /// What clients may dislike about the certificate.
    pub(crate) fn weakness(&self) -> Option<&'static str> {
        match self {
            Self::Tls { identity, .. } | Self::Dtls { identity } if identity.is_version_1() => Some(
                "its certificate is X.509 version 1, which names no hosts and which some clients refuse; make one \
                 with extensions (openssl x509 -req -extfile FILE)",
            ),
            Self::Tls { .. } | Self::Dtls { .. } | Self::None => None,
        }
    }
}
