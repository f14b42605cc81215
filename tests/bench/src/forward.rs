//! The bare forwarder: what any server has to pay for a packet, and nothing else.
//!
//! It receives and sends in batches and passes trains on as trains. It knows no TURN, has no table and no state:
//! where a packet goes follows from its source by arithmetic, see [`place`].

use std::io;
use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use net::{
    Arena, Events, Interest, Outgoing, Poller, SendQueue, Slot, Span, Token, Trains, UdpOptions, UdpSocket,
};

use crate::place;

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Route {
    /// From a client to the peer of its number and back, all through one socket.
    Peer,
    /// From a client to the client whose number differs in the last bit, through the same socket: one receive and
    /// one send from end to end.
    Client,
    /// From a client to its peer and back, with a socket for each client towards its peer, as TURN demands.
    Sockets,
}

/// What the forwarder must know.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Where packets go
    #[arg(long, value_enum)]
    pub route: Route,
    /// The port of all clients
    #[arg(long)]
    pub clients: u16,
    /// The port of all peers
    #[arg(long)]
    pub peers: u16,
    /// How many clients have a socket of their own
    #[arg(long, default_value_t = 0)]
    pub sockets: usize,
}

/// Datagrams, or trains of them, taken from a socket at once.
const BATCH: usize = 64;
/// Datagrams that leave at once: every datagram of every train of a batch, as a rule.
const QUEUE: usize = 1024;
/// The number of the socket that clients send to; those towards peers follow.
const FRONT: u32 = 0;

struct Forwarder {
    settings: Settings,
    front: UdpSocket,
    back: Vec<UdpSocket>,
    arena: Arena,
    queue: SendQueue,
}

/// Runs until it is killed. `ready` is told the address as soon as it listens.
///
/// # Errors
/// Whatever the kernel answers to opening and polling sockets.
pub fn run(settings: Settings, ready: impl FnOnce(SocketAddr) -> io::Result<()>) -> io::Result<()> {
    let options = UdpOptions {
        reuse_port: false,
        packet_info: false,
        receive_trains: Trains::Always,
        ..UdpOptions::LISTENER
    };
    let bind = |options: &UdpOptions| UdpSocket::bind(place::server(0), options);
    let front = bind(&options)?;
    let back = (0..settings.sockets)
        .map(|_| bind(&UdpOptions { receive_trains: Trains::Always, ..UdpOptions::RELAY }))
        .collect::<io::Result<Vec<_>>>()?;
    let poller = Poller::new()?;
    for (socket, number) in std::iter::once(&front).chain(&back).zip(0..) {
        poller.add(socket, Token(number), Interest::Read)?;
    }
    ready(front.local_addr())?;
    let arena = Arena::new(2 * BATCH as u16);
    let mut forwarder = Forwarder { settings, front, back, arena, queue: SendQueue::new(QUEUE) };
    let mut events = Events::new(BATCH);
    loop {
        poller.wait(&mut events, None)?;
        for event in events.iter() {
            forwarder.receive(event.token.0 as usize)?;
        }
        forwarder.flush();
    }
}

impl Forwarder {
    fn receive(&mut self, socket: usize) -> io::Result<()> {
        if self.arena.free() < BATCH {
            self.flush();
        }
        let slots = match socket.checked_sub(1) {
            None => self.arena.receive(&self.front, BATCH)?,
            Some(number) => self.arena.receive(&self.back[number], BATCH)?,
        };
        for slot in slots {
            let from = self.arena.packet(slot).from;
            // Nobody is served who is neither client nor peer.
            if !place::is_stranger(from.ip()) {
                let (through, to) = self.route(socket, from);
                self.forward(slot, through, to);
            }
        }
        Ok(())
    }

    /// The socket to send through, and the destination, of what a socket received.
    fn route(&self, socket: usize, from: SocketAddr) -> (u32, SocketAddr) {
        let Settings { route, clients, peers, .. } = self.settings;
        let number = place::number(from.ip());
        let client = |number| SocketAddr::new(place::client(number), clients);
        let peer = |number| SocketAddr::new(place::peer(number), peers);
        match route {
            Route::Client => (FRONT, client(number ^ 1)),
            Route::Peer if place::is_client(from.ip()) => (FRONT, peer(number)),
            Route::Peer => (FRONT, client(number)),
            Route::Sockets if socket as u32 == FRONT => (1 + number as u32, peer(number)),
            Route::Sockets => (FRONT, client(number)),
        }
    }

    fn forward(&mut self, slot: Slot, socket: u32, to: SocketAddr) {
        let packet = self.arena.packet(slot);
        let count = packet.datagrams().count();
        if self.queue.free() < count {
            let back = &self.back;
            self.queue.flush(&self.arena, |number| numbered(&self.front, back, number));
        }
        for (at, datagram) in packet.datagrams() {
            let span = Span::payload(slot, at, datagram.len());
            self.queue.push(Outgoing { socket, span, to, from: None, dont_fragment: false });
        }
    }

    fn flush(&mut self) {
        self.queue.flush(&self.arena, |number| numbered(&self.front, &self.back, number));
        self.arena.clear();
    }
}

fn numbered<'s>(front: &'s UdpSocket, back: &'s [UdpSocket], number: u32) -> Option<&'s UdpSocket> {
    match number.checked_sub(1) {
        None => Some(front),
        Some(number) => back.get(number as usize),
    }
}
