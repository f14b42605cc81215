//! Packets on their way through a server: who sends them, how many at a time, and what became of them.
//!
//! A *flow* is one client with its peer. Each packet carries the number of its flow and the time it was sent, so
//! whoever receives it last knows whom to credit and how long it took.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use stun::ChannelData;
use stun::channel_data::HEADER_LEN;

use crate::clock::{Clock, nanos};
use crate::session::CHANNEL;
use crate::wires::{Arrival, Side, Wires};

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// From the client to its peer and back: two relayed packets.
    Echo,
    /// From the client to its peer.
    Up,
    /// From the peer to its client.
    Down,
    /// From the client to the relay of another client, hence to that client: no peers.
    Headless,
}

impl Mode {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Up => "up",
            Self::Down => "down",
            Self::Headless => "headless",
        }
    }
}

/// When packets are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each flow keeps so many bursts on their way.
    Window(u32),
    /// All flows together send so many packets a second, whatever happens to them.
    PerSecond(f64),
}

/// What the packets are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Which way they go.
    pub mode: Mode,
    /// Bytes of payload, at least [`Shape::SMALLEST`].
    pub size: usize,
    /// How many are sent together.
    pub burst: u32,
    /// When they are sent.
    pub pace: Pace,
    /// Packets between client and server are ChannelData.
    pub channels: bool,
    /// Look for arrivals all the time instead of sleeping until there are some.
    pub spin: bool,
}

impl Shape {
    /// The smallest payload, in bytes: room for the stamp.
    pub const SMALLEST: usize = STAMP;
}

/// What became of the packets since the counts were last reset.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Sent by whoever sends first.
    pub sent: u64,
    /// Relayed by the server: arrived at either end.
    pub relayed: u64,
    /// Arrived at their last end.
    pub delivered: u64,
    /// Given up.
    pub lost: u64,
    /// Nanoseconds that delivered packets took, as many as there is room for.
    pub times: Vec<u32>,
}

/// Packets through a server.
pub struct Load {
    shape: Shape,
    clock: Clock,
    flows: Vec<Flow>,
    arrivals: Vec<Arrival>,
    /// What arrived in the last turn and was no packet of a flow; its bytes are there until the next.
    pub strays: Vec<Arrival>,
    /// So many of the flows send packets, the first ones.
    pub senders: usize,
    /// When the next burst is due, and of which flow, if they are paced.
    next_burst: u64,
    next_flow: usize,
    next_check: u64,
    /// What happened so far.
    pub counts: Counts,
}

/// A client and its peer.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    /// Where the server sends from on the client's behalf.
    relayed: Option<SocketAddr>,
    /// Packets on their way.
    outstanding: u32,
    /// Packets of an earlier epoch have been given up.
    epoch: u32,
    last_arrival: u64,
}

/// What a packet begins with: flow, epoch, and when it was sent.
#[derive(Clone, Copy)]
struct Stamp {
    flow: u32,
    epoch: u32,
    sent: u64,
}

const STAMP: usize = 16;
/// Packets that have been on their way for so long are lost.
const PATIENCE: u64 = nanos(Duration::from_millis(250));
/// How often that is looked at.
const CHECK: u64 = nanos(Duration::from_millis(50));
/// Paced bursts that are sent in one go at most, when the load is late.
const CATCH_UP: usize = 64;
/// Most times that are noted.
const TIMES: usize = 1 << 21;

impl Load {
    /// So many flows, none of them moving.
    pub fn new(shape: Shape, clock: Clock, flows: usize) -> Self {
        Self {
            shape,
            clock,
            flows: vec![Flow::default(); flows],
            arrivals: Vec::new(),
            strays: Vec::new(),
            senders: flows,
            next_burst: clock.nanos(),
            next_flow: 0,
            next_check: 0,
            counts: Counts::default(),
        }
    }

    /// Sends a packet from each client until all have arrived: the way is open, and the peers know where the
    /// packets come from.
    ///
    /// # Errors
    /// Some do not arrive, or a connection broke.
    pub fn open(&mut self, wires: &mut Wires) -> io::Result<()> {
        let mode = self.shape.mode;
        if mode != Mode::Headless {
            self.shape.mode = Mode::Up;
        }
        let mut closed = self.flows.len();
        for _attempt in 0..20 {
            for flow in 0..self.flows.len() {
                if self.flows[flow].relayed.is_none() {
                    self.send(wires, flow, 1)?;
                }
                wires.flush()?;
                wires.clear();
            }
            let until = self.clock.nanos() + CHECK;
            while self.clock.nanos() < until && closed > 0 {
                wires.receive(Duration::from_millis(5), &mut self.arrivals)?;
                for index in 0..self.arrivals.len() {
                    let arrival = self.arrivals[index];
                    if let Some(stamp) = self.stamp(wires, arrival) {
                        self.flows[stamp.flow as usize].relayed = Some(arrival.from);
                    }
                }
                self.arrivals.clear();
                wires.clear();
                closed = self.flows.iter().filter(|flow| flow.relayed.is_none()).count();
            }
        }
        self.shape.mode = mode;
        self.flows.iter_mut().for_each(|flow| {
            flow.outstanding = 0;
            flow.epoch += 1;
        });
        self.counts = Counts::default();
        if closed > 0 {
            return Err(io::Error::other(format!("{closed} of {} flows pass no packet", self.flows.len())));
        }
        Ok(())
    }

    /// Keeps packets moving for `duration`. What is on its way then stays so.
    ///
    /// # Errors
    /// A connection broke.
    pub fn run(&mut self, wires: &mut Wires, duration: Duration) -> io::Result<()> {
        let until = self.clock.nanos() + nanos(duration);
        self.next_burst = self.next_burst.max(self.clock.nanos());
        loop {
            let now = self.clock.nanos();
            if now >= until {
                return Ok(());
            }
            self.turn(wires, now, until)?;
        }
    }

