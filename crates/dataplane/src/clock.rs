//! The one place where this crate reads the clocks.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use turn::time::Now;

/// Both clocks at one moment. Read once per turn of a worker, not per packet.
#[expect(
    clippy::disallowed_methods,
    reason = "workers run on real sockets; everything below takes time as an argument"
)]
pub(crate) fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Now::new(Instant::now(), unix)
}
