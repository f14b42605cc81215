//! Every attribute: a value survives the wire, the wire form is the RFC's, malformed values are refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;
use std::net::SocketAddr;

use hex_literal::hex;
use proptest::collection::vec;
use proptest::prelude::*;
use stun::attribute::*;
use stun::{Attribute, AttributeError, ChannelNumber, Class, Message, Method, TransactionId, Writer};

const ID: TransactionId = TransactionId::new([7; 12]);

/// Sends the attribute between two others and takes it out of the parsed message.
fn survives<'a, A: Attribute<'a> + PartialEq + Debug>(
    attribute: A,
    id: TransactionId,
    buffer: &'a mut Vec<u8>,
) {
    buffer.resize(70_000, 0xff);
    let mut writer = Writer::new(buffer, Class::Request, Method::Allocate, id).unwrap();
    writer.put_raw(0x7fff, b"before").unwrap().put(&attribute).unwrap().put_raw(0xffff, b"after").unwrap();
    let len = writer.finish();
    assert_eq!(len % 4, 0);
    let message = Message::parse(&buffer[..len]).unwrap();
    assert_eq!(message.get(), Ok(Some(attribute)));
    assert_eq!(message.raw(0xffff), Some(&b"after"[..]));
}

/// What the attribute is on the wire, and that it is read from there.
fn is_on_the_wire<'a, A: Attribute<'a> + PartialEq + Debug>(attribute: A, wire: &'a [u8]) {
    let mut value = vec![0xff; attribute.encoded_len()];
    attribute.encode(&mut value, ID);
    assert_eq!(value, wire);
    assert_eq!(A::decode(wire, ID), Ok(attribute));
}

fn refuses<'a, A: Attribute<'a> + PartialEq + Debug>(wire: &'a [u8], error: AttributeError) {
    assert_eq!(A::decode(wire, ID), Err(error), "{}: {wire:02x?}", types::Display(A::TYPE));
}

/// Every length but those listed is refused.
fn has_length<'a, A: Attribute<'a> + PartialEq + Debug>(lengths: &[usize]) {
    static WIRE: [u8; 40] = [1; 40];
    for len in (0..WIRE.len()).filter(|len| !lengths.contains(len)) {
        refuses::<A>(&WIRE[..len], AttributeError::Length);
    }
}

fn id() -> impl Strategy<Value = TransactionId> {
    any::<[u8; 12]>().prop_map(TransactionId::new)
}

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

/// Text of the longest a sender may send: in bytes, or in characters.
fn text(bytes: usize, characters: usize) -> impl Strategy<Value = String> {
    any::<String>().prop_map(move |text| {
        let mut text: String = text.chars().take(characters).collect();
        while text.len() > bytes {
            text.pop();
        }
        text
    })
}

/// Flow label and scope do not travel.
fn addr() -> impl Strategy<Value = SocketAddr> {
    any::<(std::net::IpAddr, u16)>().prop_map(SocketAddr::from)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn addresses_survive(addr in addr(), id in id()) {
        let mut buffer = Vec::new();
        survives(MappedAddress(addr), id, &mut buffer);
        survives(XorMappedAddress(addr), id, &mut buffer);
        survives(XorPeerAddress(addr), id, &mut buffer);
        survives(XorRelayedAddress(addr), id, &mut buffer);
        survives(AlternateServer(addr), id, &mut buffer);
        survives(ResponseOrigin(addr), id, &mut buffer);
        survives(OtherAddress(addr), id, &mut buffer);
    }

    #[test]
    fn texts_survive(user in text(508, 508), other in text(508, 127), domain in text(255, 255)) {
        survives(Username::new(&user).unwrap(), ID, &mut Vec::new());
        survives(Realm::new(&other).unwrap(), ID, &mut Vec::new());
        survives(Nonce::new(&other).unwrap(), ID, &mut Vec::new());
        survives(Software::new(&other).unwrap(), ID, &mut Vec::new());
        survives(AlternateDomain::new(&domain).unwrap(), ID, &mut Vec::new());
    }

    #[test]
    fn errors_survive(code in 300..700_u16, reason in text(508, 127), family in family(), types in vec(any::<u16>(), 0..20)) {
        let error = ErrorCode::new(code, &reason).unwrap();
        survives(error, ID, &mut Vec::new());
        survives(AddressErrorCode { family, error }, ID, &mut Vec::new());
        survives(UnknownAttributes::new(&types), ID, &mut Vec::new());
    }

    #[test]
    fn numbers_survive(long in any::<u64>(), number in any::<u32>(), short in any::<u16>(), byte in any::<u8>()) {
        let mut buffer = Vec::new();
        survives(Lifetime(number), ID, &mut buffer);
        survives(ConnectionId(number), ID, &mut buffer);
        survives(CacheTimeout(number), ID, &mut buffer);
        survives(Priority(number), ID, &mut buffer);
        survives(IceControlled(long), ID, &mut buffer);
        survives(IceControlling(long), ID, &mut buffer);
        survives(ReservationToken(long.to_be_bytes()), ID, &mut buffer);
        survives(RequestedTransport(byte), ID, &mut buffer);
        survives(ResponsePort(short), ID, &mut buffer);
        survives(Icmp { kind: byte & 0x7f, code: short & 0x1ff, data: number }, ID, &mut buffer);
        survives(ChannelNumber::new(0x4000 | short & 0x0fff).unwrap(), ID, &mut buffer);
    }

    #[test]
    fn bytes_survive(bytes in vec(any::<u8>(), 0..2000), hash in any::<[u8; 32]>()) {
        survives(Data(&bytes), ID, &mut Vec::new());
        survives(MobilityTicket(&bytes), ID, &mut Vec::new());
        survives(Padding(&bytes), ID, &mut Vec::new());
        survives(Userhash(hash), ID, &mut Vec::new());
    }

    #[test]
    fn password_algorithms_survive(algorithms in vec((any::<u16>(), vec(any::<u8>(), 0..9)), 0..6)) {
        let algorithms: Vec<_> = algorithms
            .iter()
            .map(|(number, parameters)| PasswordAlgorithm::new(*number, parameters).unwrap())
            .collect();
        survives(PasswordAlgorithms::new(&algorithms).unwrap(), ID, &mut Vec::new());
        for algorithm in algorithms {
            survives(algorithm, ID, &mut Vec::new());
        }
    }
}

