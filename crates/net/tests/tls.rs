//! TLS connections: with a client nobody here wrote, with every kind of certificate, and with what is no TLS.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use common::{Flood, numbers};
use kit::{PATIENCE, Part};
use net::{
    Events, Flush, Identity, IdentityError, Interest, Poller, Read, TcpListener, TcpOptions, TcpStream,
    TlsAcceptor, TlsStream, Token, addr,
};
use rustls::{ClientConnection, StreamOwned};

/// Files made by `openssl`.
struct Workshop {
    openssl: Part,
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new(openssl: Part) -> Self {
        Self { openssl, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs `openssl` with the words of `line`.
    #[track_caller]
    fn run(&self, line: &str) {
        let Output { status, stderr, .. } = self.command(line).output().unwrap();
        assert!(status.success(), "{line}: {}", String::from_utf8_lossy(&stderr));
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.openssl.command("openssl");
        command.current_dir(self.path()).args(line.split_whitespace());
        command
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap()
    }

    fn identity(&self, chain: &str, key: &str) -> Result<Identity, IdentityError> {
        Identity::from_pem(&self.read(chain), &self.read(key))
    }
}

/// A certificate of the library in the tree, for clients that take any.
fn some_identity() -> Identity {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Identity::from_pem(signed.cert.pem().as_bytes(), signed.signing_key.serialize_pem().as_bytes()).unwrap()
}

fn listen() -> TcpListener {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), &TcpOptions::LISTENER).unwrap()
}

/// One connection and an event queue.
struct Server {
    poller: Poller,
    events: Events,
    stream: TlsStream,
}

impl Server {
    fn accept(listener: &TcpListener, identity: &Identity) -> Self {
        let (poller, mut events) = (Poller::new().unwrap(), Events::new(4));
        poller.add(listener, Token(0), Interest::Read).unwrap();
        poller.wait(&mut events, Some(PATIENCE)).unwrap();
        poller.change(listener, Token(0), Interest::Nothing).unwrap();
        let tcp: TcpStream = listener.accept().unwrap().expect("a connection");
        let stream = TlsAcceptor::new(identity).unwrap().accept(tcp).unwrap();
        poller.add(&stream, Token(1), Interest::Read).unwrap();
        Self { poller, events, stream }
    }

    /// Waits until there is something to read, and reads it.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        let mut scratch = vec![0; TlsStream::READ_CAPACITY];
        loop {
            let read = self.stream.read(&mut scratch, buffer)?;
            if self.stream.flush()? == Flush::Pending || read == Read::Nothing {
                self.poller.wait(&mut self.events, Some(PATIENCE))?;
            }
            if read != Read::Nothing {
                return Ok(read);
            }
        }
    }

    /// Sends back what comes until the client ends.
    fn echo(mut self) -> io::Result<()> {
        let mut buffer = vec![0; 4096];
        while let Read::Data(len) = self.read(&mut buffer)? {
            self.stream.queue(&buffer[..len]).unwrap();
            self.stream.flush()?;
        }
        self.stream.say_goodbye();
        Ok(())
    }
}

/// Makes `openssl s_client` say something to a server with this identity; returns what it printed.
#[track_caller]
fn converse(workshop: &Workshop, identity: &Identity, flags: &str) -> String {
    let listener = listen();
    let port = listener.local_addr().port();
    thread::scope(|scope| {
        let server = scope.spawn(|| Server::accept(&listener, identity).echo());
        let line = format!("s_client -connect 127.0.0.1:{port} -verify_return_error -CAfile ca.pem {flags}");
        let mut client = workshop.command(&line);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().unwrap();
        let mut output = client.stdout.take().unwrap();
        let mut input = client.stdin.take().unwrap();
        input.write_all(b"nobody here wrote this\n").unwrap();
        // It ends with its input, and must not before the answer is there.
        let mut printed = Vec::new();
        let mut buffer = [0; 4096];
        while !printed.ends_with(b"nobody here wrote this\n") {
            match output.read(&mut buffer).unwrap() {
                0 => break,
                len => printed.extend(&buffer[..len]),
            }
        }
        drop(input);
        output.read_to_end(&mut printed).unwrap();
        let Output { status, stderr, .. } = client.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        assert!(status.success(), "{flags}: {printed}{}", String::from_utf8_lossy(&stderr));
        server.join().unwrap().unwrap();
        printed
    })
}

