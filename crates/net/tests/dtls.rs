//! The client's side of DTLS against a server that nobody here wrote.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kit::{PATIENCE, Process};
use net::{DTLS_BEHIND, DTLS_IN_FRONT, DtlsConnection, DtlsReceived, DtlsTrust, dtls_record_len};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, ServerName};

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "real servers need real time")]
    Instant::now()
}

/// Somebody who believes this certificate, today being some day in 2027.
fn trust(authority: &CertificateDer<'static>) -> DtlsTrust {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let name = ServerName::try_from("turn.example.org").unwrap();
    DtlsTrust { verifier, name, time: Duration::from_secs(1_800_000_000) }
}

/// A client on a socket.
struct Client {
    socket: UdpSocket,
    connection: DtlsConnection,
}

impl Client {
    fn connect(port: u16, trust: DtlsTrust) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        let connection = DtlsConnection::new(trust, now()).unwrap();
        let mut client = Self { socket, connection };
        let end = now() + PATIENCE;
        while !client.connection.is_established() {
            assert!(now() < end, "no session");
            client.turn();
        }
        client
    }

    /// Sends what waits, and takes one datagram or lets one time-out pass. Returns data that came.
    fn turn(&mut self) -> Vec<u8> {
        while let Some(datagram) = self.connection.poll_transmit() {
            self.socket.send(&datagram).unwrap();
        }
        let wait = Duration::from_millis(50);
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 65_536];
        let len = self.socket.recv(&mut buffer).unwrap_or(0);
        let mut rest = &mut buffer[..len];
        let mut data = Vec::new();
        while let Some(len) = dtls_record_len(rest) {
            let (record, behind) = rest.split_at_mut(len);
            if let DtlsReceived::Data(place) = self.connection.handle(record, now()).unwrap() {
                data.extend(&record[place]);
            }
            rest = behind;
        }
        self.connection.handle_timeout(now());
        data
    }

    fn send(&mut self, message: &[u8]) {
        let mut record = [&[0; DTLS_IN_FRONT][..], message, &[0; DTLS_BEHIND]].concat();
        let place = self.connection.seal(&mut record).unwrap();
        self.socket.send(&record[place]).unwrap();
    }

    fn await_data(&mut self) -> Vec<u8> {
        let end = now() + PATIENCE;
        loop {
            let data = self.turn();
            if !data.is_empty() {
                return data;
            }
            assert!(now() < end, "no data");
        }
    }
}

#[test]
fn openssl_serves_whatever_it_is_told_to_ask_for() {
    let Some(openssl) = kit::need("openssl") else { return };
    let (ec, rsa) = (&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256);
    let table: [(_, &[&str]); 5] = [
        (ec, &[]),
        // A cookie first, and certificates in many fragments.
        (rsa, &["-listen", "-mtu", "300"]),
        // It would like a certificate of ours, and we have none.
        (ec, &["-verify", "1"]),
        (rsa, &["-cipher", "ECDHE-RSA-CHACHA20-POLY1305"]),
        (rsa, &["-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-curves", "P-384"]),
    ];
    for (algorithm, options) in table {
        let folder = kit::temp_dir();
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(["turn.example.org".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("cert"), certificate.pem()).unwrap();
        std::fs::write(folder.path().join("key"), key.serialize_pem()).unwrap();
        let port = kit::free_port();
        let mut server = openssl.command("openssl");
        server.args(["s_server", "-dtls1_2", "-cert", "cert", "-key", "key", "-accept"]);
        server.arg(format!("127.0.0.1:{port}")).args(options).current_dir(folder.path());
        let mut server = Process::spawn(server);
        server.await_line("ACCEPT");
        let mut client = Client::connect(port, trust(certificate.der()));
        client.send(b"to the server\n");
        server.await_line("to the server");
        let mut input = server.take_stdin();
        input.write_all(b"to the client\n").unwrap();
        assert_eq!(client.await_data(), b"to the client\n", "{options:?}");
        client.connection.close();
        client.turn();
        server.await_line("DONE");
    }
}
