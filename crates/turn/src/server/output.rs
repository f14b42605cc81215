//! What comes out of the server: verdicts on packets, and everything else in a queue.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Instant;

use super::counters::DropReason;
use smallvec::SmallVec;
use stun::attribute::{XorPeerAddress, types};
use stun::{BufferTooSmall, ChannelData, ChannelNumber, Class, Method, TransactionId, Writer};

use super::admission::PeerProtocol;
use super::reject::RejectReason;
use super::reservation::{Claim, Reservation};
use crate::addr::{Client, ClusterId, ConnectionId, Family, ListenerId, PeerAddr, RelayId, RelayedAddr};

/// What is to become of a packet. Borrows the payload from the packet, so that relaying copies and allocates
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict<'p> {
    /// Send `payload` from the relay socket to the peer.
    ToPeer {
        /// The socket to send from.
        relay: RelayId,
        /// Where to send to.
        peer: PeerAddr,
        /// The application's data, without any framing.
        payload: &'p [u8],
        /// Whose counters the packet belongs to.
        cluster: ClusterId,
        /// Send it with the don't-fragment bit set (only a Send indication can ask for it).
        dont_fragment: bool,
    },
    /// Send `payload` to the client, behind the header [`Via`] writes.
    ToClient {
        /// Where to send to, and from which of our addresses.
        client: Client,
        /// What to wrap the payload in.
        via: Via,
        /// The peer the payload came from.
        peer: PeerAddr,
        /// The application's data, as it came.
        payload: &'p [u8],
        /// Whose counters the packet belongs to.
        cluster: ClusterId,
    },
    /// It was signalling; what follows from it, if anything, is in the output queue.
    Control,
    /// Nothing happens. Already counted.
    Dropped(DropReason),
}

/// How a peer's datagram is wrapped for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A ChannelData message, [RFC 8656 section 12.4](https://www.rfc-editor.org/rfc/rfc8656#section-12.4).
    Channel(ChannelNumber),
    /// A Data indication with this transaction id,
    /// [RFC 8656 section 11.4](https://www.rfc-editor.org/rfc/rfc8656#section-11.4).
    DataIndication(TransactionId),
}

impl Via {
    /// The longest header there is: a Data indication's for an IPv6 peer. Receive buffers leave this much room in
    /// front of a peer's payload.
    pub const MAX_HEADER_LEN: usize = 20 + 4 + 20 + 4;

    /// The number of bytes in front of the payload.
    pub const fn header_len(self, peer: PeerAddr) -> usize {
        match (self, peer.family()) {
            (Self::Channel(_), _) => 4,
            (Self::DataIndication(_), Family::V4) => Self::MAX_HEADER_LEN - 12,
            (Self::DataIndication(_), Family::V6) => Self::MAX_HEADER_LEN,
        }
    }

    /// The number of zero bytes, 0 to 3, that follow a payload of this length. A Data indication's attribute needs
    /// them, and ChannelData needs them on a stream; over UDP they are harmless and expected by some clients.
    pub const fn padding_len(self, payload_len: usize) -> usize {
        payload_len.wrapping_neg() & 3
    }

    /// Writes the bytes that go in front of a payload of `payload_len` bytes and gives their number, which is
    /// [`Via::header_len`]. The payload follows, and then [`Via::padding_len`] zero bytes.
    ///
    /// # Errors
    /// `into` is too short, or the payload too long for any message.
    pub fn write_header(
        self,
        peer: PeerAddr,
        payload_len: usize,
        into: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        match self {
            Self::Channel(channel) => {
                let len = u16::try_from(payload_len).map_err(|_| BufferTooSmall)?;
                let header = into.first_chunk_mut().ok_or(BufferTooSmall)?;
                ChannelData::write_header(channel, len, header);
                Ok(header.len())
            }
            Self::DataIndication(id) => {
                let mut writer = Writer::new(into, Class::Indication, Method::Data, id)?;
                writer.put(&XorPeerAddress(peer.get()))?;
                writer.finish_before(types::DATA, payload_len)
            }
        }
    }
}

/// One message for a client, small enough to live in the queue.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply(SmallVec<[u8; 160]>);

impl Reply {
    pub(crate) fn new(message: &[u8]) -> Self {
        Self(SmallVec::from_slice(message))
    }
}

impl Deref for Reply {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({} bytes)", self.0.len())
    }
}