#[test]
fn flags_survive() {
    let mut buffer = Vec::new();
    survives(DontFragment, ID, &mut buffer);
    survives(UseCandidate, ID, &mut buffer);
    for yes in [false, true] {
        survives(EvenPort { reserve: yes }, ID, &mut buffer);
        survives(ChangeRequest { address: yes, port: !yes }, ID, &mut buffer);
    }
    for family in [Family::V4, Family::V6] {
        survives(RequestedAddressFamily(family), ID, &mut buffer);
        survives(AdditionalAddressFamily(family), ID, &mut buffer);
    }
}

#[test]
fn wire_forms_are_those_of_the_rfcs() {
    is_on_the_wire(MappedAddress("192.0.2.1:32853".parse().unwrap()), &hex!("00018055c0000201"));
    is_on_the_wire(XorPeerAddress("192.0.2.1:32853".parse().unwrap()), &hex!("0001a147e112a643"));
    is_on_the_wire(
        XorRelayedAddress("[2001:db8::1]:4660".parse().unwrap()),
        &hex!("00023326 0113a9fa 07070707 07070707 07070706"),
    );
    is_on_the_wire(ErrorCode::STALE_NONCE.without_reason(), &hex!("00000426"));
    is_on_the_wire(ErrorCode::new(699, "no").unwrap(), &hex!("00000663 6e6f"));
    is_on_the_wire(
        AddressErrorCode {
            family: Family::V6,
            error: ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED.without_reason(),
        },
        &hex!("02000428"),
    );
    is_on_the_wire(UnknownAttributes::new(&[0x0003, 0x7f00]), &hex!("00037f00"));
    is_on_the_wire(Lifetime(600), &hex!("00000258"));
    is_on_the_wire(ChannelNumber::MIN, &hex!("40000000"));
    is_on_the_wire(RequestedTransport::UDP, &hex!("11000000"));
    is_on_the_wire(RequestedTransport::TCP, &hex!("06000000"));
    is_on_the_wire(RequestedAddressFamily(Family::V6), &hex!("02000000"));
    is_on_the_wire(AdditionalAddressFamily(Family::V6), &hex!("02000000"));
    is_on_the_wire(EvenPort { reserve: true }, &hex!("80"));
    is_on_the_wire(EvenPort { reserve: false }, &hex!("00"));
    is_on_the_wire(Icmp { kind: 3, code: 4, data: 1400 }, &hex!("0000 0604 00000578"));
    is_on_the_wire(Icmp { kind: 0x7f, code: 0x1ff, data: 0 }, &hex!("0000 ffff 00000000"));
    is_on_the_wire(PasswordAlgorithm::SHA256, &hex!("00020000"));
    is_on_the_wire(
        PasswordAlgorithms::new(&[PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5]).unwrap(),
        &hex!("0002000000010000"),
    );
    is_on_the_wire(ChangeRequest { address: true, port: false }, &hex!("00000004"));
    is_on_the_wire(ChangeRequest { address: false, port: true }, &hex!("00000002"));
    is_on_the_wire(ResponsePort(3478), &hex!("0d960000"));
}

