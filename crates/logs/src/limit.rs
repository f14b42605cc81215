//! A token bucket over all lines a production log shows, so that no client can fill a disk.

use std::time::Instant;

use tracing::Level;

/// Lines per second that may be written for as long as one likes.
pub const LINES_PER_SECOND: u32 = 50;

/// Lines that may be written at once after a silence: a program's start prints a few dozen.
pub const BURST: u32 = 500;

/// ERROR, WARN and INFO share one bucket. DEBUG and TRACE are asked for by somebody who wants all of them.
pub(crate) struct Limiter {
    tokens: f64,
    refilled: Instant,
    suppressed: u64,
}

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { tokens: f64::from(BURST), refilled: now, suppressed: 0 }
    }

    /// Whether a line may be written, and then how many were not since the last one.
    pub(crate) fn admit(&mut self, level: Level, now: Instant) -> Option<u64> {
        if level <= Level::INFO && !self.take(now) {
            self.suppressed += 1;
            return None;
        }
        Some(std::mem::take(&mut self.suppressed))
    }

    fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.refilled).as_secs_f64() * f64::from(LINES_PER_SECOND);
        self.tokens = (self.tokens + earned).min(f64::from(BURST));
        self.refilled = now;
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
        }
        admitted
    }
}
