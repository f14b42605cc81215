//! The one place that reads the clock.

use std::time::{Duration, Instant};

/// Now.
#[expect(clippy::disallowed_methods, reason = "time is what is measured")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The time since then.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}
