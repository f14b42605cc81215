//! The only reader of time in this crate: a line carries the moment it was written.

use std::time::Instant;

use jiff::Zoned;

#[expect(clippy::disallowed_methods, reason = "the rate of lines is measured where they are written")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Wall time in the zone of the machine.
pub(crate) fn local() -> Zoned {
    Zoned::now()
}