    /// Sends what is due, then waits for arrivals, at most until `until`, and handles them.
    ///
    /// # Errors
    /// A connection broke.
    pub fn turn(&mut self, wires: &mut Wires, now: u64, until: u64) -> io::Result<()> {
        let sleep_until = match self.shape.pace {
            Pace::Window(window) => {
                self.refill(wires, window)?;
                until
            }
            Pace::PerSecond(rate) => self.send_due(wires, rate, now)?.min(until),
        };
        wires.flush()?;
        wires.clear();
        self.strays.clear();
        let pause = sleep_until.min(now + CHECK).saturating_sub(self.clock.nanos());
        let timeout = if self.shape.spin { Duration::ZERO } else { Duration::from_nanos(pause) };
        wires.receive(timeout, &mut self.arrivals)?;
        self.take_arrivals(wires)?;
        if now >= self.next_check {
            self.next_check = now + CHECK;
            self.give_up(now);
        }
        Ok(())
    }

    fn take_arrivals(&mut self, wires: &mut Wires) -> io::Result<()> {
        let now = self.clock.nanos();
        for index in 0..self.arrivals.len() {
            let arrival = self.arrivals[index];
            let Some(stamp) = self.stamp(wires, arrival) else {
                self.strays.push(arrival);
                continue;
            };
            self.counts.relayed += 1;
            if self.shape.mode == Mode::Echo && arrival.side == Side::Peer {
                wires.echo(arrival)?;
                continue;
            }
            let flow = &mut self.flows[stamp.flow as usize];
            if flow.epoch != stamp.epoch {
                continue;
            }
            flow.outstanding = flow.outstanding.saturating_sub(1);
            flow.last_arrival = now;
            self.counts.delivered += 1;
            if self.counts.times.len() < TIMES {
                self.counts.times.push(u32::try_from(now.saturating_sub(stamp.sent)).unwrap_or(u32::MAX));
            }
        }
        self.arrivals.clear();
        Ok(())
    }

    /// Fills the windows of all flows.
    fn refill(&mut self, wires: &mut Wires, window: u32) -> io::Result<()> {
        let burst = self.shape.burst;
        for flow in 0..self.senders {
            while self.flows[flow].outstanding + burst <= window * burst {
                if !self.send(wires, flow, burst)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Sends paced bursts that are due and tells when the next one will be.
    fn send_due(&mut self, wires: &mut Wires, rate: f64, now: u64) -> io::Result<u64> {
        let interval = (f64::from(self.shape.burst) / rate * 1e9) as u64;
        for _ in 0..CATCH_UP {
            if self.next_burst > now {
                break;
            }
            let flow = self.next_flow;
            self.next_flow = (flow + 1) % self.senders;
            self.next_burst += interval;
            if !self.send(wires, flow, self.shape.burst)? {
                break;
            }
        }
        Ok(self.next_burst)
    }

    /// Sends packets of a flow, unless there is no memory for them before the next turn.
    fn send(&mut self, wires: &mut Wires, flow: usize, count: u32) -> io::Result<bool> {
        let Some(draft) = wires.draft() else { return Ok(false) };
        let Shape { mode, size, channels, .. } = self.shape;
        let header = if channels && mode != Mode::Down { HEADER_LEN } else { 0 };
        let stamp = Stamp { flow: flow as u32, epoch: self.flows[flow].epoch, sent: self.clock.nanos() };
        let len = header + size;
        for number in 0..count as usize {
            let at = number * len;
            let packet = &mut wires.draft_bytes(draft)[at..at + len];
            if let (Some(head), true) = (packet.first_chunk_mut(), header > 0) {
                ChannelData::write_header(CHANNEL, size as u16, head);
            }
            stamp.write(&mut packet[header..]);
            match (mode, self.flows[flow].relayed) {
                (Mode::Down, Some(to)) => wires.send_down(flow, to, draft, at, len)?,
                _ => wires.send_up(flow, draft, at, len)?,
            }
        }
        self.flows[flow].outstanding += count;
        if self.flows[flow].outstanding == count {
            self.flows[flow].last_arrival = stamp.sent;
        }
        self.counts.sent += u64::from(count);
        Ok(true)
    }

    fn stamp(&self, wires: &Wires, arrival: Arrival) -> Option<Stamp> {
        let bytes = wires.bytes(arrival);
        let payload = match arrival.side {
            Side::Client if self.shape.channels => ChannelData::parse(bytes).ok()?.data,
            Side::Client | Side::Peer => bytes,
        };
        Stamp::read(payload).filter(|stamp| (stamp.flow as usize) < self.flows.len())
    }

    /// Counts packets that do not come any more as lost, so that their flows go on.
    fn give_up(&mut self, now: u64) {
        for flow in &mut self.flows {
            if flow.outstanding > 0 && now.saturating_sub(flow.last_arrival) > PATIENCE {
                self.counts.lost += u64::from(flow.outstanding);
                flow.outstanding = 0;
                flow.epoch += 1;
            }
        }
    }
}

impl Stamp {
    fn write(self, into: &mut [u8]) {
        into[..4].copy_from_slice(&self.flow.to_be_bytes());
        into[4..8].copy_from_slice(&self.epoch.to_be_bytes());
        into[8..STAMP].copy_from_slice(&self.sent.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (flow, rest) = bytes.split_first_chunk()?;
        let (epoch, rest) = rest.split_first_chunk()?;
        let (sent, _) = rest.split_first_chunk()?;
        let [flow, epoch] = [flow, epoch].map(|bytes| u32::from_be_bytes(*bytes));
        Some(Self { flow, epoch, sent: u64::from_be_bytes(*sent) })
    }
}
