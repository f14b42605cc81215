//! Servers with certificates: over TLS and DTLS, and whom to believe.

mod support;

use std::process::Output;

use kit::EchoPeer;
use support::{Secure, pipe_into, turncat};

/// Pipes a word through a server, on a machine that trusts this certificate alone.
fn word(gateway: &Secure, server: &str, trusted: &str, options: &[&str]) -> Output {
    let echo = EchoPeer::start();
    let peer = format!("udp://{}", echo.address());
    let mut command = turncat(&[options, &["-", &gateway.uri(server), &peer]].concat());
    command.env("SSL_CERT_FILE", gateway.folder.path().join(trusted)).env_remove("SSL_CERT_DIR");
    pipe_into(command, b"Hello")
}

fn believes_the_right_ones(servers: &[&str], algorithm: &'static rcgen::SignatureAlgorithm) {
    let gateway = Secure::start(algorithm);
    for server in servers {
        for (trusted, options) in [("own.pem", &["--sni", "turn.example.org"][..]), ("other.pem", &["-i"])] {
            let output = word(&gateway, server, trusted, options);
            let problem = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                (output.stdout.as_slice(), output.status.code()),
                (&b"Hello"[..], Some(0)),
                "{server}: {problem}"
            );
        }
        let refusals = [
            ("other.pem", &["--sni", "turn.example.org"][..], "invalid peer certificate"),
            ("own.pem", &[], "not valid for"),
            ("own.pem", &["--sni", "other.example.org"], "not valid for"),
        ];
        for (trusted, options, text) in refusals {
            let output = word(&gateway, server, trusted, options);
            let problem = String::from_utf8_lossy(&output.stderr);
            assert_eq!((output.stdout.as_slice(), output.status.code()), (&b""[..], Some(1)), "{server}");
            assert!(problem.contains(text), "{server} {options:?}: {problem}");
        }
    }
}

#[test]
fn servers_over_dtls_are_believed_by_their_certificates() {
    believes_the_right_ones(&["turn dtls", "turns udp"], &rcgen::PKCS_ECDSA_P256_SHA256);
    believes_the_right_ones(&["turn dtls"], &rcgen::PKCS_RSA_SHA256);
}

#[test]
fn servers_over_tls_are_believed_by_their_certificates() {
    believes_the_right_ones(&["turn tls", "turns tcp"], &rcgen::PKCS_ECDSA_P256_SHA256);
}
