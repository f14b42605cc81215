//! Whom to believe that it is the server.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
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
    /// TLS 1.2 or 1.3 with whom [`Self::verifier`] believes.
    pub(crate) fn config(&self) -> Result<ClientConfig, rustls::Error> {
        let builder = ClientConfig::builder().dangerous();
        Ok(builder.with_custom_certificate_verifier(self.verifier()?).with_no_client_auth())
    }

    /// These authorities and those that this machine trusts, or anybody.
    pub(crate) fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, rustls::Error> {
        if self.insecure {
            let algorithms = ClientConfig::builder().crypto_provider().signature_verification_algorithms;
            return Ok(Arc::new(Anybody { algorithms }));
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
        if roots.is_empty() {
            let problem =
                "no certificate of an authority on this machine; install them (on Debian: ca-certificates)";
            return Err(rustls::Error::General(problem.to_owned()));
        }
        let verifier = WebPkiServerVerifier::builder(Arc::new(roots)).build();
        Ok(verifier.map_err(|error| rustls::Error::General(error.to_string()))?)
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
