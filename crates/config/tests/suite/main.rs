//! The configuration as its users see it.

mod common;
mod criteria;
mod decode;
mod diff;
mod own_fields;
mod properties;
mod wire;
