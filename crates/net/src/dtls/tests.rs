use std::time::{Duration, Instant};

use rustls::crypto::ActiveKeyExchange;

use super::protection::{Protection, Suite, Window};
use super::wire::*;
use super::*;
use crate::Identity;
use crate::identity::provider;

const ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: u16 = 0xC02B;
const X25519: u16 = 0x1D;
const ECDSA_P256_SHA256: u16 = 0x0403;

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "somewhere a test's time has to begin")]
    Instant::now()
}

fn endpoint(now: Instant) -> DtlsEndpoint {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = signed.signing_key.serialize_pem();
    let identity = Identity::from_pem(signed.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    DtlsEndpoint::new(identity, &[7; 32], now)
}

fn peer(number: u32) -> DtlsPeer {
    let [a, b, c, d] = number.to_be_bytes();
    DtlsPeer { remote: ([10, b, c, d], 1024 + u16::from(a)).into(), local: ([127, 0, 0, 1], 3478).into() }
}

/// A client that says what tests want it to.
struct Client {
    peer: DtlsPeer,
    random: [u8; 32],
    exchange: Option<Box<dyn ActiveKeyExchange>>,
    transcript: Vec<u8>,
    /// The number of the next record without keys, and of the next message.
    record: u64,
    message: u16,
    server_random: [u8; 32],
    master: [u8; 48],
    ours: Option<Protection>,
    theirs: Option<Protection>,
    sealed: u64,
}

impl Client {
    fn new(peer: DtlsPeer, random: u8) -> Self {
        let group = provider().kx_groups.iter().copied().find(|group| u16::from(group.name()) == X25519);
        Self {
            peer,
            random: [random; 32],
            exchange: Some(group.unwrap().start().unwrap()),
            transcript: Vec::new(),
            record: 0,
            message: 0,
            server_random: [0; 32],
            master: [0; 48],
            ours: None,
            theirs: None,
            sealed: 1 << EPOCH_SHIFT,
        }
    }

    fn hello(&mut self, cookie: &[u8]) -> Vec<u8> {
        let mut body = [&DTLS_1_2[..], &self.random, &[0]].concat();
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend([0, 2]);
        body.extend(ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.to_be_bytes());
        body.extend([1, 0]);
        let pair =
            |kind: u16, number: u16| [&kind.to_be_bytes()[..], &[0, 4, 0, 2], &number.to_be_bytes()].concat();
        let extensions = [pair(10, X25519), pair(13, ECDSA_P256_SHA256), vec![0, 23, 0, 0]].concat();
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        self.transcript.clear();
        self.say(CLIENT_HELLO, &body)
    }

    /// A message in a record of its own.
    fn say(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        let message = [&message_header(kind, body.len(), self.message, 0, body.len()), body].concat();
        self.message += 1;
        self.transcript.extend(&message);
        self.plain(HANDSHAKE, &message)
    }

    fn plain(&mut self, kind: u8, contents: &[u8]) -> Vec<u8> {
        let mut header = [0; RECORD_HEADER];
        RecordHeader { kind, sequence: self.record, len: contents.len() }.write(DTLS_1_2, &mut header);
        self.record += 1;
        [&header, contents].concat()
    }

    fn seal(&mut self, kind: u8, contents: &[u8]) -> Vec<u8> {
        let mut record = vec![0; DTLS_IN_FRONT];
        record.extend(contents);
        record.extend([0; DTLS_BEHIND]);
        let place = self.ours.as_ref().unwrap().seal(kind, self.sealed, &mut record).unwrap();
        self.sealed += 1;
        record[place].to_vec()
    }

    /// Reads a flight of the server, puts its messages together, and answers with keys and their proof.
    fn answer(&mut self, flight: &[Vec<u8>]) -> [Vec<u8>; 3] {
        let mut key_exchange = Vec::new();
        for message in messages(flight) {
            let body = &message[MESSAGE_HEADER..];
            match message[0] {
                SERVER_HELLO => self.server_random = *body[2..].first_chunk().unwrap(),
                SERVER_KEY_EXCHANGE => key_exchange = body.to_vec(),
                _ => {}
            }
            self.transcript.extend(&message);
        }
        let public = &key_exchange[4..][..usize::from(key_exchange[3])];
        let exchange = self.exchange.take().unwrap();
        let own = exchange.pub_key().to_vec();
        let keys = self.say(CLIENT_KEY_EXCHANGE, &[&[own.len() as u8], &own[..]].concat());
        let suite = suite();
        let session = suite.tls.common.hash_provider.hash(&self.transcript);
        let prf = suite.tls.prf_provider;
        let label = b"extended master secret";
        prf.for_key_exchange(&mut self.master, exchange, public, label, session.as_ref()).unwrap();
        let [ours, theirs] = suite.keys(&self.master, &self.random, &self.server_random).unwrap();
        (self.ours, self.theirs) = (Some(ours), Some(theirs));
        let change = self.plain(CHANGE_CIPHER_SPEC, &[1]);
        let proof = self.proof();
        [keys, change, proof]
    }

    fn proof(&mut self) -> Vec<u8> {
        let suite = suite();
        let mut data = [0; 12];
        let so_far = suite.tls.common.hash_provider.hash(&self.transcript);
        suite.tls.prf_provider.for_secret(&mut data, &self.master, b"client finished", so_far.as_ref());
        let message = [&message_header(FINISHED, 12, self.message, 0, 12)[..], &data].concat();
        self.seal(HANDSHAKE, &message)
    }

    fn open(&self, record: &[u8]) -> Option<Vec<u8>> {
        let mut record = record.to_vec();
        let header = RecordHeader::read(&record)?;
        self.theirs.as_ref()?.open(header, &mut record).map(|place| record[place].to_vec())
    }
}

fn suite() -> Suite {
    let suites = provider().cipher_suites.clone();
    suites.iter().filter_map(Suite::of).find(|it| it.number() == ECDHE_ECDSA_WITH_AES_128_GCM_SHA256).unwrap()
}

/// The messages in some datagrams, their fragments put together.
fn messages(datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for datagram in datagrams {
        let mut rest = &datagram[..];
        while let Some(len) = dtls_record_len(rest) {
            let mut header = Reader(&rest[RECORD_HEADER..len]);
            let (kind, whole, number) = (header.u8().unwrap(), header.u24().unwrap(), header.u16().unwrap());
            let (offset, fragment) = (header.u24().unwrap(), header.u24().unwrap());
            if offset == 0 {
                messages.push(message_header(kind, whole, number, 0, whole).to_vec());
            }
            let message = messages.last_mut().unwrap();
            assert_eq!(message.len(), MESSAGE_HEADER + offset);
            message.extend(header.take(fragment).unwrap());
            rest = &rest[len..];
        }
    }
    messages
}

fn said(endpoint: &mut DtlsEndpoint) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while let Some((_, datagram)) = endpoint.poll_transmit() {
        datagrams.push(datagram.to_vec());
    }
    datagrams
}

