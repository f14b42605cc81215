//! The server's side of TLS, with a certificate that is renewed while it is served.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// How old what was read of the files may be when a connection comes.
const FRESH: Duration = Duration::from_secs(1);

/// A certificate and its key, in files that may change. They are looked at when a connection comes; a pair that cannot
/// be used is logged, and the one before stays.
#[derive(Clone)]
pub struct Tls {
    files: Arc<Files>,
    state: Arc<Mutex<State>>,
}

/// A certificate that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve TLS with {certificate} and {key}: {problem}")]
pub struct TlsError {
    certificate: String,
    key: String,
    problem: String,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

struct State {
    /// What was in the files, served or not.
    read: (Vec<u8>, Vec<u8>),
    looked: Instant,
    config: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.files.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// The pair in these files of the PEM format: the certificate with its chain, and its key.
    ///
    /// # Errors
    /// One of the files cannot be read, or they are no pair.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let files = Files { certificate, key };
        let read = files.read().map_err(|error| files.error(error.to_string()))?;
        let config = config(&read.0, &read.1).map_err(|problem| files.error(problem))?;
        let state = State { read, looked: Instant::now(), config };
        Ok(Self { files: Arc::new(files), state: Arc::new(Mutex::new(state)) })
    }

    /// What connections from now on are served with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(state.looked) >= FRESH {
            state.looked = now;
            if let Err(error) = self.files.renew(&mut state) {
                tracing::warn!(target: "http-server", %error, "the certificate of before stays");
            }
        }
        TlsAcceptor::from(Arc::clone(&state.config))
    }
}

impl Files {
    fn read(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        Ok((fs::read(&self.certificate)?, fs::read(&self.key)?))
    }

    /// Takes what is in the files, if it is something else than before.
    fn renew(&self, state: &mut State) -> Result<(), TlsError> {
        let read = self.read().map_err(|error| self.error(error.to_string()))?;
        if read != state.read {
            let renewed = config(&read.0, &read.1).map_err(|problem| self.error(problem));
            // What is broken is told once.
            state.read = read;
            state.config = renewed?;
            tracing::info!(target: "http-server", certificate = %self.certificate.display(), "serving another certificate");
        }
        Ok(())
    }

    fn error(&self, problem: String) -> TlsError {
        let [certificate, key] = [&self.certificate, &self.key].map(|path| path.display().to_string());
        TlsError { certificate, key, problem }
    }
}

fn config(certificate: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| format!("the certificate is not in the PEM format: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(key);
    let key = key.map_err(|error| format!("the key is not in the PEM format: {error}"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let config = builder.with_no_client_auth().with_single_cert(chain, key);
    config.map(Arc::new).map_err(|error| error.to_string())
}
