//! Config discovery: how gateway configurations get from those who render them to those who run by them.
//!
//! - [`store`]: the current configuration of every gateway, and who waits for which.
//! - [`server`]: the store over HTTP and WebSockets.
//! - [`client`]: loading from and following such a server.
//! - [`access`]: the way to a server, whom to trust there, and who asks.
//! - [`file`](mod@file): following a file instead.
//! - [`guard`]: who may ask a server for what.
//! - [`origin`]: the text that says which of the two.
//! - [`mod@serve`]: any HTTP routes for clients that may be hostile.
//!
//! [`load`] and [`watch`] take an origin and do what it says.

#![forbid(unsafe_code)]

pub mod access;
pub mod client;
pub mod file;
mod follow;
mod get;
pub mod guard;
pub mod origin;
pub mod serve;
pub mod server;
mod socket;
pub mod store;
mod tls;
pub mod wire;

pub use access::{Access, Authority};
pub use client::Timing;
pub use follow::{Environment, Error, Event, Options, Watch, load, process_environment, watch};
pub use get::get;
pub use origin::Origin;
pub use store::Store;
pub use tls::{Tls, TlsError};
pub use wire::{License, Scope};
