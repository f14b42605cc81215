//! The Gateway API model and the pure renderer.
//!
//! ```text
//! YAML files --manifest--> Snapshot --standalone--> Snapshot --render--> Rendered --> dataplane in this process
//! watches ---------------> Snapshot -------------------------render--> Rendered --> API server, config discovery
//! ```
//!
//! [`render()`] is a function: the same [`Snapshot`] and [`Settings`] give the same [`Rendered`], in the same order,
//! whatever happened before. It has no clock, no client and no network; only [`manifest`] reads files.

#![forbid(unsafe_code)]

pub mod api;
pub mod condition;
pub mod crd;
pub mod manifest;
pub mod names;
pub mod standalone;

mod incremental;
mod overview;
mod problem;
mod problems;
mod render;
mod rendered;
mod settings;
mod snapshot;

pub use incremental::{Extent, Incremental, News, Touched};
pub use overview::{GatewayRow, ListenerRow, Overview, ParentRow, RouteRow, Verdict};
pub use problem::{Finding, Problem, Transport};
pub use problems::Problems;
pub use render::{finalize, render};
pub use rendered::{Rendered, RouteApi, RouteKey};
pub use settings::{DiscoverySecurity, EndpointDiscovery, Mode, Settings};
pub use snapshot::{Objects, Snapshot, Stored, Visitor};
