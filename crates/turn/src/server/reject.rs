//! Refusals: every reason there is, and the one table that turns a reason into an error response.

use std::net::SocketAddr;

/// Why a request was refused. Each has its counter, see [`Counters`](super::Counters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// The request carries no MESSAGE-INTEGRITY. Routine: every conversation begins with it.
    Unauthenticated,
    /// The user is unknown, the username has expired, or the password is wrong. Which of them is told to nobody.
    WrongCredentials,
    /// The nonce has expired, or was made for somebody else. Routine in long conversations.
    StaleNonce,
    /// MESSAGE-INTEGRITY is there, but USERNAME, REALM or NONCE is not.
    MissingCredentials,
    /// PASSWORD-ALGORITHM and PASSWORD-ALGORITHMS do not go together, or are not what the nonce came with: somebody may
    /// have tampered with the choice.
    WrongAlgorithm,
    /// An attribute the request cannot do without is missing.
    MissingAttribute,
    /// An attribute cannot be understood or has a value it may not have.
    MalformedAttribute,
    /// Two attributes of the request exclude each other.
    ConflictingAttributes,
    /// An attribute nobody may ignore is of a type the server does not know.
    UnknownAttribute,
    /// There is no allocation on this 5-tuple.
    NoAllocation,
    /// There already is an allocation on this 5-tuple.
    AllocationExists,
    /// The allocation belongs to another user.
    WrongUser,
    /// The method is one the server, or this kind of allocation, does not have.
    UnsupportedMethod,
    /// REQUESTED-TRANSPORT is something relays do not speak.
    UnsupportedTransport,
    /// The listener has no relays of the requested family.
    UnsupportedFamily,
    /// The address is not of the allocation's family.
    FamilyMismatch,
    /// No cluster routed to the listener contains the peer.
    PeerRefused,
    /// The address is one no peer can have, see [`canonical_peer_ip`](crate::addr::canonical_peer_ip).
    PeerForbidden,
    /// The listener sends clients to another server.
    Redirected,
    /// The client's own address belongs to a tunnel between IPv4 and IPv6 that packets could be made to go round in.
    ClientForbidden,
    /// The channel number is outside 0x4000-0x7FFF.
    InvalidChannel,
    /// The channel is bound to another peer, or the peer to another channel.
    ChannelConflict,
    /// The allocation has as many permissions as it may have.
    TooManyPermissions,
    /// The allocation has as many channels as it may have.
    TooManyChannels,
    /// The allocation has as many connections with peers as it may have.
    TooManyConnections,
    /// There already is a connection with this peer, or one on its way.
    ConnectionExists,
    /// The peer has not accepted a connection.
    ConnectFailed,
    /// There is no connection of this number that waits for a client.
    UnknownConnection,
    /// No cluster routed to the listener takes TCP.
    NoTcpRoute,
    /// The source address has as many allocations as it may have.
    AddressLimit,
    /// The user has as many allocations as they may have.
    QuotaReached,
    /// The token stands for no reserved port of this user.
    UnknownReservation,
    /// No relay socket could be had.
    NoRelay,
    /// The process takes nothing new because it is about to end.
    Draining,
    /// The process has as many allocations as it can carry.
    Capacity,
    /// The client wants to be able to move, which the listener does not allow, or not for TCP relays.
    MobilityForbidden,
    /// A client that says it has moved has an allocation where it is.
    NotMoved,
}

impl RejectReason {
    /// Every reason, in the order of its counters.
    pub const ALL: [Self; 37] = [
        Self::Unauthenticated,
        Self::WrongCredentials,
        Self::StaleNonce,
        Self::MissingCredentials,
        Self::WrongAlgorithm,
        Self::MissingAttribute,
        Self::MalformedAttribute,
        Self::ConflictingAttributes,
        Self::UnknownAttribute,
        Self::NoAllocation,
        Self::AllocationExists,
        Self::WrongUser,
        Self::UnsupportedMethod,
        Self::UnsupportedTransport,
        Self::UnsupportedFamily,
        Self::FamilyMismatch,
        Self::PeerRefused,
        Self::PeerForbidden,
        Self::Redirected,
        Self::ClientForbidden,
        Self::InvalidChannel,
        Self::ChannelConflict,
        Self::TooManyPermissions,
        Self::TooManyChannels,
        Self::TooManyConnections,
        Self::ConnectionExists,
        Self::ConnectFailed,
        Self::UnknownConnection,
        Self::NoTcpRoute,
        Self::AddressLimit,
        Self::QuotaReached,
        Self::UnknownReservation,
        Self::NoRelay,
        Self::Draining,
        Self::Capacity,
        Self::MobilityForbidden,
        Self::NotMoved,
    ];