/// The cookie that a hello is answered with.
fn cookie(endpoint: &mut DtlsEndpoint, client: &mut Client, now: Instant) -> Vec<u8> {
    said(endpoint);
    let mut hello = client.hello(&[]);
    assert_eq!(endpoint.handle(client.peer, &mut hello, now), DtlsEvent::Handled);
    let [request] = &said(endpoint)[..] else { panic!("one answer") };
    assert_eq!(request[RECORD_HEADER], HELLO_VERIFY_REQUEST);
    assert!(request.len() < hello.len(), "{} for {}", request.len(), hello.len());
    request[RECORD_HEADER + MESSAGE_HEADER + 3..].to_vec()
}

/// Says hello with a cookie; returns the answer.
fn begin(endpoint: &mut DtlsEndpoint, client: &mut Client, now: Instant) -> (HandshakeId, Vec<Vec<u8>>) {
    let cookie = cookie(endpoint, client, now);
    let mut hello = client.hello(&cookie);
    assert_eq!(endpoint.handle(client.peer, &mut hello, now), DtlsEvent::Proved);
    let id = endpoint.begin(client.peer, &hello, now + Duration::from_secs(10), now).unwrap();
    (id, said(endpoint))
}

/// A client with a session.
fn connect(endpoint: &mut DtlsEndpoint, client: &mut Client, now: Instant) -> DtlsEvent {
    let (_, flight) = begin(endpoint, client, now);
    let mut last = DtlsEvent::Stray;
    for mut record in client.answer(&flight) {
        last = endpoint.handle(client.peer, &mut record, now);
    }
    last
}

#[track_caller]
fn talks(endpoint: &mut DtlsEndpoint, client: &mut Client, now: Instant) {
    let mut record = client.seal(APPLICATION_DATA, b"to the server");
    let DtlsEvent::Data(place) = endpoint.handle(client.peer, &mut record, now) else { panic!("no data") };
    assert_eq!(&record[place], b"to the server");
    let mut answer = vec![0; DTLS_IN_FRONT];
    answer.extend(b"to the client");
    answer.extend([0; DTLS_BEHIND]);
    let place = endpoint.seal(&client.peer, &mut answer).unwrap();
    assert_eq!(client.open(&answer[place]).unwrap(), b"to the client");
}

