//! Whole messages: what is refused, what is visible, and that nothing is lost on the way.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use hex_literal::hex;
use proptest::collection::vec;
use proptest::prelude::*;
use stun::attribute::{
    Data, Lifetime, Nonce, Realm, Software, Username, XorMappedAddress, XorPeerAddress, types,
};
use stun::{
    AttributeError, BufferTooSmall, Class, HEADER_LEN, Header, Key, MAX_LEN, Message, Method, ParseError,
    Tail, TransactionId, Writer,
};

const ID: TransactionId = TransactionId::new(*b"twelve bytes");

/// A message of these attributes as they are, without the rules a [`Writer`] keeps.
fn raw(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let length = body.len() as u16;
    let header = Header { class: Class::Request, method: Method::Allocate, length, transaction_id: ID };
    [&header.to_bytes()[..], &body].concat()
}

fn kinds(message: &Message<'_>) -> Vec<u16> {
    message.attributes().map(|(kind, _)| kind).collect()
}

fn peers(message: &Message<'_>) -> Vec<String> {
    message.all::<XorPeerAddress>().map(|peer| peer.unwrap().0.to_string()).collect()
}

#[test]
fn classes_and_methods_have_the_numbers_of_the_rfcs() {
    let types = [
        (0x0001, Class::Request, Method::Binding),
        (0x0011, Class::Indication, Method::Binding),
        (0x0101, Class::Success, Method::Binding),
        (0x0111, Class::Error, Method::Binding),
        (0x0003, Class::Request, Method::Allocate),
        (0x0113, Class::Error, Method::Allocate),
        (0x0104, Class::Success, Method::Refresh),
        (0x0016, Class::Indication, Method::Send),
        (0x0017, Class::Indication, Method::Data),
        (0x0008, Class::Request, Method::CreatePermission),
        (0x0109, Class::Success, Method::ChannelBind),
        (0x000a, Class::Request, Method::Connect),
        (0x000b, Class::Request, Method::ConnectionBind),
        (0x001c, Class::Indication, Method::ConnectionAttempt),
        (0x3eef, Class::Request, Method::Other(0xfff)),
        (0x3fff, Class::Error, Method::Other(0xfff)),
        (0x0020, Class::Request, Method::Other(0x010)),
        (0x0200, Class::Request, Method::Other(0x080)),
    ];
    for (number, class, method) in types {
        let header = Header { class, method, length: 0, transaction_id: ID };
        let bytes = header.to_bytes();
        assert_eq!(bytes[..2], u16::to_be_bytes(number), "{class:?} {method:?}");
        assert_eq!(Header::peek(&bytes), Ok(header));
    }
    for number in 0..0x1000 {
        assert_eq!(Method::from_number(number).number(), number);
    }
}

#[test]
fn a_header_can_be_peeked_at_before_the_message_is_there() {
    let bytes = raw(&[(types::LIFETIME, &[0, 0, 2, 88])]);
    let header = Header::peek(&bytes[..HEADER_LEN]).unwrap();
    assert_eq!((header.class, header.method, header.length), (Class::Request, Method::Allocate, 8));
    assert_eq!((header.transaction_id, header.message_len()), (ID, bytes.len()));
    assert_eq!(Header::peek(&bytes[..HEADER_LEN - 1]), Err(ParseError::TooShort));
}

#[test]
fn what_is_not_one_message_is_refused() {
    let good = raw(&[(types::LIFETIME, &[0, 0, 2, 88])]);
    assert!(Message::parse(&good).is_ok());
    let damaged = |index: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[index] = byte;
        Message::parse(&bytes).map(|_| ())
    };
    assert_eq!(Message::parse(&[]).map(|_| ()), Err(ParseError::TooShort));
    assert_eq!(damaged(0, 0x40), Err(ParseError::NotStun));
    assert_eq!(damaged(0, 0x80), Err(ParseError::NotStun));
    for index in 4..8 {
        assert_eq!(damaged(index, 0xff), Err(ParseError::Cookie));
    }
    assert_eq!(damaged(3, 7), Err(ParseError::Unaligned));
    assert_eq!(damaged(3, 4), Err(ParseError::Length));
    assert_eq!(damaged(3, 12), Err(ParseError::Length));
    assert_eq!(damaged(23, 5), Err(ParseError::Truncated));
    assert_eq!(damaged(22, 0xff), Err(ParseError::Truncated));
    for len in HEADER_LEN..good.len() {
        assert_eq!(Message::parse(&good[..len]).map(|_| ()), Err(ParseError::Length));
    }
    let trailing = [&good[..], &[0; 4]].concat();
    assert_eq!(Message::parse(&trailing).map(|_| ()), Err(ParseError::Length));
}

