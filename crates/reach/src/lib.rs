//! The way from a person's machine to the pods of a cluster, for tools: which cluster, which pods, and connections to
//! their ports through the API server.
//!
//! Nothing is asked of a cluster before it is needed: [`Cluster::find`] only reads files.

#![forbid(unsafe_code)]

mod cluster;
mod discovery;
mod error;
mod kubeconfig;
mod objects;
mod pod;

pub use cluster::Cluster;
pub use discovery::{Found, discovery};
pub use error::Error;
pub use objects::Kind;
pub use pod::Pod;

/// Label of the pods that serve config discovery.
pub const DISCOVERY: &str = "stunner.l7mp.io/config-discovery-service=enabled";

/// Label of the pods of the authentication service.
pub const AUTH: &str = "app=stunner-auth";

/// Label of dataplane pods.
pub const DATAPLANE: &str = "app=stunner";

/// Label of a dataplane pod that says in which namespace its Gateway is.
pub const GATEWAY_NAMESPACE: &str = "stunner.l7mp.io/related-gateway-namespace";

/// Label of a dataplane pod that says which Gateway it serves.
pub const GATEWAY_NAME: &str = "stunner.l7mp.io/related-gateway-name";
