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

/// Declares an attribute that is a transport address; `$mask` makes wire form from plain form and back.
macro_rules! address {
    ($($(#[$doc:meta])* $name:ident, $kind:ident, $mask:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub struct $name(pub SocketAddr);

        impl Attribute<'_> for $name {
            const TYPE: u16 = types::$kind;

            fn decode(value: &[u8], id: TransactionId) -> Result<Self, AttributeError> {
                Ok(Self($mask(decode(value)?, id)))
            }

            fn encoded_len(&self) -> usize {
                encoded_len(self.0)
            }

            fn encode(&self, into: &mut [u8], id: TransactionId) {
                encode($mask(self.0, id), into);
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

/// Value: a byte to ignore, family, port, address (RFC 8489 §14.1).
fn decode(value: &[u8]) -> Result<SocketAddr, AttributeError> {
    let ([_, family, p0, p1], ip) = value.split_first_chunk().ok_or(AttributeError::Length)?;
    let ip = match Family::from_number(*family)? {
        Family::V4 => IpAddr::from(super::exactly::<4>(ip)?),
        Family::V6 => IpAddr::from(super::exactly::<16>(ip)?),
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes([*p0, *p1])))
}

const fn encoded_len(addr: SocketAddr) -> usize {
    match addr {
        SocketAddr::V4(_) => 8,
        SocketAddr::V6(_) => 20,
    }
}

fn encode(addr: SocketAddr, into: &mut [u8]) {
    into[0] = 0;
    into[1] = Family::of(addr.ip()).number();
    into[2..4].copy_from_slice(&addr.port().to_be_bytes());
    match addr.ip() {
        IpAddr::V4(ip) => into[4..].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => into[4..].copy_from_slice(&ip.octets()),
    }
}

fn plain(addr: SocketAddr, _: TransactionId) -> SocketAddr {
    addr
}

/// Masks port and address with the magic cookie, and the rest of an IPv6 address with the transaction, so that
/// address-rewriting middleboxes do not recognise them. Masking twice gives the plain address (RFC 8489 §14.2).
fn xor(addr: SocketAddr, id: TransactionId) -> SocketAddr {
    let port = addr.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let ip = match addr.ip() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() ^ MAGIC_COOKIE).into(),
        IpAddr::V6(ip) => {
            let mut mask = [0; 16];
            mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
            mask[4..].copy_from_slice(id.as_bytes());
            Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(mask)).into()
        }
    };
    SocketAddr::new(ip, port)
}
