//! A request that waits for its answer
//! ([RFC 8489 section 6.2.1](https://www.rfc-editor.org/rfc/rfc8489#section-6.2.1), section 6.2.2).

use std::time::{Duration, Instant};

use super::Settings;
use super::request::Asked;

/// How often a request is sent in all.
const RC: u32 = 7;
/// How many first timeouts to wait after the last of them.
const RM: u32 = 16;

pub(super) struct Transaction {
    pub(super) asked: Asked,
    message: Vec<u8>,
    first_timeout: Duration,
    times_sent: u32,
    due: Instant,
}

impl Transaction {
    /// A request that is being sent for the first time.
    pub(super) fn new(asked: Asked, message: Vec<u8>, settings: &Settings, now: Instant) -> Self {
        let first_timeout = settings.first_timeout;
        // Over a stream it is sent once and awaited for as long as over UDP.
        if settings.transport.is_stream() {
            let due = now + first_timeout * ((1 << (RC - 1)) - 1 + RM);
            return Self { asked, message, first_timeout, times_sent: RC, due };
        }
        Self { asked, message, first_timeout, times_sent: 1, due: now + first_timeout }
    }

    /// When to send it again, or to give up.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// The message, to be sent once more; `None` if that was often enough.
    pub(super) fn send_again(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.times_sent >= RC {
            return None;
        }
        self.times_sent += 1;
        let pause = if self.times_sent == RC { RM } else { 1 << (self.times_sent - 1) };
        self.due = now + self.first_timeout * pause;
        Some(self.message.clone())
    }
}
