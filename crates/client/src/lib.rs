//! A TURN client on sockets: [`turn::client`] driven over UDP, TCP, TLS and DTLS by tokio.
//!
//! - [`dial`]: from the name of a server to an allocation on it.
//! - [`relay`]: sending and receiving through the allocation.
//! - [`login`]: who asks: a user with a password, or whoever shares a secret with the server.
//! - [`server`]: where the server is and what it speaks.
//! - [`tls`]: whom to believe that it is the server.
//! - [`probe`]: how much of what is sent comes back, and when.
#![forbid(unsafe_code)]

mod clock;
pub mod dial;
mod dtls;
pub mod login;
pub mod probe;
pub mod relay;
pub mod server;
pub mod tls;
mod wire;

pub use dial::{DialError, Dialer};
pub use login::Login;
pub use relay::{Incoming, Relay, RelayError, Statistics};
pub use server::Server;
pub use stun::Method;
pub use tls::Trust;
pub use turn::addr::{Family, Transport};
pub use turn::client::{Allocated, CannotSend, End, Event, Failure, Refusal};
