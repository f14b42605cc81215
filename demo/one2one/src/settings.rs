//! Everything the application needs to know, as one value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::auth_service::AuthService;
use crate::limits::Limits;
use crate::switchboard::Timing;

/// The settings of [`Application::bind`](crate::Application::bind).
#[derive(Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// Host name or address that visitors type, for the printed URL and the certificate.
    pub host: String,
    /// Where the ICE configurations come from.
    pub auth: AuthService,
    /// Folder with `server.crt` and `server.key`; without it, or without these files, a certificate is made.
    pub keys: Option<PathBuf>,
    /// Origins besides our own that may open the WebSocket, as in `https://calls.example.com`.
    pub origins: Vec<String>,
    /// What one visitor may ask for.
    pub limits: Limits,
    /// How long calls ring and credentials live.
    pub timing: Timing,
    /// How often a quiet connection is probed; after three probes without a sign of life it is closed.
    pub ping: Duration,
}

impl Settings {
    /// The defaults, with the authentication service at `host` and `port`.
    pub fn new(listen: Listen, auth_host: impl Into<String>, auth_port: u16) -> Self {
        let timing = Timing::default();
        Self {
            listen,
            host: "localhost".to_owned(),
            auth: AuthService {
                host: auth_host.into(),
                port: auth_port,
                filter: Default::default(),
                ttl: timing.credential_ttl,
            },
            keys: None,
            origins: Vec::new(),
            limits: Limits::default(),
            timing,
            ping: Duration::from_secs(20),
        }
    }
}

/// The application's listening socket.
#[derive(Debug)]
pub enum Listen {
    /// All interfaces, IPv6 and IPv4, on this port; 0 lets the system choose.
    Everywhere(u16),
    /// This address; port 0 lets the system choose.
    Address(SocketAddr),
    /// A socket that already listens.
    Socket(std::net::TcpListener),
}
