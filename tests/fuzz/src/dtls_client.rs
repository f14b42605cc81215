//! What comes back to a client that opens a DTLS session: from its server, changed on the way, and from others.
//!
//! An input is a script: whoever reads it carries the datagrams between an honest client and an honest server, or one
//! with a certificate that the client does not believe, and loses, repeats, changes and adds some. It knows no keys.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use net::{
    DTLS_BEHIND, DTLS_IN_FRONT, DtlsConnection, DtlsEndpoint, DtlsEvent, DtlsReceived, DtlsTrust, Identity,
    dtls_record_len,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::dtls::{Script, peer, start};
use crate::path_of;

/// Steps, and headers of records and messages.
pub const WORDS: &[&[u8]] = &[
    // What is on its way arrives, at either side; a whole handshake.
    b"\x01",
    b"\x03",
    b"\x03\x01\x03\x01\x03\x01",
    // The same changed, lost, twice; a record of somebody else; time; data.
    b"\x02\x00\x1a\x01",
    b"\x04\x00\x1a\x01",
    b"\x05",
    b"\x06",
    b"\x00\x20",
    b"\x07\x08",
    b"\x08",
    // Records: handshake, alert, change of keys, data; without keys and with.
    b"\x00\x19\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0c",
    b"\x00\x0f\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02\x02\x28",
    b"\x00\x0e\x14\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x08\x00\x01\x01",
    b"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x05\x00\x20",
    // Messages: a cookie, hello, certificates, key, request, end, a fragment.
    b"\x03\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x07\xfe\xfd\x04\x01\x02\x03\x04",
    b"\x02\x00\x00\x28\x00\x01\x00\x00\x00\x00\x00\x28\xfe\xfd",
    b"\x0b\x00\x00\x03\x00\x02\x00\x00\x00\x00\x00\x03\x00\x00\x00",
    b"\x0c\x00\x00\x04\x00\x03\x00\x00\x00\x00\x00\x04\x03\x00\x1d\x20",
    b"\x0d\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00",
    b"\x0e\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00",
    b"\x0b\x00\x10\x00\x00\x02\x00\x00\x10\x00\x00\x10",
];

/// Steps of one script.
const LONGEST: usize = 100;
/// How often the network does what it should at the end. Each side says things again a few times only.
const ROUNDS: usize = 100;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(600);
const SERVER_SAYS: &[u8] = b"to the client";

/// Plays a script.
pub fn dtls_client(input: &[u8]) -> u64 {
    let mut script = Script(input);
    let is_honest = script.byte().is_none_or(|first| first % 4 != 0);
    let mut world = World::new(is_honest);
    let mut steps = Vec::new();
    for _ in 0..LONGEST {
        let Some(step) = world.step(&mut script) else { break };
        steps.push(step);
    }
    world.ends();
    path_of(&(steps, world.failed, world.client.is_established()))
}

struct World {
    /// It has the certificate that the client believes.
    is_honest: bool,
    endpoint: DtlsEndpoint,
    client: DtlsConnection,
    now: Instant,
    to_server: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
    /// The server has a session.
    is_served: bool,
    /// The client has given up.
    failed: bool,
}

/// A server that clients believe, one that they do not, and what clients know of the first.
struct Cast {
    own: Identity,
    stranger: Identity,
    trust: DtlsTrust,
}

fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(|| {
        let (own, certificate) = made();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.into()).build().unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let trust = DtlsTrust { verifier, name, time: Duration::from_secs(1_800_000_000) };
        Cast { own, stranger: made().0, trust }
    })
}

