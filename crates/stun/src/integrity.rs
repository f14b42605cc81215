//! Keys, MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489 §9, §14.5, §14.6).

use core::fmt;

use hmac::block_api::HmacCore;
use hmac::digest::block_api::{Buffer, CoreProxy};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::attribute;
use crate::error::IntegrityError;
use crate::message::HEADER_LEN;

/// Bytes of a MESSAGE-INTEGRITY value.
pub const SHA1_LEN: usize = 20;

/// Bytes of a MESSAGE-INTEGRITY-SHA256 value that is not truncated.
pub const SHA256_LEN: usize = 32;

/// The lengths a MESSAGE-INTEGRITY-SHA256 value can have (RFC 8489 §14.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum Sha256Len {
    /// 16 bytes, the least.
    Bytes16,
    /// 20 bytes.
    Bytes20,
    /// 24 bytes.
    Bytes24,
    /// 28 bytes.
    Bytes28,
    /// 32 bytes, all of it.
    #[default]
    Bytes32,
}

impl Sha256Len {
    /// Every length, shortest first.
    pub const ALL: [Self; 5] = [Self::Bytes16, Self::Bytes20, Self::Bytes24, Self::Bytes28, Self::Bytes32];

    /// The length in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bytes16 => 16,
            Self::Bytes20 => 20,
            Self::Bytes24 => 24,
            Self::Bytes28 => 28,
            Self::Bytes32 => SHA256_LEN,
        }
    }

    /// True if a value can have this many bytes.
    pub(crate) fn fits(len: usize) -> bool {
        Self::ALL.iter().any(|known| known.bytes() == len)
    }
}

/// What both sides know, ready for use: the hash states after the key went in, which each message starts from.
/// That is cheaper than hashing the key again, and the password itself is not kept.
///
/// User names, realms and passwords are taken as they are; whoever reads them from people applies the OpaqueString
/// profile (RFC 8265) first. States are wiped when dropped.
#[derive(Clone)]
pub struct Key {
    sha1: HmacCore<Sha1>,
    sha256: HmacCore<Sha256>,
}

impl Key {
    /// The key of short-term credentials: the password itself (RFC 8489 §9.1.1).
    pub fn short_term(password: &str) -> Self {
        Self::from_bytes(password.as_bytes())
    }

    /// The key of long-term credentials: `MD5(user ":" realm ":" password)` (RFC 8489 §18.5.1.1).
    pub fn long_term(username: &str, realm: &str, password: &str) -> Self {
        Self::digest::<Md5>(username, realm, password)
    }

    /// The key of long-term credentials when SHA-256 was agreed on as the password algorithm:
    /// `SHA-256(user ":" realm ":" password)` (RFC 8489 §18.5.1.2).
    pub fn long_term_sha256(username: &str, realm: &str, password: &str) -> Self {
        Self::digest::<Sha256>(username, realm, password)
    }

    /// The key with these bytes, for those that arrive ready-made.
    pub fn from_bytes(key: &[u8]) -> Self {
        Self { sha1: core_for(key), sha256: core_for(key) }
    }

    fn digest<D: Digest>(username: &str, realm: &str, password: &str) -> Self {
        let mut hash = D::new()
            .chain_update(username)
            .chain_update(":")
            .chain_update(realm)
            .chain_update(":")
            .chain_update(password)
            .finalize();
        let key = Self::from_bytes(&hash);
        hash.as_mut_slice().zeroize();
        key
    }

    /// The value of a MESSAGE-INTEGRITY that starts at `offset` of `message`.
    pub(crate) fn sha1(&self, message: &[u8], offset: usize) -> [u8; SHA1_LEN] {
        let hmac = Hmac::<Sha1>::compose(self.sha1.clone(), Buffer::<HmacCore<Sha1>>::default());
        cover(hmac, message, offset, SHA1_LEN).finalize().into_bytes().into()
    }

    /// The value of a MESSAGE-INTEGRITY-SHA256 that starts at `offset` of `message` and will have `len` bytes,
    /// not truncated yet.
    pub(crate) fn sha256(&self, message: &[u8], offset: usize, len: usize) -> [u8; SHA256_LEN] {
        let hmac = Hmac::<Sha256>::compose(self.sha256.clone(), Buffer::<HmacCore<Sha256>>::default());
        cover(hmac, message, offset, len).finalize().into_bytes().into()
    }

    pub(crate) fn verify_sha1(&self, message: &[u8], offset: usize) -> Result<(), IntegrityError> {
        compare(value_at(message, offset), &self.sha1(message, offset))
    }

    pub(crate) fn verify_sha256(&self, message: &[u8], offset: usize) -> Result<(), IntegrityError> {
        let got = value_at(message, offset);
        compare(got, &self.sha256(message, offset, got.len())[..got.len()])
    }
}

/// Compared by what they compute, in constant time: the states themselves cannot be looked at.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let probe = [0; HEADER_LEN];
        let ours = self.sha256(&probe, HEADER_LEN, SHA256_LEN);
        ours.ct_eq(&other.sha256(&probe, HEADER_LEN, SHA256_LEN)).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<SECRET>")
    }
}

/// The hash states wipe themselves.
impl ZeroizeOnDrop for Key {}

fn core_for<D: hmac::EagerHash>(key: &[u8]) -> HmacCore<D> {
    match HmacCore::new_from_slice(key) {
        Ok(core) => core,
        Err(_) => unreachable!("HMAC takes keys of any length (RFC 2104 §2)"),
    }
}

/// Feeds what an integrity attribute at `offset` covers: everything before it, with a length field that counts up
/// to its own end and not the attributes after it (RFC 8489 §14.5).
fn cover<M: Mac>(mut hmac: M, message: &[u8], offset: usize, value_len: usize) -> M {
    let (header, attributes) = message[..offset].split_at(HEADER_LEN);
    let length = (offset + attribute::HEADER_LEN + value_len - HEADER_LEN) as u16;
    hmac.update(&header[..2]);
    hmac.update(&length.to_be_bytes());
    hmac.update(&header[4..]);
    hmac.update(attributes);
    hmac
}

/// The value of the attribute at `offset` of a message whose structure has been checked.
fn value_at(message: &[u8], offset: usize) -> &[u8] {
    attribute::split(&message[offset..]).map_or(&[], |(_, value, _)| value)
}

fn compare(got: &[u8], want: &[u8]) -> Result<(), IntegrityError> {
    if got.ct_eq(want).into() { Ok(()) } else { Err(IntegrityError::Mismatch) }
}
