//! A worker: one thread, one event queue, one TURN server, and every socket its clients use.
//!
//! Workers share the immutable [`View`], counters, and what their relays let through ([`Neighbours`]), nothing else.
//! Other threads talk to a worker through its orders and wake it. A turn of the loop does, in this order:
//!
//! 1. orders: a new configuration, or the end;
//! 2. deadlines: of the TURN server, of idle connections;
//! 3. packets: what other workers have for clients of this one, then one bounded batch for each source that is ready;
//! 4. sending what the turn produced.
//!
//! Time is read once per turn. A packet is received into the arena and sent from there; relaying one takes no
//! allocation, no lock and no look-up by name.

mod datagrams;
mod dtls;
mod handshakes;
mod headless;
mod movers;
mod outputs;
mod splice;
mod streams;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use net::{
    Arena, Event, Events, Interest, Poller, SendQueue, Slot, StreamMessage, TcpListener, TlsStream, Token,
    UdpSocket, Waker,
};
use rand_chacha::ChaCha12Rng;
use slab::Slab;
use turn::addr::{Client, ConnectionId, ListenerId, RelayId};
use turn::server::{Server, Settings};
use turn::time::Now;

use self::dtls::Dtls;
use self::handshakes::Handshakes;
use self::headless::ShortCut;
use self::movers::Movers;
pub(crate) use self::splice::Joint;
use self::splice::{Moving, PeerStream, TcpRelay};
use crate::clock;
use crate::listener::ListenerSocket;
use crate::metrics::{Meter, Metrics};
use crate::neighbours::Neighbours;
use crate::refusal::RefusalLog;
use crate::relay::Relay;
use crate::reserve::Reserve;
use crate::stream::{Stream, Timeouts};
use crate::view::{View, slot_of};

/// Packets, or trains of them, in memory at a time. Few enough that they stay in the processor's cache.
const ARENA_SLOTS: u16 = 128;
/// Datagrams that wait to be sent at a time: those of all trains in memory, as a rule.
const QUEUE: usize = 1024;
/// Packets or trains taken from a socket in one turn: at first, and in the turn after one that filled that.
/// Finding out that nothing more waits costs the kernel a third of a receive. Peers of one client seldom send a
/// second packet between two turns, so one is taken and the event queue is asked, as it is in any case.
const CLIENT_BATCHES: [usize; 2] = [16, 48];
const PEER_BATCHES: [usize; 2] = [1, 16];
/// Messages that wait to be written to connections at a time.
const STREAM_QUEUE: usize = 1024;
/// ICMP errors read from one relay in one turn.
const ICMP_BATCH: usize = 16;
/// Connections accepted from one socket in one turn.
const ACCEPT_BATCH: usize = 16;
/// Sources served in one turn.
const EVENTS: usize = 256;
/// How long accepting rests when the process is out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The way to each worker.
pub(crate) type Others = Vec<(Sender<Order>, Waker)>;

/// What other threads tell a worker.
pub(crate) enum Order {
    /// Take over a configuration.
    Converge(Converge),
    /// Take over a client's connection.
    Adopt(Box<Moving>),
    /// No longer pass on the datagrams of this client.
    Forget(Client),
    /// End.
    Stop,
}

/// A configuration on its way to a worker.
pub(crate) struct Converge {
    pub(crate) view: Arc<View>,
    /// Sockets of listeners that begin.
    pub(crate) open: Vec<ListenerSocket>,
    /// Listeners that end, with their connections and allocations.
    pub(crate) close: Vec<ListenerId>,
    /// Told when it is done.
    pub(crate) done: Option<Sender<()>>,
}

/// What a worker is made with.
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) orders: Receiver<Order>,
    pub(crate) view: Arc<View>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Arc<RefusalLog>,
    pub(crate) reserve: Arc<Reserve>,
    /// Whether packets between clients of this process leave out the relay sockets.
    pub(crate) takes_short_cut: bool,
    /// How to reach the clients of other workers; absent if there are none.
    pub(crate) neighbours: Option<Arc<Neighbours>>,
    /// How to reach the other workers, once all are there.
    pub(crate) others: Arc<OnceLock<Others>>,
    pub(crate) settings: Settings,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) timeouts: Timeouts,
    /// What the cookies of DTLS clients are made with.
    pub(crate) cookie_secret: [u8; 32],
}