#[test]
fn protecting_attributes_of_impossible_length_are_refused() {
    let parse = |kind, len| Message::parse(&raw(&[(kind, &[0; 64][..len])])).map(|_| ());
    for len in 0..=64 {
        let sha1 = if len == 20 { Ok(()) } else { Err(ParseError::IntegrityLength) };
        assert_eq!(parse(types::MESSAGE_INTEGRITY, len), sha1, "{len}");
        let sha256 =
            if [16, 20, 24, 28, 32].contains(&len) { Ok(()) } else { Err(ParseError::IntegrityLength) };
        assert_eq!(parse(types::MESSAGE_INTEGRITY_SHA256, len), sha256, "{len}");
        let fingerprint = if len == 4 { Ok(()) } else { Err(ParseError::FingerprintLength) };
        assert_eq!(parse(types::FINGERPRINT, len), fingerprint, "{len}");
    }
}

#[test]
fn fingerprint_must_be_last() {
    let fingerprint = (types::FINGERPRINT, &[0; 4][..]);
    let lifetime = (types::LIFETIME, &[0; 4][..]);
    assert!(Message::parse(&raw(&[lifetime, fingerprint])).is_ok());
    for bytes in [raw(&[fingerprint, lifetime]), raw(&[fingerprint, fingerprint])] {
        assert_eq!(Message::parse(&bytes).map(|_| ()), Err(ParseError::AfterFingerprint));
    }
}

/// Obeying unprotected attributes is a weakness other servers had (coturn ab762f33).
#[test]
fn attributes_after_message_integrity_are_invisible() {
    let sha1 = (types::MESSAGE_INTEGRITY, &[1; 20][..]);
    let sha256 = (types::MESSAGE_INTEGRITY_SHA256, &[2; 32][..]);
    let fingerprint = (types::FINGERPRINT, &[3; 4][..]);
    let user = (types::USERNAME, &b"user"[..]);
    let evil = (types::XOR_PEER_ADDRESS, &[0, 1, 0, 0, 0, 0, 0, 0][..]);
    let strange = (0x7fff, &[][..]);

    let sees = |attributes: &[(u16, &[u8])], visible: &[u16]| {
        let bytes = raw(attributes);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(kinds(&message), visible, "{attributes:?}");
        assert_eq!(message.get::<XorPeerAddress>(), Ok(None));
        assert!(!message.has(types::XOR_PEER_ADDRESS));
        assert_eq!(message.all::<XorPeerAddress>().count(), 0);
        assert!(!message.unknown_required(|kind| kind < 0x7fff).any(|_| true));
        assert_eq!(message.has_integrity(), visible.contains(&sha1.0));
        assert_eq!(message.has_integrity_sha256(), visible.contains(&sha256.0));
        assert_eq!(message.has_fingerprint(), visible.contains(&fingerprint.0));
    };
    sees(&[user, sha1, evil, strange], &[user.0, sha1.0]);
    sees(&[user, sha256, evil, strange], &[user.0, sha256.0]);
    sees(&[user, sha1, sha256, evil], &[user.0, sha1.0, sha256.0]);
    sees(&[user, sha1, evil, sha256, strange, fingerprint], &[user.0, sha1.0, sha256.0, fingerprint.0]);
    // RFC 8489 §14.6: only FINGERPRINT may follow SHA-256.
    sees(&[user, sha256, sha1, evil, fingerprint], &[user.0, sha256.0, fingerprint.0]);
    sees(&[user, sha1, sha1, evil], &[user.0, sha1.0]);
    sees(&[user, sha1, sha256, sha256], &[user.0, sha1.0, sha256.0]);
    // What cannot be seen cannot be malformed either, as long as the structure holds.
    sees(&[user, sha1, (types::MESSAGE_INTEGRITY, &[0; 3])], &[user.0, sha1.0]);
}

