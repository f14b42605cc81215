//! A server that says what the test wants it to.

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use stun::attribute::{
    AlternateDomain, AlternateServer, Data, ErrorCode, Lifetime, Nonce, PasswordAlgorithm,
    PasswordAlgorithms, Realm, RequestedAddressFamily, SecurityFeatures, Userhash, XorMappedAddress,
    XorPeerAddress, XorRelayedAddress, types,
};
use stun::{ChannelData, ChannelNumber, Class, Key, Message, Method, TransactionId, Writer};
use turn::addr::{Family, Transport};
use turn::client::{
    Allocated, CannotSend, Client, Credentials, DeadlineReason, End, Event, Failure, Output, Received,
    Refusal, Settings,
};

#[expect(clippy::disallowed_methods, reason = "any instant will do for the beginning of time")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

const PEER: &str = "192.0.2.7:4000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A client, the time, and everything it has said that the test has not looked at.
struct World {
    client: Client<ChaCha20Rng>,
    now: Instant,
    sent: Vec<Vec<u8>>,
    events: Vec<Event>,
}

impl World {
    fn new() -> Self {
        Self::with(Transport::Udp, |_| {})
    }

    fn with(transport: Transport, adjust: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new(transport, Credentials::new("user", "pass"));
        adjust(&mut settings);
        let client = Client::new(settings, ChaCha20Rng::seed_from_u64(1), *START);
        let mut world = Self { client, now: *START, sent: Vec::new(), events: Vec::new() };
        world.drain();
        world
    }

    /// Past the challenge, with an allocation for 600 seconds.
    fn allocated() -> Self {
        let mut world = Self::new();
        world.challenge(401, "nonce");
        world.grant_allocation();
        world
    }

