//! The workspace as data, for the tests of this crate: who depends on whom, and what the files say.
//!
//! The rules themselves are in `tests/`, one file a subject. A rule that the compiler or clippy can hold is
//! theirs and not here.

#![forbid(unsafe_code)]

pub mod licence;
mod members;
mod packages;
mod tree;

pub use members::{Dependency, Kind, Member, members};
pub use packages::{Package, packages};
pub use tree::{Files, root};