/// A worker.
pub(crate) struct Shard {
    index: usize,
    poller: Poller,
    orders: Receiver<Order>,
    server: Server<ChaCha12Rng>,
    view: Arc<View>,
    metrics: Arc<Metrics>,
    refusals: Arc<RefusalLog>,
    /// Relay sockets that wait for whoever brings their token.
    reserve: Arc<Reserve>,
    /// When to look after those that this worker has put there.
    reserve_ends: VecDeque<Instant>,
    short_cut: ShortCut,
    arena: Arena,
    queue: SendQueue,
    sockets: Sockets,
    streams: Slab<Stream>,
    stream_of: HashMap<Client, usize, foldhash::fast::RandomState>,
    /// Connections with peers.
    peers: Slab<PeerStream>,
    peer_of: HashMap<ConnectionId, usize, foldhash::fast::RandomState>,
    /// The client whose frame is being handled goes to this worker.
    moving: Option<u8>,
    movers: Movers,
    others: Arc<OnceLock<Others>>,
    /// Connections whose clients have not proved anything yet.
    handshakes: Handshakes,
    /// By listener, the clients of those that speak DTLS.
    dtls: Vec<Option<Dtls>>,
    cookie_secret: [u8; 32],
    /// Where records for DTLS clients are encrypted, and how many bytes of that are in use.
    sealed: Option<(Slot, usize)>,
    /// Where what is to be decrypted is read to.
    ciphertext: Box<[u8]>,
    timeouts: Timeouts,
    /// The serial number of the next connection.
    next_serial: u64,
    /// What is to be written to connections, and room to put together what is for one.
    for_streams: Vec<ForStream>,
    stream_messages: Vec<StreamMessage>,
    /// Connections that failed while they were written to.
    broken_streams: Vec<usize>,
    /// Deadlines of connections, possibly put off or gone since: looked at when they come up.
    idle: BinaryHeap<Reverse<IdleDeadline>>,
    /// Accepting rests until then.
    accept_again: Option<Instant>,
    /// Counts turns of the loop, from one to the next.
    turn: u32,
    /// There is something to publish about drops and refusals.
    counters_changed: bool,
}

/// A message for a connection, which number it has among all.
#[derive(Clone, Copy)]
struct ForStream {
    key: u32,
    place: u32,
    message: StreamMessage,
}

/// When to look at a connection, its place, and its serial number.
type IdleDeadline = (Instant, usize, u64);

/// The sockets that datagrams leave from, and those that connections come from.
#[derive(Default)]
struct Sockets {
    udp: Vec<Option<Port<UdpSocket>>>,
    /// Those on the second ports of listeners.
    second: Vec<Option<Port<UdpSocket>>>,
    tcp: Vec<Option<Port<TcpListener>>>,
    relays: Vec<Option<Relay>>,
    tcp_relays: Vec<Option<TcpRelay>>,
}

/// A listener's socket with its counters.
struct Port<S> {
    socket: S,
    meter: Arc<Meter>,
    /// The turn in which more waited than was taken.
    full_at: u32,
}

/// What one turn of the loop knows: the configuration it began with, and the time.
#[derive(Clone, Copy)]
struct Turn<'t> {
    view: &'t View,
    now: Now,
}

/// What a token of the event queue stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Udp(usize),
    Tcp(usize),
    Relay(usize),
    Stream(usize),
    TcpRelay(usize),
    Peer(usize),
    Second(usize),
}

impl Source {
    const KIND_SHIFT: u32 = 32;

