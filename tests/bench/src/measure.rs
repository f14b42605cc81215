//! One measurement: a server is started, put to work, and its account read before and after.

mod anatomy;
mod churn;
pub mod flood;
mod idle;
mod overload;
mod relay;
mod scale;

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

pub use self::anatomy::{Anatomy, CALLS};
use crate::case::{Case, Work};
use crate::clock::Clock;
use crate::load::Mode;
use crate::machine::Account;
use crate::server::{Server, Setting, Subject};
use crate::stats::percentile;

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Work before the measurement begins.
    pub warm_up: Duration,
    /// The measurement.
    pub window: Duration,
}

/// One figure of a measurement. In the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Microseconds of the server's processor time for each relayed packet.
    CpuPerPacket,
    /// The same while many allocations do nothing.
    CpuPerPacketAmongIdle,
    /// Microseconds of the server's processor time for each client that came and went.
    CpuPerAllocation,
    /// Allocations that do nothing.
    Allocations,
    /// Bytes of memory for each of them.
    BytesPerAllocation,
    /// Relayed packets a second.
    PacketsPerSecond,
    /// Clients that came and went a second.
    AllocationsPerSecond,
    /// Microseconds that half of the packets, or clients, took at most.
    Median,
    /// Microseconds that 99 % of them took at most.
    Percentile99,
    /// Percent of the packets sent that did not arrive.
    Loss,
    /// Packets sent, as a multiple of those that the server can relay.
    Offered,
    /// Percent of the new clients that got an allocation with a channel.
    Allocated,
    /// Percent of the clients that could prolong their allocation.
    Refreshed,
    /// Megabytes of memory that the server took more.
    MemoryGrowth,
    /// Percent of the measurement during which the server's threads ran, 100 for each processor.
    ServerBusy,
    /// The same for the load.
    LoadBusy,
    /// The same for the kernel's thread that delivers packets when a processor is too busy.
    DelivererBusy,
}

/// The figures of one measurement.
pub type Sample = BTreeMap<Figure, f64>;

/// Where server and load run, what to run the server with, and how long.
#[derive(Clone, Debug)]
pub struct Bench {
    /// How long things take.
    pub times: Times,
    /// What to run servers with, such as `valgrind`.
    pub wrapper: Vec<String>,
}

impl Bench {
    /// Whether a server can be put to a case at all.
    pub fn applies(case: &Case, subject: Subject) -> bool {
        match &case.work {
            Work::Relay { shape, .. } | Work::Latency(shape) => subject.can(case.transport, shape.mode),
            // The bare forwarder has one thread.
            Work::Scale { shape, .. } => subject.is_turn() && subject.can(case.transport, shape.mode),
            Work::Churn { .. } | Work::Idle { .. } | Work::Overload { .. } => {
                subject.is_turn() && subject.can(case.transport, Mode::Echo)
            }
        }
    }

    /// Measures one server at one case, once.
    ///
    /// # Errors
    /// The server does not start, refuses what it must not refuse, or ends.
    pub fn measure(&self, case: &Case, subject: Subject) -> io::Result<Sample> {
        apart(case, |servers| self.measure_here(case, subject, servers))
    }

    /// Takes apart what a server does with the packets of a case; `None` if it is about something else.
    ///
    /// # Errors
    /// The server does not start, refuses what it must not refuse, or ends.
    pub fn dissect(&self, case: &Case, subject: Subject) -> io::Result<Option<Anatomy>> {
        let Work::Relay { shape, clients } = case.work else { return Ok(None) };
        apart(case, |servers| {
            anatomy::dissect(subject, &self.setting(case, servers, shape.mode, clients), shape, self.times)
        })
        .map(Some)
    }

    fn setting(&self, case: &Case, servers: &[usize], mode: Mode, clients: usize) -> Setting {
        Setting {
            transport: case.transport,
            mode,
            clients,
            workers: case.workers,
            processors: servers.to_vec(),
            wrapper: self.wrapper.clone(),
            is_flooded: false,
        }
    }