#[test]
fn the_first_of_several_counts_and_all_can_be_had() {
    let mut buffer = [0; 256];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::CreatePermission, ID).unwrap();
    for peer in ["192.0.2.1:1", "[2001:db8::1]:2", "192.0.2.3:3"] {
        writer.put(&XorPeerAddress(peer.parse().unwrap())).unwrap();
    }
    let len = writer.finish();
    let message = Message::parse(&buffer[..len]).unwrap();
    assert_eq!(peers(&message), ["192.0.2.1:1", "[2001:db8::1]:2", "192.0.2.3:3"]);
    assert_eq!(message.get(), Ok(Some(XorPeerAddress("192.0.2.1:1".parse().unwrap()))));
    assert_eq!(message.get::<XorMappedAddress>(), Ok(None));
}

#[test]
fn a_malformed_value_is_an_error_only_for_who_asks() {
    let bytes = raw(&[(types::LIFETIME, &[1]), (types::REALM, b"r")]);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.get::<Lifetime>(), Err(AttributeError::Length));
    assert_eq!(message.get(), Ok(Some(Realm::new("r").unwrap())));
}

#[test]
fn unknown_required_attributes_are_listed_in_order() {
    let bytes = raw(&[
        (types::SOFTWARE, b"s"),
        (0x7001, &[]),
        (types::CHANGE_REQUEST, &[0; 4]),
        (0xf001, &[]),
        (types::USERNAME, b"u"),
        (0x7001, &[]),
    ]);
    let message = Message::parse(&bytes).unwrap();
    let unknown: Vec<_> = message.unknown_required(|kind| kind == types::USERNAME).collect();
    assert_eq!(unknown, [0x7001, types::CHANGE_REQUEST, 0x7001]);
}

#[test]
fn debug_output_names_attributes_and_no_values() {
    let bytes = raw(&[(types::USERNAME, b"somebody"), (0x7abc, &[])]);
    let text = format!("{:?}", Message::parse(&bytes).unwrap());
    assert_eq!(
        text,
        "Message { class: Request, method: Allocate, \
         transaction_id: TransactionId(7477656c7665206279746573), attributes: [USERNAME, 0x7abc] }"
    );
}

#[test]
fn writing_stops_at_the_end_of_the_buffer() {
    let key = Key::short_term("p");
    for room in 0..HEADER_LEN {
        let mut buffer = vec![0; room];
        assert_eq!(Writer::new(&mut buffer, Class::Request, Method::Send, ID).err(), Some(BufferTooSmall));
    }
    for room in HEADER_LEN..HEADER_LEN + 100 {
        let mut buffer = vec![0xee; room];
        let mut writer = Writer::new(&mut buffer, Class::Request, Method::Send, ID).unwrap();
        let fits = writer.put(&Data(b"seventeen bytes..")).is_ok();
        assert_eq!(fits, room >= HEADER_LEN + 24);
        let written = writer.len();
        assert_eq!(written, if fits { HEADER_LEN + 24 } else { HEADER_LEN });
        let tail = Tail { sha1: Some(&key), sha256: Some(&key), fingerprint: true, ..Tail::default() };
        let finished = writer.finish_with(tail);
        let needed = written + 24 + 36 + 8;
        assert_eq!(finished, if room >= needed { Ok(needed) } else { Err(BufferTooSmall) });
    }
}

#[test]
fn messages_end_at_the_longest_length_field() {
    let mut buffer = vec![0; 2 * MAX_LEN];
    let room = MAX_LEN - HEADER_LEN - 4;
    let value = vec![5; 70_000];
    let start = |buffer: &mut [u8]| {
        let mut writer = Writer::new(buffer, Class::Indication, Method::Data, ID).unwrap();
        assert!(writer.put_raw(types::DATA, &value).is_err());
        assert!(writer.put_raw(types::DATA, &value[..room + 1]).is_err());
        writer.put_raw(types::DATA, &value[..room]).unwrap();
        assert!(writer.put_raw(types::DONT_FRAGMENT, &[]).is_err());
        writer.finish()
    };
    let len = start(&mut buffer);
    assert_eq!(len, MAX_LEN);
    let message = Message::parse(&buffer[..len]).unwrap();
    assert_eq!(message.get(), Ok(Some(Data(&value[..room]))));
}

