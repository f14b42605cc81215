//! The gateway operator: the pure renderer fed from watches, its result written back.
//!
//! ```text
//! API server --watch--> cache::Cache --gateway::render--> plan::plan --write--> API server
//!                                                     \--> cds::Store --> dataplanes
//! ```
//!
//! [`cache`] and [`plan`] are values: what is known of the cluster, and what should be written to it. [`Operator::run`]
//! is the one loop around them. Every replica renders and serves configurations; only the one that holds the lease
//! writes.

#![forbid(unsafe_code)]

pub mod cache;
pub mod compare;
pub mod kinds;
pub mod lease;
pub mod plan;
pub mod serve;

mod backoff;
mod clock;
mod document;
mod event;
mod guard;
mod metrics;
mod nodes;
mod operator;
mod settings;
mod unplanned;
mod watch;
mod work;
mod write;

pub use document::Document;
pub use guard::guard;
pub use operator::{Operator, StartError, State, View};
pub use settings::Settings;

/// Field manager of everything that is written.
pub const MANAGER: &str = "stunner-gateway-operator";
