//! Nothing on the packet path allocates: a counting allocator says so.

#![expect(unsafe_code, reason = "an allocator cannot be written without")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use stun::attribute::*;
use stun::demux::classify;
use stun::frame::next;
use stun::{
    Attribute, ChannelData, ChannelNumber, Class, Header, Key, Message, Method, Tail, TransactionId, Writer,
};

struct Counting;

thread_local! {
    /// Per thread, because the test harness allocates in its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

fn key() -> Key {
    Key::long_term("user", "example.org", "password")
}

/// Writes a message with an attribute of every kind.
fn write_all(buffer: &mut [u8], key: &Key) -> usize {
    let v4 = "192.0.2.1:4321".parse().unwrap();
    let v6 = "[2001:db8::1]:4321".parse().unwrap();
    let id = TransactionId::new([3; 12]);
    let mut writer = Writer::new(buffer, Class::Request, Method::Allocate, id).unwrap();
    macro_rules! put {
        ($($attribute:expr,)*) => { $(writer.put(&$attribute).unwrap();)* };
    }
    put! {
        MappedAddress(v4), XorMappedAddress(v6), XorPeerAddress(v4), XorPeerAddress(v6), XorRelayedAddress(v4),
        AlternateServer(v6), ResponseOrigin(v4), OtherAddress(v6),
        Username::new("user").unwrap(), Realm::new("example.org").unwrap(), Nonce::new("obMatJos2AAAB").unwrap(),
        Software::new("stunner").unwrap(), AlternateDomain::new("example.net").unwrap(),
        ErrorCode::STALE_NONCE, AddressErrorCode { family: Family::V6, error: ErrorCode::FORBIDDEN },
        UnknownAttributes::new(&[1, 2, 3]), Lifetime(600), ConnectionId(1), ChannelNumber::MIN,
        RequestedTransport::UDP, RequestedAddressFamily(Family::V4), AdditionalAddressFamily(Family::V6),
        EvenPort { reserve: true }, DontFragment, ReservationToken([1; 8]), Icmp { kind: 3, code: 4, data: 5 },
        MobilityTicket(b"ticket"), Data(b"payload"), PasswordAlgorithm::SHA256,
        PasswordAlgorithms::new(&[PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5]).unwrap(),
        Userhash::of("user", "example.org"), ChangeRequest { address: true, port: true }, Padding(b"padding"),
        ResponsePort(1), CacheTimeout(1), Priority(1), UseCandidate, IceControlled(1), IceControlling(1),
    }
    let tail = Tail { sha1: Some(key), sha256: Some(key), fingerprint: true, ..Tail::default() };
    writer.finish_with(tail).unwrap()
}

fn read<'a, A: Attribute<'a>>(message: &Message<'a>) {
    assert!(message.get::<A>().unwrap().is_some());
    assert!(message.all::<A>().all(|value| value.is_ok()));
}

fn read_all(message: &Message<'_>) {
    macro_rules! read {
        ($($name:ty,)*) => { $(read::<$name>(message);)* };
    }
    read! {
        MappedAddress, XorMappedAddress, XorPeerAddress, XorRelayedAddress, AlternateServer, ResponseOrigin,
        OtherAddress, Username<'_>, Realm<'_>, Nonce<'_>, Software<'_>, AlternateDomain<'_>, ErrorCode<'_>,
        AddressErrorCode<'_>, UnknownAttributes<'_>, Lifetime, ConnectionId, ChannelNumber,
        RequestedTransport, RequestedAddressFamily, AdditionalAddressFamily, EvenPort, DontFragment,
        ReservationToken, Icmp, MobilityTicket<'_>, Data<'_>, PasswordAlgorithm<'_>, PasswordAlgorithms<'_>,
        Userhash, ChangeRequest, Padding<'_>, ResponsePort, CacheTimeout, Priority, UseCandidate,
        IceControlled, IceControlling,
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn writing_allocates_nothing() {
    let key = key();
    let mut buffer = [0; 2048];
    assert_eq!(allocations(|| assert!(write_all(&mut buffer, &key) > 0)), 0);
}

#[test]
fn reading_allocates_nothing() {
    let key = key();
    let mut buffer = [0; 2048];
    let len = write_all(&mut buffer, &key);
    let bytes = &buffer[..len];
    let read = || {
        assert!(Header::peek(bytes).is_ok());
        let message = Message::parse(bytes).unwrap();
        read_all(&message);
        assert!(message.unknown_required(|kind| kind != types::REALM).eq([types::REALM]));
        assert_eq!(message.get::<PasswordAlgorithms<'_>>().unwrap().unwrap().iter().count(), 2);
        assert_eq!(message.get::<UnknownAttributes<'_>>().unwrap().unwrap().iter().count(), 3);
    };
    assert_eq!(allocations(read), 0);
}

#[test]
fn verifying_allocates_nothing() {
    let mut buffer = [0; 2048];
    let len = write_all(&mut buffer, &key());
    let verify = || {
        let message = Message::parse(&buffer[..len]).unwrap();
        let other = Key::short_term("other");
        assert!(message.verify_integrity(&key()).is_ok() && message.verify_integrity_sha256(&key()).is_ok());
        assert!(
            message.verify_integrity(&other).is_err() && message.verify_integrity_sha256(&other).is_err()
        );
        assert!(message.verify_fingerprint().is_ok() && other != key());
    };
    assert_eq!(allocations(verify), 0);
}

#[test]
fn refusing_allocates_nothing() {
    let mut buffer = [0; 2048];
    let len = write_all(&mut buffer, &key());
    let refuse = || {
        for end in 0..len {
            assert!(Message::parse(&buffer[..end]).is_err());
            black_box(next(&buffer[..end]));
        }
        for index in 0..len {
            let mut damaged = buffer;
            damaged[index] ^= 0xff;
            if let Ok(message) = Message::parse(&damaged[..len]) {
                assert!(message.verify_fingerprint().is_err());
                black_box(message.get::<XorPeerAddress>().is_err());
            }
        }
    };
    assert_eq!(allocations(refuse), 0);
}

#[test]
fn channel_data_and_framing_allocate_nothing() {
    let mut buffer = [0; 64];
    let relay = || {
        let sent = ChannelData { channel: ChannelNumber::MAX, data: b"payload" };
        let len = sent.write(&mut buffer).unwrap();
        black_box((classify(&buffer[..len]), next(&buffer[..len])));
        assert_eq!(ChannelData::parse(&buffer[..len]), Ok(sent));
    };
    assert_eq!(allocations(relay), 0);
}