#[test]
fn openssl_verifies_chains_of_every_kind_of_key_in_both_versions() {
    let Some(openssl) = kit::need("openssl") else { return };
    let workshop = Workshop::new(openssl);
    workshop.run("req -x509 -newkey rsa:2048 -nodes -subj /CN=root -keyout ca.key -out ca.pem -days 2");
    workshop.run("req -newkey rsa:2048 -nodes -subj /CN=middle -keyout middle.key -out middle.csr");
    std::fs::write(workshop.path().join("middle.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
    std::fs::write(workshop.path().join("leaf.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    let sign = |what: &str, ca: &str, extensions: &str| {
        workshop.run(&format!(
            "x509 -req -in {what}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 2 -out {what}.pem {extensions}"
        ));
    };
    sign("middle", "ca", "-extfile middle.ext");
    for (number, (make_key, kind)) in [
        ("genrsa -out leaf.key 2048", "BEGIN PRIVATE KEY"),
        ("genrsa -traditional -out leaf.key 2048", "BEGIN RSA PRIVATE KEY"),
        ("ecparam -name prime256v1 -genkey -out leaf.key", "BEGIN EC PRIVATE KEY"),
        ("ecparam -name secp384r1 -genkey -noout -out leaf.key", "BEGIN EC PRIVATE KEY"),
        ("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out leaf.key", "BEGIN PRIVATE KEY"),
        ("genpkey -algorithm ed25519 -out leaf.key", "BEGIN PRIVATE KEY"),
    ]
    .into_iter()
    .enumerate()
    {
        workshop.run(make_key);
        assert!(String::from_utf8(workshop.read("leaf.key")).unwrap().contains(kind), "{make_key}");
        workshop.run("req -new -key leaf.key -subj /CN=localhost -out leaf.csr");
        sign("leaf", "middle", "-extfile leaf.ext");
        let chain = [workshop.read("leaf.pem"), workshop.read("middle.pem")].concat();
        std::fs::write(workshop.path().join("chain.pem"), chain).unwrap();
        let identity = workshop.identity("chain.pem", "leaf.key").unwrap();
        assert!(!identity.is_version_1());
        for (flag, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
            let printed = converse(&workshop, &identity, &format!("{flag} -verify_hostname localhost"));
            assert!(printed.contains("nobody here wrote this"), "{number} {printed}");
            assert!(printed.contains(version) && printed.contains("Verify return code: 0 (ok)"), "{printed}");
        }
    }
}

/// `openssl x509 -req` without extensions makes version 1 of X.509, and tutorials tell people to use it.
#[test]
fn certificates_of_x509_version_1_are_served() {
    let Some(openssl) = kit::need("openssl") else { return };
    let workshop = Workshop::new(openssl);
    for algorithm in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-256"] {
        workshop.run(&format!(
            "req -new -newkey {algorithm} -nodes -subj /CN=localhost -keyout ca.key -out ca.csr"
        ));
        workshop.run("x509 -req -in ca.csr -signkey ca.key -days 2 -out ca.pem");
        let identity = workshop.identity("ca.pem", "ca.key").unwrap();
        assert!(identity.is_version_1());
        for flag in ["-tls1_2", "-tls1_3"] {
            assert!(converse(&workshop, &identity, flag).contains("nobody here wrote this"));
        }
        workshop.run("genrsa -out other.key 2048");
        assert_eq!(workshop.identity("ca.pem", "other.key").unwrap_err(), IdentityError::Mismatch);
    }
}

#[test]
fn a_pair_that_is_of_no_use_says_why() {
    let one = rcgen::generate_simple_self_signed(["one".to_owned()]).unwrap();
    let two = rcgen::generate_simple_self_signed(["two".to_owned()]).unwrap();
    let (chain, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    let broken = chain.replacen("MII", "AAA", 1);
    for (chain, key, text) in [
        (chain.as_str(), two.signing_key.serialize_pem(), "does not belong"),
        (chain.as_str(), chain.clone(), "private key"),
        (chain.as_str(), String::new(), "private key"),
        (key.as_str(), key.clone(), "certificate"),
        ("", key.clone(), "certificate"),
        (broken.as_str(), key.clone(), "certificate"),
    ] {
        let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let identity = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    assert!(!format!("{identity:?}").contains(&chain[30..60]));
}

fn client(listener: &TcpListener) -> StreamOwned<ClientConnection, std::net::TcpStream> {
    let address = SocketAddr::new(addr::canonical(listener.local_addr()).ip(), listener.local_addr().port());
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(kit::trusting_tls(), name).unwrap();
    StreamOwned::new(connection, std::net::TcpStream::connect(address).unwrap())
}

#[test]
fn what_does_not_fit_the_buffer_is_read_later_and_in_order() {
    let (listener, identity) = (listen(), some_identity());
    let sent: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = client(&listener);
            client.write_all(&sent).unwrap();
            client.conn.send_close_notify();
            client.flush().unwrap();
        });
        let mut server = Server::accept(&listener, &identity);
        let mut received = Vec::new();
        let mut sizes = [1, 7, 300, 5_000, 20_000, 66_000].into_iter().cycle();
        while let Read::Data(len) = {
            let size = sizes.next().unwrap();
            received.resize(received.len() + size, 0);
            let at = received.len() - size;
            let read = server.read(&mut received[at..]).unwrap();
            let len = if let Read::Data(len) = read { len } else { 0 };
            received.truncate(at + len);
            read
        } {
            assert!(len > 0);
        }
        assert!(!server.stream.has_unread());
        assert!(received == sent);
    });
}

