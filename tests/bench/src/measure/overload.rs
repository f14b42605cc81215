//! More packets than a server can relay: it must stay up, hold its memory, and still answer requests.

use std::io;
use std::time::Duration;

use super::relay::{Crowd, Relay};
use super::{Figure, Sample, Times, Watch, percentiles};
use crate::clock::nanos;
use crate::load::{Counts, Load, Pace, Shape};
use crate::server::{Setting, Subject};
use crate::session::Stage;
use crate::wires::Side;

/// Bursts of each client on their way while the most is found out that the server can do.
const WINDOW: u32 = 16;
/// Packets sent, as a multiple of those.
const TIMES_TOO_MANY: f64 = 2.0;
/// New clients, and clients that prolong their allocation, a second.
const REQUESTS: u64 = 50;
/// How long answers are waited for at the end, still under load: as long as clients go on asking.
const PATIENCE: Duration = Duration::from_secs(40);

/// Finds out how many packets pass, sends twice as many, and lets clients allocate and refresh meanwhile.
///
/// Nobody reads what the peers get, since the load has no time for it; the server's work is the same.
pub(super) fn measure(subject: Subject, setting: &Setting, shape: Shape, times: Times) -> io::Result<Sample> {
    let mut relay = Relay::start(subject, setting, Shape { pace: Pace::Window(WINDOW), ..shape })?;
    let most = relay.run(times)?[&Figure::PacketsPerSecond];
    let before = relay.server.account.resident()?;
    relay.crowd.wires.deafen_peers()?;
    let pace = Pace::PerSecond(TIMES_TOO_MANY * most);
    let shape = Shape { pace, channels: true, spin: true, ..shape };
    relay.crowd.load = Load::new(shape, relay.crowd.clock, setting.clients);
    relay.crowd.load.run(&mut relay.crowd.wires, times.warm_up)?;
    relay.crowd.load.counts = Counts::default();
    let watch = Watch::start(&relay.server)?;
    send_and_ask(&mut relay, nanos(times.window))?;
    let passed = watch.stop()?;
    let grown = relay.server.account.resident()?.saturating_sub(before);
    let mut allocated = relay.crowd.signalling.take_tally(Stage::Bound);
    let refreshed = relay.crowd.signalling.take_tally(Stage::Refreshed);
    let mut sample = Sample::from([
        (Figure::PacketsPerSecond, most),
        (Figure::Offered, relay.crowd.load.counts.sent as f64 / passed.seconds / most),
        (Figure::Allocated, allocated.percent_reached()),
        (Figure::Refreshed, refreshed.percent_reached()),
        (Figure::MemoryGrowth, grown as f64 / 1e6),
    ]);
    sample.extend(percentiles(&mut allocated.times));
    sample.extend(passed.busy());
    Ok(sample)
}

/// Keeps up the load for `duration`, with new clients and refreshes in between, and then until all are answered.
fn send_and_ask(relay: &mut Relay, duration: u64) -> io::Result<()> {
    let Crowd { wires, load, signalling, clock, .. } = &mut relay.crowd;
    let senders = signalling.clients();
    let start = clock.nanos();
    let (until, patience) = (start + duration, start + duration + nanos(PATIENCE));
    let mut next_request = start;
    for request in 0.. {
        let mut now = clock.nanos();
        while now < next_request.min(until) || (now >= until && now < patience && signalling.waiting() > 0) {
            load.turn(wires, now, until)?;
            now = clock.nanos();
            for stray in load.strays.drain(..).filter(|stray| stray.side == Side::Client) {
                signalling.arrived(wires, stray, now)?;
            }
            signalling.tick(wires, now)?;
        }
        if now >= until {
            break;
        }
        next_request += 1_000_000_000 / REQUESTS;
        let number = signalling.add(wires.peer(signalling.clients()));
        signalling.begin(wires, number, Stage::Bound, now)?;
        let number = request % senders;
        if !signalling.is_waiting(number) {
            signalling.begin(wires, number, Stage::Refreshed, now)?;
        }
    }
    Ok(())
}
