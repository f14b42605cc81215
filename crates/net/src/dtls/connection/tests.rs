use std::collections::VecDeque;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;

use super::super::wire::*;
use super::super::{DTLS_BEHIND, DTLS_IN_FRONT, DtlsEndpoint, DtlsEvent, DtlsPeer, dtls_record_len};
use super::*;
use crate::Identity;

fn begin() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "somewhere a test's time has to begin")]
    Instant::now()
}

const TODAY: Duration = Duration::from_secs(1_800_000_000);

fn peer() -> DtlsPeer {
    DtlsPeer { remote: ([10, 0, 0, 1], 1024).into(), local: ([127, 0, 0, 1], 3478).into() }
}

/// Somebody who believes this authority, and expects that name.
fn trust(authority: &CertificateDer<'static>, name: &'static str) -> DtlsTrust {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
    DtlsTrust { verifier, name: ServerName::try_from(name).unwrap(), time: TODAY }
}

/// A server of ours with one client, and what is on the way between them.
struct World {
    now: Instant,
    endpoint: DtlsEndpoint,
    client: DtlsConnection,
    to_server: VecDeque<Vec<u8>>,
    to_client: VecDeque<Vec<u8>>,
    /// Datagrams of both sides so far.
    sent: usize,
}

impl World {
    fn new(algorithm: &'static rcgen::SignatureAlgorithm, extra_certificates: usize) -> Self {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let own = params.self_signed(&key).unwrap();
        // A long chain is cut into fragments.
        let chain = own.pem().repeat(1 + extra_certificates);
        let identity = Identity::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        Self::with(identity, trust(own.der(), "localhost"))
    }

    fn with(identity: Identity, trust: DtlsTrust) -> Self {
        let now = begin();
        let endpoint = DtlsEndpoint::new(identity, &[7; 32], now);
        let client = DtlsConnection::new(trust, now).unwrap();
        Self { now, endpoint, client, to_server: VecDeque::new(), to_client: VecDeque::new(), sent: 0 }
    }

    fn collect(&mut self, passes: &mut impl FnMut(usize) -> bool) {
        while let Some(datagram) = self.client.poll_transmit() {
            if passes(self.sent) {
                self.to_server.push_back(datagram);
            }
            self.sent += 1;
        }
        while let Some((_, datagram)) = self.endpoint.poll_transmit() {
            if passes(self.sent) {
                self.to_client.push_back(datagram.to_vec());
            }
            self.sent += 1;
        }
    }

    /// Carries datagrams for which `passes` until there is a session on both sides, or it cannot be.
    fn shake_hands(&mut self, mut passes: impl FnMut(usize) -> bool) -> Result<(), DtlsError> {
        let mut is_served = false;
        for _ in 0..1000 {
            self.collect(&mut passes);
            if let Some(datagram) = self.to_server.pop_front() {
                is_served |= self.serve(datagram);
            } else if let Some(mut datagram) = self.to_client.pop_front() {
                for record in records(&mut datagram) {
                    self.client.handle(record, self.now)?;
                }
            } else if self.client.is_established() && is_served {
                return Ok(());
            } else {
                let due = [self.client.poll_timeout(), self.endpoint.poll_timeout()];
                self.now = due.into_iter().flatten().min().expect("somebody says it again");
                self.client.handle_timeout(self.now);
                self.endpoint.poll_expired(self.now);
            }
        }
        panic!("no end");
    }

    /// Whether there is a session for it now.
    fn serve(&mut self, mut datagram: Vec<u8>) -> bool {
        let mut is_served = false;
        for record in records(&mut datagram) {
            match self.endpoint.handle(peer(), record, self.now) {
                DtlsEvent::Proved => {
                    let ends_at = self.now + Duration::from_secs(600);
                    self.endpoint.begin(peer(), record, ends_at, self.now).expect("a handshake");
                }
                DtlsEvent::Established { .. } => is_served = true,
                _ => {}
            }
        }
        is_served
    }

