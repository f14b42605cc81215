//! The client as a value: against scripted answers, and against the server of this crate.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pair;
mod script;
