//! ChannelData: relayed data behind four bytes (RFC 8656 §12.4).

use crate::attribute::padded;
use crate::error::{AttributeError, BufferTooSmall, ChannelDataError};

/// Bytes of a ChannelData header.
pub const HEADER_LEN: usize = 4;

/// A channel, 0x4000..=0x7FFF. Also the attribute CHANNEL-NUMBER.
///
/// RFC 8656 §12 leaves clients 0x4000..=0x4FFF. The rest was RFC 5766's (§11), and clients of that time, coturn's
/// among them, still choose from all of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The lowest channel.
    pub const MIN: Self = Self(0x4000);
    /// The highest channel.
    pub const MAX: Self = Self(0x7FFF);

    /// The channel of this number, `None` if it is out of range.
    pub const fn new(number: u16) -> Option<Self> {
        if number >= Self::MIN.0 && number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for ChannelNumber {
    type Error = AttributeError;

    fn try_from(number: u16) -> Result<Self, AttributeError> {
        Self::new(number).ok_or(AttributeError::Range)
    }
}

impl From<ChannelNumber> for u16 {
    fn from(channel: ChannelNumber) -> Self {
        channel.0
    }
}

/// Data of one channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChannelData<'a> {
    /// The channel.
    pub channel: ChannelNumber,
    /// What is relayed; at most 65,535 bytes can be sent.
    pub data: &'a [u8],
}

impl<'a> ChannelData<'a> {
    /// Reads a datagram, or a frame cut from a stream. Bytes after the announced length, padding as a rule, are
    /// ignored (RFC 8656 §12.5, §12.6).
    ///
    /// # Errors
    /// The bytes are not ChannelData, or less than they announce.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ChannelDataError> {
        let ([n0, n1, l0, l1], body) = bytes.split_first_chunk().ok_or(ChannelDataError::TooShort)?;
        let channel = ChannelNumber::new(u16::from_be_bytes([*n0, *n1])).ok_or(ChannelDataError::Channel)?;
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let data = body.get(..len).ok_or(ChannelDataError::Truncated)?;
        Ok(Self { channel, data })
    }

    /// Writes the header for `len` bytes of data, for callers that have the data in place behind it.
    #[inline]
    pub const fn write_header(channel: ChannelNumber, len: u16, into: &mut [u8; HEADER_LEN]) {
        let [n0, n1] = channel.0.to_be_bytes();
        let [l0, l1] = len.to_be_bytes();
        *into = [n0, n1, l0, l1];
    }

    /// Writes header, data and the padding that streams need (RFC 8656 §12.5), and gives their length.
    ///
    /// # Errors
    /// `into` is too small, or the data longer than 65,535 bytes.
    pub fn write(&self, into: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let len = u16::try_from(self.data.len()).map_err(|_| BufferTooSmall)?;
        let total = padded_len(len);
        let (header, body) =
            into.get_mut(..total).and_then(<[u8]>::split_first_chunk_mut).ok_or(BufferTooSmall)?;
        Self::write_header(self.channel, len, header);
        let (data, padding) = body.split_at_mut(self.data.len());
        data.copy_from_slice(self.data);
        padding.fill(0);
        Ok(total)
    }
}

/// Bytes of a ChannelData message with `len` bytes of data: header and padding counted, as streams carry it.
pub const fn padded_len(len: u16) -> usize {
    HEADER_LEN + padded(len as usize)
}