    #[track_caller]
    fn talk(&mut self) {
        let mut question = sealed(b"to the server");
        let place = self.client.seal(&mut question).unwrap();
        let DtlsEvent::Data(inside) = self.endpoint.handle(peer(), &mut question[place.clone()], self.now)
        else {
            panic!("no data");
        };
        assert_eq!(&question[place][inside], b"to the server");
        let mut answer = sealed(b"to the client");
        let place = self.endpoint.seal(&peer(), &mut answer).unwrap();
        let Ok(DtlsReceived::Data(inside)) = self.client.handle(&mut answer[place.clone()], self.now) else {
            panic!("no data");
        };
        assert_eq!(&answer[place][inside], b"to the client");
    }
}

/// Numbers that look random, the same for a seed.
fn noise(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    }
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

fn sealed(message: &[u8]) -> Vec<u8> {
    [&[0; DTLS_IN_FRONT][..], message, &[0; DTLS_BEHIND]].concat()
}

#[test]
fn a_handshake_leads_to_a_session_that_talks() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256]
    {
        let mut world = World::new(algorithm, 0);
        world.shake_hands(|_| true).unwrap();
        assert_eq!(world.client.poll_timeout(), None);
        world.talk();
    }
}

#[test]
fn whatever_gets_lost_is_said_again() {
    let all = {
        let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 8);
        world.shake_hands(|_| true).unwrap();
        world.sent
    };
    assert!(all > 7, "the chain takes several datagrams: {all}");
    for first in 0..all {
        for second in first..all {
            let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 8);
            world.shake_hands(|number| number != first && number != second).unwrap();
            world.talk();
        }
    }
    // And every third one, by chance.
    for seed in 0..20 {
        let mut random = noise(seed);
        let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 8);
        world.shake_hands(|_| !random().is_multiple_of(3)).unwrap();
        world.talk();
    }
}

#[test]
fn datagrams_out_of_order_and_twice_change_nothing() {
    let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 8);
    let mut held = Vec::new();
    for _ in 0..4 {
        world.collect(&mut |_| true);
        for datagram in std::mem::take(&mut world.to_server) {
            world.serve(datagram);
        }
        world.collect(&mut |_| true);
        held.extend(std::mem::take(&mut world.to_client));
        // The last one first, and all of them twice.
        for mut datagram in held.drain(..).rev().flat_map(|datagram| [datagram.clone(), datagram]) {
            for record in records(&mut datagram) {
                world.client.handle(record, world.now).unwrap();
            }
        }
    }
    assert!(world.client.is_established());
    world.talk();
}

#[test]
fn a_server_is_believed_by_its_certificate_and_its_name_only() {
    let mut honest = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 0);
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    honest.client = DtlsConnection::new(trust(stranger.cert.der(), "localhost"), honest.now).unwrap();
    let error = honest.shake_hands(|_| true).unwrap_err();
    assert!(matches!(error, DtlsError::Certificate(_)), "{error}");
    let told = honest.client.poll_transmit().unwrap();
    assert_eq!((told[0], &told[RECORD_HEADER..]), (ALERT, &[FATAL, 42][..]));

    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = own.signing_key.serialize_pem();
    let identity = Identity::from_pem(own.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    let mut world = World::with(identity, trust(own.cert.der(), "example.org"));
    let error = world.shake_hands(|_| true).unwrap_err().to_string();
    assert!(error.contains("not valid for"), "{error}");
}

