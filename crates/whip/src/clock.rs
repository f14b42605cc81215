//! The one place where this crate reads a clock.

use std::time::Instant;

#[expect(clippy::disallowed_methods, reason = "the shell hands the time to the values it drives")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
