//! The one place where this crate reads a clock.

use std::time::{Duration, Instant, SystemTime};

#[expect(clippy::disallowed_methods, reason = "the shell hands the time to the values it drives")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since the UNIX epoch.
#[expect(clippy::disallowed_methods, reason = "ephemeral names carry the time of day at which they expire")]
pub(crate) fn unix() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