/// A server shows somebody else's certificate, and has not the key for it.
#[test]
fn a_server_without_the_key_of_its_certificate_is_not_believed() {
    let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let own = made();
    // One takes the place of the other, so they have to be of one length; signatures are not.
    let is_alike = |it: &rcgen::CertifiedKey<_>| it.cert.der().len() == own.cert.der().len();
    let shown = std::iter::repeat_with(made).find(is_alike).unwrap();
    let key = own.signing_key.serialize_pem();
    let identity = Identity::from_pem(own.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    let mut world = World::with(identity, trust(shown.cert.der(), "localhost"));
    let (from, to) = (own.cert.der().to_vec(), shown.cert.der().to_vec());
    for _ in 0..10 {
        world.collect(&mut |_| true);
        if let Some(datagram) = world.to_server.pop_front() {
            world.serve(datagram);
        }
        world.collect(&mut |_| true);
        for mut datagram in std::mem::take(&mut world.to_client) {
            if let Some(at) = datagram.windows(from.len()).position(|part| part == from) {
                datagram[at..at + to.len()].copy_from_slice(&to);
            }
            for record in records(&mut datagram) {
                if let Err(error) = world.client.handle(record, world.now) {
                    assert!(error.to_string().contains("BadSignature"), "{error}");
                    return;
                }
            }
        }
    }
    panic!("it was believed");
}

#[test]
fn goodbye_ends_the_session_on_both_sides() {
    let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 0);
    world.shake_hands(|_| true).unwrap();
    world.client.close();
    let mut goodbye = world.client.poll_transmit().unwrap();
    assert!(matches!(world.endpoint.handle(peer(), &mut goodbye, world.now), DtlsEvent::Closed { .. }));
    assert_eq!(world.client.seal(&mut sealed(b"late")), None);

    let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 0);
    world.shake_hands(|_| true).unwrap();
    world.endpoint.close(&peer());
    let mut goodbye = world.endpoint.poll_transmit().unwrap().1.to_vec();
    assert_eq!(world.client.handle(&mut goodbye, world.now), Ok(DtlsReceived::Closed));
    assert_eq!(world.client.handle(&mut goodbye, world.now), Ok(DtlsReceived::Stray));
}

#[test]
fn nobody_without_the_keys_ends_or_enters_a_session() {
    let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 0);
    world.shake_hands(|_| true).unwrap();
    let record = |kind, sequence, contents: &[u8]| {
        let mut header = [0; RECORD_HEADER];
        RecordHeader { kind, sequence, len: contents.len() }.write(DTLS_1_2, &mut header);
        [&header, contents].concat()
    };
    for epoch in [0, 1, 2] {
        for kind in [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, 77] {
            for contents in [&[][..], &[2, 40], &[1, 0], &[0; 100]] {
                let mut forged = record(kind, epoch << EPOCH_SHIFT | 1000, contents);
                assert_eq!(world.client.handle(&mut forged, world.now), Ok(DtlsReceived::Stray));
            }
        }
    }
    world.talk();
    // Nor does what was said once count twice.
    let mut answer = sealed(b"once");
    let place = world.endpoint.seal(&peer(), &mut answer).unwrap();
    let mut record = answer[place].to_vec();
    assert!(matches!(world.client.handle(&mut record.clone(), world.now), Ok(DtlsReceived::Data(_))));
    assert_eq!(world.client.handle(&mut record, world.now), Ok(DtlsReceived::Stray));
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 0);
    let mut refusal = Vec::new();
    plain_record(ALERT, &mut 0, &[&[FATAL, 40]], &mut refusal);
    let error = world.client.handle(&mut refusal, world.now).unwrap_err();
    assert_eq!(error.to_string(), "the server refuses: alert 40, HandshakeFailure");
    while world.client.poll_transmit().is_some() {}
    assert_eq!(world.client.poll_timeout(), None, "nothing is said any more");
}

/// Whatever comes, at whatever moment of the handshake.
#[test]
fn noise_breaks_nothing() {
    let mut random = noise(1);
    for _ in 0..300 {
        let mut world = World::new(&rcgen::PKCS_ECDSA_P256_SHA256, 0);
        for _ in 0..3 {
            world.collect(&mut |_| true);
            for datagram in std::mem::take(&mut world.to_server) {
                world.serve(datagram);
            }
            world.collect(&mut |_| true);
            for mut datagram in std::mem::take(&mut world.to_client) {
                for _ in 0..random() % 3 {
                    let at = random() % datagram.len();
                    datagram[at] = random() as u8;
                }
                for record in records(&mut datagram) {
                    // It may give up; it must not panic, nor loop.
                    drop(world.client.handle(record, world.now));
                }
            }
        }
        if world.client.is_established() {
            world.talk();
        }
    }
}
