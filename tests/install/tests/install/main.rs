//! What people install is what the pages say, refuses what makes no sense, and asks for no more than it needs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chart;
mod compose;
mod definitions;
mod examples;
mod images;
mod manifests;
mod monitoring;
mod objects;
mod roles;
mod values;
