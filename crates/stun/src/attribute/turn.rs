//! Attributes of TURN: RFC 8656, RFC 6062 (TCP relays), RFC 8016 (mobility).

use super::address::Family;
use super::{bytes, fixed, flag, number};
use crate::channel_data::ChannelNumber;
use crate::error::AttributeError;

number! {
    /// LIFETIME: how long the server keeps an allocation, in seconds (RFC 8656 §18.2).
    Lifetime(u32), LIFETIME, 4;
    /// CONNECTION-ID: a connection of a TCP relay to a peer (RFC 6062 §6.2.1).
    ConnectionId(u32), CONNECTION_ID, 4;
}

bytes! {
    /// DATA: what is relayed in Send and Data indications (RFC 8656 §18.4).
    Data, DATA;
    /// MOBILITY-TICKET: what lets a client keep its allocation on a new address; empty in the Allocate request
    /// that asks for one (RFC 8016 §3.5).
    MobilityTicket, MOBILITY_TICKET;
}

flag! {
    /// DONT-FRAGMENT: relay with the DF bit set (RFC 8656 §18.9).
    DontFragment, DONT_FRAGMENT;
}

/// CHANNEL-NUMBER. The two bytes after the number are ignored (RFC 8656 §18.1).
impl ChannelNumber {
    fn from_wire([n0, n1, _, _]: [u8; 4]) -> Result<Self, AttributeError> {
        Self::try_from(u16::from_be_bytes([n0, n1]))
    }

    fn to_wire(self) -> [u8; 4] {
        let [n0, n1] = self.get().to_be_bytes();
        [n0, n1, 0, 0]
    }
}

fixed!(ChannelNumber, CHANNEL_NUMBER, 4);

/// REQUESTED-TRANSPORT: what to relay, as an IP protocol number (RFC 8656 §18.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestedTransport(pub u8);

impl RequestedTransport {
    /// Relay UDP.
    pub const UDP: Self = Self(17);
    /// Relay TCP (RFC 6062 §4.1).
    pub const TCP: Self = Self(6);

    fn from_wire([protocol, ..]: [u8; 4]) -> Result<Self, AttributeError> {
        Ok(Self(protocol))
    }

    fn to_wire(self) -> [u8; 4] {
        [self.0, 0, 0, 0]
    }
}

fixed!(RequestedTransport, REQUESTED_TRANSPORT, 4);

/// REQUESTED-ADDRESS-FAMILY: which family to allocate from (RFC 8656 §18.6). A family the codec does not know is
/// [`AttributeError::Family`], which a server answers with 440.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestedAddressFamily(pub Family);

impl RequestedAddressFamily {
    fn from_wire([family, ..]: [u8; 4]) -> Result<Self, AttributeError> {
        Family::from_number(family).map(Self)
    }

    fn to_wire(self) -> [u8; 4] {
        [self.0.number(), 0, 0, 0]
    }
}

fixed!(RequestedAddressFamily, REQUESTED_ADDRESS_FAMILY, 4);

/// ADDITIONAL-ADDRESS-FAMILY: which family to allocate from besides IPv4; RFC 8656 §18.11 allows only IPv6, which
/// is for the server to check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AdditionalAddressFamily(pub Family);

impl AdditionalAddressFamily {
    fn from_wire([family, ..]: [u8; 4]) -> Result<Self, AttributeError> {
        Family::from_number(family).map(Self)
    }

    fn to_wire(self) -> [u8; 4] {
        [self.0.number(), 0, 0, 0]
    }
}

fixed!(AdditionalAddressFamily, ADDITIONAL_ADDRESS_FAMILY, 4);

/// EVEN-PORT: the relayed port shall be even (RFC 8656 §18.7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EvenPort {
    /// And the next higher port shall be kept for a later request.
    pub reserve: bool,
}

impl EvenPort {
    fn from_wire([flags]: [u8; 1]) -> Result<Self, AttributeError> {
        Ok(Self { reserve: flags & 0x80 != 0 })
    }

    fn to_wire(self) -> [u8; 1] {
        [u8::from(self.reserve) << 7]
    }
}

fixed!(EvenPort, EVEN_PORT, 1);

/// RESERVATION-TOKEN: names the port that an earlier EVEN-PORT kept (RFC 8656 §18.10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReservationToken(pub [u8; 8]);

impl ReservationToken {
    fn from_wire(token: [u8; 8]) -> Result<Self, AttributeError> {
        Ok(Self(token))
    }

    fn to_wire(self) -> [u8; 8] {
        self.0
    }
}

fixed!(ReservationToken, RESERVATION_TOKEN, 8);

/// ICMP: an error a router or the peer sent back for relayed data (RFC 8656 §18.13). The RFC's figure gives the type
/// seven bits and the code nine; some implementations use a byte for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Icmp {
    /// ICMP or ICMPv6 type, at most 127, as all errors are; higher bits are not sent.
    pub kind: u8,
    /// ICMP or ICMPv6 code, at most 511; higher bits are not sent.
    pub code: u16,
    /// The MTU of the next hop for "fragmentation needed" and "packet too big", else zero.
    pub data: u32,
}

impl Icmp {
    fn from_wire([_, _, t, c, d @ ..]: [u8; 8]) -> Result<Self, AttributeError> {
        let both = u16::from_be_bytes([t, c]);
        Ok(Self { kind: (both >> 9) as u8, code: both & 0x01FF, data: u32::from_be_bytes(d) })
    }

    fn to_wire(self) -> [u8; 8] {
        let [t, c] = (u16::from(self.kind) << 9 | self.code & 0x01FF).to_be_bytes();
        let [d0, d1, d2, d3] = self.data.to_be_bytes();
        [0, 0, t, c, d0, d1, d2, d3]
    }
}

fixed!(Icmp, ICMP, 8);
