use std::fmt;
use std::time::Instant;

use crate::message::{Candidate, Description};
use crate::name::UserName;

/// One connection of a page. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Default)]
pub(super) struct Session {
    /// Set from the start of registration on.
    pub(super) name: Option<UserName>,
    pub(super) phase: Phase,
    pub(super) question: Question,
    /// When the credentials are to be renewed.
    pub(super) renew_at: Option<Instant>,
    /// Candidates of a call whose other side is not there yet.
    pub(super) early: Vec<Candidate>,
}

impl Session {
    /// Keeps a candidate for later. False if there are too many.
    pub(super) fn keep(&mut self, candidate: Candidate) -> bool {
        let room = self.early.len() < MAX_EARLY;
        if room {
            self.early.push(candidate);
        }
        room
    }

    /// Forgets kept candidates that `description` shows to be of an earlier call.
    pub(super) fn keep_only_of(&mut self, description: &Description) {
        self.early.retain(|candidate| candidate.may_belong_to(description));
    }
}

/// Where a connection is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Anonymous,
    /// The name is reserved; the authentication service has not answered yet.
    Registering,
    Idle,
    Calling {
        callee: SessionId,
        until: Instant,
    },
    Ringing {
        caller: SessionId,
    },
    InCall {
        peer: SessionId,
    },
}

impl Phase {
    /// The other side of the call, answered or not.
    pub(super) fn peer(self) -> Option<SessionId> {
        match self {
            Self::Anonymous | Self::Registering | Self::Idle => None,
            Self::Calling { callee: peer, .. } | Self::Ringing { caller: peer } | Self::InCall { peer } => {
                Some(peer)
            }
        }
    }

    /// Whether others can find this user.
    pub(super) fn is_registered(self) -> bool {
        match self {
            Self::Anonymous | Self::Registering => false,
            Self::Idle | Self::Calling { .. } | Self::Ringing { .. } | Self::InCall { .. } => true,
        }
    }
}

/// The open question to the authentication service, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Question {
    #[default]
    None,
    /// Asked on our own account: a failure is nobody's business yet.
    Ours,
    /// The page waits for the answer.
    OfPage,
}

/// More candidates than any browser gathers for one call.
const MAX_EARLY: usize = 256;
