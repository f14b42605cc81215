//! The only place that reads a clock.

use std::time::{Instant, SystemTime};

/// Monotonic time, from the runtime: tests may pause it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Wall time, for the validity of certificates.
#[expect(clippy::disallowed_methods, reason = "certificates are dated when they are made")]
pub(crate) fn today() -> SystemTime {
    SystemTime::now()
}
