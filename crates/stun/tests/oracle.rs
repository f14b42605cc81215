//! Against an independent codec, `stun-types`: what it writes is read here with equal values, what is written here
//! is read there, and each accepts the other's integrity and fingerprint.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::*;
use stun::attribute as ours;
use stun::attribute::types;
use stun::{Class, Key, Message, Method, Tail, TransactionId, Writer};
use stun_types::attribute as theirs;
use stun_types::attribute::AttributeType;
use stun_types::message as their;
use stun_types::message::{IntegrityAlgorithm, MessageWrite, MessageWriteExt, MessageWriteVec};

/// One value for each attribute both codecs know, and some bytes for those only one does.
#[derive(Clone, Debug)]
struct Values {
    method: u16,
    class: Class,
    id: [u8; 12],
    username: String,
    realm: String,
    nonce: String,
    software: String,
    domain: String,
    password: String,
    error: (u16, String),
    unknown: Vec<u16>,
    mapped: SocketAddr,
    alternate: SocketAddr,
    hash: [u8; 32],
    sha256: bool,
    data: Vec<u8>,
}

fn values() -> impl Strategy<Value = Values> {
    let class =
        prop_oneof![Just(Class::Request), Just(Class::Indication), Just(Class::Success), Just(Class::Error)];
    let text = || any::<String>().prop_map(|text| text.chars().take(60).collect::<String>());
    let addr = || any::<(IpAddr, u16)>().prop_map(SocketAddr::from);
    (
        (0..0x1000_u16, class, any::<[u8; 12]>(), any::<[u8; 32]>(), any::<bool>(), vec(any::<u8>(), 0..100)),
        (text(), text(), text(), text(), text(), text()),
        ((300..700_u16, text()), vec(any::<u16>(), 1..9), addr(), addr()),
    )
        .prop_map(|(header, texts, (error, mut unknown, mapped, alternate))| {
            let (method, class, id, hash, sha256, data) = header;
            let (username, realm, nonce, software, domain, password) = texts;
            // The other codec keeps a set.
            unknown.sort_unstable();
            unknown.dedup();
            Values {
                method,
                class,
                id,
                username,
                realm,
                nonce,
                software,
                domain,
                password,
                error,
                unknown,
                mapped,
                alternate,
                hash,
                sha256,
                data,
            }
        })
}

impl Values {
    fn their_id(&self) -> their::TransactionId {
        let mut wide = [0; 16];
        wide[4..].copy_from_slice(&self.id);
        u128::from_be_bytes(wide).into()
    }

    fn their_class(&self) -> their::MessageClass {
        match self.class {
            Class::Request => their::MessageClass::Request,
            Class::Indication => their::MessageClass::Indication,
            Class::Success => their::MessageClass::Success,
            Class::Error => their::MessageClass::Error,
        }
    }

