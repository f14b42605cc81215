//! Command line flags that several programs have in common, so that they mean the same everywhere, and what they
//! answer to `--version`, and their manual pages.
//!
//! Each group is flattened into a program's own arguments:
//!
//! ```
//! #[derive(clap::Parser)]
//! struct Arguments {
//!     #[command(flatten)]
//!     log: flags::Log,
//!     #[command(flatten)]
//!     discovery: flags::Discovery,
//!     #[command(flatten)]
//!     kubernetes: flags::Kubernetes,
//! }
//! ```
#![forbid(unsafe_code)]

mod discovery;
mod kubernetes;
mod log;
mod pages;
#[cfg(test)]
mod tests;
mod time;
mod version;

pub use discovery::{Discovery, NoServer, url};
pub use kubernetes::Kubernetes;
pub use log::Log;
pub use pages::{print_pages, too_wide};
pub use time::time;
pub use version::VERSION;