/// A Data indication around a packet that is in the buffer already.
#[test]
fn an_attribute_header_can_be_put_in_front_of_its_value() {
    let peer = XorPeerAddress("192.0.2.9:9".parse().unwrap());
    for len in 0..9 {
        let payload = &b"payload.."[..len];
        let mut whole = [0; 64];
        let mut writer = Writer::new(&mut whole, Class::Indication, Method::Data, ID).unwrap();
        writer.put(&peer).unwrap().put(&Data(payload)).unwrap();
        let whole_len = writer.finish();

        let mut head = [0; 36];
        let mut writer = Writer::new(&mut head, Class::Indication, Method::Data, ID).unwrap();
        writer.put(&peer).unwrap();
        assert_eq!(writer.finish_before(types::DATA, len), Ok(36));
        let padding = [0; 4];
        let joined = [&head[..], payload, &padding[..whole_len - 36 - len]].concat();
        assert_eq!(joined, &whole[..whole_len]);
    }
    let finish = |room: usize, len| {
        let mut head = vec![0; room];
        Writer::new(&mut head, Class::Indication, Method::Data, ID).unwrap().finish_before(types::DATA, len)
    };
    assert_eq!(finish(23, 0), Err(BufferTooSmall));
    assert_eq!(finish(24, MAX_LEN - 24), Ok(24));
    assert_eq!(finish(24, MAX_LEN - 23), Err(BufferTooSmall));
    assert_eq!(finish(24, usize::MAX), Err(BufferTooSmall));
}

#[test]
fn the_wire_form_of_a_message_is_the_one_expected() {
    let mut buffer = [0xff; 64];
    let mut writer = Writer::new(&mut buffer, Class::Success, Method::Refresh, ID).unwrap();
    writer.put(&Lifetime(600)).unwrap().put(&Software::new("s").unwrap()).unwrap();
    let len = writer.finish();
    assert_eq!(
        buffer[..len],
        hex!(
            "0104 0010 2112a442 7477656c7665206279746573"
            "000d 0004 00000258"
            "8022 0001 73000000"
        )
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_survive(
        method in (0..0x1000_u16).prop_map(Method::from_number),
        class in prop_oneof![
            Just(Class::Request), Just(Class::Indication), Just(Class::Success), Just(Class::Error)
        ],
        id in any::<[u8; 12]>().prop_map(TransactionId::new),
        user in "[a-z:0-9]{0,40}",
        nonce in "[ -~]{0,40}",
        peers in vec(any::<(std::net::IpAddr, u16)>().prop_map(std::net::SocketAddr::from), 0..4),
        data in vec(any::<u8>(), 0..1500),
        tail in any::<(bool, bool, bool)>(),
    ) {
        let key = Key::long_term("user", "realm", "password");
        let (sha1, sha256, fingerprint) = tail;
        let mut buffer = vec![0xff; 4096];
        let mut writer = Writer::new(&mut buffer, class, method, id).unwrap();
        writer.put(&Username::new(&user).unwrap()).unwrap().put(&Nonce::new(&nonce).unwrap()).unwrap();
        for peer in &peers {
            writer.put(&XorPeerAddress(*peer)).unwrap();
        }
        writer.put(&Data(&data)).unwrap();
        let tail = Tail {
            sha1: sha1.then_some(&key), sha256: sha256.then_some(&key), fingerprint, ..Tail::default()
        };
        let len = writer.finish_with(tail).unwrap();

        let message = Message::parse(&buffer[..len]).unwrap();
        prop_assert_eq!((message.class(), message.method(), message.transaction_id()), (class, method, id));
        prop_assert_eq!(message.get(), Ok(Some(Username::new(&user).unwrap())));
        prop_assert_eq!(message.get(), Ok(Some(Nonce::new(&nonce).unwrap())));
        let parsed: Result<Vec<_>, _> = message.all::<XorPeerAddress>().collect();
        prop_assert_eq!(parsed, Ok(peers.into_iter().map(XorPeerAddress).collect()));
        prop_assert_eq!(message.get(), Ok(Some(Data(&data))));
        prop_assert_eq!(message.verify_integrity(&key).is_ok(), sha1);
        prop_assert_eq!(message.verify_integrity_sha256(&key).is_ok(), sha256);
        prop_assert_eq!(message.verify_fingerprint().is_ok(), fingerprint);
    }
}
