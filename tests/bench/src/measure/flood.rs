//! Calls while somebody floods the same server, and the same calls and flood at the bare forwarder.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::relay::Relay;
use crate::clock::Clock;
use crate::flood::{Flood, Kind, SOURCES, Sum};
use crate::load::{Counts, Mode, Pace, Shape};
use crate::server::{Setting, Subject};
use crate::wires::Transport;

/// Calls that go on meanwhile, and packets a second of each: 20 ms of speech in each, there and back.
const CALLS: usize = 20;
const PACKETS: f64 = 50.0;
const SPEECH: usize = 172;
/// Packets of the flood that are sent together.
const BATCH: usize = 50;

/// What is flooded, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The server.
    pub subject: Subject,
    /// How the calls are connected.
    pub calls: Transport,
    /// What it is flooded with.
    pub kind: Kind,
    /// Packets of the flood, a second.
    pub rate: f64,
    /// How long.
    pub window: Duration,
}

/// What became of it.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Outcome {
    /// Percent of the calls' packets that were lost without a flood, and with it.
    pub lost: [f64; 2],
    /// Resident bytes after each address had sent something once, and at the end.
    pub resident: [u64; 2],
    /// Packets of the flood that were sent, a second.
    pub rate: f64,
    /// What the flood sent and got.
    pub sum: Sum,
}

/// Measures once.
///
/// # Errors
/// The server does not start, or ends.
pub fn measure(plan: Plan) -> io::Result<Outcome> {
    let shape = Shape {
        mode: Mode::Echo,
        size: SPEECH,
        burst: 1,
        pace: Pace::PerSecond(PACKETS * CALLS as f64),
        channels: true,
        spin: false,
    };
    let setting = Setting {
        transport: plan.calls,
        mode: Mode::Echo,
        clients: CALLS,
        workers: 1,
        processors: Vec::new(),
        wrapper: Vec::new(),
        is_flooded: plan.kind == Kind::Dtls,
    };
    let mut relay = Relay::start(plan.subject, &setting, shape)?;
    let before = lost(&mut relay, plan.window)?;
    let target = relay.server.flooded.unwrap_or(relay.server.address);
    let mut flood = Flood::new(plan.kind, target, SOURCES)?;
    let stop = AtomicBool::new(false);
    // Every address once, so that what is kept for any of them is there.
    run(&mut flood, plan.rate, &AtomicBool::new(false), SOURCES)?;
    let resident = relay.server.account.resident()?;
    let earlier = flood.sum().packets;
    let (during, flooded) = thread::scope(|scope| {
        let flooding = scope.spawn(|| run(&mut flood, plan.rate, &stop, usize::MAX));
        let during = lost(&mut relay, plan.window);
        stop.store(true, Ordering::Relaxed);
        (during, flooding.join().unwrap_or_else(|_| Err(io::Error::other("the flood panicked"))))
    });
    let seconds = flooded?;
    flood.take(Duration::from_millis(200))?;
    let sum = flood.sum();
    Ok(Outcome {
        lost: [before, during?],
        resident: [resident, relay.server.account.resident()?],
        rate: (sum.packets - earlier) as f64 / seconds,
        sum,
    })
}

/// Percent of the calls' packets that do not come back.
fn lost(relay: &mut Relay, window: Duration) -> io::Result<f64> {
    relay.crowd.load.counts = Counts::default();
    relay.crowd.load.run(&mut relay.crowd.wires, window)?;
    let counts = &relay.crowd.load.counts;
    Ok(counts.lost as f64 / counts.sent.max(1) as f64 * 100.0)
}

/// Sends at a rate until it is told to stop, or so many packets have been sent. Returns how many seconds that took.
fn run(flood: &mut Flood, rate: f64, stop: &AtomicBool, most: usize) -> io::Result<f64> {
    let clock = Clock::start();
    let mut sent = 0;
    while sent < most && !stop.load(Ordering::Relaxed) {
        flood.send(BATCH)?;
        sent += BATCH;
        let due = (sent as f64 / rate * 1e9) as u64;
        let now = clock.nanos();
        if due > now {
            flood.take(Duration::from_nanos(due - now).min(Duration::from_millis(1)))?;
            thread::sleep(Duration::from_nanos(due.saturating_sub(clock.nanos())));
        }
    }
    Ok(clock.nanos() as f64 / 1e9)
}
