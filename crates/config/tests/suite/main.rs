//! The configuration as its users see it.

mod common;
mod criteria;
mod decode;
mod diff;
mod properties;
mod wire;
