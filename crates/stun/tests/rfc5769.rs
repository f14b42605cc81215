//! The published test vectors: RFC 5769 §2, and RFC 8489 appendix B.1 as erratum 6268 corrects it.

use hex_literal::hex;
use stun::attribute::{
    IceControlled, Nonce, PasswordAlgorithm, Priority, Realm, Software, Userhash, Username, XorMappedAddress,
};
use stun::{Class, FingerprintError, IntegrityError, Key, Message, Method, TransactionId, Writer};

const REQUEST: [u8; 108] = hex!(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e20746573"
    "7420636c69656e74002400046e0001ff80290008932ff9b151263b3600060009"
    "6576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
    "c1b571a280280004e57a3bcf"
);

const IPV4_RESPONSE: [u8; 80] = hex!(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563"
    "746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f9"
    "2af9ba53f06be7d780280004c07d4c96"
);

const IPV6_RESPONSE: [u8; 92] = hex!(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563"
    "746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014"
    "a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
);

const LONG_TERM_REQUEST: [u8; 116] = hex!(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383"
    "aae38383e382afe382b900000015001c662f2f3439396b39353464364f4c3334"
    "6f4c394653547679363473410014000b6578616d706c652e6f72670000080014"
    "f67024656dd64a3e02b8e0712e85c9a28ca89666"
);

const SHA256_REQUEST: [u8; 164] = hex!(
    "000100902112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bd"
    "a952c6780417da0f24819415569e60b205c46e41407f1704001500296f624d61"
    "744a6f733241414143662f2f3439396b39353464364f4c33346f4c3946535476"
    "79363473410000000014000b6578616d706c652e6f726700001d000400020000"
    "001c0020b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278c"
    "c6518e65"
);

const SHORT_TERM_ID: TransactionId = TransactionId::new(hex!("b7e7a701bc34d686fa87dfae"));
const LONG_TERM_ID: TransactionId = TransactionId::new(hex!("78ad3433c6ad72c029da412e"));
const NAME: &str = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
const PASSWORD: &str = "TheMatrIX";
const REALM: &str = "example.org";

fn short_term() -> Key {
    Key::short_term("VOkJxbRl1RmTxUk/WvJxBt")
}

#[test]
fn rfc5769_2_1_sample_request() {
    let message = Message::parse(&REQUEST).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::Binding));
    assert_eq!(message.transaction_id(), SHORT_TERM_ID);
    assert_eq!(message.get(), Ok(Some(Software::new("STUN test client").unwrap())));
    assert_eq!(message.get(), Ok(Some(Priority(0x6e00_01ff))));
    assert_eq!(message.get(), Ok(Some(IceControlled(0x932f_f9b1_5126_3b36))));
    assert_eq!(message.get(), Ok(Some(Username::new("evtj:h6vY").unwrap())));
    assert_eq!(message.verify_integrity(&short_term()), Ok(()));
    assert_eq!(message.verify_integrity(&Key::short_term("other")), Err(IntegrityError::Mismatch));
    assert_eq!(message.verify_integrity_sha256(&short_term()), Err(IntegrityError::Missing));
    assert_eq!(message.verify_fingerprint(), Ok(()));
}

#[test]
fn rfc5769_2_2_sample_ipv4_response() {
    let message = Message::parse(&IPV4_RESPONSE).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Success, Method::Binding));
    assert_eq!(message.transaction_id(), SHORT_TERM_ID);
    assert_eq!(message.get(), Ok(Some(Software::new("test vector").unwrap())));
    assert_eq!(message.get(), Ok(Some(XorMappedAddress("192.0.2.1:32853".parse().unwrap()))));
    assert_eq!(message.verify_integrity(&short_term()), Ok(()));
    assert_eq!(message.verify_fingerprint(), Ok(()));
}

#[test]
fn rfc5769_2_3_sample_ipv6_response() {
    let message = Message::parse(&IPV6_RESPONSE).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Success, Method::Binding));
    assert_eq!(message.transaction_id(), SHORT_TERM_ID);
    assert_eq!(message.get(), Ok(Some(Software::new("test vector").unwrap())));
    let mapped = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
    assert_eq!(message.get(), Ok(Some(XorMappedAddress(mapped))));
    assert_eq!(message.verify_integrity(&short_term()), Ok(()));
    assert_eq!(message.verify_fingerprint(), Ok(()));
}

#[test]
fn rfc5769_2_4_sample_request_with_long_term_authentication() {
    let key = Key::long_term(NAME, REALM, PASSWORD);
    let nonce = Nonce::new("f//499k954d6OL34oL9FSTvy64sA").unwrap();

    let message = Message::parse(&LONG_TERM_REQUEST).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::Binding));
    assert_eq!(message.transaction_id(), LONG_TERM_ID);
    assert_eq!(message.get(), Ok(Some(Username::new(NAME).unwrap())));
    assert_eq!(message.get(), Ok(Some(nonce)));
    assert_eq!(message.get(), Ok(Some(Realm::new(REALM).unwrap())));
    assert_eq!(message.verify_integrity(&key), Ok(()));
    assert_eq!(message.verify_fingerprint(), Err(FingerprintError::Missing));

    let mut buffer = [0xff; LONG_TERM_REQUEST.len()];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::Binding, LONG_TERM_ID).unwrap();
    writer.put(&Username::new(NAME).unwrap()).unwrap().put(&nonce).unwrap();
    writer.put(&Realm::new(REALM).unwrap()).unwrap();
    assert_eq!(writer.finish_with_integrity(&key), Ok(LONG_TERM_REQUEST.len()));
    assert_eq!(buffer, LONG_TERM_REQUEST);
}

#[test]
fn rfc8489_b_1_sample_request_with_sha256_and_userhash() {
    let key = Key::long_term_sha256(NAME, REALM, PASSWORD);
    let nonce = Nonce::new("obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA").unwrap();

    let message = Message::parse(&SHA256_REQUEST).unwrap();
    assert_eq!(message.transaction_id(), LONG_TERM_ID);
    assert_eq!(message.get(), Ok(Some(Userhash::of(NAME, REALM))));
    assert_eq!(message.get(), Ok(Some(nonce)));
    assert!(nonce.security_features().unwrap().username_anonymity);
    assert_eq!(message.get(), Ok(Some(PasswordAlgorithm::SHA256)));
    assert_eq!(message.verify_integrity_sha256(&key), Ok(()));
    assert_eq!(message.verify_integrity(&key), Err(IntegrityError::Missing));

    let mut buffer = [0xff; SHA256_REQUEST.len()];
    let mut writer = Writer::new(&mut buffer, Class::Request, Method::Binding, LONG_TERM_ID).unwrap();
    writer.put(&Userhash::of(NAME, REALM)).unwrap().put(&nonce).unwrap();
    writer.put(&Realm::new(REALM).unwrap()).unwrap().put(&PasswordAlgorithm::SHA256).unwrap();
    assert_eq!(writer.finish_with_integrity_sha256(&key), Ok(SHA256_REQUEST.len()));
    assert_eq!(buffer, SHA256_REQUEST);
}