    fn drain(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Send(message) => self.sent.push(message),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// The one request that was sent since the last look.
    #[track_caller]
    fn asked(&mut self) -> Vec<u8> {
        assert_eq!(
            self.sent.len(),
            1,
            "{:?}",
            self.sent.iter().map(|it| Message::parse(it)).collect::<Vec<_>>()
        );
        self.sent.remove(0)
    }

    #[track_caller]
    fn event(&mut self) -> Event {
        assert!(self.sent.is_empty(), "also sent");
        assert_eq!(self.events.len(), 1, "{:?}", self.events);
        self.events.remove(0)
    }

    fn quiet(&self) -> bool {
        self.sent.is_empty() && self.events.is_empty()
    }

    fn receive(&mut self, packet: &[u8]) {
        assert_eq!(self.client.handle_input(packet, self.now), None);
        self.drain();
    }

    /// Answers the one request with an error that brings a nonce.
    #[track_caller]
    fn challenge(&mut self, code: u16, nonce: &str) {
        let asked = self.asked();
        let answer = answer(&asked, Class::Error, None, |writer| {
            writer.put(&ErrorCode::named(code).unwrap()).unwrap();
            writer.put(&Realm::new("realm").unwrap()).unwrap().put(&Nonce::new(nonce).unwrap()).unwrap();
        });
        self.receive(&answer);
    }

    /// Answers the one request with a signed success that has these attributes.
    #[track_caller]
    fn grant(&mut self, put: impl FnOnce(&mut Writer<'_>)) {
        let asked = self.asked();
        let answer = answer(&asked, Class::Success, Some(&key()), put);
        self.receive(&answer);
    }

    #[track_caller]
    fn refuse(&mut self, code: u16) {
        let asked = self.asked();
        let answer = answer(&asked, Class::Error, Some(&key()), |writer| {
            writer.put(&ErrorCode::named(code).unwrap()).unwrap();
        });
        self.receive(&answer);
    }

    #[track_caller]
    fn grant_allocation(&mut self) {
        self.grant(|writer| {
            writer.put(&XorRelayedAddress(addr("203.0.113.1:50000"))).unwrap();
            writer.put(&XorMappedAddress(addr("198.51.100.1:5000"))).unwrap().put(&Lifetime(600)).unwrap();
        });
        let expected = Allocated {
            relayed: addr("203.0.113.1:50000"),
            mapped: Some(addr("198.51.100.1:5000")),
            lifetime: secs(600),
        };
        assert_eq!(self.events.remove(0), Event::Allocated(expected));
    }

    /// Wakes the client at its next deadline and tells how long that took, and what for.
    #[track_caller]
    fn wake(&mut self) -> (Duration, DeadlineReason) {
        let deadline = self.client.poll_timeout().unwrap();
        let waited = deadline.at - self.now;
        self.now = deadline.at;
        self.client.handle_timeout(self.now);
        self.drain();
        (waited, deadline.reason)
    }

    /// A peer with permission and channel.
    fn bind(&mut self) {
        self.client.bind(addr(PEER), self.now);
        self.drain();
        assert_eq!(self.sent.len(), 2);
        let binding = self.sent.pop().unwrap();
        self.grant(|_| {});
        self.sent.push(binding);
        self.grant(|_| {});
        self.events.clear();
    }
}

fn key() -> Key {
    Key::long_term("user", "realm", "pass")
}

fn answer(asked: &[u8], class: Class, key: Option<&Key>, put: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let asked = Message::parse(asked).unwrap();
    let mut buffer = vec![0; 1024];
    let mut writer = Writer::new(&mut buffer, class, asked.method(), asked.transaction_id()).unwrap();
    put(&mut writer);
    let len = match key {
        Some(key) => writer.finish_with_integrity(key).unwrap(),
        None => writer.finish(),
    };
    buffer.truncate(len);
    buffer
}

#[test]
fn the_first_request_is_unsigned_and_the_second_is_signed() {
    let mut world = World::new();
    let first = world.sent[0].clone();
    let message = Message::parse(&first).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::Allocate));
    assert!(!message.has_integrity() && !message.has(types::USERNAME));
    world.challenge(401, "nonce");
    let second = world.sent[0].clone();
    let message = Message::parse(&second).unwrap();
    assert_ne!(message.transaction_id(), Message::parse(&first).unwrap().transaction_id());
    message.verify_integrity(&key()).unwrap();
    assert_eq!(message.raw(types::NONCE), Some(&b"nonce"[..]));
    assert_eq!(message.raw(types::REALM), Some(&b"realm"[..]));
    assert_eq!(message.raw(types::USERNAME), Some(&b"user"[..]));
    world.grant_allocation();
    assert!(world.client.is_allocated() && world.quiet());
}

#[test]
fn wrong_credentials_are_refused_after_one_try() {
    let mut world = World::new();
    world.challenge(401, "nonce");
    world.challenge(401, "another");
    let refusal = Refusal { method: Method::Allocate, code: 401, reason: "Unauthenticated".into() };
    assert_eq!(world.event(), Event::Ended(End::Failed(Failure::Refused(refusal))));
    assert_eq!(world.client.poll_timeout(), None);
}

#[test]
fn a_stale_nonce_is_replaced() {
    let mut world = World::new();
    world.challenge(401, "old");
    world.challenge(438, "new");
    let asked = world.sent[0].clone();
    assert_eq!(Message::parse(&asked).unwrap().raw(types::NONCE), Some(&b"new"[..]));
    world.grant_allocation();
}

#[test]
fn a_server_that_never_likes_a_nonce_is_given_up() {
    let mut world = World::new();
    world.challenge(401, "0");
    for nonce in ["1", "2", "3"] {
        world.challenge(438, nonce);
    }
    assert!(matches!(world.event(), Event::Ended(End::Failed(Failure::Refused(Refusal { code: 438, .. })))));
}

#[test]
fn requests_over_udp_follow_the_schedule_of_rfc_8489() {
    let mut world = World::new();
    let first = world.asked();
    let mut pauses = Vec::new();
    loop {
        let (pause, reason) = world.wake();
        assert_eq!(reason, DeadlineReason::Retransmit);
        pauses.push(pause.as_millis());
        if world.sent.is_empty() {
            break;
        }
        assert_eq!(world.asked(), first, "the same transaction");
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 8000]);
    assert_eq!(world.event(), Event::Ended(End::Failed(Failure::NoAnswer { method: Method::Allocate })));
}

