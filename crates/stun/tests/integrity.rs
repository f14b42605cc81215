//! Protection covers what it should, with the length field it should, and notices every bit.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use stun::attribute::{Lifetime, Software, Username, types};
use stun::{
    Class, FingerprintError, HEADER_LEN, IntegrityError, Key, Message, Method, Sha256Len, Tail,
    TransactionId, Writer,
};

const PASSWORD: &str = "correct horse";
const ID: TransactionId = TransactionId::new(*b"twelve bytes");

fn write(finish: impl FnOnce(Writer<'_>) -> usize) -> Vec<u8> {
    let mut buffer = vec![0xff; 512];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::Refresh, ID).unwrap();
    writer.put(&Username::new("odd").unwrap()).unwrap().put(&Lifetime(0)).unwrap();
    let len = finish(writer);
    buffer.truncate(len);
    buffer
}

fn sealed(key: &Key) -> Vec<u8> {
    let tail = Tail { sha1: Some(key), sha256: Some(key), fingerprint: true, ..Tail::default() };
    write(|writer| writer.finish_with(tail).unwrap())
}

/// Offset of the attribute of this type, and its value.
fn find<'a>(message: &Message<'a>, kind: u16) -> (usize, &'a [u8]) {
    let value = message.raw(kind).unwrap();
    (value.as_ptr() as usize - message.as_bytes().as_ptr() as usize - 4, value)
}

/// What the attribute at `offset` covers, with the length field that ends at its own end.
fn covered(bytes: &[u8], offset: usize, value_len: usize) -> Vec<u8> {
    let mut covered = bytes[..offset].to_vec();
    let length = (offset + 4 + value_len - HEADER_LEN) as u16;
    covered[2..4].copy_from_slice(&length.to_be_bytes());
    covered
}

fn append(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(kind.to_be_bytes());
    bytes.extend((value.len() as u16).to_be_bytes());
    bytes.extend(value);
    let length = (bytes.len() - HEADER_LEN) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

#[test]
fn integrity_covers_the_length_up_to_its_own_end() {
    let bytes = sealed(&Key::short_term(PASSWORD));
    let message = Message::parse(&bytes).unwrap();

    let (offset, value) = find(&message, types::MESSAGE_INTEGRITY);
    let mut hmac = Hmac::<Sha1>::new_from_slice(PASSWORD.as_bytes()).unwrap();
    hmac.update(&covered(&bytes, offset, 20));
    assert_eq!(value, &hmac.finalize().into_bytes()[..]);

    let (offset, value) = find(&message, types::MESSAGE_INTEGRITY_SHA256);
    let mut hmac = Hmac::<Sha256>::new_from_slice(PASSWORD.as_bytes()).unwrap();
    hmac.update(&covered(&bytes, offset, 32));
    assert_eq!(value, &hmac.finalize().into_bytes()[..]);

    let (offset, value) = find(&message, types::FINGERPRINT);
    let crc = crc32fast::hash(&covered(&bytes, offset, 4)) ^ 0x5354_554e;
    assert_eq!(value, crc.to_be_bytes());
    assert_eq!(offset + 8, bytes.len());
}

#[test]
fn integrity_holds_whatever_follows_it() {
    let key = Key::short_term(PASSWORD);
    let mut bytes = write(|writer| writer.finish_with_integrity(&key).unwrap());
    for appended in 0..4 {
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.verify_integrity(&key), Ok(()), "{appended} attributes appended");
        append(&mut bytes, types::LIFETIME, &[0, 0, 0, 9]);
    }
    assert_eq!(Message::parse(&bytes).unwrap().get(), Ok(Some(Lifetime(0))));
}

