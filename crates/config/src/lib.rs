//! The dataplane's configuration: what one gateway listens on, whom it lets in and where it may relay to.
//!
//! A [`Config`] is a plain value. [`Config::parse`] reads it from YAML or JSON, [`Config::validate`] brings it to its
//! normal form (defaults filled in, canonical spellings, sorted lists), and serialising it gives the documents that
//! travel between the operator, the dataplane and the tools. No files, sockets, clocks or process environment here:
//! the environment is a function the caller passes in.

#![forbid(unsafe_code)]

mod admin;
mod auth;
mod cluster;
mod decode;
pub mod diff;
mod document;
mod endpoint;
pub mod env;
mod error;
mod http_endpoint;
mod listener;
mod secret;
pub mod uri;
mod validate;
mod wire;
pub mod yaml;

pub use admin::{
    Admin, DEFAULT_HEALTHCHECK_ENDPOINT, DEFAULT_LOGLEVEL, DEFAULT_NAME, LicenseConfig, Limits, OffloadEngine,
};
pub use auth::{Auth, AuthKind, Credentials, DEFAULT_REALM};
pub use cluster::{Cluster, ClusterKind, ClusterProtocol};
pub use document::{Config, Version};
pub use endpoint::{Endpoint, EndpointError};
pub use error::Error;
pub use http_endpoint::HttpEndpoint;
pub use listener::{DEFAULT_PORT, Listener, NODE_ADDRESS_PLACEHOLDER, Protocol, RELAY_ADDRESS_VARIABLE};
pub use secret::Secret;