#[test]
fn a_full_queue_takes_whole_messages_or_none() {
    let (listener, identity) = (listen(), some_identity());
    thread::scope(|scope| {
        let (start, wait) = std::sync::mpsc::channel::<usize>();
        let client = scope.spawn(|| {
            let wait = wait;
            let mut client = client(&listener);
            client.write_all(b"ready").unwrap();
            let messages = wait.recv().unwrap();
            let mut received = vec![0; messages * 3_000];
            client.read_exact(&mut received).unwrap();
            received
        });
        let mut server = Server::accept(&listener, &identity);
        assert_eq!(server.read(&mut [0; 16]).unwrap(), Read::Data(5));
        let mut messages = 0;
        // The client does not read: the kernel's buffers fill, and then the queue.
        loop {
            if server.stream.queue(&[messages as u8; 3_000]).is_err() {
                break;
            }
            messages += 1;
            server.stream.flush().unwrap();
        }
        start.send(messages).unwrap();
        server.poller.change(&server.stream, Token(1), Interest::ReadWrite).unwrap();
        while server.stream.flush().unwrap() == Flush::Pending {
            server.poller.wait(&mut server.events, Some(PATIENCE)).unwrap();
        }
        let received = client.join().unwrap();
        let whole = |(number, message): (usize, &[u8])| message.iter().all(|byte| *byte == number as u8);
        assert!(received.chunks(3_000).enumerate().all(whole));
    });
}

/// As over TCP: what is encrypted is on its way, so media that nobody reads must wait before that.
#[test]
fn a_slow_reader_gets_everything_of_lasting_worth_and_what_is_new() {
    let (listener, identity) = (listen(), some_identity());
    thread::scope(|scope| {
        let (start, wait) = std::sync::mpsc::channel::<()>();
        let client = scope.spawn(|| {
            let wait = wait;
            let mut client = client(&listener);
            client.write_all(b"ready").unwrap();
            wait.recv().unwrap();
            numbers(client)
        });
        let mut server = Server::accept(&listener, &identity);
        assert_eq!(server.read(&mut [0; 16]).unwrap(), Read::Data(5));
        let flood = Flood::write(|arena, messages| server.stream.write(arena, messages).unwrap().dropped);
        start.send(()).unwrap();
        server.poller.change(&server.stream, Token(1), Interest::ReadWrite).unwrap();
        while server.stream.flush().unwrap() == Flush::Pending {
            server.poller.wait(&mut server.events, Some(PATIENCE)).unwrap();
        }
        server.stream.say_goodbye();
        drop(server);
        flood.check(&client.join().unwrap());
    });
}

#[test]
fn what_is_no_tls_is_refused_with_an_alert() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 64], &[0x16, 3, 1, 0xFF, 0xFF, 1], &[0x40, 0, 0, 4, 1, 2, 3, 4]]
    {
        let (listener, identity) = (listen(), some_identity());
        thread::scope(|scope| {
            let server = scope.spawn(|| Server::accept(&listener, &identity).echo());
            let mut tcp = std::net::TcpStream::connect(listener.local_addr()).unwrap();
            tcp.write_all(bytes).unwrap();
            let mut answer = Vec::new();
            tcp.read_to_end(&mut answer).unwrap();
            assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");
            assert_eq!(server.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
        });
    }
}
