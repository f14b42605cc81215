//! What another processor is worth.

use std::io;
use std::thread;

use super::relay::Crowd;
use super::{Figure, Sample, Times, Watch};
use crate::load::{Counts, Shape};
use crate::server::{Setting, Subject};
use crate::wires::Wires;

/// Lets packets pass on these processors alone: each has a worker's share of the server, and a load with clients of its
/// own that never leaves it. With more of them everything is there as many times, so packets a second ought to be, too.
pub(super) fn measure(subject: Subject, setting: &Setting, shape: Shape, times: Times) -> io::Result<Sample> {
    let server = subject.start(setting, &Wires::new(shape.burst > 1)?)?;
    let lead = |_| Crowd::lead(subject, Wires::new(shape.burst > 1)?, &server, setting, shape);
    let crowds = on_each(&setting.processors, setting.processors.iter().collect(), lead)?;
    let pass = |mut crowd: Crowd, duration| {
        crowd.load.counts = Counts::default();
        crowd.load.run(&mut crowd.wires, duration).map(|()| crowd)
    };
    let crowds = on_each(&setting.processors, crowds, |crowd| pass(crowd, times.warm_up))?;
    let watch = Watch::start(&server)?;
    let crowds = on_each(&setting.processors, crowds, |crowd| pass(crowd, times.window))?;
    let passed = watch.stop()?;
    let sum = |of: fn(&Counts) -> u64| crowds.iter().map(|crowd| of(&crowd.load.counts)).sum::<u64>() as f64;
    let relayed = sum(|counts| counts.relayed);
    let mut sample = Sample::from([
        (Figure::CpuPerPacket, passed.server / 1e3 / relayed),
        (Figure::PacketsPerSecond, relayed / passed.seconds),
        (Figure::Loss, sum(|counts| counts.lost) / sum(|counts| counts.sent) * 100.0),
    ]);
    // The load's threads have ended: nobody knows any more how busy they were.
    sample.extend(passed.busy().into_iter().filter(|(figure, _)| *figure != Figure::LoadBusy));
    Ok(sample)
}

/// Does something with each of `what` at the same time, each on a processor.
fn on_each<T: Send, R: Send>(
    processors: &[usize],
    what: Vec<T>,
    work: impl Fn(T) -> io::Result<R> + Sync,
) -> io::Result<Vec<R>> {
    thread::scope(|scope| {
        let start = |(what, processor): (T, &usize)| {
            let (work, processor) = (&work, *processor);
            scope.spawn(move || net::limit::pin_to(processor).and_then(|()| work(what)))
        };
        let threads: Vec<_> = what.into_iter().zip(processors).map(start).collect();
        let panicked = |_| Err(io::Error::other("the measurement panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    })
}
