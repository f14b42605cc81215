//! Refusals and their reasons.

use super::address::Family;
use super::text::{MAX_CHARACTERS, characters};
use super::{Attribute, types};
use crate::error::AttributeError;
use crate::message::TransactionId;

/// ERROR-CODE: why a request was refused (RFC 8489 §14.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ErrorCode<'a> {
    code: u16,
    reason: &'a str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $reason:literal, $rfc:literal;)*) => {
        impl ErrorCode<'static> {
            $(
                #[doc = concat!($code, " ", $reason, ", ", $rfc, ".")]
                pub const $name: Self = Self { code: $code, reason: $reason };
            )*

            /// Every code that has a name, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    TRY_ALTERNATE = 300, "Try Alternate", "RFC 8489 §14.8";
    BAD_REQUEST = 400, "Bad Request", "RFC 8489 §14.8";
    UNAUTHENTICATED = 401, "Unauthenticated", "RFC 8489 §14.8";
    FORBIDDEN = 403, "Forbidden", "RFC 8656 §19";
    MOBILITY_FORBIDDEN = 405, "Mobility Forbidden", "RFC 8016 §3.7";
    UNKNOWN_ATTRIBUTE = 420, "Unknown Attribute", "RFC 8489 §14.8";
    ALLOCATION_MISMATCH = 437, "Allocation Mismatch", "RFC 8656 §19";
    STALE_NONCE = 438, "Stale Nonce", "RFC 8489 §14.8";
    ADDRESS_FAMILY_NOT_SUPPORTED = 440, "Address Family not Supported", "RFC 8656 §19";
    WRONG_CREDENTIALS = 441, "Wrong Credentials", "RFC 8656 §19";
    UNSUPPORTED_TRANSPORT_PROTOCOL = 442, "Unsupported Transport Protocol", "RFC 8656 §19";
    PEER_ADDRESS_FAMILY_MISMATCH = 443, "Peer Address Family Mismatch", "RFC 8656 §19";
    CONNECTION_ALREADY_EXISTS = 446, "Connection Already Exists", "RFC 6062 §6.3";
    CONNECTION_TIMEOUT_OR_FAILURE = 447, "Connection Timeout or Failure", "RFC 6062 §6.3";
    ALLOCATION_QUOTA_REACHED = 486, "Allocation Quota Reached", "RFC 8656 §19";
    ROLE_CONFLICT = 487, "Role Conflict", "RFC 8445 §16.2";
    SERVER_ERROR = 500, "Server Error", "RFC 8489 §14.8";
    INSUFFICIENT_CAPACITY = 508, "Insufficient Capacity", "RFC 8656 §19";
}

impl<'a> ErrorCode<'a> {
    /// The most bytes of reason phrase a receiver accepts.
    pub const MAX_REASON_LEN: usize = 763;

    /// A code in 300..=699 with a reason for people, to be sent.
    ///
    /// # Errors
    /// [`AttributeError::Range`] for other codes, [`AttributeError::Length`] for 128 characters of reason or more.
    pub const fn new(code: u16, reason: &'a str) -> Result<Self, AttributeError> {
        if code < 300 || code > 699 {
            return Err(AttributeError::Range);
        }
        if characters(reason) > MAX_CHARACTERS {
            return Err(AttributeError::Length);
        }
        Ok(Self { code, reason })
    }

