//! Who a TLS or DTLS server says it is: a chain of certificates and the key of the first.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// A certificate chain with its private key, known to belong together. Cloning is cheap.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    is_version_1: bool,
}

/// Why a chain and a key are of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// The chain holds no certificate, or something that is none.
    Certificate(String),
    /// There is no private key of a kind that can sign: RSA, ECDSA or Ed25519 in PKCS#8, PKCS#1 or SEC1.
    Key(String),
    /// The key belongs to another certificate than the first of the chain.
    Mismatch,
}

impl Identity {
    /// Reads a chain, the server's own certificate first, and its key, both PEM.
    ///
    /// # Errors
    /// See [`IdentityError`]. Whether clients trust the chain is not looked at, nor whether it has expired.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| IdentityError::Certificate(error.to_string()))?;
        let Some(own) = chain.first() else {
            return Err(IdentityError::Certificate("no certificate found".to_owned()));
        };
        let is_version_1 = is_version_1(own);
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| IdentityError::Key(error.to_string()))?;
        let key = provider().key_provider.load_private_key(key);
        let key = key.map_err(|error| IdentityError::Key(error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        belong_together(&certified, is_version_1)?;
        Ok(Self { certified: Arc::new(certified), is_version_1 })
    }

    /// The server's own certificate is X.509 version 1, as `openssl x509 -req` makes them unless it is told of
    /// extensions. It names no hosts, so some clients refuse it.
    pub fn is_version_1(&self) -> bool {
        self.is_version_1
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

/// The cryptography of this process: what its program installed, or else the only one we build with.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()))
}

fn belong_together(certified: &CertifiedKey, is_version_1: bool) -> Result<(), IdentityError> {
    if is_version_1 {
        // rustls does not read these; but somewhere in the certificate there has to be the public key.
        let public = certified.key.public_key();
        let own = &certified.cert[0];
        let found = public.is_none_or(|public| own.windows(public.len()).any(|part| part == &*public));
        return if found { Ok(()) } else { Err(IdentityError::Mismatch) };
    }
    match certified.keys_match() {
        // A key that does not tell its public half cannot be compared.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(Error::InconsistentKeys(_)) => Err(IdentityError::Mismatch),
        Err(error) => Err(IdentityError::Certificate(error.to_string())),
    }
}

/// Later versions begin with their version number, tagged `[0]`; version 1 begins with the serial number, an
/// INTEGER (RFC 5280 §4.1).
fn is_version_1(certificate: &[u8]) -> bool {
    const INTEGER: u8 = 2;
    let signed = sequence(certificate).and_then(sequence);
    signed.is_some_and(|signed| signed.first() == Some(&INTEGER))
}

/// What follows the header of a SEQUENCE.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    match der {
        [SEQUENCE, short @ ..0x80, rest @ ..] => rest.get(..usize::from(*short)),
        [SEQUENCE, long, rest @ ..] => rest.get(usize::from(long & 0x7F)..),
        _ => None,
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(problem) => write!(f, "certificate: {problem}"),
            Self::Key(problem) => write!(f, "private key: {problem}"),
            Self::Mismatch => {
                f.write_str("the private key does not belong to the first certificate of the chain")
            }
        }
    }
}

impl std::error::Error for IdentityError {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.certified.cert.len()).finish_non_exhaustive()
    }
}
