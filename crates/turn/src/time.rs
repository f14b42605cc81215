//! Time as an argument, and every duration the protocol knows.
//!
//! Nothing in this crate reads a clock. The caller reads both clocks once per batch of packets and hands the
//! pair down; tests hand down whatever they like.

use std::time::{Duration, Instant};

/// The lifetime of an allocation whose client asks for none,
/// [RFC 8656 section 3.2](https://www.rfc-editor.org/rfc/rfc8656#section-3.2).
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// The longest lifetime an allocation gets in one go; longer wishes are cut down to it,
/// [RFC 8656 section 7.2](https://www.rfc-editor.org/rfc/rfc8656#section-7.2).
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// How long a permission lasts, [RFC 8656 section 9](https://www.rfc-editor.org/rfc/rfc8656#section-9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);

/// How long a channel binding lasts, [RFC 8656 section 12](https://www.rfc-editor.org/rfc/rfc8656#section-12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// How long the upper port of a pair is kept for the holder of its token,
/// [RFC 8656 section 7.2](https://www.rfc-editor.org/rfc/rfc8656#section-7.2).
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// How long a nonce is good for, [RFC 8489 section 9.2](https://www.rfc-editor.org/rfc/rfc8489#section-9.2).
pub const NONCE_LIFETIME: Duration = Duration::from_secs(3600);

/// How long an Allocate waits for its relay socket before the client is told 508. A client gives up on a
/// request after 39.5 s, so this leaves it the time to hear the answer.
pub const RELAY_PATIENCE: Duration = Duration::from_secs(10);

/// How long a peer may take to accept a connection. No shorter time is allowed by
/// [RFC 6062 section 5.2](https://www.rfc-editor.org/rfc/rfc6062#section-5.2).
pub const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How long a connection with a peer waits for the client to ask for its bytes,
/// [RFC 6062 section 5.2](https://www.rfc-editor.org/rfc/rfc6062#section-5.2).
pub const UNBOUND_LIFETIME: Duration = Duration::from_secs(30);

/// The two clocks, read at one moment.
///
/// `mono` decides what has expired. `unix` is only compared with what other machines wrote down: the expiry in
/// an ephemeral username and the stamp in a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Instant,
    /// The wall clock, in seconds since the UNIX epoch.
    pub unix: u64,
}

impl Now {
    /// Pairs a monotonic instant with the UNIX time of the same moment, in seconds.
    pub const fn new(mono: Instant, unix: u64) -> Self {
        Self { mono, unix }
    }
}