#[test]
fn reserved_bits_are_ignored() {
    fn reads<'a, A: Attribute<'a> + PartialEq + Debug>(wire: &'a [u8], attribute: A) {
        assert_eq!(A::decode(wire, ID), Ok(attribute));
    }
    reads(&hex!("ff018055c0000201"), MappedAddress("192.0.2.1:32853".parse().unwrap()));
    reads(&hex!("fffffc26"), ErrorCode::STALE_NONCE.without_reason());
    reads(&hex!("4000ffff"), ChannelNumber::MIN);
    reads(&hex!("11ffffff"), RequestedTransport::UDP);
    reads(&hex!("01ffffff"), RequestedAddressFamily(Family::V4));
    reads(&hex!("7f"), EvenPort { reserve: false });
    reads(&hex!("fffffff9"), ChangeRequest { address: false, port: false });
    reads(&hex!("0d96"), ResponsePort(3478));
    reads(&hex!("ffff 0604 00000578"), Icmp { kind: 3, code: 4, data: 1400 });
}

#[test]
fn wrong_lengths_are_refused() {
    has_length::<MappedAddress>(&[8]);
    has_length::<XorMappedAddress>(&[8]);
    has_length::<XorPeerAddress>(&[8]);
    has_length::<XorRelayedAddress>(&[8]);
    has_length::<AlternateServer>(&[8]);
    has_length::<ResponseOrigin>(&[8]);
    has_length::<OtherAddress>(&[8]);
    has_length::<ChannelNumber>(&[4]);
    has_length::<Lifetime>(&[4]);
    has_length::<ConnectionId>(&[4]);
    has_length::<RequestedTransport>(&[4]);
    has_length::<RequestedAddressFamily>(&[4]);
    has_length::<AdditionalAddressFamily>(&[4]);
    has_length::<EvenPort>(&[1]);
    has_length::<DontFragment>(&[0]);
    has_length::<ReservationToken>(&[8]);
    has_length::<Icmp>(&[8]);
    has_length::<Userhash>(&[32]);
    has_length::<ChangeRequest>(&[4]);
    has_length::<ResponsePort>(&[2, 4]);
    has_length::<CacheTimeout>(&[4]);
    has_length::<Priority>(&[4]);
    has_length::<UseCandidate>(&[0]);
    has_length::<IceControlled>(&[8]);
    has_length::<IceControlling>(&[8]);
    for len in 0..4 {
        refuses::<ErrorCode<'_>>(&[0, 0, 4, 0][..len], AttributeError::Length);
        refuses::<AddressErrorCode<'_>>(&[1, 0, 4, 0][..len], AttributeError::Length);
        refuses::<PasswordAlgorithm<'_>>(&[0, 1, 0, 0][..len], AttributeError::Length);
    }
    refuses::<MappedAddress>(&hex!("0002 8055 c0000201"), AttributeError::Length);
    refuses::<UnknownAttributes<'_>>(&hex!("000102"), AttributeError::Length);
    refuses::<PasswordAlgorithm<'_>>(&hex!("00010001"), AttributeError::Length);
    refuses::<PasswordAlgorithm<'_>>(&hex!("0001000000"), AttributeError::Length);
    refuses::<PasswordAlgorithms<'_>>(&hex!("0002000000010001"), AttributeError::Length);
    refuses::<PasswordAlgorithms<'_>>(&hex!("00020001ff00"), AttributeError::Length);
}

#[test]
fn wrong_values_are_refused() {
    refuses::<XorPeerAddress>(&hex!("0003a147e112a643"), AttributeError::Family(3));
    refuses::<RequestedAddressFamily>(&hex!("00000000"), AttributeError::Family(0));
    refuses::<AdditionalAddressFamily>(&hex!("03000000"), AttributeError::Family(3));
    refuses::<AddressErrorCode<'_>>(&hex!("05000428"), AttributeError::Family(5));
    for wire in [hex!("00000200"), hex!("00000700"), hex!("00000464")] {
        assert_eq!(ErrorCode::decode(&wire, ID), Err(AttributeError::Range), "{wire:02x?}");
    }
    for channel in [0x0000_u16, 0x3fff, 0x8000, 0xffff] {
        let [n0, n1] = channel.to_be_bytes();
        assert_eq!(ChannelNumber::decode(&[n0, n1, 0, 0], ID), Err(AttributeError::Range), "{channel:#x}");
        assert_eq!(ChannelNumber::try_from(channel), Err(AttributeError::Range));
    }
    refuses::<Username<'_>>(&[0xff], AttributeError::Utf8);
    refuses::<Realm<'_>>(&[0xc3], AttributeError::Utf8);
    refuses::<Nonce<'_>>(&[0x80], AttributeError::Utf8);
    refuses::<Software<'_>>(&[0xff], AttributeError::Utf8);
    refuses::<AlternateDomain<'_>>(&[0xff], AttributeError::Utf8);
    refuses::<ErrorCode<'_>>(&hex!("00000400ff"), AttributeError::Utf8);
}

