//! When to refresh what expires, and why the client wants to be woken.

use std::time::{Duration, Instant};

/// When the client wants to be called next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// What for.
    pub reason: DeadlineReason,
}

impl Deadline {
    pub(super) const fn new(at: Instant, reason: DeadlineReason) -> Self {
        Self { at, reason }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineReason {
    /// A request has not been answered.
    Retransmit,
    /// The allocation has to be refreshed.
    Refresh,
    /// A permission has to be refreshed.
    Permission,
    /// A channel has to be bound again.
    Channel,
}

/// A minute before the end, as [RFC 8656 section 8](https://www.rfc-editor.org/rfc/rfc8656#section-8) advises, or
/// after half the time if that is short.
pub(super) fn renewal(lifetime: Duration, now: Instant) -> Instant {
    now + lifetime.saturating_sub(MARGIN).max(lifetime / 2)
}

const MARGIN: Duration = Duration::from_secs(60);