    fn measure_here(&self, case: &Case, subject: Subject, servers: &[usize]) -> io::Result<Sample> {
        let setting = |mode, clients| self.setting(case, servers, mode, clients);
        match case.work {
            Work::Relay { shape, clients } => {
                relay::throughput(subject, &setting(shape.mode, clients), shape, self.times)
            }
            Work::Scale { shape, clients } => {
                scale::measure(subject, &setting(shape.mode, clients), shape, self.times)
            }
            Work::Latency(shape) => relay::latency(subject, &setting(shape.mode, 2), shape, self.times),
            Work::Churn { at_once } => churn::measure(subject, &setting(Mode::Echo, 0), at_once, self.times),
            Work::Idle { allocations, shape, clients } => {
                idle::measure(subject, &setting(shape.mode, clients), shape, allocations, self.times)
            }
            Work::Overload { shape, clients } => {
                overload::measure(subject, &setting(shape.mode, clients), shape, self.times)
            }
        }
    }
}

/// Does something on a thread of its own, so that nobody else is pinned. It is told the servers' processors.
fn apart<T: Send>(case: &Case, work: impl FnOnce(&[usize]) -> io::Result<T> + Send) -> io::Result<T> {
    let (servers, load) = processors(case)?;
    std::thread::scope(|scope| {
        let measurement = scope.spawn(move || {
            load.map_or(Ok(()), net::limit::pin_to)?;
            work(&servers)
        });
        measurement.join().unwrap_or_else(|_| Err(io::Error::other("the measurement panicked")))
    })
}

/// Where servers and load run: on processors of their own as long as there is one for each worker and one for the
/// load, else wherever the kernel likes. Where scale is measured, both are on as many processors as there are workers.
fn processors(case: &Case) -> io::Result<(Vec<usize>, Option<usize>)> {
    let (all, workers) = (net::limit::processors()?, case.workers);
    if let Work::Scale { .. } = case.work {
        let few = || io::Error::other(format!("{workers} processors are needed, {} are here", all.len()));
        return Ok((all.get(..workers).ok_or_else(few)?.to_vec(), None));
    }
    Ok(if all.len() > workers { (all[..workers].to_vec(), Some(all[workers])) } else { (Vec::new(), None) })
}

/// Time that passes, and the processor time that server, load and kernel use meanwhile.
struct Watch {
    server: Account,
    deliverers: Vec<Account>,
    clock: Clock,
    before: [u64; 3],
}

/// What passed while a [`Watch`] ran.
struct Passed {
    seconds: f64,
    /// Nanoseconds of processor time.
    server: f64,
    load: f64,
    deliverer: f64,
}

impl Watch {
    fn start(server: &Server) -> io::Result<Self> {
        let deliverers = server.deliverers.clone();
        let clock = Clock::start();
        let mut watch = Self { server: server.account, deliverers, clock, before: [0; 3] };
        watch.before = watch.read()?;
        Ok(watch)
    }

    fn stop(self) -> io::Result<Passed> {
        let after = self.read()?;
        // A thread of the load that has just ended may have been there before, and takes its account along.
        let passed = |index: usize| after[index].saturating_sub(self.before[index]) as f64;
        let [server, load, deliverer] = [0, 1, 2].map(passed);
        let seconds = self.clock.nanos() as f64 / 1e9;
        Ok(Passed { seconds, server, load, deliverer })
    }

    fn read(&self) -> io::Result<[u64; 3]> {
        let load = Account::of(std::process::id()).cpu_nanos()?;
        let deliverers =
            self.deliverers.iter().map(|account| account.cpu_nanos()).sum::<io::Result<u64>>()?;
        Ok([self.server.cpu_nanos()?, load, deliverers])
    }
}

impl Passed {
    /// How busy everybody was.
    fn busy(&self) -> [(Figure, f64); 3] {
        let percent = |nanos: f64| nanos / self.seconds / 1e7;
        [
            (Figure::ServerBusy, percent(self.server)),
            (Figure::LoadBusy, percent(self.load)),
            (Figure::DelivererBusy, percent(self.deliverer)),
        ]
    }
}

/// Median and 99th percentile of times in nanoseconds, as figures in microseconds.
fn percentiles(nanos: &mut [u32]) -> [(Figure, f64); 2] {
    let mut at = |share| percentile(nanos, share).map_or(f64::NAN, |nanos| f64::from(nanos) / 1e3);
    [(Figure::Median, at(0.5)), (Figure::Percentile99, at(0.99))]
}