#[test]
fn a_handshake_leads_to_a_session_that_talks() {
    let now = now();
    let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
    let established = connect(&mut endpoint, &mut client, now);
    assert!(matches!(established, DtlsEvent::Established { replaced: false, .. }), "{established:?}");
    let [proof] = &said(&mut endpoint)[..] else { panic!("one datagram") };
    let change = dtls_record_len(proof).unwrap();
    assert_eq!(proof[0], CHANGE_CIPHER_SPEC);
    assert_eq!(client.open(&proof[change..]).unwrap()[0], FINISHED);
    talks(&mut endpoint, &mut client, now);
}

#[test]
fn weakness_dtls_nothing_is_kept_before_the_cookie() {
    let now = now();
    let mut endpoint = endpoint(now);
    let mut hello = Client::new(peer(0), 1).hello(&[]);
    for number in 0..100_000 {
        assert_eq!(endpoint.handle(peer(number), &mut hello, now), DtlsEvent::Handled);
        assert!(endpoint.poll_transmit().is_some_and(|(_, answer)| answer.len() < hello.len()));
        assert!(endpoint.poll_transmit().is_none());
    }
    assert!(endpoint.is_empty() && endpoint.poll_timeout().is_none());
}

#[test]
fn weakness_dtls_a_cookie_is_of_no_use_to_anybody_else_nor_for_ever() {
    let now = now();
    let mut endpoint = endpoint(now);
    let mut client = Client::new(peer(1), 1);
    let cookie = cookie(&mut endpoint, &mut client, now);
    let minutes = |count: u64| now + Duration::from_secs(60 * count);
    let mut proves = |peer, random, cookie: &[u8], at| {
        let mut hello = Client::new(peer, random).hello(cookie);
        let event = endpoint.handle(peer, &mut hello, at);
        said(&mut endpoint);
        event == DtlsEvent::Proved
    };
    assert!(proves(peer(1), 1, &cookie, now));
    assert!(proves(peer(1), 1, &cookie, minutes(1)));
    assert!(!proves(peer(1), 1, &cookie, minutes(2)));
    assert!(!proves(peer(1), 1, &cookie, minutes(256)), "the first byte is the same again");
    assert!(!proves(peer(2), 1, &cookie, now));
    assert!(!proves(peer(1), 2, &cookie, now));
    assert!(!proves(peer(1), 1, &cookie[..16], now));
    for at in 0..cookie.len() {
        let mut altered = cookie.clone();
        altered[at] ^= 1;
        assert!(!proves(peer(1), 1, &altered, now));
    }
}

#[test]
fn a_client_that_knows_only_older_versions_is_told_so() {
    let now = now();
    let mut endpoint = endpoint(now);
    let mut hello = Client::new(peer(1), 1).hello(&[]);
    hello[RECORD_HEADER + MESSAGE_HEADER..][..2].copy_from_slice(&DTLS_1_0);
    assert_eq!(endpoint.handle(peer(1), &mut hello, now), DtlsEvent::Handled);
    assert_eq!(said(&mut endpoint)[0][RECORD_HEADER..], [2, 70]);
    assert!(endpoint.is_empty());
}

/// Everything that somebody can send who knows a client's address but not its keys.
fn forgeries(peer: DtlsPeer) -> Vec<Vec<u8>> {
    let mut forger = Client::new(peer, 99);
    forger.record = 50;
    let [ours, theirs] = suite().keys(&[1; 48], &[1; 32], &[1; 32]).unwrap();
    (forger.ours, forger.theirs) = (Some(ours), Some(theirs));
    vec![
        forger.hello(&[]),
        forger.hello(&[1; 17]),
        forger.say(CLIENT_KEY_EXCHANGE, &[&[32][..], &[9; 32]].concat()),
        forger.plain(ALERT, &[2, 40]),
        forger.plain(ALERT, &[1, 0]),
        forger.plain(CHANGE_CIPHER_SPEC, &[1]),
        forger.plain(APPLICATION_DATA, b"data"),
        forger.plain(HANDSHAKE, &[0; 64]),
        forger.seal(ALERT, &[1, 0]),
        forger.seal(HANDSHAKE, &[20; 24]),
        forger.seal(APPLICATION_DATA, b"data"),
        forger.seal(APPLICATION_DATA, b"")[..20].to_vec(),
    ]
}

