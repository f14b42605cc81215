//! A client on a TCP or TLS connection: cutting the stream into frames, and knowing when to give it up.
//!
//! Bytes are read into a slot of the worker's arena, behind what an earlier read left of an unfinished frame,
//! so that frames are relayed from where the kernel put them. Only the unfinished rest is copied, and a
//! connection that waits for nothing holds no buffer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use net::Interest;
use stun::frame::{self, Frame};
use turn::addr::Client;

use crate::metrics::Meter;
use crate::pipe::Pipe;
use crate::quota::Place;
use crate::shard::Joint;

/// How long connections may be of no use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Until the first message that makes sense, after a TLS handshake if there has to be one.
    pub(crate) first_message: Duration,
    /// Without an allocation, from the last message that made sense.
    pub(crate) idle: Duration,
}

/// The largest frame of a client that has no allocation: a request with everything in it is far smaller.
const MAX_UNPROVED_FRAME: usize = 4096;

/// Most bytes taken from one connection in one turn, so that one client cannot keep the worker.
pub(crate) const READ_BUDGET: usize = 64 << 10;

/// A connection.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) pipe: Pipe,
    pub(crate) client: Client,
    pub(crate) meter: Arc<Meter>,
    _place: Place,
    /// Tells this connection from an earlier one in its place.
    pub(crate) serial: u64,
    /// The start of a frame whose end has not come.
    rest: Vec<u8>,
    allocations: u32,
    /// When it is closed unless an allocation is made; `None` while there is one.
    deadline: Option<Instant>,
    idle: Duration,
    /// Its client has not shown yet that it knows the keys: it counts as a handshake.
    pub(crate) handshaking: bool,
    /// The poller reports room to write.
    pub(crate) awaits_room: bool,
    /// Where its bytes go, once they are no messages any more.
    pub(crate) joint: Option<Joint>,
    interest: Interest,
}

/// The next piece of what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A frame of `len` bytes; `taken` bytes with its padding.
    Frame { len: usize, taken: usize },
    /// The rest is the start of a frame.
    Unfinished,
    /// The stream makes no sense, or announces more than its client may send.
    Garbage,
}

impl Stream {
    pub(crate) fn new(
        pipe: Pipe,
        client: Client,
        (meter, place): (Arc<Meter>, Place),
        serial: u64,
        timeouts: Timeouts,
        now: Instant,
    ) -> Self {
        Self {
            handshaking: pipe.is_handshaking(),
            pipe,
            client,
            meter,
            _place: place,
            serial,
            rest: Vec::new(),
            allocations: 0,
            deadline: Some(now + timeouts.first_message),
            idle: timeouts.idle,
            awaits_room: false,
            joint: None,
            interest: Interest::Read,
        }
    }

    /// Moves what an earlier read left over to the front of `buffer`; returns its length.
    pub(crate) fn restore(&mut self, buffer: &mut [u8]) -> usize {
        let len = self.rest.len();
        buffer[..len].copy_from_slice(&self.rest);
        self.rest.clear();
        len
    }

    /// Keeps the start of an unfinished frame for the next read.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }

    /// Looks at the start of what was read and not consumed.
    pub(crate) fn next(&self, bytes: &[u8]) -> Piece {
        let largest = if self.allocations > 0 { frame::MAX_FRAME_LEN } else { MAX_UNPROVED_FRAME };
        match frame::next(bytes) {
            Frame::Message(len) => Piece::Frame { len, taken: len },
            Frame::ChannelData { len, padded } => Piece::Frame { len, taken: padded },
            Frame::Incomplete { need } if need <= largest => Piece::Unfinished,
            Frame::Incomplete { .. } | Frame::Invalid => Piece::Garbage,
        }
    }

    /// A message made sense. Returns the new deadline if it is earlier than the one before.
    pub(crate) fn touch(&mut self, now: Instant) -> Option<Instant> {
        let before = self.deadline?;
        let deadline = now + self.idle;
        self.deadline = Some(deadline);
        (deadline < before).then_some(deadline)
    }

    /// An allocation of this client began.
    pub(crate) fn allocated(&mut self) {
        self.allocations += 1;
        self.deadline = None;
    }

    /// An allocation of this client ended. Returns the new deadline if it was the last.
    pub(crate) fn deallocated(&mut self, now: Instant) -> Option<Instant> {
        self.allocations = self.allocations.saturating_sub(1);
        if self.allocations == 0 {
            self.deadline = Some(now + self.idle);
        }
        self.deadline
    }

    /// From now on its bytes go to and come from the peer at this place. It is of use for as long as they do.
    pub(crate) fn join(&mut self, peer: usize) {
        self.joint = Some(Joint::Peer(peer));
        self.deadline = None;
        self.interest = if self.awaits_room { Interest::ReadWrite } else { Interest::Read };
    }

    /// Notes what a joined connection is waited for. Whether that is something else than before.
    pub(crate) fn wants(&mut self, interest: Interest) -> bool {
        std::mem::replace(&mut self.interest, interest) != interest
    }

    /// A joined connection is waited for what it has to say.
    pub(crate) fn reads(&self) -> bool {
        matches!(self.interest, Interest::Read | Interest::ReadWrite)
    }

    /// When the connection is to be closed, if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