    /// The error code of the response,
    /// [RFC 8489 section 14.8](https://www.rfc-editor.org/rfc/rfc8489#section-14.8) and
    /// [RFC 8656 section 19](https://www.rfc-editor.org/rfc/rfc8656#section-19).
    pub const fn code(self) -> u16 {
        match self {
            Self::Redirected => 300,
            Self::MissingCredentials
            | Self::WrongAlgorithm
            | Self::MissingAttribute
            | Self::MalformedAttribute
            | Self::ConflictingAttributes
            | Self::UnsupportedMethod
            | Self::InvalidChannel
            | Self::ChannelConflict
            | Self::UnknownConnection
            | Self::NotMoved => 400,
            Self::Unauthenticated | Self::WrongCredentials => 401,
            Self::PeerRefused | Self::PeerForbidden | Self::ClientForbidden => 403,
            Self::MobilityForbidden => 405,
            Self::UnknownAttribute => 420,
            Self::NoAllocation | Self::AllocationExists => 437,
            Self::StaleNonce => 438,
            Self::UnsupportedFamily => 440,
            Self::WrongUser => 441,
            Self::UnsupportedTransport => 442,
            Self::FamilyMismatch => 443,
            Self::ConnectionExists => 446,
            Self::ConnectFailed => 447,
            Self::QuotaReached | Self::AddressLimit => 486,
            Self::TooManyPermissions
            | Self::TooManyChannels
            | Self::TooManyConnections
            | Self::NoTcpRoute
            | Self::UnknownReservation
            | Self::NoRelay
            | Self::Draining
            | Self::Capacity => 508,
        }
    }

    /// The reason in a sentence for an operator, with what would help.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Unauthenticated => {
                "the request came without credentials, as the first one of every client does"
            }
            Self::WrongCredentials => {
                "the user is unknown, the user name has expired, or the password is wrong; compare the client's with auth.credentials"
            }
            Self::StaleNonce => {
                "the nonce is an hour old or another client's; clients repeat the request with the new one"
            }
            Self::MissingCredentials => "the request is signed, but its user name, realm or nonce is missing",
            Self::WrongAlgorithm => {
                "the client's choice of algorithms is not what it was offered; somebody may have tampered with it"
            }
            Self::MissingAttribute => "the request lacks an attribute it cannot do without",
            Self::MalformedAttribute => "an attribute of the request makes no sense",
            Self::ConflictingAttributes => "two wishes of the request exclude each other",
            Self::UnknownAttribute => "the request depends on an extension that this server does not have",
            Self::NoAllocation => "the client has no allocation (any more) on this connection or address",
            Self::AllocationExists => "the client has an allocation on this connection or address already",
            Self::WrongUser => "the allocation belongs to another user",
            Self::UnsupportedMethod => "the method is not for this kind of allocation or listener",
            Self::UnsupportedTransport => "relays speak UDP and TCP only",
            Self::UnsupportedFamily => {
                "the listener has no relays of this address family; set its address to one"
            }
            Self::FamilyMismatch => "the peer's address family is not that of the allocation",
            Self::PeerRefused => {
                "no cluster routed to the listener contains the peer; add it to the endpoints of one"
            }
            Self::PeerForbidden => "the address is one no peer can have, whatever the clusters say",
            Self::Redirected => "the listener sends clients to its alternate_server",
            Self::ClientForbidden => "the client's address belongs to an automatic tunnel",
            Self::InvalidChannel => "the channel number is outside 0x4000 to 0x7FFF",
            Self::ChannelConflict => "the channel or the peer is bound otherwise already",
            Self::TooManyPermissions => {
                "the allocation has all permissions it may have; see admin.limits.permissions"
            }
            Self::TooManyChannels => "the allocation has all channels it may have; see admin.limits.channels",
            Self::TooManyConnections => {
                "the allocation has all TCP connections it may have; see admin.limits.connections"
            }
            Self::ConnectionExists => "the allocation has a connection with this peer already",
            Self::ConnectFailed => "the peer did not accept the connection",
            Self::UnknownConnection => "no connection of this number waits for a client",
            Self::NoTcpRoute => "no cluster routed to the listener takes TCP; give one protocol: TCP",
            Self::AddressLimit => {
                "the address has all allocations it may have; see admin.limits.allocations_per_address"
            }
            Self::QuotaReached => "the user has all allocations they may have; see admin.user_quota",
            Self::UnknownReservation => "the token stands for no reserved port of this user",
            Self::NoRelay => "no relay socket could be had; see relay_ports and the limit of open files",
            Self::Draining => "the process is about to end and takes nothing new",
            Self::Capacity => "the process has as many allocations as it can carry",
            Self::MobilityForbidden => {
                "clients of the listener may not move, and those with TCP relays never; see mobility"
            }
            Self::NotMoved => "the client says that it has moved, and has an allocation where it is",
        }
    }

    /// Part of every healthy conversation, and of no interest to an operator.
    pub const fn is_routine(self) -> bool {
        matches!(self, Self::Unauthenticated | Self::StaleNonce | Self::Redirected)
    }
}

/// A handler's way out: why the request is refused, and which peer it was about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reject {
    pub(super) reason: RejectReason,
    pub(super) peer: Option<SocketAddr>,
}

impl From<RejectReason> for Reject {
    fn from(reason: RejectReason) -> Self {
        Self { reason, peer: None }
    }
}

impl RejectReason {
    pub(super) const fn about(self, peer: SocketAddr) -> Reject {
        Reject { reason: self, peer: Some(peer) }
    }

    /// Whether the client has to be told what to sign with next.
    pub(super) const fn is_challenge(self) -> bool {
        matches!(self.code(), 401 | 438)
    }
}