    fn their_credentials(&self) -> their::MessageIntegrityCredentials {
        their::LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), self.realm.clone())
            .into()
    }

    fn our_sha1_key(&self) -> Key {
        Key::long_term(&self.username, &self.realm, &self.password)
    }

    fn our_sha256_key(&self) -> Key {
        Key::long_term_sha256(&self.username, &self.realm, &self.password)
    }

    fn our_algorithm(&self) -> ours::PasswordAlgorithm<'static> {
        if self.sha256 { ours::PasswordAlgorithm::SHA256 } else { ours::PasswordAlgorithm::MD5 }
    }

    fn their_algorithm(&self) -> theirs::PasswordAlgorithmValue {
        if self.sha256 { theirs::PasswordAlgorithmValue::SHA256 } else { theirs::PasswordAlgorithmValue::MD5 }
    }

    fn write_ours(&self, tail: Tail<'_>) -> Vec<u8> {
        let mut buffer = vec![0xff; 8192];
        let id = TransactionId::new(self.id);
        let mut writer = Writer::new(&mut buffer, self.class, Method::from_number(self.method), id).unwrap();
        let algorithms = [self.our_algorithm()];
        writer.put(&ours::Username::new(&self.username).unwrap()).unwrap();
        writer.put(&ours::Realm::new(&self.realm).unwrap()).unwrap();
        writer.put(&ours::Nonce::new(&self.nonce).unwrap()).unwrap();
        writer.put(&ours::Software::new(&self.software).unwrap()).unwrap();
        writer.put(&ours::AlternateDomain::new(&self.domain).unwrap()).unwrap();
        writer.put(&ours::ErrorCode::new(self.error.0, &self.error.1).unwrap()).unwrap();
        writer.put(&ours::UnknownAttributes::new(&self.unknown)).unwrap();
        writer.put(&ours::XorMappedAddress(self.mapped)).unwrap();
        writer.put(&ours::AlternateServer(self.alternate)).unwrap();
        writer.put(&ours::Userhash(self.hash)).unwrap();
        writer.put(&self.our_algorithm()).unwrap();
        writer.put(&ours::PasswordAlgorithms::new(&algorithms).unwrap()).unwrap();
        writer.put(&ours::Data(&self.data)).unwrap();
        let len = writer.finish_with(tail).unwrap();
        buffer.truncate(len);
        buffer
    }

    fn write_theirs(&self, algorithm: Option<IntegrityAlgorithm>) -> Vec<u8> {
        let kind = their::MessageType::from_class_method(self.their_class(), their::Method::new(self.method));
        let mut writer = their::Message::builder(kind, self.their_id(), MessageWriteVec::new());
        let unknown: Vec<_> = self.unknown.iter().map(|kind| AttributeType::new(*kind)).collect();
        writer.add_attribute(&theirs::Username::new(&self.username).unwrap()).unwrap();
        writer.add_attribute(&theirs::Realm::new(&self.realm).unwrap()).unwrap();
        writer.add_attribute(&theirs::Nonce::new(&self.nonce).unwrap()).unwrap();
        writer.add_attribute(&theirs::Software::new(&self.software).unwrap()).unwrap();
        writer.add_attribute(&theirs::AlternateDomain::new(&self.domain)).unwrap();
        writer.add_attribute(&theirs::ErrorCode::new(self.error.0, &self.error.1).unwrap()).unwrap();
        writer.add_attribute(&theirs::UnknownAttributes::new(&unknown)).unwrap();
        writer.add_attribute(&theirs::XorMappedAddress::new(self.mapped, self.their_id())).unwrap();
        writer.add_attribute(&theirs::AlternateServer::new(self.alternate)).unwrap();
        writer.add_attribute(&theirs::Userhash::new(self.hash)).unwrap();
        writer.add_attribute(&theirs::PasswordAlgorithm::new(self.their_algorithm())).unwrap();
        writer.add_attribute(&theirs::PasswordAlgorithms::new(&[self.their_algorithm()])).unwrap();
        writer
            .add_attribute(&theirs::RawAttribute::new(AttributeType::new(types::DATA), &self.data))
            .unwrap();
        if let Some(algorithm) = algorithm {
            writer.add_message_integrity(&self.their_credentials(), algorithm).unwrap();
        }
        writer.add_fingerprint().unwrap();
        writer.finish()
    }

    fn are_read_by_us(&self, bytes: &[u8]) {
        let message = Message::parse(bytes).unwrap();
        let algorithms = [self.our_algorithm()];
        assert_eq!((message.class(), message.method().number()), (self.class, self.method));
        assert_eq!(message.transaction_id(), TransactionId::new(self.id));
        assert_eq!(message.get(), Ok(Some(ours::Username::new(&self.username).unwrap())));
        assert_eq!(message.get(), Ok(Some(ours::Realm::new(&self.realm).unwrap())));
        assert_eq!(message.get(), Ok(Some(ours::Nonce::new(&self.nonce).unwrap())));
        assert_eq!(message.get(), Ok(Some(ours::Software::new(&self.software).unwrap())));
        assert_eq!(message.get(), Ok(Some(ours::AlternateDomain::new(&self.domain).unwrap())));
        assert_eq!(message.get(), Ok(Some(ours::ErrorCode::new(self.error.0, &self.error.1).unwrap())));
        assert_eq!(message.get(), Ok(Some(ours::UnknownAttributes::new(&self.unknown))));
        assert_eq!(message.get(), Ok(Some(ours::XorMappedAddress(self.mapped))));
        assert_eq!(message.get(), Ok(Some(ours::AlternateServer(self.alternate))));
        assert_eq!(message.get(), Ok(Some(ours::Userhash(self.hash))));
        assert_eq!(message.get(), Ok(Some(self.our_algorithm())));
        assert_eq!(message.get(), Ok(Some(ours::PasswordAlgorithms::new(&algorithms).unwrap())));
        assert_eq!(message.get(), Ok(Some(ours::Data(&self.data))));
    }

    fn are_read_by_them(&self, bytes: &[u8]) {
        let message = their::Message::from_bytes(bytes).unwrap();
        assert_eq!(message.class(), self.their_class());
        assert_eq!(message.method().value(), self.method);
        assert_eq!(message.transaction_id(), self.their_id());
        assert_eq!(message.attribute::<theirs::Username>().unwrap().username(), self.username);
        assert_eq!(message.attribute::<theirs::Realm>().unwrap().realm(), self.realm);
        assert_eq!(message.attribute::<theirs::Nonce>().unwrap().nonce(), self.nonce);
        assert_eq!(message.attribute::<theirs::Software>().unwrap().software(), self.software);
        assert_eq!(message.attribute::<theirs::AlternateDomain>().unwrap().domain(), self.domain);
        let error = message.attribute::<theirs::ErrorCode>().unwrap();
        assert_eq!((error.code(), error.reason()), (self.error.0, &self.error.1[..]));
        let unknown = message.attribute::<theirs::UnknownAttributes>().unwrap();
        assert!(self.unknown.iter().all(|kind| unknown.has_attribute(AttributeType::new(*kind))));
        let mapped = message.attribute::<theirs::XorMappedAddress>().unwrap();
        assert_eq!(mapped.addr(self.their_id()), self.mapped);
        assert_eq!(message.attribute::<theirs::AlternateServer>().unwrap().server(), self.alternate);
        assert_eq!(message.attribute::<theirs::Userhash>().unwrap().hash(), &self.hash);
        let algorithm = message.attribute::<theirs::PasswordAlgorithm>().unwrap();
        assert_eq!(algorithm.algorithm(), self.their_algorithm());
        let algorithms = message.attribute::<theirs::PasswordAlgorithms>().unwrap();
        assert_eq!(algorithms.algorithms(), [self.their_algorithm()]);
        let data = message.raw_attribute(AttributeType::new(types::DATA)).unwrap();
        assert_eq!(&*data.value, self.data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_they_write_is_read_by_us(values in values()) {
        let bytes = values.write_theirs(Some(IntegrityAlgorithm::Sha1));
        values.are_read_by_us(&bytes);
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.verify_integrity(&values.our_sha1_key()), Ok(()));
        prop_assert!(message.verify_integrity(&values.our_sha256_key()).is_err());
        prop_assert_eq!(message.verify_fingerprint(), Ok(()));

        let bytes = values.write_theirs(Some(IntegrityAlgorithm::Sha256));
        values.are_read_by_us(&bytes);
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.verify_integrity_sha256(&values.our_sha256_key()), Ok(()));
        prop_assert_eq!(message.verify_fingerprint(), Ok(()));
    }

    /// `from_bytes` there refuses a wrong fingerprint by itself.
    #[test]
    fn what_we_write_is_read_by_them(values in values()) {
        let credentials = values.their_credentials();
        let (sha1, sha256) = (values.our_sha1_key(), values.our_sha256_key());

        let bytes = values.write_ours(Tail { sha1: Some(&sha1), fingerprint: true, ..Tail::default() });
        values.are_read_by_them(&bytes);
        let message = their::Message::from_bytes(&bytes).unwrap();
        prop_assert_eq!(message.validate_integrity(&credentials).unwrap(), IntegrityAlgorithm::Sha1);

        let tail = Tail { sha1: Some(&sha1), sha256: Some(&sha256), fingerprint: true, ..Tail::default() };
        let bytes = values.write_ours(tail);
        values.are_read_by_them(&bytes);
        let message = their::Message::from_bytes(&bytes).unwrap();
        prop_assert_eq!(message.validate_integrity(&credentials).unwrap(), IntegrityAlgorithm::Sha256);
    }

    #[test]
    fn both_write_the_same_bytes(values in values()) {
        let key = values.our_sha1_key();
        let bytes = values.write_ours(Tail { sha1: Some(&key), fingerprint: true, ..Tail::default() });
        prop_assert_eq!(bytes, values.write_theirs(Some(IntegrityAlgorithm::Sha1)));
        let bytes = values.write_ours(Tail { fingerprint: true, ..Tail::default() });
        prop_assert_eq!(bytes, values.write_theirs(None));
    }

    #[test]
    fn both_agree_on_what_a_key_refuses(values in values(), other in "[a-z]{61,70}") {
        let key = Key::long_term(&values.username, &values.realm, &other);
        let bytes = values.write_theirs(Some(IntegrityAlgorithm::Sha1));
        prop_assert!(Message::parse(&bytes).unwrap().verify_integrity(&key).is_err());
        let bytes = values.write_ours(Tail { sha1: Some(&key), ..Tail::default() });
        let message = their::Message::from_bytes(&bytes).unwrap();
        prop_assert!(message.validate_integrity(&values.their_credentials()).is_err());
    }
}

#[test]
fn user_hashes_are_the_same() {
    let theirs = theirs::Userhash::compute("user", "realm");
    assert_eq!(ours::Userhash::of("user", "realm"), ours::Userhash(theirs));
}
