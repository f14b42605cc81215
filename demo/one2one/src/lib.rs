//! The one-to-one call application: two people with a browser each, one page, one WebSocket per page, and all media
//! relayed by the gateway.
//!
//! [`Switchboard`] decides, as a value without sockets or clock; [`Application`] serves. The page is in `page/` and
//! embedded in the program. Users live in memory, so there can be one replica only; visitors are anonymous, so this
//! is a demonstration and no service.
#![forbid(unsafe_code)]

mod auth_service;
pub mod cli;
mod clock;
mod hub;
mod ice;
mod limits;
mod message;
mod name;
mod page;
mod server;
mod session;
mod settings;
mod switchboard;
mod tls;
mod web;

pub use auth_service::{AuthService, DEADLINE, Filter, QueryError};
pub use ice::{IceConfiguration, IceError};
pub use limits::{Limits, Rate};
pub use message::{Answer, Candidate, Description, MAX_FRAME, Malformed, Refusal, Reply, Request};
pub use name::{MAX_NAME, NameError, UserName};
pub use server::{Application, StartError, serve};
pub use settings::{Listen, Settings};
pub use switchboard::{Output, SessionId, Switchboard, Timing};
pub use tls::TlsError;