#[test]
fn weakness_dtls_a_stray_record_never_touches_an_established_session() {
    let now = now();
    let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
    connect(&mut endpoint, &mut client, now);
    talks(&mut endpoint, &mut client, now);
    for mut forgery in forgeries(client.peer) {
        let event = endpoint.handle(client.peer, &mut forgery, now);
        assert!(matches!(event, DtlsEvent::Handled | DtlsEvent::Stray), "{event:?}");
        talks(&mut endpoint, &mut client, now);
    }
    assert_eq!(endpoint.len(), 1);
    assert!(endpoint.handshake_of(&client.peer).is_none());
}

#[test]
fn weakness_dtls_a_forged_hello_ends_no_handshake() {
    let now = now();
    // A forged key exchange is the one thing that a handshake cannot tell from a true one.
    let harmless =
        |forgery: &Vec<u8>| forgery[RECORD_HEADER] != CLIENT_KEY_EXCHANGE || forgery[0] != HANDSHAKE;
    for mut forgery in forgeries(peer(1)).into_iter().filter(harmless) {
        let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
        let (_, flight) = begin(&mut endpoint, &mut client, now);
        let mut last = DtlsEvent::Stray;
        for mut record in client.answer(&flight) {
            endpoint.handle(client.peer, &mut forgery.clone(), now);
            last = endpoint.handle(client.peer, &mut record, now);
            endpoint.handle(client.peer, &mut forgery, now);
        }
        assert!(matches!(last, DtlsEvent::Established { .. }), "{last:?}");
        talks(&mut endpoint, &mut client, now);
    }
}

#[test]
fn a_client_that_begins_anew_replaces_its_session_once_it_has_proved_its_keys() {
    let now = now();
    let (mut endpoint, mut old) = (endpoint(now), Client::new(peer(1), 1));
    connect(&mut endpoint, &mut old, now);
    let mut new = Client::new(peer(1), 2);
    let (_, flight) = begin(&mut endpoint, &mut new, now);
    talks(&mut endpoint, &mut old, now);
    let [mut keys, mut change, mut proof] = new.answer(&flight);
    endpoint.handle(new.peer, &mut keys, now);
    endpoint.handle(new.peer, &mut change, now);
    talks(&mut endpoint, &mut old, now);
    let event = endpoint.handle(new.peer, &mut proof, now);
    assert!(matches!(event, DtlsEvent::Established { replaced: true, .. }), "{event:?}");
    talks(&mut endpoint, &mut new, now);
    let mut late = old.seal(APPLICATION_DATA, b"late");
    assert_eq!(endpoint.handle(old.peer, &mut late, now), DtlsEvent::Stray);
    assert_eq!(endpoint.len(), 1);
}

#[test]
fn what_gets_lost_is_said_again() {
    let now = now();
    let later = |tenths: u32| now + Duration::from_millis(100) * tenths;
    let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
    let (_, first) = begin(&mut endpoint, &mut client, now);
    assert_eq!(endpoint.poll_timeout(), Some(later(10)));
    assert_eq!(endpoint.poll_expired(later(9)), None);
    assert!(said(&mut endpoint).is_empty());
    // Nobody answers.
    assert_eq!(endpoint.poll_expired(later(10)), None);
    let again = said(&mut endpoint);
    assert_eq!(messages(&again), messages(&first));
    assert_ne!(again, first, "records are numbered anew");
    assert_eq!(endpoint.poll_timeout(), Some(later(30)));
    // The proof of the server gets lost, and the client repeats its own.
    for mut record in client.answer(&again) {
        endpoint.handle(client.peer, &mut record, later(11));
    }
    let proof = said(&mut endpoint);
    for _ in 0..20 {
        let mut repeated = client.proof();
        assert_eq!(endpoint.handle(client.peer, &mut repeated, later(12)), DtlsEvent::Handled);
    }
    let repeats = said(&mut endpoint);
    assert_eq!(repeats.len(), 8, "and not for ever");
    let opened = |datagram: &[u8]| client.open(&datagram[dtls_record_len(datagram).unwrap()..]).unwrap();
    assert_eq!(opened(&repeats[0]), opened(&proof[0]));
    talks(&mut endpoint, &mut client, later(13));
}

#[test]
fn a_repeated_hello_is_answered_again_and_not_for_ever() {
    let now = now();
    let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
    let cookie = cookie(&mut endpoint, &mut client, now);
    let mut hello = client.hello(&cookie);
    assert_eq!(endpoint.handle(client.peer, &mut hello, now), DtlsEvent::Proved);
    endpoint.begin(client.peer, &hello, now + Duration::from_secs(10), now).unwrap();
    let flight = said(&mut endpoint);
    for number in 0..20 {
        assert_eq!(endpoint.handle(client.peer, &mut hello, now), DtlsEvent::Handled);
        let again = said(&mut endpoint);
        assert_eq!(again.is_empty(), number >= 8);
        assert!(again.is_empty() || messages(&again) == messages(&flight));
    }
    assert_eq!(endpoint.len(), 1);
}

