//! Batched sending: references to slots, grouped by socket, handed to the kernel in few calls.
//!
//! Datagrams of one length for one destination leave as a *train*: one message that the kernel takes apart as
//! late as it can (`UDP_SEGMENT`). They are gathered from where they lie, each behind a header of its own if it
//! has one, so no byte is copied to form a train. What the kernel refuses to take apart is sent one by one.

mod batch;

use std::io;
use std::net::{IpAddr, SocketAddr};

use self::batch::Batch;
use crate::buffer::{Arena, Parts, Span};
use crate::icmp::REPETITIONS;
use crate::udp::UdpSocket;

/// A datagram that waits in a [`SendQueue`].
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// Which socket sends it, in the caller's numbering.
    pub socket: u32,
    /// Its bytes.
    pub span: Span,
    /// Where it goes.
    pub to: SocketAddr,
    /// The local address it leaves from, if it must be a certain one: for sockets with packet info, others have one.
    pub from: Option<IpAddr>,
    /// It must not be fragmented on the way.
    pub dont_fragment: bool,
}

/// What became of a flushed batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub sent: usize,
    /// Datagrams given up because the socket's buffer was full.
    pub full: usize,
    /// Datagrams given up for another reason: no route, too large, no such socket.
    pub failed: usize,
    /// Datagrams, counted above as well, that were sent one by one since the kernel refused them together.
    /// Not zero: the socket sends less efficiently from now on, see [`UdpSocket::longest_in_train`].
    pub split: usize,
}

/// Datagrams to be sent, all of them in slots of one arena. Allocated once.
///
/// A queue that is full must be flushed; UDP may lose datagrams but this queue never does by itself.
pub struct SendQueue {
    waiting: Vec<Waiting>,
    order: Vec<Ordered>,
    capacity: usize,
    batch: Batch,
}

/// A datagram.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    parts: Parts,
    outgoing: Outgoing,
}

/// Socket number, destination port and place in the queue, from the highest bits down: sorted, datagrams of one
/// socket stand together, within them those for one destination, and these in the order they came in.
type Ordered = u64;

/// Some waiting datagrams in sorted order.
#[derive(Clone, Copy)]
struct Run<'q> {
    waiting: &'q [Waiting],
    order: &'q [Ordered],
}

impl SendQueue {
    /// A queue of at most `capacity` datagrams, itself at most 65 535.
    pub fn new(capacity: usize) -> Self {
        Self {
            waiting: Vec::with_capacity(capacity),
            order: Vec::with_capacity(capacity),
            capacity,
            batch: Batch::new(capacity),
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many more datagrams fit before a flush.
    pub fn free(&self) -> usize {
        self.capacity - self.waiting.len()
    }

    /// Adds a datagram.
    ///
    /// # Panics
    /// If the queue is full: check [`Self::free`] and flush.
    pub fn push(&mut self, outgoing: Outgoing) {
        self.push_waiting(Waiting { parts: outgoing.span.into(), outgoing });
    }

    /// Adds a datagram with a header that stands elsewhere, if it has one, and so many zero bytes behind it. Several
    /// datagrams may have the same header.
    ///
    /// # Panics
    /// If the queue is full: check [`Self::free`] and flush.
    pub fn push_parts(&mut self, head: Option<Span>, outgoing: Outgoing, padding: u8) {
        let parts = Parts { head, body: outgoing.span, padding };
        self.push_waiting(Waiting { parts, outgoing });
    }

    fn push_waiting(&mut self, waiting: Waiting) {
        assert!(self.free() > 0, "flushed before it is full");
        let Outgoing { socket, to, .. } = waiting.outgoing;
        let place = self.waiting.len() as u64;
        self.order.push(u64::from(socket) << 32 | u64::from(to.port()) << 16 | place);
        self.waiting.push(waiting);
    }

    /// Sends everything, in order for each socket and destination. `socket` maps the caller's numbers to sockets.
    ///
    /// A datagram the kernel refuses is counted and left behind: nothing is retried, since by then newer
    /// media is worth more. What is refused for an ICMP error about another datagram was not refused itself.
    pub fn flush<'s>(&mut self, arena: &Arena, socket: impl Fn(u32) -> Option<&'s UdpSocket>) -> Sent {
        self.order.sort_unstable();
        let mut total = Sent::default();
        for group in self.order.chunk_by(|a, b| socket_number(*a) == socket_number(*b)) {
            let Some(socket) = socket(socket_number(group[0])) else {
                total.failed += group.len();
                continue;
            };
            let alone = |entry: &Ordered| self.waiting[place(*entry)].outgoing.dont_fragment;
            for order in group.chunk_by(|a, b| alone(a) == alone(b)) {
                let run = Run { waiting: &self.waiting, order };
                total += if alone(&order[0]) {
                    send_unfragmented(run, arena, socket)
                } else {
                    self.batch.send(run, arena, socket)
                };
            }
        }
        self.order.clear();
        self.waiting.clear();
        total
    }
}

/// One by one, and behind a copy of their header if they have one: this is rare.
fn send_unfragmented(run: Run<'_>, arena: &Arena, socket: &UdpSocket) -> Sent {
    let mut total = Sent::default();
    for Waiting { parts, outgoing } in run.iter() {
        let send = || {
            if parts.len() == parts.body.len() {
                socket.send_unfragmented(arena.bytes(parts.body), outgoing.to)
            } else {
                socket.send_unfragmented(&parts.bytes(arena).collect::<Vec<_>>().concat(), outgoing.to)
            }
        };
        let mut result = send();
        for _ in 0..REPETITIONS {
            if result.as_ref().is_err_and(|error| socket.is_about_another(error)) {
                result = send();
            }
        }
        total.count(result.map(|_| 1), 1);
    }
    total
}

impl Waiting {
    fn len(&self) -> usize {
        self.parts.len()
    }

    /// Leaves from the same address for the same destination.
    fn goes_with(&self, other: &Self) -> bool {
        self.outgoing.to == other.outgoing.to && self.outgoing.from == other.outgoing.from
    }
}

impl<'q> Run<'q> {
    fn len(self) -> usize {
        self.order.len()
    }

    fn get(self, index: usize) -> &'q Waiting {
        &self.waiting[place(self.order[index])]
    }

    /// A single datagram that leaves as it lies and needs no address chosen, if that is all there is.
    fn plain(self, socket: &UdpSocket) -> Option<(Span, SocketAddr)> {
        let [_] = self.order else { return None };
        let Waiting { parts, outgoing } = self.get(0);
        let chooses_source = socket.chooses_source() && outgoing.from.is_some();
        let is_plain = parts.head.is_none() && parts.padding == 0 && !chooses_source;
        is_plain.then_some((parts.body, outgoing.to))
    }

    fn iter(self) -> impl Iterator<Item = &'q Waiting> {
        self.order.iter().map(move |entry| &self.waiting[place(*entry)])
    }

    fn split_at(self, index: usize) -> (Self, Self) {
        let (first, second) = self.order.split_at(index);
        (Self { order: first, ..self }, Self { order: second, ..self })
    }
}

fn socket_number(entry: Ordered) -> u32 {
    (entry >> 32) as u32
}

fn place(entry: Ordered) -> usize {
    usize::from(entry as u16)
}

impl Sent {
    fn count(&mut self, result: io::Result<usize>, concerned: usize) {
        match result {
            Ok(_) => self.sent += concerned,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full += concerned,
            Err(_) => self.failed += concerned,
        }
    }
}

impl std::ops::AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.full += other.full;
        self.failed += other.failed;
        self.split += other.split;
    }
}

impl std::fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendQueue").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
