//! The certificate of a server that was given a URI and nothing else.

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use config::Secret;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

/// A new key for ECDSA on P-256 with a certificate it signed itself, for this host and for the machine's own clients,
/// as configurations have them. It has no end, since no process outlives the one it is made for.
///
/// # Errors
/// `host` is neither an address nor a name, or the system has no random numbers.
pub(crate) fn self_signed(host: &str) -> anyhow::Result<(String, Secret)> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    let make = || {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "stunnerd");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        let key = Secret::new(BASE64_STANDARD.encode(key.serialize_pem()));
        Ok::<_, rcgen::Error>((BASE64_STANDARD.encode(certificate), key))
    };
    make().with_context(|| format!("cannot make a certificate for {host:?}"))
}
