//! The ends of the load: sockets of clients and peers, read and written in batches.
//!
//! All UDP clients share a socket, and so do all peers; their addresses differ. TCP, TLS and DTLS clients have a
//! connection each.

mod link;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use net::{
    Arena, Event, Events, Flush, Interest, Outgoing, Poller, Read, SendQueue, Slot, Span, Token, Trains,
    UdpOptions, UdpSocket,
};
use stun::frame::{self, Frame};

use self::link::Link;
pub(crate) use self::link::answers_hellos;
use crate::place;

/// How clients are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A datagram is a message.
    Udp,
    /// Messages follow each other in a stream.
    Tcp,
    /// The same, encrypted.
    Tls,
    /// A datagram is an encrypted message.
    Dtls,
}

impl Transport {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Dtls => "dtls",
        }
    }
}

/// One end of the path through the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Clients talk to the server.
    Client,
    /// Peers talk to relays.
    Peer,
}

/// A message that arrived. Its bytes are there until the next [`Wires::clear`].
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Where.
    pub side: Side,
    /// At which client or peer.
    pub number: usize,
    /// From whom.
    pub from: SocketAddr,
    slot: Slot,
    at: usize,
    len: usize,
}

/// The sockets, and the memory for what comes and goes.
pub struct Wires {
    poller: Poller,
    events: Events,
    ready: Vec<Event>,
    arena: Arena,
    queue: SendQueue,
    clients: UdpSocket,
    peers: UdpSocket,
    streams: Vec<Stream>,
    unflushed: Vec<usize>,
    server: SocketAddr,
    /// Messages that could not be sent.
    pub unsent: u64,
}

struct Stream {
    link: Link,
    /// The beginning of a message whose end has not arrived.
    rest: Vec<u8>,
    unflushed: bool,
    awaits_room: bool,
}

const CLIENTS: u32 = 0;
const PEERS: u32 = 1;
const STREAMS: u64 = 2;
const ARENA: u16 = 256;
const BATCH: usize = 64;
const QUEUE: usize = 4096;
/// As much as a stream is read at once.
const READ: usize = 32 << 10;