/// What the caller has to do, or may want to know, after an input. To be carried out in order.
#[derive(Debug)]
pub enum Output {
    /// Send a message to a client.
    Send {
        /// Where to send to, and from which of our addresses.
        client: Client,
        /// The message.
        message: Reply,
    },
    /// Open a relay socket, one that listens if it is for TCP, and report with
    /// [`Server::handle_relay_opened`](super::Server::handle_relay_opened), at once or later.
    OpenRelay {
        /// What the socket will be called.
        relay: RelayId,
        /// The listener it is for.
        listener: ListenerId,
        /// What it is to speak with peers.
        protocol: PeerProtocol,
        /// The family of the socket. One that is in reserve has the family it was opened with.
        family: Family,
        /// Which port it must have.
        port: RelayPort,
    },
    /// Close a relay socket. Comes exactly once for every relay that was opened, and also for one whose opening is
    /// still under way; there is nothing to report in answer.
    CloseRelay {
        /// The socket.
        relay: RelayId,
    },
    /// Open a TCP connection from a relay's port to a peer and report with
    /// [`Server::handle_connected`](super::Server::handle_connected), at once or later. Nothing is read from it until
    /// it is joined.
    Connect {
        /// The relay.
        relay: RelayId,
        /// What the connection will be called.
        connection: ConnectionId,
        /// Whom to connect to.
        peer: PeerAddr,
    },
    /// Carry bytes between a connection with a peer and a client's connection, from behind the frame just handled on
    /// and until either ends. The client's is no longer one of messages.
    Join {
        /// The connection with the peer.
        connection: ConnectionId,
        /// The client's connection.
        client: Client,
        /// Whose counters the bytes belong to.
        cluster: ClusterId,
    },
    /// Close a connection with a peer, and the client's connection it may be joined with. Comes at most once, and not
    /// for a connection that was reported to have failed or closed.
    CloseConnection {
        /// The connection with the peer.
        connection: ConnectionId,
    },
    /// Hand a client to another server of the process, which is to handle the packet just handled and whatever follows
    /// it: that server has the connection with a peer, or the allocation, that the client asks for.
    MoveClient {
        /// The client.
        client: Client,
        /// The number of the server, see [`Settings::member`](super::Settings::member).
        to: u8,
    },
    /// A client has moved: an allocation that was on one 5-tuple is on another one.
    ClientMoved {
        /// Its relay socket.
        relay: RelayId,
        /// Where it was.
        from: Client,
        /// Where it is.
        to: Client,
    },
    /// A client that was about to move to this 5-tuple will not.
    ClientGone {
        /// Where it would have been.
        client: Client,
    },
    /// An allocation began to live.
    AllocationCreated {
        /// Whose it is.
        client: Client,
        /// Its relay socket.
        relay: RelayId,
        /// Its relayed transport address.
        relayed: RelayedAddr,
    },
    /// An allocation that was created ended.
    AllocationEnded {
        /// Whose it was.
        client: Client,
        /// Its relay socket.
        relay: RelayId,
        /// Why it ended.
        reason: EndReason,
    },
    /// A request was refused for a reason an operator may want to read about. Not sent for the routine 401 and 438
    /// of every conversation.
    Refused(Refusal),
}

/// Which port a relay socket must have. The owner of the sockets chooses it, unpredictably.
#[derive(Debug)]
pub enum RelayPort {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one, and the next higher port to be kept in reserve, see
    /// [`Reservations::keep`](super::Reservations::keep). Both or neither are opened; the report is the even port.
    EvenPair(Reservation),
    /// One that is in reserve, see [`Reservations::claim`](super::Reservations::claim). Reported with
    /// [`Server::handle_relay_claimed`](super::Server::handle_relay_claimed).
    Reserved(Claim),
}

/// Why a relay socket could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayError {
    /// There is no (even) port left.
    NoPort,
    /// The system refuses a socket.
    Unavailable,
}

/// Why an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Its lifetime ran out.
    Expired,
    /// Its client refreshed it with lifetime zero.
    Deleted,
    /// The connection it belonged to is closed.
    ClientClosed,
    /// Its listener is gone.
    ListenerRemoved,
    /// Its relay socket broke.
    RelayFailed,
}

/// A request that was refused, for the log. The only output with addresses that may be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who asked.
    pub client: Client,
    /// For what.
    pub method: Method,
    /// Why not.
    pub reason: RejectReason,
    /// What the client was told.
    pub code: u16,
    /// The peer it was about, as the client spelled it.
    pub peer: Option<SocketAddr>,
}

/// When the server wants to hear about the time again, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The moment from which [`Server::handle_timeout`](super::Server::handle_timeout) has something to do.
    pub at: Instant,
    /// What will have come to its end.
    pub reason: DeadlineReason,
}

/// What a deadline ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeadlineReason {
    /// The wait for a relay socket.
    RelayOpening,
    /// An allocation.
    Allocation,
    /// A permission.
    Permission,
    /// A channel binding.
    Channel,
    /// A TCP connection with a peer that has not come about, or that nobody asks for.
    Connection,
}
