//! The first twenty bytes.

use core::fmt;

use crate::error::ParseError;

/// Bytes of a STUN header (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;

/// The value that tells STUN from other protocols (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// Bytes of the longest message: the length field is 16 bits wide and counts in steps of four.
pub const MAX_LEN: usize = HEADER_LEN + 0xFFFC;

/// What the header says, with the attributes not looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Request, indication, success or error response.
    pub class: Class,
    /// What is asked or answered.
    pub method: Method,
    /// Bytes of attributes that follow, a multiple of four.
    pub length: u16,
    /// The number that ties a response to its request.
    pub transaction_id: TransactionId,
}

impl Header {
    /// Reads the header at the start of `bytes`, which may be shorter or longer than the message.
    ///
    /// # Errors
    /// No STUN header is there.
    #[inline]
    pub fn peek(bytes: &[u8]) -> Result<Self, ParseError> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(ParseError::TooShort)?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
        if t0 & 0xC0 != 0 {
            return Err(ParseError::NotStun);
        }
        if u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(ParseError::Cookie);
        }
        let length = u16::from_be_bytes([l0, l1]);
        if !length.is_multiple_of(4) {
            return Err(ParseError::Unaligned);
        }
        let (class, method) = split_type(u16::from_be_bytes([t0, t1]));
        Ok(Self { class, method, length, transaction_id: TransactionId(id) })
    }

    /// Bytes of the whole message, header and attributes.
    pub const fn message_len(&self) -> usize {
        HEADER_LEN + self.length as usize
    }

    /// The header as it is sent.
    pub const fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let [t0, t1] = join_type(self.class, self.method).to_be_bytes();
        let [l0, l1] = self.length.to_be_bytes();
        let [c0, c1, c2, c3] = MAGIC_COOKIE.to_be_bytes();
        let [i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11] = self.transaction_id.0;
        [t0, t1, l0, l1, c0, c1, c2, c3, i0, i1, i2, i3, i4, i5, i6, i7, i8, i9, i10, i11]
    }
}

/// The class bits C1 and C0 sit inside the method number, at 8 and 4 (RFC 8489 §5, figure 3).
const fn split_type(kind: u16) -> (Class, Method) {
    let class = match (kind & 0x0100 != 0, kind & 0x0010 != 0) {
        (false, false) => Class::Request,
        (false, true) => Class::Indication,
        (true, false) => Class::Success,
        (true, true) => Class::Error,
    };
    (class, Method::from_number(kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2))
}

const fn join_type(class: Class, method: Method) -> u16 {
    let class = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    let method = method.number();
    class | method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2
}

/// The four kinds of message (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The answer: done.
    Success,
    /// The answer: not done, see ERROR-CODE.
    Error,
}

/// What a message is about. Numbers are twelve bits wide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// 0x001 (RFC 8489 §3).
    Binding,
    /// 0x003 (RFC 8656 §17).
    Allocate,
    /// 0x004 (RFC 8656 §17).
    Refresh,
    /// 0x006, indications only (RFC 8656 §17).
    Send,
    /// 0x007, indications only (RFC 8656 §17).
    Data,
    /// 0x008 (RFC 8656 §17).
    CreatePermission,
    /// 0x009 (RFC 8656 §17).
    ChannelBind,
    /// 0x00A (RFC 6062 §6.1).
    Connect,
    /// 0x00B (RFC 6062 §6.1).
    ConnectionBind,
    /// 0x00C, indications only (RFC 6062 §6.1).
    ConnectionAttempt,
    /// Any other number up to 0xFFF; higher bits are not sent.
    Other(u16),
}

impl Method {
    /// The method of this number, of which the lower twelve bits count.
    pub const fn from_number(number: u16) -> Self {
        match number & 0x0FFF {
            0x001 => Self::Binding,
            0x003 => Self::Allocate,
            0x004 => Self::Refresh,
            0x006 => Self::Send,
            0x007 => Self::Data,
            0x008 => Self::CreatePermission,
            0x009 => Self::ChannelBind,
            0x00A => Self::Connect,
            0x00B => Self::ConnectionBind,
            0x00C => Self::ConnectionAttempt,
            other => Self::Other(other),
        }
    }

    /// The number of this method.
    pub const fn number(self) -> u16 {
        match self {
            Self::Binding => 0x001,
            Self::Allocate => 0x003,
            Self::Refresh => 0x004,
            Self::Send => 0x006,
            Self::Data => 0x007,
            Self::CreatePermission => 0x008,
            Self::ChannelBind => 0x009,
            Self::Connect => 0x00A,
            Self::ConnectionBind => 0x00B,
            Self::ConnectionAttempt => 0x00C,
            Self::Other(number) => number & 0x0FFF,
        }
    }
}

/// The 96 bits that tie a response to its request, chosen at random by whoever asks (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TransactionId([u8; 12]);

impl TransactionId {
    /// The transaction with these bytes.
    pub const fn new(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

impl From<[u8; 12]> for TransactionId {
    fn from(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransactionId({self})")
    }
}
