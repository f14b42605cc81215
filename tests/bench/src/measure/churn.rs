//! Clients that come, get an allocation with a permission and a channel, and go.

use std::io;

use super::{Figure, Sample, Times, Watch, percentiles};
use crate::clock::{Clock, nanos};
use crate::server::{Setting, Subject, login};
use crate::session::Stage;
use crate::signalling::Signalling;
use crate::wires::{Side, Wires};

/// Measures what such a client costs: five requests, the first of which is answered by a challenge.
pub(super) fn measure(
    subject: Subject,
    setting: &Setting,
    at_once: usize,
    times: Times,
) -> io::Result<Sample> {
    let mut wires = Wires::new(false)?;
    let server = subject.start(setting, &wires)?;
    wires.connect(server.address, setting.transport, 0)?;
    let mut churn = Churn { wires, clock: Clock::start(), signalling: Signalling::new(login()), at_once };
    churn.run(nanos(times.warm_up))?;
    churn.signalling.take_tally(Stage::Gone);
    let watch = Watch::start(&server)?;
    churn.run(nanos(times.window))?;
    let passed = watch.stop()?;
    let mut tally = churn.signalling.take_tally(Stage::Gone);
    tally.all_reached()?;
    let reached = tally.reached as f64;
    let mut sample = Sample::from([
        (Figure::CpuPerAllocation, passed.server / 1e3 / reached),
        (Figure::AllocationsPerSecond, reached / passed.seconds),
    ]);
    sample.extend(percentiles(&mut tally.times));
    sample.extend(passed.busy());
    Ok(sample)
}

struct Churn {
    wires: Wires,
    clock: Clock,
    signalling: Signalling,
    at_once: usize,
}

impl Churn {
    /// Each client that has gone is followed by a new one, which has another address.
    fn run(&mut self, duration: u64) -> io::Result<()> {
        let Self { wires, clock, signalling, at_once } = self;
        let until = clock.nanos() + duration;
        let mut arrivals = Vec::new();
        while clock.nanos() < until {
            let now = clock.nanos();
            while signalling.waiting() < *at_once {
                let number = signalling.clients();
                signalling.add(wires.peer(number));
                signalling.begin(wires, number, Stage::Gone, now)?;
            }
            wires.flush()?;
            wires.clear();
            wires.receive(std::time::Duration::from_millis(50), &mut arrivals)?;
            let now = clock.nanos();
            for arrival in arrivals.drain(..).filter(|arrival| arrival.side == Side::Client) {
                signalling.arrived(wires, arrival, now)?;
            }
            signalling.tick(wires, now)?;
        }
        Ok(())
    }
}