fn made() -> (Identity, CertificateDer<'static>) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = signed.signing_key.serialize_pem();
    let identity = Identity::from_pem(signed.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    (identity, signed.cert.der().clone())
}

/// The whole records of a datagram.
fn records(mut datagram: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    std::iter::from_fn(move || {
        let len = dtls_record_len(datagram)?;
        let (record, rest) = std::mem::take(&mut datagram).split_at_mut(len);
        datagram = rest;
        Some(record)
    })
}

impl World {
    fn new(is_honest: bool) -> Self {
        let Cast { own, stranger, trust } = cast();
        let now = start();
        let identity = if is_honest { own } else { stranger };
        let mut world = Self {
            is_honest,
            endpoint: DtlsEndpoint::new(identity.clone(), &[7; 32], now),
            client: DtlsConnection::new(trust.clone(), now).unwrap(),
            now,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            is_served: false,
            failed: false,
        };
        world.collect();
        world
    }

    /// One step; a number that tells its outcome from others.
    fn step(&mut self, script: &mut Script<'_>) -> Option<u64> {
        let kind = script.byte()? % 9;
        let outcome = match kind {
            0 => {
                let len = script.byte()?.into();
                let record = script.bytes(len).to_vec();
                self.arrives(record)
            }
            1 => {
                let datagram = self.to_client.pop_front()?;
                self.arrives(datagram)
            }
            2 => {
                let mut datagram = self.to_client.pop_front()?;
                script.change(&mut datagram)?;
                self.arrives(datagram)
            }
            3 => {
                let datagram = self.to_server.pop_front()?;
                self.serve(datagram)
            }
            4 => {
                let mut datagram = self.to_server.pop_front()?;
                script.change(&mut datagram)?;
                self.serve(datagram)
            }
            5 => u64::from(self.to_client.pop_front().or_else(|| self.to_server.pop_front()).is_some()),
            6 => {
                self.to_client.rotate_left(usize::from(self.to_client.len() > 1));
                let datagram = self.to_client.front()?.clone();
                self.arrives(datagram)
            }
            7 => self.wait(Duration::from_millis(250) * u32::from(script.byte()?)),
            _ => u64::from(self.server_speaks()),
        };
        self.collect();
        assert!(
            !self.client.is_established() || self.is_served,
            "a session that the server knows nothing of"
        );
        assert!(self.is_honest || !self.client.is_established(), "a session with a stranger");
        Some(u64::from(kind) << 32 | outcome)
    }

    /// A datagram arrives at the client.
    fn arrives(&mut self, mut datagram: Vec<u8>) -> u64 {
        let mut outcome = 0;
        for record in records(&mut datagram) {
            let was_established = self.client.is_established();
            outcome = match self.client.handle(record, self.now) {
                Ok(DtlsReceived::Handled) => 1,
                Ok(DtlsReceived::Stray) => 2,
                Ok(DtlsReceived::Established) => 3,
                Ok(DtlsReceived::Data(place)) => {
                    assert_eq!(&record[place], SERVER_SAYS, "data that the server has not sent");
                    4
                }
                Ok(DtlsReceived::Closed) => panic!("a goodbye without keys"),
                Err(_) => {
                    assert!(!was_established, "nobody can forge what ends a session");
                    self.failed = true;
                    5
                }
            };
            assert!(!self.failed || self.client.poll_timeout().is_none(), "it has given up, and goes on");
            assert!(!self.failed || !self.client.is_established(), "a session after it has given up");
        }
        outcome
    }

    /// A datagram arrives at the server.
    fn serve(&mut self, mut datagram: Vec<u8>) -> u64 {
        let mut outcome = 0;
        for record in records(&mut datagram) {
            outcome = match self.endpoint.handle(peer(0), record, self.now) {
                DtlsEvent::Proved => {
                    let ends_at = self.now + PATIENCE;
                    u64::from(self.endpoint.begin(peer(0), record, ends_at, self.now).is_some())
                }
                DtlsEvent::Established { .. } => {
                    self.is_served = true;
                    self.endpoint.hold(&peer(0));
                    2
                }
                DtlsEvent::Closed { .. } => 3,
                DtlsEvent::Failed { .. } => 4,
                DtlsEvent::Handled | DtlsEvent::Stray | DtlsEvent::Data(_) => 5,
            };
        }
        outcome
    }

    fn server_speaks(&mut self) -> bool {
        let mut record = [&[0; DTLS_IN_FRONT][..], SERVER_SAYS, &[0; DTLS_BEHIND]].concat();
        let place = self.endpoint.seal(&peer(0), &mut record);
        self.to_client.extend(place.clone().map(|place| record[place].to_vec()));
        place.is_some()
    }

    fn wait(&mut self, time: Duration) -> u64 {
        self.now += time;
        self.client.handle_timeout(self.now);
        let mut expired = 0;
        while self.endpoint.poll_expired(self.now).is_some() {
            expired += 1;
        }
        expired
    }

    fn collect(&mut self) {
        self.to_server.extend(std::iter::from_fn(|| self.client.poll_transmit()));
        while let Some((_, datagram)) = self.endpoint.poll_transmit() {
            self.to_client.push_back(datagram.to_vec());
        }
    }

    /// From now on everything arrives: the client gets its session, or knows that it gets none, or waits until its
    /// caller has no patience any more because the server has forgotten it; and a session works.
    fn ends(&mut self) {
        for _ in 0..ROUNDS {
            if self.failed || self.client.is_established() {
                break;
            }
            while let Some(datagram) = self.to_server.pop_front() {
                self.serve(datagram);
                self.collect();
            }
            while let Some(datagram) = self.to_client.pop_front() {
                self.arrives(datagram);
                self.collect();
            }
            self.wait(Duration::from_secs(1));
            self.collect();
        }
        assert!(self.to_server.len() + self.to_client.len() < LONGEST * ROUNDS, "an endless conversation");
        assert!(self.is_honest || !self.client.is_established(), "a session with a stranger");
        if self.client.is_established() {
            let mut record = [&[0; DTLS_IN_FRONT][..], b"to the server", &[0; DTLS_BEHIND]].concat();
            let place = self.client.seal(&mut record).unwrap();
            let record = &mut record[place];
            let event = self.endpoint.handle(peer(0), record, self.now);
            let DtlsEvent::Data(place) = event else { panic!("no data: {event:?}") };
            assert_eq!(&record[place], b"to the server");
            assert!(self.server_speaks(), "the server has no session");
            let datagram = self.to_client.pop_back().unwrap();
            assert_eq!(self.arrives(datagram), 4, "what the server says does not arrive");
        }
    }
}
