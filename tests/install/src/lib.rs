//! What the tests of charts, manifests and examples share: Helm, and objects read from YAML.
#![forbid(unsafe_code)]

mod certificate;
mod helm;
mod objects;
mod prometheus;
mod repository;

pub use certificate::Certificate;
pub use helm::{CHART, Helm};
pub use objects::{Objects, parse};
pub use prometheus::Prometheus;
pub use repository::{bless, read, yaml_files};
