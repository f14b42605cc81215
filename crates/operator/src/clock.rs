//! The only reader of time in this crate.

use jiff::Timestamp;

/// The wall time.
pub(crate) fn timestamp() -> Timestamp {
    Timestamp::now()
}

/// The wall time as the API writes it, to the second.
pub(crate) fn now() -> String {
    Timestamp::from_second(timestamp().as_second()).unwrap_or_default().to_string()
}

/// A text that no other process of this machine has: when and as what this one was started.
pub(crate) fn token() -> String {
    format!("{:x}-{:x}", timestamp().as_nanosecond(), std::process::id())
}
