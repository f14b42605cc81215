//! Addresses by role: who asks (client), who is relayed to (peer), and what is advertised (relayed address).
//!
//! The same IPv4 host can be written in many ways inside IPv6. Everything here is canonical from the moment it
//! is constructed, so that a comparison anywhere else is a comparison of hosts and not of spellings.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

pub use stun::attribute::Family;

/// A listener of this process: a small number given and understood by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u16);

/// A cluster of peers: a small number given and understood by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u16);

/// What carries a client's packets to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams, whose source address anybody can forge.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// DTLS over UDP, past its cookie exchange.
    Dtls,
}

impl Transport {
    /// Whether the source address of a packet is known to be real before the first packet is handled.
    pub const fn proves_source(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls | Self::Dtls => true,
        }
    }

    /// Whether packets come in a stream of bytes, without IP headers of their own.
    pub(crate) const fn is_stream(self) -> bool {
        match self {
            Self::Tcp | Self::Tls => true,
            Self::Udp | Self::Dtls => false,
        }
    }
}

/// A client, by the 5-tuple its packets come on
/// ([RFC 8656 section 2](https://www.rfc-editor.org/rfc/rfc8656#section-2)); the transport is the listener's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client {
    listener: ListenerId,
    remote: SocketAddr,
    local: SocketAddr,
}

impl Client {
    /// Names the client at `remote` that talks to `local`, an address of `listener`. IPv4-mapped addresses,
    /// as a dual-stack socket reports them, become IPv4.
    pub fn new(listener: ListenerId, remote: SocketAddr, local: SocketAddr) -> Self {
        Self { listener, remote: unmapped(remote), local: unmapped(local) }
    }

    /// The listener whose policy applies.
    pub const fn listener(&self) -> ListenerId {
        self.listener
    }

    /// The client's server-reflexive address: where replies go.
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Whether the client's address belongs to an automatic tunnel, Teredo or 6to4
    /// ([RFC 8656 section 21.4](https://www.rfc-editor.org/rfc/rfc8656#section-21.4)).
    pub(crate) const fn is_tunnelled(&self) -> bool {
        match self.remote {
            SocketAddr::V4(_) => false,
            SocketAddr::V6(v6) => is_tunnel(*v6.ip()),
        }
    }

    /// The address of ours the client talks to: where replies must come from.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u16(self.listener.0);
        hash_socket_addr(self.remote, state);
        hash_socket_addr(self.local, state);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} -> {}#{})", self.remote, self.local, self.listener.0)
    }
}

/// A relay socket. The server chooses the identifier when it asks for the socket, and the socket's owner keeps
/// it with the socket. Slots are dense and reused; a reused slot has another generation, so that what is still
/// under way for the former holder of the slot is recognised and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RelayId {
    slot: u32,
    generation: u32,
}

impl RelayId {
    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// A dense index, fit for a `Vec` of sockets.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    /// The identifier as one word, for poll tokens.
    pub const fn to_u64(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// What [`RelayId::to_u64`] came from.
    pub const fn from_u64(word: u64) -> Self {
        Self { slot: word as u32, generation: (word >> 32) as u32 }
    }
}

impl fmt::Debug for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayId({}.{})", self.slot, self.generation)
    }
}

