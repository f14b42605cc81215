//! The dataplane: workers that run the TURN server on sockets, and converge to a set of configurations.
//!
//! [`Dataplane::start`] starts one worker per core and a thread for everything that is not packets.
//! [`Dataplane::apply`] makes a set of gateway configurations the ones in force: it checks everything, opens
//! what is new, and only then touches what runs. [`Dataplane::drain`] and [`Dataplane::stop`] end it.
//!
//! What a change does to clients:
//!
//! | changed | effect |
//! |---|---|
//! | credentials, auth type, realm | the next request of each client is judged by the new ones; relaying goes on |
//! | routes, clusters, what a domain resolves to | permissions are judged anew; what is still allowed flows on |
//! | public address and port | none |
//! | a listener's certificate and key | whoever connects from then on is shown the new one; sessions go on |
//! | a listener's protocol, address, port | that listener starts over |
//! | a listener or cluster is removed | its clients, or flows, end |
//! | health and metrics endpoints | their servers move |
#![forbid(unsafe_code)]

mod admin;
mod apply;
mod clock;
mod control;
mod endpoint;
mod explain;
mod listener;
mod metrics;
mod neighbours;
mod pipe;
mod plan;
mod quota;
mod refusal;
mod relay;
mod reserve;
mod resolve;
mod route;
mod security;
mod shard;
mod status;
mod stream;
mod sync;
mod view;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use config::Config;

pub use apply::{ApplyError, Report};
pub use status::{Phase, Status};

use control::{Control, Shared, WorkerThread};

/// How to start a dataplane.
#[derive(Debug, Clone)]
pub struct Options {
    /// Worker threads; 0 is one for each processor this process may use.
    pub workers: usize,
    /// Always answer readiness probes with yes, even while draining. Not before there is a configuration.
    pub force_ready: bool,
    /// Check configurations and become ready, but open no socket.
    pub dry_run: bool,
    /// Packets between two clients of this process go from one to the other at once, instead of through both their
    /// relay sockets. Nothing but speed depends on it.
    pub headless_short_cut: bool,
    /// How long a new connection may take until its first message that makes sense.
    pub first_message_timeout: Duration,
    /// How long a connection may be without an allocation, counted from its last message that made sense.
    pub idle_timeout: Duration,
}

/// How many TLS handshakes each worker puts up with at a time, and how many DTLS handshakes for each listener, unless
/// `admin.limits` of the configuration says otherwise. Beyond that, the one that has taken longest makes room for the
/// newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// At one worker, at least 1.
    pub per_worker: usize,
    /// At one worker from one IPv4 address or IPv6 /64, at least 1. All clients behind a load balancer that hides
    /// their addresses are one source.
    pub per_source: usize,
}

impl Default for HandshakeLimits {
    /// 512, of which one source may have 128.
    fn default() -> Self {
        Self { per_worker: 512, per_source: 128 }
    }
}

impl Default for Options {
    /// One worker for each processor, with the short cut; 10 s until the first message, 60 s without an allocation.
    fn default() -> Self {
        Self {
            workers: 0,
            force_ready: false,
            dry_run: false,
            headless_short_cut: true,
            first_message_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

/// The address this machine uses towards the outside, in the family that leads there, IPv4 first. Loopback if
/// there is no outside. It is what a listener without an address advertises relays by.
pub fn outward_address() -> IpAddr {
    let outward = net::interface::outward(false).or_else(|| net::interface::outward(true));
    outward.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A running dataplane. Dropped, it stops: all clients are disconnected.
#[derive(Debug)]
pub struct Dataplane {
    shared: Arc<Shared>,
    workers: Vec<WorkerThread>,
    /// Last, since what the others drop may want to run on it.
    control: Control,
}

impl Dataplane {
    /// Starts the workers, without any listener.
    ///
    /// # Errors
    /// The system refuses a thread or an event queue.
    pub fn start(options: Options) -> io::Result<Self> {
        let control = Control::start()?;
        let (shared, workers) = Shared::start(options, control.runtime())?;
        Ok(Self { shared, workers, control })
    }

    /// Makes these gateways, by name, the ones in force, and waits until every worker knows.
    ///
    /// One whose configuration makes no sense stays what it was, and the others change: [`Report::refused`] says why,
    /// and so does the status.
    ///
    /// Variables in the configurations must have been expanded. Configurations are normalised here, so
    /// applying the same ones again does nothing. Blocks for as long as the workers take for one turn each.
    ///
    /// # Errors
    /// See [`ApplyError`]; that a configuration makes no sense is one if nothing would change at all. Everything is as
    /// it was before.
    pub fn apply(&self, configs: &BTreeMap<String, Config>) -> Result<Report, ApplyError> {
        self.shared.apply(configs)
    }

    /// The state of all gateways as one document, without secrets, and with networks in the place of addresses of
    /// clients.
    pub fn status(&self) -> Status {
        self.shared.status_of(&|_| true, refusal::Addresses::Networks)
    }

    /// The same with the addresses of clients, for whoever asks for them.
    pub fn status_in_full(&self) -> Status {
        self.shared.status_of(&|_| true, refusal::Addresses::Full)
    }

    /// Allocations in use.
    pub fn allocations(&self) -> usize {
        self.shared.allocations()
    }

    /// A configuration that is more than the initial one is in force, and the end is not near.
    pub fn ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// Every worker works. One that has died takes its clients with it: start the process anew.
    pub fn healthy(&self) -> bool {
        self.workers.iter().all(|worker| !worker.is_finished())
    }

    /// The number of workers.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Begins the end: readiness is over, new allocations are refused with 508, those in use live on.
    pub fn drain(&self) {
        self.shared.drain();
    }

    /// Ends it, clients or not.
    pub fn stop(self) {}
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        self.shared.stop();
        for worker in self.workers.drain(..) {
            // A worker that died has said so.
            let _ = worker.join();
        }
        self.control.stop();
    }
}
