//! TURN ([RFC 8656](https://www.rfc-editor.org/rfc/rfc8656)) as a pure state machine.
//!
//! [`server::Server`] is a value: packets, events and the time go in, verdicts, messages and deadlines come out.
//! It owns no socket, thread, clock or source of randomness, so a test drives it exactly as a data plane does.
//!
//! - [`server`]: the server, what it asks of its caller and what it answers.
//! - [`client`]: the mirror image: a client with one allocation.
//! - [`credentials`]: long-term credentials, static and ephemeral: minting and checking.
//! - [`addr`]: addresses by role, in one canonical spelling.
//! - [`nonce`]: nonces without memory.
//! - [`time`]: both clocks as an argument, and the protocol's durations.
#![forbid(unsafe_code)]

pub mod addr;
pub mod client;
pub mod credentials;
pub mod server;
pub mod time;

pub mod nonce;

#[cfg(test)]
mod testing {
    use std::sync::LazyLock;
    use std::time::Instant;

    /// The beginning of time for tests that need an `Instant`, which only a clock can make.
    #[expect(clippy::disallowed_methods, reason = "any instant will do; nothing is measured against it")]
    pub(crate) static START: LazyLock<Instant> = LazyLock::new(Instant::now);
}
