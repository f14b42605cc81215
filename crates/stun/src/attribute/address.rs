//! Transport addresses, plain and masked.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Attribute, types};
use crate::error::AttributeError;
use crate::message::{MAGIC_COOKIE, TransactionId};

/// An address family by its STUN number (RFC 8489 §14.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// 0x01
    V4,
    /// 0x02
    V6,
}

impl Family {
    /// The family of an address. A mapped address (`::ffff:a.b.c.d`) counts as IPv6, as it is on the wire.
    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    pub(super) const fn from_number(number: u8) -> Result<Self, AttributeError> {
        match number {
            1 => Ok(Self::V4),
            2 => Ok(Self::V6),
            other => Err(AttributeError::Family(other)),
        }
    }
}

/// Declares an attribute that is a transport address, masked on the wire by what `$mask` makes of the transaction.
macro_rules! address {
    ($($(#[$doc:meta])* $name:ident, $kind:ident, $mask:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name(pub SocketAddr);

        impl Attribute<'_> for $name {
            const TYPE: u16 = types::$kind;

            #[inline]
            fn decode(value: &[u8], id: TransactionId) -> Result<Self, AttributeError> {
                decode(value, $mask(id)).map(Self)
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                if self.0.is_ipv4() { 8 } else { 20 }
            }

            #[inline]
            fn encode(&self, into: &mut [u8], id: TransactionId) {
                encode(self.0, $mask(id), into);
            }
        }
    )*};
}

address! {
    /// MAPPED-ADDRESS: where the request came from, in a form that some NATs rewrite (RFC 8489 §14.1).
    MappedAddress, MAPPED_ADDRESS, plain;
    /// XOR-MAPPED-ADDRESS: where the request came from (RFC 8489 §14.2).
    XorMappedAddress, XOR_MAPPED_ADDRESS, xor;
    /// XOR-PEER-ADDRESS: the peer as the server sees it (RFC 8656 §18.3).
    XorPeerAddress, XOR_PEER_ADDRESS, xor;
    /// XOR-RELAYED-ADDRESS: the address allocated for the client (RFC 8656 §18.5).
    XorRelayedAddress, XOR_RELAYED_ADDRESS, xor;
    /// ALTERNATE-SERVER: whom to ask instead, with error 300 (RFC 8489 §14.15).
    AlternateServer, ALTERNATE_SERVER, plain;
    /// RESPONSE-ORIGIN: where the response was sent from (RFC 5780 §7.3).
    ResponseOrigin, RESPONSE_ORIGIN, plain;
    /// OTHER-ADDRESS: where it would come from with another address and port (RFC 5780 §7.4).
    OtherAddress, OTHER_ADDRESS, plain;
}

/// What an address is combined with bit by bit: an IPv6 address with all of it, an IPv4 address with its first 32
/// bits, a port with its first 16.
#[derive(Clone, Copy)]
struct Mask(u128);

fn plain(_: TransactionId) -> Mask {
    Mask(0)
}

/// Magic cookie and transaction, so that middleboxes that rewrite addresses do not recognise them (RFC 8489 §14.2).
fn xor(id: TransactionId) -> Mask {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(id.as_bytes());
    Mask(u128::from_be_bytes(mask))
}

impl Mask {
    fn port(self, port: u16) -> u16 {
        port ^ (self.0 >> 112) as u16
    }

    fn v4(self, ip: u32) -> u32 {
        ip ^ (self.0 >> 96) as u32
    }

    fn v6(self, ip: u128) -> u128 {
        ip ^ self.0
    }
}

/// Value: a byte to ignore, family, port, address (RFC 8489 §14.1).
fn decode(value: &[u8], mask: Mask) -> Result<SocketAddr, AttributeError> {
    let ([_, family, p0, p1], ip) = value.split_first_chunk().ok_or(AttributeError::Length)?;
    let port = mask.port(u16::from_be_bytes([*p0, *p1]));
    match Family::from_number(*family)? {
        Family::V4 => {
            let ip = mask.v4(u32::from_be_bytes(super::exactly(ip)?));
            Ok(SocketAddr::new(Ipv4Addr::from_bits(ip).into(), port))
        }
        Family::V6 => {
            let ip = mask.v6(u128::from_be_bytes(super::exactly(ip)?));
            Ok(SocketAddr::new(Ipv6Addr::from_bits(ip).into(), port))
        }
    }
}

fn encode(addr: SocketAddr, mask: Mask, into: &mut [u8]) {
    into[0] = 0;
    into[1] = Family::of(addr.ip()).number();
    into[2..4].copy_from_slice(&mask.port(addr.port()).to_be_bytes());
    match addr.ip() {
        IpAddr::V4(ip) => into[4..].copy_from_slice(&mask.v4(ip.to_bits()).to_be_bytes()),
        IpAddr::V6(ip) => into[4..].copy_from_slice(&mask.v6(ip.to_bits()).to_be_bytes()),
    }
}