    fn token(self) -> Token {
        let (kind, index) = match self {
            Self::Udp(index) => (0, index),
            Self::Tcp(index) => (1, index),
            Self::Relay(index) => (2, index),
            Self::Stream(index) => (3, index),
            Self::TcpRelay(index) => (4, index),
            Self::Peer(index) => (5, index),
            Self::Second(index) => (6, index),
        };
        Token(kind << Self::KIND_SHIFT | index as u64)
    }

    fn of(token: Token) -> Self {
        let index = token.0 as u32 as usize;
        match token.0 >> Self::KIND_SHIFT {
            0 => Self::Udp(index),
            1 => Self::Tcp(index),
            2 => Self::Relay(index),
            3 => Self::Stream(index),
            4 => Self::TcpRelay(index),
            5 => Self::Peer(index),
            _ => Self::Second(index),
        }
    }
}

impl Sockets {
    /// Relay sockets are told from listeners' by the highest bit of their number in the send queue.
    const RELAY: u32 = 1 << 31;
    /// Sockets on second ports, by the one below it.
    const SECOND: u32 = 1 << 30;

    fn listener_number(id: ListenerId) -> u32 {
        u32::from(id.0)
    }

    /// The number of the socket on a listener's second port, if that is where `local` is.
    fn second_number(&self, id: ListenerId, local: SocketAddr) -> Option<u32> {
        let port = self.second.get(usize::from(id.0))?.as_ref()?;
        (port.socket.local_addr().port() == local.port()).then_some(Self::SECOND | u32::from(id.0))
    }

    fn relay_number(relay: RelayId) -> u32 {
        Self::RELAY | relay.slot() as u32
    }

    fn numbered(&self, number: u32) -> Option<&UdpSocket> {
        let slot = (number & !Self::RELAY) as usize;
        if number & Self::RELAY == 0 {
            let (ports, slot) = match number & Self::SECOND {
                0 => (&self.udp, slot),
                _ => (&self.second, (number & !Self::SECOND) as usize),
            };
            ports.get(slot)?.as_ref().map(|port| &port.socket)
        } else {
            self.relays.get(slot)?.as_ref().map(|relay| &relay.socket)
        }
    }
}

impl Shard {
    /// A worker without listeners.
    pub(crate) fn new(setup: Setup) -> io::Result<Self> {
        let poller = Poller::new()?;
        let short_cut = ShortCut::new(setup.takes_short_cut, setup.neighbours);
        short_cut.receive_mail(setup.index, poller.waker());
        Ok(Self {
            index: setup.index,
            poller,
            orders: setup.orders,
            server: Server::new(setup.settings, setup.rng, clock::now()),
            view: setup.view,
            metrics: setup.metrics,
            refusals: setup.refusals,
            reserve: setup.reserve,
            reserve_ends: VecDeque::new(),
            short_cut,
            arena: Arena::new(ARENA_SLOTS),
            queue: SendQueue::new(QUEUE),
            sockets: Sockets::default(),
            streams: Slab::new(),
            stream_of: HashMap::default(),
            peers: Slab::new(),
            peer_of: HashMap::default(),
            moving: None,
            movers: Movers::default(),
            others: setup.others,
            handshakes: Handshakes::default(),
            dtls: Vec::new(),
            cookie_secret: setup.cookie_secret,
            sealed: None,
            ciphertext: vec![0; TlsStream::READ_CAPACITY].into(),
            timeouts: setup.timeouts,
            next_serial: 0,
            for_streams: Vec::new(),
            stream_messages: Vec::new(),
            broken_streams: Vec::new(),
            idle: BinaryHeap::new(),
            accept_again: None,
            turn: 0,
            counters_changed: false,
        })
    }

    /// Wakes this worker when orders were sent.
    pub(crate) fn waker(&self) -> Waker {
        self.poller.waker()
    }

