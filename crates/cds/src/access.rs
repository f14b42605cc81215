//! The way to a server: another one than its address, whom to trust there, and who asks.

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
};

use http::HeaderValue;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{Error, origin::Server};

/// Bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection to a server, whatever it is made of.
pub type Connection = Box<dyn Io>;

/// A connection under way.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

/// Opens connections to a server that cannot be reached by its address.
pub type Dial = Arc<dyn Fn() -> Dialling + Send + Sync>;

/// How a server is reached. By default at its address, without a token, and trusting the authorities of this machine.
#[derive(Clone, Default)]
pub struct Access {
    /// Another way to the server than its host and port.
    pub dial: Option<Dial>,
    /// File with the token that says who asks. Read for each connection, because tokens are renewed.
    pub token_file: Option<PathBuf>,
    /// Who may have signed the server's certificate, if it speaks TLS; those this machine trusts if left out.
    pub authority: Option<Authority>,
    /// The name that has to be in the server's certificate, if that is not its host.
    pub server_name: Option<String>,
}

/// Certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// In a file of the PEM format, read for each connection.
    File(PathBuf),
    /// In the PEM format.
    Pem(String),
}

impl From<&str> for Authority {
    /// A text in the PEM format is one, and any other names a file.
    fn from(text: &str) -> Self {
        if text.contains("-----BEGIN") { Self::Pem(text.to_owned()) } else { Self::File(text.into()) }
    }
}

impl Access {
    /// The way to a server's own address, with the token and the authorities that flags name.
    pub fn new(token_file: Option<&Path>, authority: Option<&str>, server_name: Option<&str>) -> Self {
        Self {
            dial: None,
            token_file: token_file.map(Path::to_owned),
            authority: authority.map(Authority::from),
            server_name: server_name.map(str::to_owned),
        }
    }

    /// What the header `Authorization` says, if there is a token.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, Error> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let token = fs::read_to_string(path).map_err(|error| Error::File { path: path.clone(), error })?;
        let header = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut header = header.map_err(|_| Error::Token(path.clone()))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    fn tls(&self) -> Result<ClientConfig, Error> {
        let mut roots = RootCertStore::empty();
        match &self.authority {
            Some(authority) => {
                for certificate in authority.certificates()? {
                    roots.add(certificate).map_err(|error| Error::Authority(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(Error::Authority("there is no certificate in it".to_owned()));
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| Error::Authority(error.to_string()))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

impl Authority {
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let pem = match self {
            Self::File(path) => fs::read(path).map_err(|error| Error::File { path: path.clone(), error })?,
            Self::Pem(text) => text.clone().into_bytes(),
        };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        certificates.map_err(|error| Error::Authority(error.to_string()))
    }
}

/// Connects to a server.
pub(crate) async fn connect(server: &Server, access: &Access) -> Result<Connection, Error> {
    let failed = |error| Error::Connect { authority: server.authority(), error };
    let stream = match &access.dial {
        Some(dial) => dial().await.map_err(failed)?,
        None => {
            let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            Box::new(stream)
        }
    };
    if !server.tls {
        return Ok(stream);
    }
    let broken = |error| Error::Tls { authority: server.authority(), error };
    let name = access.server_name.as_ref().unwrap_or(&server.host);
    let name = ServerName::try_from(name.clone()).map_err(|error| broken(io::Error::other(error)))?;
    let connector = TlsConnector::from(Arc::new(access.tls()?));
    Ok(Box::new(connector.connect(name, stream).await.map_err(broken)?))
}
