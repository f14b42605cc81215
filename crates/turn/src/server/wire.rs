//! Names of the wire that appear in the server's answers, until they come from `stun`.

/// A channel number, 0x4000-0x4FFF, [RFC 8656 section 12](https://www.rfc-editor.org/rfc/rfc8656#section-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A STUN transaction id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId(pub(crate) [u8; 12]);

/// A STUN method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(u16);