    /// Works until ordered to stop, or until nobody is left who could.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::new(EVENTS);
        let mut now = clock::now();
        loop {
            // As seen from the beginning of the turn that ends: a deadline is met late by its length at most.
            let timeout = self.deadline().map(|at| at.saturating_duration_since(now.mono));
            let woken = self.poller.wait(&mut events, timeout)?;
            now = clock::now();
            self.turn = self.turn.wrapping_add(1);
            if woken && self.obey(now).is_break() {
                return Ok(());
            }
            let view = Arc::clone(&self.view);
            let turn = Turn { view: &view, now };
            self.handle_deadlines(turn);
            self.handshakes.next_turn();
            self.dtls.iter_mut().flatten().for_each(Dtls::next_turn);
            if woken {
                self.read_mail(turn);
            }
            for event in events.iter() {
                self.handle_event(event, turn);
            }
            self.flush(turn);
            self.short_cut.ring();
            self.publish();
        }
    }

    /// The earliest moment at which something is due.
    fn deadline(&self) -> Option<Instant> {
        let server = self.server.poll_timeout().map(|deadline| deadline.at);
        let idle = self.idle.peek().map(|Reverse((at, ..))| *at);
        let reserve = self.reserve_ends.front().copied();
        let dtls = self.dtls.iter().flatten().filter_map(Dtls::deadline).min();
        [server, idle, reserve, dtls, self.accept_again].into_iter().flatten().min()
    }

    fn obey(&mut self, now: Now) -> std::ops::ControlFlow<()> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Converge(converge) => self.converge(converge, now),
                Order::Adopt(moving) => {
                    let view = Arc::clone(&self.view);
                    self.take_over(*moving, Turn { view: &view, now });
                }
                Order::Forget(client) => self.forget_mover(client),
                Order::Stop => return std::ops::ControlFlow::Break(()),
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    /// New sockets first, then the new rules, then the end of what is gone.
    fn converge(&mut self, converge: Converge, now: Now) {
        let Converge { view, open, close, done } = converge;
        self.view = Arc::clone(&view);
        let turn = Turn { view: &view, now };
        for socket in open {
            self.open(socket, turn);
        }
        self.renew_identities(turn);
        self.server.reconfigure(&*view, now);
        self.reserve.retain(|id| view.get(id).is_some());
        self.carry_out(turn);
        for id in close {
            self.close(id, turn);
        }
        self.flush(turn);
        self.publish();
        if let Some(done) = done {
            // Nobody waits any more: then nobody needs to know.
            let _ = done.send(());
        }
    }

    fn open(&mut self, socket: ListenerSocket, turn: Turn<'_>) {
        let id = socket.id();
        let Some(listener) = turn.view.get(id) else { return };
        let (slot, meter) = (usize::from(id.0), Arc::clone(&listener.meter));
        let added = match socket {
            ListenerSocket::Udp(_, socket) => {
                self.open_dtls(id, listener, turn);
                // Where there are connections, they are what is counted.
                if !self.speaks_dtls(id) {
                    meter.of(self.index).opened.add(1);
                }
                let added = self.poller.add(&socket, Source::Udp(slot).token(), Interest::Read);
                *slot_of(&mut self.sockets.udp, slot) = Some(Port { socket, meter, full_at: 0 });
                added
            }
            ListenerSocket::Second(_, socket) => {
                let added = self.poller.add(&socket, Source::Second(slot).token(), Interest::Read);
                *slot_of(&mut self.sockets.second, slot) = Some(Port { socket, meter, full_at: 0 });
                added
            }
            ListenerSocket::Tcp(_, socket) => {
                let added = self.poller.add(&socket, Source::Tcp(slot).token(), Interest::Read);
                *slot_of(&mut self.sockets.tcp, slot) = Some(Port { socket, meter, full_at: 0 });
                added
            }
        };
        if let Err(error) = added {
            let (index, name) = (self.index, &listener.name);
            tracing::error!(target: "stunner", "worker {index}: listener {name:?} is deaf: {error}");
        }
    }

    fn close(&mut self, id: ListenerId, turn: Turn<'_>) {
        let had_connections = self.close_dtls(id, turn);
        self.movers.retain(|client| client.listener() != id);
        self.flush(turn);
        let slot = usize::from(id.0);
        if let Some(port) = self.sockets.udp.get_mut(slot).and_then(Option::take)
            && !had_connections
        {
            port.meter.of(self.index).closed.add(1);
        }
        drop(self.sockets.second.get_mut(slot).and_then(Option::take));
        drop(self.sockets.tcp.get_mut(slot).and_then(Option::take));
        let of_listener = |(key, stream): (usize, &Stream)| (stream.client.listener() == id).then_some(key);
        let orphans: Vec<usize> = self.streams.iter().filter_map(of_listener).collect();
        for key in orphans {
            self.close_stream(key, turn);
        }
    }

    fn handle_deadlines(&mut self, turn: Turn<'_>) {
        if self.server.poll_timeout().is_some_and(|deadline| deadline.at <= turn.now.mono) {
            self.server.handle_timeout(turn.now);
            self.carry_out(turn);
        }
        if self.reserve_ends.pop_front_if(|at| *at <= turn.now.mono).is_some() {
            self.reserve.expire(turn.now.mono);
        }
        self.close_idle_streams(turn);
        self.handle_dtls_deadlines(turn);
        if self.accept_again.is_some_and(|at| at <= turn.now.mono) {
            self.accept_again = None;
            self.listen_for_connections(Interest::Read);
        }
    }

    fn handle_event(&mut self, event: Event, turn: Turn<'_>) {
        match Source::of(event.token) {
            Source::Udp(slot) => self.receive_from_clients(slot, turn),
            Source::Second(slot) => self.receive_at_second_port(slot, turn),
            Source::Relay(slot) => {
                if event.failed {
                    self.receive_icmp(slot, turn);
                }
                self.receive_from_peers(slot, turn);
            }
            Source::Tcp(slot) => self.accept(slot, turn),
            Source::Stream(key) => self.handle_stream(key, event, turn),
            Source::TcpRelay(slot) => self.accept_peers(slot, turn),
            Source::Peer(key) => self.handle_peer_stream(key, event, turn),
        }
    }

    /// How much to take from a socket that was last full in some turn.
    fn batch(&self, full_at: u32, [first, next]: [usize; 2]) -> usize {
        if full_at == self.turn.wrapping_sub(1) { next } else { first }
    }

    /// Makes sure that `slots` of the arena are free, with as many again for replies.
    fn make_room(&mut self, slots: usize, turn: Turn<'_>) {
        if self.arena.free() < 2 * slots {
            self.flush(turn);
        }
    }

    /// Sends everything that waits and reuses its memory.
    fn flush(&mut self, turn: Turn<'_>) {
        self.send_all();
        while !self.broken_streams.is_empty() {
            // Their end may leave something to be sent in turn.
            self.close_broken_streams(turn);
            self.send_all();
        }
        self.short_cut.forget_headers();
        self.sealed = None;
        self.arena.clear();
    }

    /// Whoever gets an answer finds it counted.
    fn send_all(&mut self) {
        self.publish();
        self.write_streams();
        self.flush_datagrams();
    }

    fn flush_datagrams(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let sockets = &self.sockets;
        let sent = self.queue.flush(&self.arena, |number| sockets.numbered(number));
        let stats = self.metrics.worker(self.index);
        if sent.full > 0 {
            stats.send_buffer_full.add(sent.full as u64);
        }
        if sent.failed > 0 {
            stats.not_sendable.add(sent.failed as u64);
        }
    }

    fn publish(&mut self) {
        let stats = self.metrics.worker(self.index);
        stats.publish_allocations(self.server.allocations());
        if std::mem::take(&mut self.counters_changed) {
            stats.publish_counters(self.server.counters());
        }
    }
}

/// The address of ours that a datagram came to.
fn local_address(socket: &UdpSocket, to: Option<std::net::IpAddr>) -> SocketAddr {
    let bound = socket.local_addr();
    SocketAddr::new(to.unwrap_or(bound.ip()), bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_what_it_was_made_of() {
        for source in [
            Source::Udp(0),
            Source::Tcp(65_535),
            Source::Relay(1 << 31),
            Source::Stream(7),
            Source::TcpRelay(3),
            Source::Peer(9),
            Source::Second(2),
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
