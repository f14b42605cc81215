//! Hands out ICE servers and TURN credentials over HTTP, one answer per request, from the configurations of all
//! gateways.
//!
//! ```text
//! config discovery -> watch -> configurations -+
//!                                              v
//! GET /ice?username=alice -> query -> ice (credentials) -> server -> JSON
//! ```
//!
//! [`ice`], [`query`] and [`credentials`] are pure: what to answer follows from the configurations, the question and
//! the time, all given as arguments. [`server`] puts them behind HTTP, [`watch`] keeps the configurations current.
//! The rule that turns a shared secret into a password does not live here but in `turn::credentials`, where the
//! server that verifies it uses the same function.
#![forbid(unsafe_code)]

pub mod clock;
pub mod credentials;
pub mod host;
pub mod ice;
pub mod openapi;
pub mod query;
pub mod refusal;
pub mod server;
pub mod split;
pub mod watch;

use std::collections::BTreeMap;

use config::Config;

/// The configurations of all gateways by their name, `namespace/gateway`.
pub type Configs = BTreeMap<String, Config>;
