//! A message, borrowed from the packet it came in.

mod header;

use core::fmt;

use crate::attribute::{self, Attribute, Attributes, Visibility, types};
use crate::error::{AttributeError, FingerprintError, IntegrityError};
use crate::{fingerprint, integrity};

pub use crate::error::ParseError;
pub use header::{Class, HEADER_LEN, Header, MAGIC_COOKIE, MAX_LEN, Method, TransactionId};

/// A well-formed STUN message (RFC 8489 §5). Attribute values are decoded when asked for.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: Header,
    trailers: Trailers,
}

/// Where the attributes lie that protect the others: offsets of their headers from the start of the message.
#[derive(Clone, Copy, Default)]
struct Trailers {
    sha1: Option<usize>,
    sha256: Option<usize>,
    fingerprint: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads the one message that `bytes`, a datagram or a frame cut from a stream, consist of.
    ///
    /// # Errors
    /// [`ParseError`] says which rule the bytes break. Unknown attributes, and values only their decoder can
    /// judge, are none of its business.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let header = Header::peek(bytes)?;
        if bytes.len() != header.message_len() {
            return Err(ParseError::Length);
        }
        let mut trailers = Trailers::default();
        let mut visibility = Visibility::default();
        let mut rest = &bytes[HEADER_LEN..];
        while !rest.is_empty() {
            if visibility.is_closed() {
                return Err(ParseError::AfterFingerprint);
            }
            let offset = bytes.len() - rest.len();
            let (kind, value, tail) = attribute::split(rest).ok_or(ParseError::Truncated)?;
            if visibility.admit(kind) {
                trailers.note(kind, value.len(), offset)?;
            }
            rest = tail;
        }
        Ok(Self { bytes, header, trailers })
    }

    /// Request, indication, success or error response.
    pub fn class(&self) -> Class {
        self.header.class
    }

    /// What is asked or answered.
    pub fn method(&self) -> Method {
        self.header.method
    }

    /// The number that ties a response to its request.
    pub fn transaction_id(&self) -> TransactionId {
        self.header.transaction_id
    }

    /// The header on its own.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The bytes this message was parsed from.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Type and value of every visible attribute in order, the protecting ones among them. What follows the
    /// integrity attributes is not visible, a FINGERPRINT excepted (RFC 8489 §14.5, §14.6).
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(&self.bytes[HEADER_LEN..])
    }

    /// The value of the first visible attribute of this type: the one that counts (RFC 8489 §14).
    pub fn raw(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|&(found, _)| found == kind).map(|(_, value)| value)
    }

    /// True if an attribute of this type is visible, whatever its value.
    pub fn has(&self, kind: u16) -> bool {
        self.raw(kind).is_some()
    }

    /// The first visible attribute of this kind, `None` if there is none.
    ///
    /// # Errors
    /// The value is malformed.
    pub fn get<A: Attribute<'a>>(&self) -> Result<Option<A>, AttributeError> {
        self.raw(A::TYPE).map(|value| A::decode(value, self.transaction_id())).transpose()
    }

    /// Every visible attribute of this kind in order, for those that may repeat, as XOR-PEER-ADDRESS in
    /// CreatePermission does.
    pub fn all<A: Attribute<'a>>(&self) -> impl Iterator<Item = Result<A, AttributeError>> + use<'a, A> {
        let id = self.transaction_id();
        self.attributes().filter(|&(kind, _)| kind == A::TYPE).map(move |(_, value)| A::decode(value, id))
    }

    /// Types of the visible attributes that a receiver must understand (below 0x8000) and that `known` does not
    /// know, in order and as often as they occur: the list of a 420 answer (RFC 8489 §6.3.1). `known` is asked
    /// about the integrity attributes too.
    pub fn unknown_required<'s>(
        &'s self,
        known: impl Fn(u16) -> bool + 's,
    ) -> impl Iterator<Item = u16> + 's {
        self.attributes()
            .map(|(kind, _)| kind)
            .filter(move |&kind| types::is_comprehension_required(kind) && !known(kind))
    }

    /// True if a MESSAGE-INTEGRITY is visible; it may still be wrong.
    pub fn has_integrity(&self) -> bool {
        self.trailers.sha1.is_some()
    }

    /// True if a MESSAGE-INTEGRITY-SHA256 is visible; it may still be wrong.
    pub fn has_integrity_sha256(&self) -> bool {
        self.trailers.sha256.is_some()
    }

    /// True if there is a FINGERPRINT; it may still be wrong.
    pub fn has_fingerprint(&self) -> bool {
        self.trailers.fingerprint.is_some()
    }

    /// Checks MESSAGE-INTEGRITY in constant time (RFC 8489 §14.5).
    ///
    /// # Errors
    /// The attribute is missing, or was not made with this key for this message.
    pub fn verify_integrity(&self, key: &integrity::Key) -> Result<(), IntegrityError> {
        let offset = self.trailers.sha1.ok_or(IntegrityError::Missing)?;
        key.verify_sha1(self.bytes, offset)
    }

    /// Checks MESSAGE-INTEGRITY-SHA256 in constant time (RFC 8489 §14.6). A value truncated by the sender, to 16
    /// bytes or more, is compared in the length it has.
    ///
    /// # Errors
    /// The attribute is missing, or was not made with this key for this message.
    pub fn verify_integrity_sha256(&self, key: &integrity::Key) -> Result<(), IntegrityError> {
        let offset = self.trailers.sha256.ok_or(IntegrityError::Missing)?;
        key.verify_sha256(self.bytes, offset)
    }

    /// Checks FINGERPRINT (RFC 8489 §14.7).
    ///
    /// # Errors
    /// The attribute is missing, or these are not the bytes it was made for.
    pub fn verify_fingerprint(&self) -> Result<(), FingerprintError> {
        let offset = self.trailers.fingerprint.ok_or(FingerprintError::Missing)?;
        fingerprint::verify(self.bytes, offset)
    }
}

impl Trailers {
    /// Remembers a visible attribute if it is one of those that protect others.
    fn note(&mut self, kind: u16, len: usize, offset: usize) -> Result<(), ParseError> {
        match kind {
            types::MESSAGE_INTEGRITY if len == integrity::SHA1_LEN => self.sha1 = Some(offset),
            types::MESSAGE_INTEGRITY_SHA256 if integrity::Sha256Len::fits(len) => self.sha256 = Some(offset),
            types::MESSAGE_INTEGRITY | types::MESSAGE_INTEGRITY_SHA256 => {
                return Err(ParseError::IntegrityLength);
            }
            types::FINGERPRINT if len == fingerprint::LEN => self.fingerprint = Some(offset),
            types::FINGERPRINT => return Err(ParseError::FingerprintLength),
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Debug for Message<'_> {
    /// Names the attributes without their values: enough to follow a conversation, nothing to keep secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Names<'a>(Attributes<'a>);
        impl fmt::Debug for Names<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.0.clone().map(|(kind, _)| types::Display(kind))).finish()
            }
        }
        f.debug_struct("Message")
            .field("class", &self.class())
            .field("method", &self.method())
            .field("transaction_id", &self.transaction_id())
            .field("attributes", &Names(self.attributes()))
            .finish()
    }
}