impl Wires {
    /// Sockets for UDP clients and for peers. `trains` lets bursts travel together.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn new(trains: bool) -> io::Result<Self> {
        let options = UdpOptions {
            reuse_port: false,
            receive_trains: if trains { Trains::Always } else { Trains::Never },
            send_trains: trains,
            ..UdpOptions::LISTENER
        };
        let wildcard: SocketAddr = ([0, 0, 0, 0], 0).into();
        let clients = UdpSocket::bind(wildcard, &options)?;
        let peers = UdpSocket::bind(wildcard, &options)?;
        let poller = Poller::new()?;
        poller.add(&clients, Token(CLIENTS.into()), Interest::Read)?;
        poller.add(&peers, Token(PEERS.into()), Interest::Read)?;
        Ok(Self {
            poller,
            events: Events::new(BATCH),
            ready: Vec::with_capacity(BATCH),
            arena: Arena::new(ARENA),
            queue: SendQueue::new(QUEUE),
            clients,
            peers,
            streams: Vec::new(),
            unflushed: Vec::new(),
            server: wildcard,
            unsent: 0,
        })
    }

    /// The port of all UDP clients.
    pub fn clients_port(&self) -> u16 {
        self.clients.local_addr().port()
    }

    /// The address of a peer.
    pub fn peer(&self, number: usize) -> SocketAddr {
        SocketAddr::new(place::peer(number), self.peers.local_addr().port())
    }

    /// Says where clients send to, and connects so many of them, numbered from 0, if they need connections.
    ///
    /// # Errors
    /// A connection cannot be made.
    pub fn connect(&mut self, server: SocketAddr, transport: Transport, clients: usize) -> io::Result<()> {
        self.server = server;
        if transport == Transport::Udp {
            return Ok(());
        }
        for number in self.streams.len()..clients {
            let link = Link::connect(server, transport, number)?;
            self.poller.add(&link, Token(STREAMS + number as u64), Interest::Read)?;
            self.streams.push(Stream { link, rest: Vec::new(), unflushed: false, awaits_room: false });
        }
        Ok(())
    }

    /// Waits for something to arrive, but not longer than `timeout`, and adds it to `arrivals`.
    ///
    /// # Errors
    /// A socket broke, or the server closed a connection.
    pub fn receive(&mut self, timeout: Duration, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        self.poller.wait(&mut self.events, Some(timeout))?;
        self.ready.clear();
        self.ready.extend(self.events.iter());
        for index in 0..self.ready.len() {
            let event = self.ready[index];
            match event.token.0.checked_sub(STREAMS) {
                None if event.token.0 == u64::from(CLIENTS) => self.receive_datagrams(Side::Client, arrivals),
                None => self.receive_datagrams(Side::Peer, arrivals),
                Some(number) => self.receive_stream(number as usize, event.writable, arrivals),
            }?;
        }
        Ok(())
    }

    fn receive_datagrams(&mut self, side: Side, arrivals: &mut Vec<Arrival>) -> io::Result<()> {
        let socket = match side {
            Side::Client => &self.clients,
            Side::Peer => &self.peers,
        };
        for slot in self.arena.receive(socket, BATCH)? {
            let packet = self.arena.packet(slot);
            let number = packet.to.map_or(0, place::number);
            let from = packet.from;
            let arrived = packet.datagrams();
            arrivals.extend(arrived.map(|(at, bytes)| Arrival {
                side,
                number,
                from,
                slot,
                at,
                len: bytes.len(),
            }));
        }
        Ok(())
    }

    fn receive_stream(
        &mut self,
        number: usize,
        writable: bool,
        arrivals: &mut Vec<Arrival>,
    ) -> io::Result<()> {
        if writable {
            self.flush_stream(number)?;
        }
        // What finds no room is reported again.
        let Some(slot) = self.arena.take() else { return Ok(()) };
        let stream = &mut self.streams[number];
        let buffer = self.arena.payload_mut(slot);
        let mut filled = stream.rest.len();
        buffer[..filled].copy_from_slice(&stream.rest);
        stream.rest.clear();
        match stream.link.read(&mut buffer[filled..filled + READ])? {
            Read::Data(len) => filled += len,
            Read::Nothing => {}
            Read::End => return Err(io::Error::other("the server closed a connection")),
        }
        let from = stream.link.remote();
        let mut at = 0;
        loop {
            let (len, padded) = match frame::next(&buffer[at..filled]) {
                Frame::Message(len) => (len, len),
                Frame::ChannelData { len, padded } => (len, padded),
                Frame::Incomplete { .. } => break,
                Frame::Invalid => {
                    return Err(io::Error::other("the server sent neither STUN nor ChannelData"));
                }
            };
            arrivals.push(Arrival { side: Side::Client, number, from, slot, at, len });
            at += padded;
        }
        stream.rest.extend_from_slice(&buffer[at..filled]);
        Ok(())
    }

    /// From now on nobody looks at what arrives at the peers.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn deafen_peers(&mut self) -> io::Result<()> {
        self.poller.change(&self.peers, Token(PEERS.into()), Interest::Nothing)
    }

    /// The bytes of a message.
    pub fn bytes(&self, arrival: Arrival) -> &[u8] {
        &self.arena.payload(arrival.slot)[arrival.at..arrival.at + arrival.len]
    }

    /// Memory for messages to be sent, if there is any until the next [`Wires::clear`].
    pub fn draft(&mut self) -> Option<Slot> {
        self.arena.take()
    }

    /// The memory of a draft, 65 536 bytes.
    pub fn draft_bytes(&mut self, draft: Slot) -> &mut [u8] {
        self.arena.payload_mut(draft)
    }

    /// Sends a part of a draft from a client to the server.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send_up(&mut self, client: usize, draft: Slot, at: usize, len: usize) -> io::Result<()> {
        let span = Span::payload(draft, at, len);
        let Some(stream) = self.streams.get_mut(client) else {
            let from = Some(place::client(client));
            return self.enqueue(Outgoing {
                socket: CLIENTS,
                span,
                to: self.server,
                from,
                dont_fragment: false,
            });
        };
        if !stream.link.queue(self.arena.bytes(span)) {
            self.unsent += 1;
        } else if !stream.unflushed {
            stream.unflushed = true;
            self.unflushed.push(client);
        }
        Ok(())
    }

    /// Sends a part of a draft from a peer.
    ///
    /// # Errors
    /// A connection broke.
    pub fn send_down(
        &mut self,
        peer: usize,
        to: SocketAddr,
        draft: Slot,
        at: usize,
        len: usize,
    ) -> io::Result<()> {
        let span = Span::payload(draft, at, len);
        let from = Some(place::peer(peer));
        self.enqueue(Outgoing { socket: PEERS, span, to, from, dont_fragment: false })
    }

    /// Sends what arrived at a peer back to where it came from.
    ///
    /// # Errors
    /// A connection broke.
    pub fn echo(&mut self, arrival: Arrival) -> io::Result<()> {
        self.send_down(arrival.number, arrival.from, arrival.slot, arrival.at, arrival.len)
    }

    fn enqueue(&mut self, outgoing: Outgoing) -> io::Result<()> {
        if self.queue.free() == 0 {
            self.flush()?;
        }
        self.queue.push(outgoing);
        Ok(())
    }

    /// Sends everything.
    ///
    /// # Errors
    /// A connection broke.
    pub fn flush(&mut self) -> io::Result<()> {
        let sockets = [&self.clients, &self.peers];
        let sent = self.queue.flush(&self.arena, |number| sockets.get(number as usize).copied());
        self.unsent += (sent.full + sent.failed) as u64;
        while let Some(number) = self.unflushed.pop() {
            self.flush_stream(number)?;
        }
        Ok(())
    }

    fn flush_stream(&mut self, number: usize) -> io::Result<()> {
        let stream = &mut self.streams[number];
        stream.unflushed = false;
        let awaits_room = stream.link.flush()? == Flush::Pending;
        if stream.awaits_room != awaits_room {
            stream.awaits_room = awaits_room;
            let interest = if awaits_room { Interest::ReadWrite } else { Interest::Read };
            self.poller.change(&stream.link, Token(STREAMS + number as u64), interest)?;
        }
        Ok(())
    }

    /// Forgets everything that arrived and was sent.
    pub fn clear(&mut self) {
        self.arena.clear();
    }
}
