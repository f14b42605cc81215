//! What can be wrong with bytes. Every error is `Copy` and holds no text.

use core::fmt;

/// Why bytes are not one STUN message ([`Message::parse`](crate::Message::parse)).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParseError {
    /// Fewer than the 20 bytes of a header.
    TooShort,
    /// The first two bits are not zero: some other protocol.
    NotStun,
    /// No magic cookie: another protocol, or the classic STUN of RFC 3489.
    Cookie,
    /// The length field is not a multiple of four.
    Unaligned,
    /// The length field disagrees with the number of bytes.
    Length,
    /// An attribute runs over the end of the message.
    Truncated,
    /// A MESSAGE-INTEGRITY that is not 20 bytes, or a MESSAGE-INTEGRITY-SHA256 that is not 16 to 32 bytes in
    /// steps of four (RFC 8489 §14.6).
    IntegrityLength,
    /// A FINGERPRINT that is not 4 bytes.
    FingerprintLength,
    /// Something follows the FINGERPRINT (RFC 8489 §14.7: it is the last attribute).
    AfterFingerprint,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "shorter than a STUN header",
            Self::NotStun => "not a STUN message",
            Self::Cookie => "wrong magic cookie",
            Self::Unaligned => "length is not a multiple of four",
            Self::Length => "length field disagrees with the size of the message",
            Self::Truncated => "attribute runs over the end of the message",
            Self::IntegrityLength => "integrity attribute of an impossible length",
            Self::FingerprintLength => "FINGERPRINT is not four bytes",
            Self::AfterFingerprint => "FINGERPRINT is not the last attribute",
        })
    }
}

impl core::error::Error for ParseError {}

/// Why an attribute's value has no meaning, or cannot be put on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttributeError {
    /// Too short, too long, or not the length its contents announce.
    Length,
    /// An address family that is neither IPv4 (1) nor IPv6 (2). TURN answers some of these with 440.
    Family(u8),
    /// Text that is not UTF-8.
    Utf8,
    /// A number outside its range: an error code not in 300..=699, a channel not in 0x4000..=0x7FFF.
    Range,
}

impl fmt::Display for AttributeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("attribute of an impossible length"),
            Self::Family(family) => write!(f, "unknown address family {family}"),
            Self::Utf8 => f.write_str("text is not UTF-8"),
            Self::Range => f.write_str("number out of range"),
        }
    }
}

impl core::error::Error for AttributeError {}

/// Why a message's integrity cannot be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum IntegrityError {
    /// The attribute is not there.
    Missing,
    /// The attribute was made with another key or for another message.
    Mismatch,
}

impl fmt::Display for IntegrityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no message integrity",
            Self::Mismatch => "message integrity does not match",
        })
    }
}

impl core::error::Error for IntegrityError {}

/// Why a FINGERPRINT does not prove a STUN message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FingerprintError {
    /// The attribute is not there.
    Missing,
    /// The checksum is another one.
    Mismatch,
}

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no fingerprint",
            Self::Mismatch => "fingerprint does not match",
        })
    }
}

impl core::error::Error for FingerprintError {}

/// Why bytes are not a ChannelData message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChannelDataError {
    /// Fewer than the 4 bytes of a header.
    TooShort,
    /// The first two bytes are no channel number.
    Channel,
    /// Less data than the length field announces.
    Truncated,
}

impl fmt::Display for ChannelDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "shorter than a ChannelData header",
            Self::Channel => "channel number out of range",
            Self::Truncated => "less data than announced",
        })
    }
}

impl core::error::Error for ChannelDataError {}

/// The caller's buffer, or the 65,552 bytes a STUN message can have, are not enough.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BufferTooSmall;

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("message does not fit its buffer")
    }
}

impl core::error::Error for BufferTooSmall {}