#[test]
fn requests_over_a_stream_are_sent_once_and_awaited_as_long() {
    let mut world = World::with(Transport::Tcp, |_| {});
    world.asked();
    let (pause, _) = world.wake();
    assert_eq!(pause, Duration::from_millis(39_500));
    assert_eq!(world.event(), Event::Ended(End::Failed(Failure::NoAnswer { method: Method::Allocate })));
}

#[test]
fn answers_that_the_server_did_not_sign_do_not_count() {
    let mut world = World::new();
    world.challenge(401, "nonce");
    let asked = world.sent[0].clone();
    let put = |writer: &mut Writer<'_>| {
        writer.put(&XorRelayedAddress(addr("203.0.113.66:6"))).unwrap();
    };
    world.receive(&answer(&asked, Class::Success, None, put));
    let wrong = Key::long_term("user", "realm", "guessed");
    world.receive(&answer(&asked, Class::Success, Some(&wrong), put));
    let refuse = |writer: &mut Writer<'_>| {
        writer.put(&ErrorCode::FORBIDDEN).unwrap();
    };
    world.receive(&answer(&asked, Class::Error, Some(&wrong), refuse));
    assert!(world.events.is_empty());
    world.grant_allocation();
}

#[test]
fn an_allocation_is_refreshed_a_minute_before_its_end() {
    let mut world = World::allocated();
    assert_eq!(world.wake(), (secs(540), DeadlineReason::Refresh));
    let asked = world.sent[0].clone();
    let message = Message::parse(&asked).unwrap();
    assert_eq!(message.method(), Method::Refresh);
    assert_eq!(message.get::<Lifetime>().unwrap(), Some(Lifetime(600)));
    world.grant(|writer| {
        writer.put(&Lifetime(100)).unwrap();
    });
    assert_eq!(world.wake(), (secs(50), DeadlineReason::Refresh), "a short one at half its time");
    world.refuse(437);
    let refusal = Refusal { method: Method::Refresh, code: 437, reason: "Allocation Mismatch".into() };
    assert_eq!(world.event(), Event::Ended(End::Failed(Failure::Refused(refusal))));
    let sent = world.client.write(addr(PEER), b"x", &mut [0; 100]);
    assert_eq!(sent, Err(CannotSend::NotAllocated));
}

#[test]
fn permissions_and_channels_are_asked_for_once_there_is_an_allocation_and_refreshed() {
    let mut world = World::new();
    world.client.bind(addr(PEER), world.now);
    world.client.bind(addr(PEER), world.now);
    world.client.permit(addr(PEER).ip(), world.now);
    world.drain();
    world.challenge(401, "nonce");
    world.grant_allocation();
    assert_eq!(world.sent.len(), 2);
    let binding = world.sent.pop().unwrap();
    let asked = world.sent[0].clone();
    let message = Message::parse(&asked).unwrap();
    assert_eq!(message.method(), Method::CreatePermission);
    assert_eq!(message.get::<XorPeerAddress>().unwrap().unwrap().0.ip(), addr(PEER).ip());
    world.grant(|_| {});
    assert_eq!(world.event(), Event::Permitted(addr(PEER).ip()));
    let message = Message::parse(&binding).unwrap();
    assert_eq!(message.method(), Method::ChannelBind);
    assert_eq!(message.get::<XorPeerAddress>().unwrap(), Some(XorPeerAddress(addr(PEER))));
    world.sent.push(binding);
    world.grant(|_| {});
    let channel = ChannelNumber::new(0x4000).unwrap();
    assert_eq!(world.event(), Event::Bound { peer: addr(PEER), channel });

    assert_eq!(world.wake(), (secs(240), DeadlineReason::Permission));
    world.grant(|_| {});
    assert!(world.quiet(), "a renewal is no news");
    assert_eq!(world.wake(), (secs(240), DeadlineReason::Permission));
    world.grant(|_| {});
    let (waited, _) = world.wake();
    assert_eq!(waited, secs(60));
    assert_eq!(world.sent.len(), 2, "the channel and the allocation");
}

