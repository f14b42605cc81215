//! Packets through a server.

use std::io;

use super::{Figure, Sample, Times, Watch, percentiles};
use crate::clock::Clock;
use crate::load::{Counts, Load, Mode, Shape};
use crate::server::{Server, Setting, Subject, login};
use crate::session::Stage;
use crate::signalling::Signalling;
use crate::wires::Wires;

/// Clients that ask for something at the same time while a measurement is prepared.
const AT_ONCE: usize = 32;

/// Delivered packets that are enough for a figure, however bad; a busy machine needs more than one window for them.
const ENOUGH: u64 = 100;
const MOST_WINDOWS: usize = 50;

/// A server with clients that can send packets.
pub(super) struct Relay {
    pub(super) server: Server,
    pub(super) crowd: Crowd,
}

/// Clients that can send packets.
pub(super) struct Crowd {
    pub(super) wires: Wires,
    pub(super) clock: Clock,
    pub(super) load: Load,
    pub(super) signalling: Signalling,
}

impl Relay {
    /// Starts a server and leads clients through it until their packets pass.
    pub(super) fn start(subject: Subject, setting: &Setting, shape: Shape) -> io::Result<Self> {
        let wires = Wires::new(shape.burst > 1)?;
        let server = subject.start(setting, &wires)?;
        let crowd = Crowd::lead(subject, wires, &server, setting, shape)?;
        Ok(Self { server, crowd })
    }

    /// Lets packets pass, at first unwatched.
    pub(super) fn run(&mut self, times: Times) -> io::Result<Sample> {
        let Self { server, crowd: Crowd { wires, load, .. } } = self;
        load.run(wires, times.warm_up)?;
        load.counts = Counts::default();
        let watch = Watch::start(server)?;
        for _ in 0..MOST_WINDOWS {
            load.run(wires, times.window)?;
            if load.counts.delivered >= ENOUGH {
                break;
            }
        }
        let passed = watch.stop()?;
        let counts = &mut load.counts;
        let relayed = counts.relayed as f64;
        let mut sample = Sample::from([
            (Figure::CpuPerPacket, passed.server / 1e3 / relayed),
            (Figure::PacketsPerSecond, relayed / passed.seconds),
            (Figure::Loss, counts.lost as f64 / counts.sent as f64 * 100.0),
        ]);
        sample.extend(percentiles(&mut counts.times));
        sample.extend(passed.busy());
        Ok(sample)
    }
}

impl Crowd {
    /// Leads clients through a server until their packets pass.
    pub(super) fn lead(
        subject: Subject,
        mut wires: Wires,
        server: &Server,
        setting: &Setting,
        mut shape: Shape,
    ) -> io::Result<Self> {
        let clock = Clock::start();
        wires.connect(server.address, setting.transport, setting.clients)?;
        shape.channels = subject.is_turn();
        let mut signalling = Signalling::new(login());
        if subject.is_turn() {
            bind_channels(&mut signalling, &mut wires, clock, shape.mode, setting.clients)?;
        }
        let mut load = Load::new(shape, clock, setting.clients);
        load.open(&mut wires)?;
        Ok(Self { wires, clock, load, signalling })
    }
}

/// Gives each client an allocation with a channel to its peer or, without peers, to the relay of its partner.
fn bind_channels(
    signalling: &mut Signalling,
    wires: &mut Wires,
    clock: Clock,
    mode: Mode,
    clients: usize,
) -> io::Result<()> {
    for number in 0..clients {
        signalling.add(wires.peer(number));
    }
    signalling.lead(wires, clock, 0..clients, Stage::Allocated, AT_ONCE)?.all_reached()?;
    if mode == Mode::Headless {
        for number in 0..clients {
            if let Some(partner) = signalling.relayed(number ^ 1) {
                signalling.set_peer(number, partner);
            }
        }
    }
    signalling.lead(wires, clock, 0..clients, Stage::Bound, AT_ONCE)?.all_reached()
}

/// As many packets as pass.
pub(super) fn throughput(
    subject: Subject,
    setting: &Setting,
    shape: Shape,
    times: Times,
) -> io::Result<Sample> {
    Relay::start(subject, setting, shape)?.run(times)
}

/// One packet at a time.
pub(super) fn latency(subject: Subject, setting: &Setting, shape: Shape, times: Times) -> io::Result<Sample> {
    let mut relay = Relay::start(subject, setting, shape)?;
    relay.crowd.load.senders = 1;
    relay.run(times)
}
