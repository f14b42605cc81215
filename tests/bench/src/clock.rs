//! The one place where the benchmark reads the clock.

use std::time::{Duration, Instant};

/// Counts from the moment it was started.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins to count.
    #[expect(clippy::disallowed_methods, reason = "time is what is measured")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    #[expect(clippy::disallowed_methods, reason = "time is what is measured")]
    pub fn nanos(self) -> u64 {
        (Instant::now() - self.0).as_nanos() as u64
    }
}

/// Nanoseconds of a duration.
pub const fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