#[test]
fn every_finish_protects_what_it_says() {
    let key = Key::short_term(PASSWORD);
    let check = |bytes: Vec<u8>, sha1: bool, sha256: bool, fingerprint: bool| {
        let message = Message::parse(&bytes).unwrap();
        let or_missing = |there| if there { Ok(()) } else { Err(IntegrityError::Missing) };
        assert_eq!(message.verify_integrity(&key), or_missing(sha1));
        assert_eq!(message.verify_integrity_sha256(&key), or_missing(sha256));
        let expected = if fingerprint { Ok(()) } else { Err(FingerprintError::Missing) };
        assert_eq!(message.verify_fingerprint(), expected);
        assert_eq!(message.has_integrity(), sha1);
        assert_eq!(message.has_integrity_sha256(), sha256);
        assert_eq!(message.has_fingerprint(), fingerprint);
    };
    check(write(|writer| writer.finish()), false, false, false);
    check(write(|writer| writer.finish_with_integrity(&key).unwrap()), true, false, false);
    check(write(|writer| writer.finish_with_integrity_sha256(&key).unwrap()), false, true, false);
    check(write(|writer| writer.finish_with_fingerprint().unwrap()), false, false, true);
    check(write(|writer| writer.finish_with_integrity_and_fingerprint(&key).unwrap()), true, false, true);
    check(sealed(&key), true, true, true);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let key = Key::short_term(PASSWORD);
    let bytes = sealed(&key);
    let message = Message::parse(&bytes).unwrap();
    let (sha256_offset, _) = find(&message, types::MESSAGE_INTEGRITY_SHA256);
    let (fingerprint_offset, _) = find(&message, types::FINGERPRINT);

    for bit in 0..8 * bytes.len() {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(message) = Message::parse(&flipped) else { continue };
        assert!(message.verify_fingerprint().is_err(), "bit {bit}");
        if bit / 8 < fingerprint_offset {
            assert!(message.verify_integrity_sha256(&key).is_err(), "bit {bit}");
        }
        if bit / 8 < sha256_offset {
            assert!(message.verify_integrity(&key).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn truncated_sha256_is_compared_in_its_length() {
    let key = Key::short_term(PASSWORD);
    for sha256_len in Sha256Len::ALL {
        let tail = Tail { sha256: Some(&key), sha256_len, fingerprint: true, ..Tail::default() };
        let bytes = write(|writer| writer.finish_with(tail).unwrap());
        let message = Message::parse(&bytes).unwrap();
        let (offset, value) = find(&message, types::MESSAGE_INTEGRITY_SHA256);
        assert_eq!(value.len(), sha256_len.bytes());
        assert_eq!(message.verify_integrity_sha256(&key), Ok(()));

        let mut hmac = Hmac::<Sha256>::new_from_slice(PASSWORD.as_bytes()).unwrap();
        hmac.update(&covered(&bytes, offset, value.len()));
        assert_eq!(value, &hmac.finalize().into_bytes()[..value.len()]);

        let mut flipped = bytes.clone();
        flipped[offset + 4 + value.len() - 1] ^= 1;
        let message = Message::parse(&flipped).unwrap();
        assert_eq!(message.verify_integrity_sha256(&key), Err(IntegrityError::Mismatch));
    }
}

/// Cutting a full value short does not make a valid truncated one: the length field is covered.
#[test]
fn sha256_cannot_be_truncated_on_the_way() {
    let key = Key::short_term(PASSWORD);
    let full = write(|writer| writer.finish_with_integrity_sha256(&key).unwrap());
    let (offset, value) = find(&Message::parse(&full).unwrap(), types::MESSAGE_INTEGRITY_SHA256);
    let mut cut = full[..offset].to_vec();
    append(&mut cut, types::MESSAGE_INTEGRITY_SHA256, &value[..16]);
    let message = Message::parse(&cut).unwrap();
    assert_eq!(message.verify_integrity_sha256(&key), Err(IntegrityError::Mismatch));
}

#[test]
fn keys_are_what_the_rfc_makes_of_credentials() {
    use md5::{Digest, Md5};
    let md5 = Md5::digest("user:realm:pass");
    let sha256 = Sha256::digest("user:realm:pass");
    assert_eq!(Key::long_term("user", "realm", "pass"), Key::from_bytes(&md5));
    assert_eq!(Key::long_term_sha256("user", "realm", "pass"), Key::from_bytes(&sha256));
    assert_eq!(Key::short_term("pass"), Key::from_bytes(b"pass"));
    assert_ne!(Key::long_term("user", "realm", "pass"), Key::long_term("user", "realm", "Pass"));
    // Keys longer than a hash block are hashed first (RFC 2104 §2).
    let long = "x".repeat(200);
    let bytes = write(|writer| writer.finish_with_integrity(&Key::short_term(&long)).unwrap());
    assert_eq!(Message::parse(&bytes).unwrap().verify_integrity(&Key::short_term(&long)), Ok(()));
}

#[test]
fn keys_are_not_printed() {
    assert_eq!(format!("{:?}", Key::short_term(PASSWORD)), "<SECRET>");
    let key = Key::short_term(PASSWORD);
    assert!(format!("{:?}", Tail { sha1: Some(&key), ..Tail::default() }).contains("<SECRET>"));
}

#[test]
fn a_fingerprint_that_is_wrong_does_not_keep_a_message_from_being_read() {
    let mut bytes = write(|writer| writer.finish_with_fingerprint().unwrap());
    *bytes.last_mut().unwrap() ^= 1;
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.verify_fingerprint(), Err(FingerprintError::Mismatch));
    assert_eq!(message.get(), Ok(Some(Username::new("odd").unwrap())));
    assert_eq!(message.get::<Software<'_>>(), Ok(None));
}