#[test]
fn handshakes_and_sessions_end_in_time() {
    let now = now();
    let seconds = |count| now + Duration::from_secs(count);
    let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
    let (id, _) = begin(&mut endpoint, &mut client, now);
    assert_eq!(endpoint.poll_expired(seconds(9)), None);
    let expired = Expired { peer: client.peer, handshake: Some(id), gone: true };
    assert_eq!(endpoint.poll_expired(seconds(10)), Some(expired));
    assert!(endpoint.is_empty() && endpoint.poll_timeout().is_none());

    let mut client = Client::new(peer(1), 2);
    connect(&mut endpoint, &mut client, now);
    endpoint.prolong(&client.peer, seconds(60));
    assert_eq!(endpoint.poll_expired(seconds(59)), None);
    endpoint.hold(&client.peer);
    endpoint.prolong(&client.peer, seconds(61));
    assert_eq!(endpoint.poll_timeout(), None);
    endpoint.release(&client.peer, seconds(90));
    said(&mut endpoint);
    let expired = Expired { peer: client.peer, handshake: None, gone: true };
    assert_eq!(endpoint.poll_expired(seconds(90)), Some(expired));
    assert_eq!(client.open(&said(&mut endpoint)[0]).unwrap(), [1, 0], "goodbye");
    assert!(endpoint.is_empty());
}

#[test]
fn goodbye_is_answered_and_ends_the_session() {
    let now = now();
    let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
    connect(&mut endpoint, &mut client, now);
    said(&mut endpoint);
    let mut goodbye = client.seal(ALERT, &[1, 0]);
    assert_eq!(endpoint.handle(client.peer, &mut goodbye, now), DtlsEvent::Closed { handshake: None });
    assert_eq!(client.open(&said(&mut endpoint)[0]).unwrap(), [1, 0]);
    assert!(endpoint.is_empty());
    assert!(endpoint.seal(&client.peer, &mut [0; 100]).is_none());
}

#[test]
fn no_record_counts_twice() {
    let now = now();
    let (mut endpoint, mut client) = (endpoint(now), Client::new(peer(1), 1));
    connect(&mut endpoint, &mut client, now);
    let record = client.seal(APPLICATION_DATA, b"once");
    assert!(matches!(endpoint.handle(client.peer, &mut record.clone(), now), DtlsEvent::Data(_)));
    let mut again = record;
    assert_eq!(endpoint.handle(client.peer, &mut again, now), DtlsEvent::Stray);
    let mut altered = client.seal(APPLICATION_DATA, b"altered");
    let last = altered.len() - 1;
    altered[last] ^= 1;
    assert_eq!(endpoint.handle(client.peer, &mut altered, now), DtlsEvent::Stray);
}

#[test]
fn the_window_is_what_a_list_of_all_numbers_says() {
    // Jumps of every size, forwards and back.
    let mut state = 1_u64;
    let (mut window, mut all, mut at) = (Window::default(), std::collections::BTreeSet::new(), 500_i64);
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        at = (at + ((state >> 33) % 160) as i64 - 76).max(0);
        let number = at as u64;
        let highest = all.last().copied().unwrap_or(0);
        let is_new = !all.contains(&number) && (all.is_empty() || number + 64 > highest);
        assert_eq!(window.is_new(number), is_new, "{number} after {highest}");
        if is_new {
            window.add(number);
            all.insert(number);
        }
    }
}

/// Whatever comes, in whatever state.
#[test]
fn noise_breaks_no_promise() {
    let now = now();
    let mut endpoint = endpoint(now);
    let mut established = Client::new(peer(1), 1);
    connect(&mut endpoint, &mut established, now);
    begin(&mut endpoint, &mut Client::new(peer(2), 2), now);
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let hello = Client::new(peer(3), 3).hello(&[5; 17]);
    for _ in 0..50_000 {
        let mut record = hello.clone();
        for _ in 0..random() % 8 {
            let at = random() % record.len();
            record[at] = random() as u8;
        }
        record.truncate(1 + random() % record.len());
        let peer = peer(1 + (random() % 3) as u32);
        if let Some(len) = dtls_record_len(&record) {
            endpoint.handle(peer, &mut record[..len], now);
        }
        endpoint.handle(peer, &mut record, now);
        said(&mut endpoint);
    }
    assert_eq!(endpoint.len(), 2);
    talks(&mut endpoint, &mut established, now);
}
