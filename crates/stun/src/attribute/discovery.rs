//! Attributes for finding out how a NAT behaves (RFC 5780).

use super::{Attribute, bytes, fixed, number, types};
use crate::error::AttributeError;
use crate::message::TransactionId;

number! {
    /// CACHE-TIMEOUT: how long a server remembers a response, in seconds (RFC 5780 §9.1).
    CacheTimeout(u32), CACHE_TIMEOUT, 4;
}

bytes! {
    /// PADDING: bytes that make a message long enough to be fragmented (RFC 5780 §7.6).
    Padding, PADDING;
}

/// CHANGE-REQUEST: where to answer from (RFC 5780 §7.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChangeRequest {
    /// From the server's other address.
    pub address: bool,
    /// From the server's other port.
    pub port: bool,
}

impl ChangeRequest {
    fn from_wire([_, _, _, flags]: [u8; 4]) -> Result<Self, AttributeError> {
        Ok(Self { address: flags & 0x04 != 0, port: flags & 0x02 != 0 })
    }

    fn to_wire(self) -> [u8; 4] {
        [0, 0, 0, u8::from(self.address) << 2 | u8::from(self.port) << 1]
    }
}

fixed!(ChangeRequest, CHANGE_REQUEST, 4);

/// RESPONSE-PORT: which port of the client to answer to (RFC 5780 §7.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ResponsePort(pub u16);

impl Attribute<'_> for ResponsePort {
    const TYPE: u16 = types::RESPONSE_PORT;

    /// The RFC's "followed by two bytes of padding" is read by some as part of the value and by others as the
    /// padding every attribute has. Both are accepted; the former is sent.
    fn decode(value: &[u8], _: TransactionId) -> Result<Self, AttributeError> {
        match *value {
            [p0, p1] | [p0, p1, _, _] => Ok(Self(u16::from_be_bytes([p0, p1]))),
            _ => Err(AttributeError::Length),
        }
    }

    fn encoded_len(&self) -> usize {
        4
    }

    fn encode(&self, into: &mut [u8], _: TransactionId) {
        let [p0, p1] = self.0.to_be_bytes();
        into.copy_from_slice(&[p0, p1, 0, 0]);
    }
}
