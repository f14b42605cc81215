//! What clients and administrators of the service rely on.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dataplane;
mod support;

mod criteria;
mod discovery;
mod gateways;
mod http;
mod log;
mod openapi;
mod query;
mod split;
