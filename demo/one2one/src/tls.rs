//! The server's certificate: a mounted key pair, or one made when the process starts.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// TLS for the application: the pair `server.crt` and `server.key` in the folder `keys` if there is one, else a new
/// self-signed one for `names`.
///
/// A pair that is there and cannot be used is named in a warning and replaced: the page asks the visitor to accept
/// a certificate either way, and no page at all would be worse.
///
/// # Errors
/// [`TlsError`] if no certificate can be made.
pub(crate) fn server_config(keys: Option<&Path>, names: &[String]) -> Result<ServerConfig, TlsError> {
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let key = match keys.map(|folder| load(folder, &provider)) {
        Some(Ok(Some(key))) => key,
        Some(Ok(None)) | None => make(names, &provider)?,
        Some(Err(error)) => {
            tracing::warn!(%error, "serving a new self-signed certificate instead");
            make(names, &provider)?
        }
    };
    // A resolver, because `with_single_cert` refuses the X.509 version 1 certificates of older manifests.
    let resolver = Arc::new(SingleCertAndKey::from(key));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the pair. `None` if the folder or both files are missing or empty, as in a mount of an empty Secret.
fn load(folder: &Path, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, TlsError> {
    let (crt, key) = (folder.join("server.crt"), folder.join("server.key"));
    let (chain_pem, key_pem) = (read(&crt)?, read(&key)?);
    if chain_pem.is_empty() && key_pem.is_empty() {
        return Ok(None);
    }
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&chain_pem).collect::<Result<_, _>>().unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(crt));
    }
    let Ok(private) = PrivateKeyDer::from_pem_slice(&key_pem) else { return Err(TlsError::NoKey(key)) };
    let private = provider
        .key_provider
        .load_private_key(private)
        .map_err(|error| TlsError::Unusable { path: key, error })?;
    let pair = CertifiedKey::new(chain, private);
    if pair.keys_match() == Err(InconsistentKeys::KeyMismatch.into()) {
        return Err(TlsError::Mismatch(folder.to_owned()));
    }
    tracing::info!(folder = %folder.display(), "serving the mounted certificate");
    Ok(Some(pair))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(TlsError::Read { path: path.to_owned(), error }),
    }
}

/// Makes a key pair and a self-signed certificate for it, valid from yesterday for the 398 days browsers allow.
fn make(names: &[String], provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "STUNner one2one demo");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let day = Duration::from_secs(24 * 3600);
    let today = crate::clock::today();
    params.not_before = (today - day).into();
    params.not_after = (today + day * 397).into();
    let pair = KeyPair::generate()?;
    let certificate = params.self_signed(&pair)?;
    let private = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
    let private = provider.key_provider.load_private_key(private)?;
    tracing::info!(names = names.join(", "), "serving a new self-signed certificate");
    Ok(CertifiedKey::new(vec![certificate.der().clone()], private))
}

/// The names a certificate made here is good for: this machine's, and those the application is known by.
pub(crate) fn certificate_names(hosts: &[String], addresses: &[IpAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let addresses = addresses.iter().filter(|address| !address.is_unspecified()).map(IpAddr::to_string);
    let hosts = hosts.iter().map(|host| host.trim_matches(['[', ']']).to_owned());
    for name in std::iter::once(own.trim().to_owned()).chain(hosts).chain(addresses) {
        let unspecified = name.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        if !name.is_empty() && name.is_ascii() && !unspecified && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the key pair exists and cannot be read.
    #[error("cannot read {path}: {error}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// No PEM certificate in the file.
    #[error("{} holds no PEM certificate", .0.display())]
    NoCertificate(PathBuf),
    /// No PEM private key in the file.
    #[error("{} holds no PEM private key", .0.display())]
    NoKey(PathBuf),
    /// A private key that the TLS library does not take, such as RSA with 1024 bits.
    #[error("the private key in {path} cannot be used: {error}", path = .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the library said.
        #[source]
        error: rustls::Error,
    },
    /// Certificate and key are of different pairs.
    #[error("server.crt and server.key in {} do not belong together", .0.display())]
    Mismatch(PathBuf),
    /// The TLS library refuses its settings.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

#[cfg(test)]
mod tests;