/// A TCP connection between a relay and a peer
/// ([RFC 6062 section 6.2.1](https://www.rfc-editor.org/rfc/rfc6062#section-6.2.1)), as clients name it. Its lowest
/// byte is the number of the server that has it, among those of the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    pub(crate) const fn new(random: u32, member: u8) -> Self {
        Self(random & !0xff | member as u32)
    }

    pub(crate) const fn member(self) -> u8 {
        self.0 as u8
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({:#x})", self.0)
    }
}

/// The address a relay socket is advertised by: the listener's relay address and the socket's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayedAddr(SocketAddr);

impl RelayedAddr {
    pub(crate) const fn new(addr: SocketAddr) -> Self {
        Self(addr)
    }

    /// The address as sent in XOR-RELAYED-ADDRESS.
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

/// The address of a peer, in the one spelling every check is made on.
///
/// Constructing one canonicalises: an IPv4-mapped IPv6 address is the IPv4 address. The other spellings of an
/// IPv4 host inside IPv6, and addresses that name no single host, cannot be constructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(SocketAddr);

impl PeerAddr {
    /// Canonicalises `addr`. Its port is kept as it is (a permission ignores it); a zone and a flow label are not, as
    /// they cannot be written in XOR-PEER-ADDRESS.
    ///
    /// # Errors
    /// [`ForbiddenPeer`] for an address no peer can have, see [`canonical_peer_ip`].
    pub fn new(addr: SocketAddr) -> Result<Self, ForbiddenPeer> {
        Ok(Self(SocketAddr::new(canonical_peer_ip(addr.ip())?, addr.port())))
    }

    /// The canonical address.
    pub const fn get(self) -> SocketAddr {
        self.0
    }

    /// The canonical IP address, which is what permissions are about.
    pub const fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The port.
    pub const fn port(self) -> u16 {
        self.0.port()
    }

    /// The family of the canonical address.
    pub const fn family(self) -> Family {
        Family::of(self.0.ip())
    }
}

impl Hash for PeerAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_socket_addr(self.0, state);
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address is one no peer can have, whatever the routes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForbiddenPeer;

impl fmt::Display for ForbiddenPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the address of a peer")
    }
}

impl std::error::Error for ForbiddenPeer {}

/// The canonical form of a peer's IP address. The one function that decides which spelling of an address is
/// checked and relayed to.
///
/// # Errors
/// [`ForbiddenPeer`] for the unspecified addresses and the rest of `0.0.0.0/8`, for multicast and broadcast, and
/// for the IPv6 forms that carry an IPv4 address past an IPv4 rule: compatible, translated, NAT64, 6to4, Teredo
/// and ISATAP. Loopback and link-local addresses are the business of the routes.
pub fn canonical_peer_ip(ip: IpAddr) -> Result<IpAddr, ForbiddenPeer> {
    let ip = ip.to_canonical();
    let forbidden = match ip {
        IpAddr::V4(v4) => names_no_host(v4),
        IpAddr::V6(v6) => v6.is_multicast() || hides_ipv4(v6),
    };
    if forbidden { Err(ForbiddenPeer) } else { Ok(ip) }
}

const fn names_no_host(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast()
}

/// The unspecified address falls under the compatible form here; `::1` does not, it is a host of its own.
const fn hides_ipv4(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => false,
        // IPv4-compatible, RFC 4291 section 2.5.5.1
        [0, 0, 0, 0, 0, 0, _, _] => true,
        // IPv4-translated, RFC 2765 section 2.1
        [0, 0, 0, 0, 0xffff, 0, _, _] => true,
        // NAT64, RFC 6052 section 2.1 and RFC 8215
        [0x64, 0xff9b, 0 | 1, ..] => true,
        // ISATAP, RFC 5214 section 6.1
        [_, _, _, _, 0 | 0x0200, 0x5efe, _, _] => true,
        _ => is_tunnel(ip),
    }
}

const fn is_tunnel(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // Teredo, RFC 4380 section 4
        [0x2001, 0, ..] => true,
        // 6to4, RFC 3056 section 2
        [0x2002, ..] => true,
        _ => false,
    }
}

/// An IPv4-mapped socket address as IPv4; the flow label is not part of anybody's identity.
pub(crate) fn unmapped(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
        },
    }
}

/// Feeds a canonical address to a hasher in one or two words, where the derived form feeds it in six.
pub(crate) fn hash_socket_addr<H: Hasher>(addr: SocketAddr, state: &mut H) {
    match addr {
        SocketAddr::V4(v4) => state.write_u64(u64::from(v4.ip().to_bits()) << 16 | u64::from(v4.port())),
        SocketAddr::V6(v6) => {
            state.write_u128(v6.ip().to_bits());
            state.write_u64(u64::from(v6.scope_id()) << 16 | u64::from(v6.port()));
        }
    }
}

#[cfg(test)]
mod tests;
