//! What has been dropped and refused, counted by reason.

use super::reject::RejectReason;

/// Why a packet went nowhere. Each has its counter, see [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Neither a STUN message nor ChannelData.
    NotTurn,
    /// A STUN message or ChannelData, but a broken one.
    Malformed,
    /// A STUN message whose FINGERPRINT is wrong.
    WrongFingerprint,
    /// A response, or a Binding or Data indication: nothing a server is sent.
    Unexpected,
    /// A request or indication of a method the server does not know.
    UnknownMethod,
    /// An indication with an attribute nobody may ignore, of a type the server does not know.
    UnknownAttribute,
    /// A Send indication without its peer or its data.
    MissingAttribute,
    /// The listener is gone.
    UnknownListener,
    /// The relay socket belongs to no allocation: it is closed, or a port still in reserve.
    UnknownRelay,
    /// There is no allocation on this 5-tuple.
    NoAllocation,
    /// A repeated Allocate whose first copy is still waiting for its relay socket.
    AllocatePending,
    /// Nothing is bound to this channel (any more).
    UnboundChannel,
    /// There is no permission for this peer (any more).
    NoPermission,
    /// There is a permission for the peer's address, but no cluster consents to its port, or none does any more.
    PeerRefused,
    /// The peer's address is one no peer can have.
    PeerForbidden,
    /// The allocation has as many connections with peers as it may have.
    TooManyConnections,
    /// An ICMP error of a kind that clients are not told about.
    IcmpKind,
    /// An ICMP error withheld, because the client has had its share of them.
    IcmpBudget,
    /// An error response withheld, because its destination has not proved that it asked and has had its share.
    ReplyBudget,
}

impl DropReason {
    /// Every reason, in the order of its counters.
    pub const ALL: [Self; 19] = [
        Self::NotTurn,
        Self::Malformed,
        Self::WrongFingerprint,
        Self::Unexpected,
        Self::UnknownMethod,
        Self::UnknownAttribute,
        Self::MissingAttribute,
        Self::UnknownListener,
        Self::UnknownRelay,
        Self::NoAllocation,
        Self::AllocatePending,
        Self::UnboundChannel,
        Self::NoPermission,
        Self::PeerRefused,
        Self::PeerForbidden,
        Self::TooManyConnections,
        Self::IcmpKind,
        Self::IcmpBudget,
        Self::ReplyBudget,
    ];
}

/// Totals since the server was made; they only ever grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    drops: [u64; DropReason::ALL.len()],
    rejects: [u64; RejectReason::ALL.len()],
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self { drops: [0; DropReason::ALL.len()], rejects: [0; RejectReason::ALL.len()] }
    }

    /// Packets dropped for this reason.
    pub const fn drops(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Requests refused for this reason.
    pub const fn rejects(&self, reason: RejectReason) -> u64 {
        self.rejects[reason as usize]
    }

    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        self.drops[reason as usize] += 1;
    }

    pub(crate) fn count_reject(&mut self, reason: RejectReason) {
        self.rejects[reason as usize] += 1;
    }
}