#[test]
fn texts_have_the_limits_of_rfc8489() {
    let (long, wide) = ("x".repeat(1000), "\u{10ffff}".repeat(1000));
    macro_rules! limit {
        ($($name:ident sends $sent:literal reads $read:literal)*) => {$(
            assert!($name::new(&long[..$sent]).is_ok());
            assert_eq!($name::new(&long[..$sent + 1]), Err(AttributeError::Length));
            assert!($name::decode(&long.as_bytes()[..$read], ID).is_ok());
            assert_eq!($name::decode(&long.as_bytes()[..$read + 1], ID), Err(AttributeError::Length));
        )*};
    }
    limit!(Username sends 508 reads 763 Realm sends 127 reads 763 Nonce sends 127 reads 763);
    limit!(Software sends 127 reads 763 AlternateDomain sends 255 reads 255);
    // Characters are not bytes, except where the RFC says bytes.
    assert!(Realm::new(&wide[..4 * 127]).is_ok());
    assert_eq!(Realm::new(&wide[..4 * 128]), Err(AttributeError::Length));
    assert!(Username::new(&wide[..4 * 127]).is_ok());
    assert_eq!(Username::new(&wide[..4 * 128]), Err(AttributeError::Length));
}

#[test]
fn error_codes_have_the_limits_of_rfc8489() {
    let long = "x".repeat(1000);
    assert!(ErrorCode::new(400, &long[..127]).is_ok());
    assert_eq!(ErrorCode::new(400, &long[..128]), Err(AttributeError::Length));
    assert_eq!(ErrorCode::new(299, ""), Err(AttributeError::Range));
    assert_eq!(ErrorCode::new(700, ""), Err(AttributeError::Range));
    let wire = [&[0, 0, 4, 0], long.as_bytes()].concat();
    assert_eq!(ErrorCode::decode(&wire[..4 + 763], ID).map(|error| error.reason().len()), Ok(763));
    refuses::<ErrorCode<'_>>(&wire[..4 + 764], AttributeError::Length);
}

#[test]
fn error_codes_are_those_of_the_registry() {
    let codes: Vec<_> = ErrorCode::ALL.iter().map(ErrorCode::code).collect();
    assert_eq!(
        codes,
        [300, 400, 401, 403, 405, 420, 437, 438, 440, 441, 442, 443, 446, 447, 486, 487, 500, 508]
    );
    for error in ErrorCode::ALL {
        assert_eq!(ErrorCode::named(error.code()), Some(*error));
        assert_eq!(ErrorCode::new(error.code(), error.reason()), Ok(*error));
        assert!(!error.reason().is_empty());
    }
    assert_eq!(ErrorCode::named(499), None);
}

#[test]
fn the_table_of_types_is_in_order_and_named_once() {
    assert!(types::ALL.is_sorted_by(|left, right| left.0 < right.0));
    let mut names: Vec<_> = types::ALL.iter().map(|(_, name)| name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), types::ALL.len());
    assert_eq!(types::name(types::XOR_PEER_ADDRESS), Some("XOR-PEER-ADDRESS"));
    assert_eq!(types::Display(0x8028).to_string(), "FINGERPRINT");
    assert_eq!(types::Display(0x7abc).to_string(), "0x7abc");
    assert!(types::is_comprehension_required(types::CONNECTION_ID));
    assert!(!types::is_comprehension_required(types::SOFTWARE));
}

#[test]
fn nonces_carry_security_features() {
    for password_algorithms in [false, true] {
        for username_anonymity in [false, true] {
            let features = SecurityFeatures { password_algorithms, username_anonymity };
            let digits = String::from_utf8(features.to_base64().to_vec()).unwrap();
            let nonce = format!("{}{digits}rest", Nonce::COOKIE);
            assert_eq!(Nonce::new(&nonce).unwrap().security_features(), Some(features));
        }
    }
    assert_eq!(SecurityFeatures { password_algorithms: true, ..Default::default() }.to_base64(), *b"AAAB");
    for nonce in ["", "obMatJos2", "obMatJos2AAA", "obMatJos2A*AA", "f//499k954d6OL34"] {
        assert_eq!(Nonce::new(nonce).unwrap().security_features(), None, "{nonce}");
    }
}
