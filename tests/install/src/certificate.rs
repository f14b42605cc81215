use base64::{Engine as _, prelude::BASE64_STANDARD};

/// A certificate for `localhost` and its key, each as PEM in base64: what Secrets and configurations hold.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Certificate {
    /// A new one, signed by itself.
    pub fn make() -> Self {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
        Self {
            certificate: BASE64_STANDARD.encode(made.cert.pem()),
            key: BASE64_STANDARD.encode(made.signing_key.serialize_pem()),
        }
    }
}
