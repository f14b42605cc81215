//! TLS to servers whose certificates nobody signed.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

use super::wire::{self, Stream};

/// A TLS client's configuration that takes any certificate, for servers that sign their own.
pub fn trusting_tls() -> Arc<ClientConfig> {
    trusting(aws_lc_rs::default_provider(), rustls::DEFAULT_VERSIONS)
}

/// The same for TLS 1.2 with `ECDHE_ECDSA_WITH_AES_128_GCM_SHA256` and nothing else, so that servers that differ in
/// what they prefer do the same work.
pub fn trusting_tls_1_2() -> Arc<ClientConfig> {
    let suite = aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let provider = CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() };
    trusting(provider, &[&rustls::version::TLS12])
}

fn trusting(
    provider: CryptoProvider,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(provider);
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("the provider has suites for these versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

#[track_caller]
pub(super) fn connect(server: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let connection =
        ClientConnection::new(trusting_tls(), server.ip().into()).expect("an IP address is a name");
    let mut tls = StreamOwned::new(connection, wire::connect(server));
    let handshake = tls.conn.complete_io(&mut tls.sock);
    handshake.unwrap_or_else(|error| panic!("no TLS with {server}: {error}"));
    tls
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.sock.set_read_timeout(Some(timeout))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.sock.local_addr()
    }
}

/// Believes who the server says it is, but not that it has the key without a proof.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
