//! Whom to believe that it is the server.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How certificates are checked.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Accept any certificate. Whoever is on the way can then read and change everything.
    pub insecure: bool,
    /// The name to ask for and to expect, instead of the host of the server's address.
    pub server_name: Option<String>,
    /// Authorities to believe besides those of this machine.
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// TLS 1.2 or 1.3 with these authorities and those that this machine trusts, or with anybody.
    pub(crate) fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder();
        if self.insecure {
            let algorithms = builder.crypto_provider().signature_verification_algorithms;
            let anybody = Arc::new(Anybody { algorithms });
            return Ok(builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth());
        }
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::debug!("certificates of this machine: {error}");
        }
        roots.add_parsable_certificates(native.certs);
        for authority in &self.authorities {
            roots.add(authority.clone())?;
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// Checks that the other side has the key of its certificate, and not whose certificate that is.
#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
