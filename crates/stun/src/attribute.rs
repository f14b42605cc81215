//! Attributes: the table of their types, and how values are taken from and put on the wire.

mod address;
mod discovery;
mod error_code;
mod ice;
mod password;
mod text;
mod turn;
pub mod types;

use crate::error::AttributeError;
use crate::message::TransactionId;

pub use address::{
    AlternateServer, Family, MappedAddress, OtherAddress, ResponseOrigin, XorMappedAddress, XorPeerAddress,
    XorRelayedAddress,
};
pub use discovery::{CacheTimeout, ChangeRequest, Padding, ResponsePort};
pub use error_code::{AddressErrorCode, ErrorCode, UnknownAttributes};
pub use ice::{IceControlled, IceControlling, Priority, UseCandidate};
pub use password::{PasswordAlgorithm, PasswordAlgorithms, Userhash};
pub use text::{AlternateDomain, Nonce, Realm, SecurityFeatures, Software, Username};
pub use turn::{
    AdditionalAddressFamily, ConnectionId, Data, DontFragment, EvenPort, Icmp, Lifetime, MobilityTicket,
    RequestedAddressFamily, RequestedTransport, ReservationToken,
};

/// Bytes of an attribute's type and length.
pub const HEADER_LEN: usize = 4;

/// An attribute as a value. The transaction takes part because the XOR addresses are masked with it.
pub trait Attribute<'a>: Sized {
    /// Its number, see [`types`].
    const TYPE: u16;

    /// Reads a value, padding excluded.
    ///
    /// # Errors
    /// The bytes have no meaning as this attribute.
    fn decode(value: &'a [u8], id: TransactionId) -> Result<Self, AttributeError>;

    /// Bytes of the value on the wire, padding excluded.
    fn encoded_len(&self) -> usize;

    /// Writes the value into exactly [`encoded_len`](Self::encoded_len) bytes.
    ///
    /// # Panics
    /// `into` has another length.
    fn encode(&self, into: &mut [u8], id: TransactionId);
}

/// Iterates over the visible attributes of a message as type and value.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
    visibility: Visibility,
}

impl<'a> Attributes<'a> {
    /// `bytes` are what follows the header of a message whose structure has been checked.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, visibility: Visibility::default() }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (kind, value, rest) = split(self.rest)?;
            self.rest = rest;
            if self.visibility.admit(kind) {
                return Some((kind, value));
            }
        }
    }
}

/// How much of a message is still believed: after an integrity attribute only other protecting attributes are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Visibility {
    #[default]
    All,
    AfterSha1,
    AfterSha256,
    Closed,
}

impl Visibility {
    /// True if an attribute of this type can be seen here (RFC 8489 §14.5 to §14.7).
    #[inline]
    pub(crate) fn admit(&mut self, kind: u16) -> bool {
        match (*self, kind) {
            (Self::Closed, _) => return false,
            (_, types::FINGERPRINT) => *self = Self::Closed,
            (Self::All, types::MESSAGE_INTEGRITY) => *self = Self::AfterSha1,
            (Self::All | Self::AfterSha1, types::MESSAGE_INTEGRITY_SHA256) => *self = Self::AfterSha256,
            (Self::All, _) => {}
            (Self::AfterSha1 | Self::AfterSha256, _) => return false,
        }
        true
    }

    /// True after the FINGERPRINT.
    pub(crate) fn is_closed(self) -> bool {
        self == Self::Closed
    }
}

/// Cuts the first attribute off: type, value, and what follows its padding. `None` if it is not all there.
#[inline]
pub(crate) fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let ([t0, t1, l0, l1], body) = bytes.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes([*l0, *l1]));
    let value = body.get(..len)?;
    Some((u16::from_be_bytes([*t0, *t1]), value, body.get(padded(len)..)?))
}

/// The length with padding: the next multiple of four (RFC 8489 §14).
pub(crate) const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// Takes a value that has exactly one possible length.
fn exactly<const N: usize>(value: &[u8]) -> Result<[u8; N], AttributeError> {
    value.try_into().map_err(|_| AttributeError::Length)
}

/// Implements [`Attribute`] for a type whose value always has the same length, by its `from_wire([u8; N])` and
/// `to_wire() -> [u8; N]`.
macro_rules! fixed {
    ($name:ident, $kind:ident, $len:literal) => {
        impl $crate::attribute::Attribute<'_> for $name {
            const TYPE: u16 = $crate::attribute::types::$kind;

            fn decode(
                value: &[u8],
                _: $crate::message::TransactionId,
            ) -> Result<Self, $crate::error::AttributeError> {
                Self::from_wire($crate::attribute::exactly::<$len>(value)?)
            }

            fn encoded_len(&self) -> usize {
                $len
            }

            fn encode(&self, into: &mut [u8], _: $crate::message::TransactionId) {
                into.copy_from_slice(&self.to_wire());
            }
        }
    };
}

/// Declares attributes whose value is any sequence of bytes.
macro_rules! bytes {
    ($($(#[$doc:meta])* $name:ident, $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name<'a>(pub &'a [u8]);

        impl<'a> $crate::attribute::Attribute<'a> for $name<'a> {
            const TYPE: u16 = $crate::attribute::types::$kind;

            fn decode(
                value: &'a [u8],
                _: $crate::message::TransactionId,
            ) -> Result<Self, $crate::error::AttributeError> {
                Ok(Self(value))
            }

            fn encoded_len(&self) -> usize {
                self.0.len()
            }

            fn encode(&self, into: &mut [u8], _: $crate::message::TransactionId) {
                into.copy_from_slice(self.0);
            }
        }
    )*};
}

/// Declares attributes that are one unsigned number.
macro_rules! number {
    ($($(#[$doc:meta])* $name:ident($int:ty), $kind:ident, $len:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub $int);

        impl $name {
            const fn from_wire(value: [u8; $len]) -> Result<Self, $crate::error::AttributeError> {
                Ok(Self(<$int>::from_be_bytes(value)))
            }

            const fn to_wire(self) -> [u8; $len] {
                self.0.to_be_bytes()
            }
        }

        fixed!($name, $kind, $len);
    )*};
}

/// Declares attributes without a value: their presence says it all.
macro_rules! flag {
    ($($(#[$doc:meta])* $name:ident, $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name;

        impl $name {
            const fn from_wire(_: [u8; 0]) -> Result<Self, $crate::error::AttributeError> {
                Ok(Self)
            }

            const fn to_wire(self) -> [u8; 0] {
                []
            }
        }

        fixed!($name, $kind, 0);
    )*};
}

use {bytes, fixed, flag, number};
