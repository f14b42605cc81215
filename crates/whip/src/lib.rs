//! WebRTC data channels over WHIP, for finding out what a path through gateways is like.
//!
//! - [`ice`]: ICE servers as applications are told them, in all the spellings there are.
//! - [`connection`]: one WebRTC connection with one data channel: sockets and relays around str0m.
//! - [`server`]: answers offers over HTTP and sends back what comes on their channels.
//! - [`dial`]: makes offers and opens a channel.
//! - [`measure`]: sends numbered messages on a channel and counts what comes back.
#![forbid(unsafe_code)]

mod clock;
pub mod connection;
pub mod dial;
pub mod ice;
pub mod measure;
mod path;
pub mod server;
mod way;

pub use connection::{Candidates, Connection, Ended, Event};
pub use dial::{DialError, Dialer};
pub use ice::{IceServer, Policy};
pub use server::{Server, Settings};
pub use way::{Io, Opening, Way};