    /// The named code of this number, with its usual reason.
    pub fn named(code: u16) -> Option<ErrorCode<'static>> {
        ErrorCode::ALL.iter().copied().find(|known| known.code == code)
    }

    /// The same code without a reason: the shortest answer.
    pub const fn without_reason(self) -> ErrorCode<'static> {
        ErrorCode { code: self.code, reason: "" }
    }

    /// The code, in 300..=699.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The reason, for people.
    pub const fn reason(&self) -> &'a str {
        self.reason
    }

    /// Value: two bytes that differ per attribute, class (3 bits), number (8 bits), reason (RFC 8489 §14.8).
    fn from_wire(value: &'a [u8]) -> Result<Self, AttributeError> {
        let ([_, _, class, number], reason) = value.split_first_chunk().ok_or(AttributeError::Length)?;
        let class = class & 0x07;
        if !(3..=6).contains(&class) || *number > 99 {
            return Err(AttributeError::Range);
        }
        if reason.len() > Self::MAX_REASON_LEN {
            return Err(AttributeError::Length);
        }
        let reason = core::str::from_utf8(reason).map_err(|_| AttributeError::Utf8)?;
        Ok(Self { code: u16::from(class) * 100 + u16::from(*number), reason })
    }

    fn wire_len(&self) -> usize {
        4 + self.reason.len()
    }

    fn to_wire(self, first: u8, into: &mut [u8]) {
        let (head, reason) = into.split_at_mut(4);
        head.copy_from_slice(&[first, 0, (self.code / 100) as u8, (self.code % 100) as u8]);
        reason.copy_from_slice(self.reason.as_bytes());
    }
}

impl<'a> Attribute<'a> for ErrorCode<'a> {
    const TYPE: u16 = types::ERROR_CODE;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        Self::from_wire(value)
    }

    fn encoded_len(&self) -> usize {
        self.wire_len()
    }

    fn encode(&self, into: &mut [u8], _: TransactionId) {
        self.to_wire(0, into);
    }
}

/// ADDRESS-ERROR-CODE: which of two families could not be allocated, and why (RFC 8656 §18.12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AddressErrorCode<'a> {
    /// The family that was refused.
    pub family: Family,
    /// Why.
    pub error: ErrorCode<'a>,
}

impl<'a> Attribute<'a> for AddressErrorCode<'a> {
    const TYPE: u16 = types::ADDRESS_ERROR_CODE;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let error = ErrorCode::from_wire(value)?;
        Ok(Self { family: Family::from_number(value[0])?, error })
    }

    fn encoded_len(&self) -> usize {
        self.error.wire_len()
    }

    fn encode(&self, into: &mut [u8], _: TransactionId) {
        self.error.to_wire(self.family.number(), into);
    }
}

/// UNKNOWN-ATTRIBUTES: the types that made a server answer 420 (RFC 8489 §14.13).
#[derive(Clone, Copy)]
pub struct UnknownAttributes<'a>(Types<'a>);

#[derive(Clone, Copy)]
enum Types<'a> {
    Host(&'a [u16]),
    Wire(&'a [u8]),
}

impl<'a> UnknownAttributes<'a> {
    /// The list to send.
    pub const fn new(types: &'a [u16]) -> Self {
        Self(Types::Host(types))
    }

    /// The types in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<'a> {
        let (host, wire): (&[u16], &[u8]) = match self.0 {
            Types::Host(types) => (types, &[]),
            Types::Wire(bytes) => (&[], bytes),
        };
        let wire = wire.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        host.iter().copied().chain(wire)
    }
}

impl<'a> Attribute<'a> for UnknownAttributes<'a> {
    const TYPE: u16 = types::UNKNOWN_ATTRIBUTES;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        if !value.len().is_multiple_of(2) {
            return Err(AttributeError::Length);
        }
        Ok(Self(Types::Wire(value)))
    }

    fn encoded_len(&self) -> usize {
        match self.0 {
            Types::Host(types) => 2 * types.len(),
            Types::Wire(bytes) => bytes.len(),
        }
    }

    fn encode(&self, into: &mut [u8], _: TransactionId) {
        for (pair, kind) in into.chunks_exact_mut(2).zip(self.iter()) {
            pair.copy_from_slice(&kind.to_be_bytes());
        }
    }
}

impl PartialEq for UnknownAttributes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnknownAttributes<'_> {}

impl core::fmt::Debug for UnknownAttributes<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter().map(types::Display)).finish()
    }
}
