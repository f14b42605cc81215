//! The one place where the kit reads the clock.

use std::time::{Duration, Instant, SystemTime};

/// How long a test waits for something that should happen at once, before it fails. Long, because a busy
/// machine must not fail a correct program; nothing waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A moment after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `patience` from now.
    pub fn after(patience: Duration) -> Self {
        Self(now() + patience)
    }

    /// What is left, or `None` once it has passed. Never zero, so that it can be a socket timeout.
    pub fn left(self) -> Option<Duration> {
        self.0.checked_duration_since(now()).filter(|left| !left.is_zero())
    }

    /// The earlier of this and the moment `patience` from now.
    pub fn sooner(self, patience: Duration) -> Self {
        Self(self.0.min(now() + patience))
    }
}

impl Default for Deadline {
    /// [`PATIENCE`] from now.
    fn default() -> Self {
        Self::after(PATIENCE)
    }
}

/// How long something takes, for people to read.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Begins now.
    pub fn start() -> Self {
        Self(now())
    }

    /// What has passed since.
    pub fn passed(self) -> Duration {
        now().saturating_duration_since(self.0)
    }
}

#[expect(clippy::disallowed_methods, reason = "the kit waits on real sockets and processes")]
fn now() -> Instant {
    Instant::now()
}

/// The wall clock, for credentials that expire.
#[expect(clippy::disallowed_methods, reason = "a server compares what is made here with its own clock")]
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970")
}
