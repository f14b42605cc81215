//! Attributes of connectivity checks (RFC 8445 §16.1).

use super::{fixed, flag, number};

number! {
    /// PRIORITY: of the candidate a check might discover.
    Priority(u32), PRIORITY, 4;
    /// ICE-CONTROLLED: the sender believes it is controlled; with its tie-breaker.
    IceControlled(u64), ICE_CONTROLLED, 8;
    /// ICE-CONTROLLING: the sender believes it controls; with its tie-breaker.
    IceControlling(u64), ICE_CONTROLLING, 8;
}

flag! {
    /// USE-CANDIDATE: this pair shall be used.
    UseCandidate, USE_CANDIDATE;
}