#[test]
fn a_refused_peer_is_reported_and_can_be_asked_for_again() {
    let mut world = World::allocated();
    world.client.permit(addr(PEER).ip(), world.now);
    world.drain();
    world.refuse(403);
    let failure =
        Failure::Refused(Refusal { method: Method::CreatePermission, code: 403, reason: "Forbidden".into() });
    assert_eq!(world.event(), Event::Refused { peer: addr(PEER).ip(), failure });
    let sent = world.client.write(addr(PEER), b"x", &mut [0; 100]);
    assert_eq!(sent, Err(CannotSend::NotPermitted));
    world.client.permit(addr(PEER).ip(), world.now);
    world.drain();
    world.grant(|_| {});
    assert_eq!(world.event(), Event::Permitted(addr(PEER).ip()));
}

#[test]
fn data_goes_and_comes_as_indications_and_on_channels() {
    let mut world = World::allocated();
    world.client.permit(addr(PEER).ip(), world.now);
    world.drain();
    world.grant(|_| {});
    let mut buffer = [0; 200];
    let len = world.client.write(addr(PEER), b"hello", &mut buffer).unwrap();
    assert!(len <= 5 + Client::<ChaCha20Rng>::MAX_OVERHEAD);
    let message = Message::parse(&buffer[..len]).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::Send));
    assert_eq!(message.get::<Data<'_>>().unwrap(), Some(Data(b"hello")));
    assert_eq!(world.client.write(addr(PEER), &[0; 200], &mut buffer), Err(CannotSend::TooLong));

    let id = TransactionId::new([7; 12]);
    let mut writer = Writer::new(&mut buffer, Class::Indication, Method::Data, id).unwrap();
    writer.put(&XorPeerAddress(addr(PEER))).unwrap().put(&Data(b"back")).unwrap();
    let len = writer.finish();
    let received = world.client.handle_input(&buffer[..len], world.now);
    assert_eq!(received, Some(Received { peer: addr(PEER), payload: b"back" }));

    let mut world = World::allocated();
    world.bind();
    let len = world.client.write(addr(PEER), b"hello", &mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"\x40\x00\x00\x05hello", "no padding over UDP");
    let channel = ChannelNumber::new(0x4000).unwrap();
    let len = ChannelData { channel, data: b"back" }.write(&mut buffer).unwrap();
    let received = world.client.handle_input(&buffer[..len], world.now);
    assert_eq!(received, Some(Received { peer: addr(PEER), payload: b"back" }));
    let channel = ChannelNumber::new(0x4001).unwrap();
    let len = ChannelData { channel, data: b"whose" }.write(&mut buffer).unwrap();
    assert_eq!(world.client.handle_input(&buffer[..len], world.now), None);
}

#[test]
fn streams_get_padded_channel_data() {
    let mut world = World::with(Transport::Tls, |_| {});
    world.challenge(401, "nonce");
    world.grant_allocation();
    world.bind();
    let mut buffer = [0xFF; 200];
    let len = world.client.write(addr(PEER), b"hello", &mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"\x40\x00\x00\x05hello\0\0\0");
}

#[test]
fn a_server_may_send_its_clients_elsewhere() {
    let put = |writer: &mut Writer<'_>| {
        writer.put(&ErrorCode::TRY_ALTERNATE).unwrap();
        writer.put(&AlternateServer(addr("203.0.113.9:3478"))).unwrap();
        writer.put(&AlternateDomain::new("turn.example.org").unwrap()).unwrap();
    };
    let end = End::Redirected { server: addr("203.0.113.9:3478"), domain: Some("turn.example.org".into()) };
    let mut world = World::new();
    let asked = world.asked();
    world.receive(&answer(&asked, Class::Error, None, put));
    assert_eq!(world.event(), Event::Ended(end.clone()), "before anybody could sign");
    let mut world = World::new();
    world.challenge(401, "nonce");
    let asked = world.asked();
    world.receive(&answer(&asked, Class::Error, Some(&key()), put));
    assert_eq!(world.event(), Event::Ended(end));
    let mut world = World::new();
    world.challenge(401, "nonce");
    let asked = world.asked();
    world.receive(&answer(&asked, Class::Error, None, put));
    assert!(matches!(world.event(), Event::Ended(End::Failed(_))), "strangers are not followed");
}

