//! From the name of a server to an allocation on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use net::DtlsTrust;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use turn::addr::{Family, Transport};
use turn::client::{Client, End, Event, Settings};

use crate::clock;
use crate::dtls::{Failure, Session};
use crate::login::Login;
use crate::relay::{Incoming, Relay, RelayError};
use crate::server::Server;
use crate::tls::Trust;
use crate::wire::{self, Reader, Writer};

/// How often a server may send its clients on before that is taken for a circle.
const MAX_REDIRECTS: usize = 3;

/// What it takes to get an allocation, as often as one is needed.
#[derive(Clone, Debug)]
pub struct Dialer {
    /// Where to.
    pub server: Server,
    /// Who asks.
    pub login: Login,
    /// Whom to believe, over TLS and DTLS.
    pub trust: Trust,
    /// The family of the relayed address.
    pub family: Family,
    /// How long one address of the server may take.
    pub patience: Duration,
}

/// Why there is no allocation.
#[derive(Debug, Error)]
pub enum DialError {
    /// Its name means nothing.
    #[error("cannot find the server {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What went wrong.
        source: io::Error,
    },
    /// Nobody accepts connections there.
    #[error("cannot connect to {server} at {address}: {source}")]
    Connect {
        /// The server.
        server: Server,
        /// The address tried last.
        address: SocketAddr,
        /// What went wrong.
        source: io::Error,
    },
    /// TLS or DTLS cannot be set up.
    #[error("{} with {server}: {problem}", protection(.server))]
    Tls {
        /// The server.
        server: Server,
        /// What is wrong, and what to do about it.
        problem: String,
    },
    /// It does not answer.
    #[error("{server} at {address} does not answer within {patience:?}; is it reachable, and is it TURN?")]
    TimedOut {
        /// The server.
        server: Server,
        /// The address tried last.
        address: SocketAddr,
        /// How long was waited.
        patience: Duration,
    },
    /// It gives no allocation.
    #[error("{server}: {end}")]
    Refused {
        /// The server.
        server: Server,
        /// Why.
        end: End,
    },
    /// Servers send their clients around.
    #[error("{server} was the last of {MAX_REDIRECTS} servers that named another one")]
    Redirects {
        /// The last one.
        server: Server,
    },
}

fn protection(server: &Server) -> &'static str {
    if server.transport == Transport::Dtls { "DTLS" } else { "TLS" }
}

impl Dialer {
    /// An IPv4 allocation from this server, with the authorities of this machine and ten seconds of patience.
    pub fn new(server: Server, login: Login) -> Self {
        Self { server, login, trust: Trust::default(), family: Family::V4, patience: Duration::from_secs(10) }
    }

    /// Gets an allocation: from the first address of the server that gives one, or from the server it names.
    ///
    /// # Errors
    /// [`DialError`], of the address tried last.
    pub async fn dial(&self) -> Result<Relay, DialError> {
        let mut server = self.server.clone();
        let mut trust = self.trust.clone();
        for _ in 0..=MAX_REDIRECTS {
            match self.dial_server(&server, &trust).await {
                Err(DialError::Refused { end: End::Redirected { server: other, domain }, .. }) => {
                    tracing::info!("{server} sends its clients to {other}");
                    server = Server::new(server.transport, other.ip().to_string(), other.port());
                    trust.server_name = domain.or(trust.server_name);
                }
                done => return done,
            }
        }
        Err(DialError::Redirects { server })
    }

    async fn dial_server(&self, server: &Server, trust: &Trust) -> Result<Relay, DialError> {
        let not_found = |source| DialError::Resolve { host: server.host.clone(), source };
        let addresses = lookup_host((server.host.as_str(), server.port)).await.map_err(not_found)?;
        let mut last = not_found(io::Error::new(io::ErrorKind::NotFound, "the name has no addresses"));
        for address in addresses {
            let attempt = self.dial_address(server, trust, address);
            let failure = match timeout(self.patience, attempt).await {
                Ok(Ok(relay)) => return Ok(relay),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    let (server, patience) = (server.clone(), self.patience);
                    DialError::TimedOut { server, address, patience }
                }
            };
            // Another address of the same server would say the same.
            if matches!(failure, DialError::Refused { .. }) {
                return Err(failure);
            }
            last = failure;
        }
        Err(last)
    }

    async fn dial_address(
        &self,
        server: &Server,
        trust: &Trust,
        address: SocketAddr,
    ) -> Result<Relay, DialError> {
        let wire = connect(server, trust, address).await?;
        let now = clock::now();
        let (credentials, renew_after) = self.login.credentials(clock::unix());
        let settings = Settings { family: self.family, ..Settings::new(server.transport, credentials) };
        let core = Client::new(settings, ChaCha20Rng::from_os_rng(), now);
        let renew_at = renew_after.map(|after| now + after);
        let mut relay = Relay::new(server.clone(), core, wire, self.login.clone(), renew_at);
        loop {
            match relay.next().await {
                Ok(Incoming::Event(Event::Allocated(_))) => return Ok(relay),
                Ok(Incoming::Event(_) | Incoming::Data(_)) => {}
                Err(RelayError::Ended(end)) => {
                    return Err(DialError::Refused { server: server.clone(), end });
                }
                Err(RelayError::Io(source)) => {
                    return Err(DialError::Connect { server: server.clone(), address, source });
                }
            }
        }
    }
}

async fn connect(server: &Server, trust: &Trust, address: SocketAddr) -> Result<(Reader, Writer), DialError> {
    let failed = |source| DialError::Connect { server: server.clone(), address, source };
    let bad = |problem: String| DialError::Tls { server: server.clone(), problem };
    let name = || {
        let name = trust.server_name.as_deref().unwrap_or(&server.host);
        ServerName::try_from(name.to_owned())
            .map_err(|_| bad(format!("{name:?} cannot be the name in a certificate")))
    };
    match server.transport {
        Transport::Udp => Ok(wire::datagrams(connect_udp(address).await.map_err(failed)?, None)),
        Transport::Dtls => {
            let verifier = trust.verifier().map_err(|error| bad(error.to_string()))?;
            let trust = DtlsTrust { verifier, name: name()?, time: Duration::from_secs(clock::unix()) };
            let socket = connect_udp(address).await.map_err(failed)?;
            match Session::open(&socket, trust).await {
                Ok(session) => Ok(wire::datagrams(socket, Some(session))),
                Err(Failure::Io(error)) => Err(failed(error)),
                Err(Failure::Dtls(error)) => Err(bad(error.to_string())),
            }
        }
        Transport::Tcp => Ok(wire::stream(Box::new(connect_tcp(address).await.map_err(failed)?))),
        Transport::Tls => {
            let (name, config) = (name()?, trust.config().map_err(|error| bad(error.to_string()))?);
            let tcp = connect_tcp(address).await.map_err(failed)?;
            let connector = TlsConnector::from(Arc::new(config));
            let tls = connector.connect(name, tcp).await.map_err(|error| bad(error.to_string()))?;
            Ok(wire::stream(Box::new(tls)))
        }
    }
}

async fn connect_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket)
}

async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
