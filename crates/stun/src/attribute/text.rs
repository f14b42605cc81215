//! Attributes that are text.

use super::{Attribute, types};
use crate::error::AttributeError;
use crate::message::TransactionId;

/// The longest text that is sent. Receivers accept more, see the `MAX_LEN` of each attribute.
enum Limit {
    Bytes(usize),
    Characters(usize),
}

impl Limit {
    const fn allows(&self, text: &str) -> bool {
        match self {
            Self::Bytes(most) => text.len() <= *most,
            Self::Characters(most) => characters(text) <= *most,
        }
    }
}

/// The most characters of a text that people may read (RFC 8489 §14.8 to §14.10, §14.14).
pub(super) const MAX_CHARACTERS: usize = 127;

pub(super) const fn characters(text: &str) -> usize {
    let (bytes, mut at, mut count) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        count += (bytes[at] & 0xC0 != 0x80) as usize;
        at += 1;
    }
    count
}

/// Declares text attributes: the longest text that is sent, and the most bytes a receiver accepts.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident, $kind:ident, $limit:expr, $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name<'a>(&'a str);

        impl<'a> $name<'a> {
            /// The most bytes of text a receiver accepts.
            pub const MAX_LEN: usize = $max;

            /// Text to be sent.
            ///
            /// # Errors
            /// [`AttributeError::Length`] if the text is longer than the RFC allows a sender, which is less than
            /// [`MAX_LEN`](Self::MAX_LEN) as a rule.
            pub const fn new(text: &'a str) -> Result<Self, AttributeError> {
                const LIMIT: Limit = $limit;
                if LIMIT.allows(text) { Ok(Self(text)) } else { Err(AttributeError::Length) }
            }

            /// The text.
            pub const fn as_str(&self) -> &'a str {
                self.0
            }
        }

        impl<'a> Attribute<'a> for $name<'a> {
            const TYPE: u16 = types::$kind;

            fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
                if value.len() > Self::MAX_LEN {
                    return Err(AttributeError::Length);
                }
                Ok(Self(core::str::from_utf8(value).map_err(|_| AttributeError::Utf8)?))
            }

            fn encoded_len(&self) -> usize {
                self.0.len()
            }

            fn encode(&self, into: &mut [u8], _: TransactionId) {
                into.copy_from_slice(self.0.as_bytes());
            }
        }
    )*};
}

text! {
    /// USERNAME: who asks (RFC 8489 §14.3).
    Username, USERNAME, Limit::Bytes(508), 763;
    /// REALM: which set of users the name belongs to (RFC 8489 §14.9).
    Realm, REALM, Limit::Characters(MAX_CHARACTERS), 763;
    /// NONCE: what the server wants to hear again (RFC 8489 §14.10).
    Nonce, NONCE, Limit::Characters(MAX_CHARACTERS), 763;
    /// SOFTWARE: who wrote the program, for people (RFC 8489 §14.14).
    Software, SOFTWARE, Limit::Characters(MAX_CHARACTERS), 763;
    /// ALTERNATE-DOMAIN: the name in the certificate of the ALTERNATE-SERVER (RFC 8489 §14.16).
    AlternateDomain, ALTERNATE_DOMAIN, Limit::Bytes(255), 255;
}

impl<'a> Nonce<'a> {
    /// The text with which a nonce starts that carries [`SecurityFeatures`] (RFC 8489 §9.2).
    pub const COOKIE: &'static str = "obMatJos2";

    /// The features a server announces in the four characters after [`COOKIE`](Self::COOKIE). `None` if the
    /// nonce is of the older kind.
    pub fn security_features(&self) -> Option<SecurityFeatures> {
        let digits = self.0.strip_prefix(Self::COOKIE)?.as_bytes().first_chunk()?;
        SecurityFeatures::from_base64(*digits)
    }
}

/// The security features of RFC 8489 §18.1, which a nonce carries as 24 bits in base64. Being part of the nonce
/// they are protected by the client's integrity attribute, so that nobody can talk the two sides out of them.
///
/// Bits count from the right, against the prose of the RFC and as its test vector has them (erratum 6290).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct SecurityFeatures {
    /// Bit 0: PASSWORD-ALGORITHMS is understood.
    pub password_algorithms: bool,
    /// Bit 1: USERHASH is understood.
    pub username_anonymity: bool,
}

impl SecurityFeatures {
    /// The four characters that follow [`Nonce::COOKIE`].
    pub const fn to_base64(self) -> [u8; 4] {
        let bits = self.password_algorithms as usize | (self.username_anonymity as usize) << 1;
        [b'A', b'A', b'A', ALPHABET[bits]]
    }

    /// Bits without a meaning here are ignored.
    fn from_base64(digits: [u8; 4]) -> Option<Self> {
        let mut bits = 0;
        for digit in digits {
            bits = bits << 6 | ALPHABET.iter().position(|&known| known == digit)?;
        }
        Some(Self { password_algorithms: bits & 1 != 0, username_anonymity: bits & 2 != 0 })
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