#[test]
fn an_allocation_is_given_back() {
    let mut world = World::allocated();
    world.client.release(world.now);
    world.drain();
    let asked = world.sent[0].clone();
    let message = Message::parse(&asked).unwrap();
    assert_eq!(message.get::<Lifetime>().unwrap(), Some(Lifetime(0)));
    world.grant(|writer| {
        writer.put(&Lifetime(0)).unwrap();
    });
    assert_eq!(world.event(), Event::Ended(End::Released));
    assert_eq!(world.client.poll_timeout(), None);
    let mut world = World::new();
    world.sent.clear();
    world.client.release(world.now);
    world.drain();
    assert_eq!(world.event(), Event::Ended(End::Released), "nothing to give back");
}

#[test]
fn new_credentials_sign_the_next_request_and_old_answers_still_count() {
    let mut world = World::allocated();
    world.client.permit(addr(PEER).ip(), world.now);
    world.drain();
    world.client.set_credentials(Credentials::new("user", "changed"));
    world.grant(|_| {});
    assert_eq!(world.event(), Event::Permitted(addr(PEER).ip()));
    world.wake();
    let asked = world.sent[0].clone();
    Message::parse(&asked).unwrap().verify_integrity(&Key::long_term("user", "realm", "changed")).unwrap();
}

#[test]
fn the_better_password_algorithm_is_taken_and_cannot_be_talked_out_of() {
    let features = SecurityFeatures { password_algorithms: true, username_anonymity: true };
    let bits = String::from_utf8(features.to_base64().to_vec()).unwrap();
    let nonce = format!("{}{bits}rest", Nonce::COOKIE);
    let offered = [PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5];
    let put = |writer: &mut Writer<'_>, is_whole: bool| {
        writer.put(&ErrorCode::UNAUTHENTICATED).unwrap();
        writer.put(&Realm::new("realm").unwrap()).unwrap().put(&Nonce::new(&nonce).unwrap()).unwrap();
        if is_whole {
            writer.put(&PasswordAlgorithms::new(&offered).unwrap()).unwrap();
        }
    };
    let mut world = World::new();
    let asked = world.asked();
    world.receive(&answer(&asked, Class::Error, None, |writer| put(writer, true)));
    let asked = world.asked();
    let message = Message::parse(&asked).unwrap();
    message.verify_integrity_sha256(&Key::long_term_sha256("user", "realm", "pass")).unwrap();
    assert!(!message.has_integrity() && !message.has(types::USERNAME));
    assert_eq!(message.get::<Userhash>().unwrap(), Some(Userhash::of("user", "realm")));
    assert_eq!(message.get::<PasswordAlgorithm<'_>>().unwrap(), Some(PasswordAlgorithm::SHA256));
    let back = message.get::<PasswordAlgorithms<'_>>().unwrap().unwrap();
    assert!(back.iter().eq(offered));

    let mut world = World::new();
    let asked = world.asked();
    world.receive(&answer(&asked, Class::Error, None, |writer| put(writer, false)));
    assert_eq!(world.event(), Event::Ended(End::Weakened));
}

#[test]
fn a_family_is_named_only_when_it_is_not_the_usual_one() {
    let mut world = World::with(Transport::Udp, |settings| settings.family = Family::V6);
    let asked = world.asked();
    let family = Message::parse(&asked).unwrap().get::<RequestedAddressFamily>().unwrap();
    assert_eq!(family, Some(RequestedAddressFamily(Family::V6)));
    let asked = World::new().asked();
    assert!(!Message::parse(&asked).unwrap().has(types::REQUESTED_ADDRESS_FAMILY));
}

#[test]
fn credentials_do_not_print_themselves() {
    let settings = Settings::new(Transport::Udp, Credentials::new("alice", "s3cret"));
    let printed = format!("{settings:?}");
    assert!(!printed.contains("alice") && !printed.contains("s3cret"), "{printed}");
}
