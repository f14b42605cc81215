//! What comes back from a server.

use std::net::SocketAddr;
use std::{error, fmt};

use stun::Message;
use stun::attribute::{Attribute, Icmp, Nonce, Realm, UnknownAttributes, types};

use super::{Closed, error_code};

/// A relay that the server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// What peers see: the first XOR-RELAYED-ADDRESS.
    pub relayed: SocketAddr,
    /// The address of the other family, if both were asked for and given.
    pub second: Option<SocketAddr>,
    /// Where the server sees the client.
    pub mapped: SocketAddr,
    /// Seconds until it ends unless refreshed.
    pub lifetime: u32,
    /// Names the next higher port, if it was asked to be kept.
    pub token: Option<[u8; 8]>,
}

/// Something a server sends of its own accord.
#[derive(Debug)]
pub enum Event {
    /// A peer's data.
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// The channel it came on; `None` for a Data indication.
        channel: Option<u16>,
        /// What was sent.
        data: Vec<u8>,
    },
    /// An error that a router or the peer sent back for relayed data.
    Icmp {
        /// Whom the data was for.
        peer: SocketAddr,
        /// The error.
        icmp: Icmp,
    },
    /// A peer connected to a TCP relay (RFC 6062).
    ConnectionAttempt {
        /// Who connected.
        peer: SocketAddr,
        /// The number to bind a data connection with.
        id: u32,
    },
    /// Any other request or indication.
    Other(Answer),
}

impl Event {
    /// The data of a peer.
    ///
    /// # Panics
    /// It is another event.
    #[track_caller]
    pub fn data(&self) -> &[u8] {
        match self {
            Self::Data { data, .. } => data,
            Self::Icmp { .. } | Self::ConnectionAttempt { .. } | Self::Other(_) => {
                panic!("not data: {self:?}")
            }
        }
    }

    /// The peer that the event is about.
    ///
    /// # Panics
    /// It is about none.
    #[track_caller]
    pub fn peer(&self) -> SocketAddr {
        match self {
            Self::Data { peer, .. } | Self::Icmp { peer, .. } | Self::ConnectionAttempt { peer, .. } => *peer,
            Self::Other(_) => panic!("no peer: {self:?}"),
        }
    }
}

/// A message of the server's, kept whole.
#[derive(Clone)]
pub struct Answer(Vec<u8>);

impl Answer {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The message.
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("was parsed when it arrived")
    }

    /// The ticket that takes a relay along (RFC 8016).
    #[track_caller]
    pub fn ticket(&self) -> Vec<u8> {
        self.message().raw(types::MOBILITY_TICKET).unwrap_or_else(|| panic!("no ticket: {self:?}")).to_vec()
    }

    /// The bytes as they arrived.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first attribute of this type.
    ///
    /// # Panics
    /// It cannot be read.
    #[track_caller]
    pub fn get<'a, A: Attribute<'a>>(&'a self) -> Option<A> {
        let found = self.message().get::<A>();
        found.unwrap_or_else(|why| panic!("{} is malformed ({why:?}): {self:?}", types::Display(A::TYPE)))
    }

    /// The attribute of this type, which must be there.
    ///
    /// # Panics
    /// It is not there, or cannot be read.
    #[track_caller]
    pub fn expect<'a, A: Attribute<'a>>(&'a self) -> A {
        let name = types::Display(A::TYPE);
        self.get().unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// All attributes of this type, in order.
    ///
    /// # Panics
    /// One cannot be read.
    #[track_caller]
    pub fn all<'a, A: Attribute<'a>>(&'a self) -> Vec<A> {
        self.message()
            .all::<A>()
            .map(|found| found.unwrap_or_else(|why| panic!("{why:?} in {self:?}")))
            .collect()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

/// Why a request led to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server said no.
    Refused(Refusal),
    /// The server said nothing.
    Timeout,
    /// The server ended the connection.
    Closed,
}

/// A server's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number of ERROR-CODE.
    pub code: u16,
    /// The words of ERROR-CODE, often none.
    pub reason: String,
    /// REALM, which comes with a challenge.
    pub realm: Option<String>,
    /// NONCE, which comes with a challenge.
    pub nonce: Option<String>,
    /// UNKNOWN-ATTRIBUTES, which comes with 420.
    pub unknown: Vec<u16>,
}

impl Refusal {
    #[track_caller]
    pub(super) fn read(answer: &Answer) -> Self {
        let (code, reason) = error_code(answer);
        Self {
            code,
            reason,
            realm: answer.get::<Realm<'_>>().map(|realm| realm.as_str().to_owned()),
            nonce: answer.get::<Nonce<'_>>().map(|nonce| nonce.as_str().to_owned()),
            unknown: answer
                .get::<UnknownAttributes<'_>>()
                .map(|list| list.iter().collect())
                .unwrap_or_default(),
        }
    }
}

impl Failure {
    /// The number of the server's ERROR-CODE.
    ///
    /// # Panics
    /// The server gave none.
    #[track_caller]
    pub fn code(&self) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Timeout | Self::Closed => panic!("no error code: {self}"),
        }
    }
}

impl From<Closed> for Failure {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "refused with {} {}", refusal.code, refusal.reason),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Closed => f.write_str("the server closed the connection"),
        }
    }
}

impl error::Error for Failure {}
