use std::time::{Duration, Instant};

use super::client::{DtlsClient as Client, messages, suite};
use super::protection::Window;
use super::wire::*;
use super::*;
use crate::Identity;

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
    for mut record in client.answer(&flight).unwrap() {
        last = endpoint.handle(client.peer, &mut record, now);
    }
    last
}

#[track_caller]
fn talks(endpoint: &mut DtlsEndpoint, client: &mut Client, now: Instant) {
    let mut record = client.seal(APPLICATION_DATA, b"to the server").unwrap();
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
    let [ours, theirs] = suite().unwrap().keys(&[1; 48], &[1; 32], &[1; 32]).unwrap();
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
        forger.seal(ALERT, &[1, 0]).unwrap(),
        forger.seal(HANDSHAKE, &[20; 24]).unwrap(),
        forger.seal(APPLICATION_DATA, b"data").unwrap(),
        forger.seal(APPLICATION_DATA, b"").unwrap()[..20].to_vec(),
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
        for mut record in client.answer(&flight).unwrap() {
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
    let [mut keys, mut change, mut proof] = new.answer(&flight).unwrap();
    endpoint.handle(new.peer, &mut keys, now);
    endpoint.handle(new.peer, &mut change, now);
    talks(&mut endpoint, &mut old, now);
    let event = endpoint.handle(new.peer, &mut proof, now);
    assert!(matches!(event, DtlsEvent::Established { replaced: true, .. }), "{event:?}");
    talks(&mut endpoint, &mut new, now);
    let mut late = old.seal(APPLICATION_DATA, b"late").unwrap();
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
    for mut record in client.answer(&again).unwrap() {
        endpoint.handle(client.peer, &mut record, later(11));
    }
    let proof = said(&mut endpoint);
    for _ in 0..20 {
        let mut repeated = client.proof().unwrap();
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
    let mut goodbye = client.seal(ALERT, &[1, 0]).unwrap();
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
    let record = client.seal(APPLICATION_DATA, b"once").unwrap();
    assert!(matches!(endpoint.handle(client.peer, &mut record.clone(), now), DtlsEvent::Data(_)));
    let mut again = record;
    assert_eq!(endpoint.handle(client.peer, &mut again, now), DtlsEvent::Stray);
    let mut altered = client.seal(APPLICATION_DATA, b"altered").unwrap();
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
