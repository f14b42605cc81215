//! A flood: packets from very many addresses that have proved nothing, and what each of them gets for it.
//!
//! One socket sends from all of them, since every address of 127.0.0.0/8 is this machine's; a server cannot tell them
//! from machines of their own. What comes back is counted for the address it comes to.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use net::{
    Arena, DtlsClient, DtlsPeer, Events, Interest, Outgoing, Poller, SendQueue, Span, Token, UdpOptions,
    UdpSocket,
};
use stun::attribute::{Nonce, Realm, RequestedTransport, Username};
use stun::{BufferTooSmall, Class, Key, Method, TransactionId, Writer};

use crate::place;

/// As many addresses as a flood comes from.
pub const SOURCES: usize = 100_000;

/// What listeners a flood is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Requests without credentials and with invented ones, Bindings, data for no channel, and noise.
    Udp,
    /// Hellos without a cookie and with an invented one, records without keys, and noise. From one source in a hundred
    /// also a hello with the cookie that it was given: that source has proved its address.
    Dtls,
}

/// What one address sent and got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// Datagrams and bytes that it sent.
    pub sent: (u32, u32),
    /// Datagrams and bytes that it got.
    pub got: (u32, u32),
    /// It has proved its address.
    pub proved: bool,
}

/// What all of them together sent and got.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Sum {
    /// Addresses that sent anything.
    pub sources: usize,
    /// Datagrams sent.
    pub packets: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Datagrams that came back to addresses that have proved nothing.
    pub answers: u64,
    /// Bytes of those.
    pub answered: u64,
    /// Of those addresses, how many got more datagrams than they sent.
    pub too_many: usize,
    /// The most bytes that came back to one of them for each byte it sent.
    pub amplification: f64,
}

/// Somebody who floods a listener.
pub struct Flood {
    kind: Kind,
    server: SocketAddr,
    socket: UdpSocket,
    poller: Poller,
    events: Events,
    arena: Arena,
    queue: SendQueue,
    next: usize,
    turn: usize,
    accounts: Vec<Account>,
    /// Hellos that prove an address, ready to be sent.
    proofs: Vec<(usize, Vec<u8>)>,
    packets: Vec<Vec<u8>>,
}

const BATCH: usize = 64;
/// One source in so many proves its address, if there is a way to.
const PROVING: usize = 100;

impl Flood {
    /// Somebody who floods `server` from as many addresses.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn new(kind: Kind, server: SocketAddr, sources: usize) -> io::Result<Self> {
        let options = UdpOptions { reuse_port: false, ..UdpOptions::LISTENER };
        let socket = UdpSocket::bind(([0, 0, 0, 0], 0).into(), &options)?;
        let poller = Poller::new()?;
        poller.add(&socket, Token(0), Interest::Read)?;
        let packets = match kind {
            Kind::Udp => requests().map_err(|_| io::Error::other("a request does not fit"))?,
            Kind::Dtls => records(),
        };
        Ok(Self {
            kind,
            server,
            socket,
            poller,
            events: Events::new(1),
            arena: Arena::new(4 * BATCH as u16),
            queue: SendQueue::new(2 * BATCH),
            next: 0,
            turn: 0,
            accounts: vec![Account::default(); sources],
            proofs: Vec::new(),
            packets,
        })
    }

    /// Sends a packet from each of the next `count` addresses, and takes what has come back so far.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn send(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            let source = self.next;
            self.next = (source + 1) % self.accounts.len();
            // The next round sends something else from the same address.
            self.turn += usize::from(self.next == 0);
            let packet = self.packets[(source + self.turn) % self.packets.len()].clone();
            self.push(source, &packet)?;
        }
        while let Some((source, hello)) = self.proofs.pop() {
            self.accounts[source].proved = true;
            self.push(source, &hello)?;
        }
        self.flush();
        self.take(Duration::ZERO)
    }

    fn push(&mut self, source: usize, packet: &[u8]) -> io::Result<()> {
        if self.arena.free() <= BATCH || self.queue.free() == 0 {
            self.flush();
            self.take(Duration::ZERO)?;
        }
        let Some(slot) = self.arena.take() else { return Ok(()) };
        self.arena.payload_mut(slot)[..packet.len()].copy_from_slice(packet);
        let account = &mut self.accounts[source];
        account.sent = (account.sent.0 + 1, account.sent.1 + packet.len() as u32);
        self.queue.push(Outgoing {
            socket: 0,
            span: Span::payload(slot, 0, packet.len()),
            to: self.server,
            from: Some(place::stranger(source)),
            dont_fragment: false,
        });
        Ok(())
    }

    fn flush(&mut self) {
        let socket = &self.socket;
        self.queue.flush(&self.arena, |_| Some(socket));
        self.arena.clear();
    }

    /// Takes what comes back, waiting for the first of it so long at most.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn take(&mut self, timeout: Duration) -> io::Result<()> {
        self.flush();
        self.poller.wait(&mut self.events, Some(timeout))?;
        loop {
            let slots = self.arena.receive(&self.socket, BATCH)?;
            let mut arrived = 0;
            for slot in slots {
                arrived += 1;
                let packet = self.arena.packet(slot);
                let Some(source) = packet.to.map(place::number) else { continue };
                for (_, bytes) in packet.datagrams() {
                    let Some(account) = self.accounts.get_mut(source) else { continue };
                    account.got = (account.got.0 + 1, account.got.1 + bytes.len() as u32);
                    if self.kind == Kind::Dtls && source % PROVING == 0 && !account.proved {
                        let cookie = DtlsClient::cookie(bytes);
                        self.proofs.extend(cookie.map(|cookie| (source, hello(cookie))));
                    }
                }
            }
            self.arena.clear();
            if arrived < BATCH {
                return Ok(());
            }
        }
    }

    /// What became of it.
    pub fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for account in &self.accounts {
            let (sent, got) = (account.sent, account.got);
            sum.sources += usize::from(sent.0 > 0);
            sum.packets += u64::from(sent.0);
            sum.bytes += u64::from(sent.1);
            if account.proved {
                continue;
            }
            sum.answers += u64::from(got.0);
            sum.answered += u64::from(got.1);
            sum.too_many += usize::from(got.0 > sent.0);
            if sent.1 > 0 {
                sum.amplification = sum.amplification.max(f64::from(got.1) / f64::from(sent.1));
            }
        }
        sum
    }
}

fn begin(buffer: &mut [u8], method: Method) -> Result<Writer<'_>, BufferTooSmall> {
    Writer::new(buffer, Class::Request, method, TransactionId::new([7; 12]))
}

fn requests() -> Result<Vec<Vec<u8>>, BufferTooSmall> {
    let mut packets = Vec::new();
    let mut buffer = [0; 512];
    let mut writer = begin(&mut buffer, Method::Allocate)?;
    writer.put(&RequestedTransport::UDP)?;
    let len = writer.finish();
    packets.push(buffer[..len].to_vec());
    let len = begin(&mut buffer, Method::Binding)?.finish();
    packets.push(buffer[..len].to_vec());
    // A name, a nonce and a signature that are nobody's.
    for method in [Method::Allocate, Method::Refresh, Method::CreatePermission] {
        let mut writer = begin(&mut buffer, method)?;
        writer.put(&RequestedTransport::UDP)?;
        writer.put(&Username::new("user").map_err(|_| BufferTooSmall)?)?;
        writer.put(&Realm::new("bench").map_err(|_| BufferTooSmall)?)?;
        writer.put(&Nonce::new("obMatJos2AAAAinvented").map_err(|_| BufferTooSmall)?)?;
        let len = writer.finish_with_integrity(&Key::long_term("user", "bench", "wrong"))?;
        packets.push(buffer[..len].to_vec());
    }
    packets.push([&[0x40, 0, 0, 100][..], &[1; 100]].concat());
    packets.push(vec![0xFF; 64]);
    packets.push(vec![0; 1]);
    Ok(packets)
}

fn client() -> DtlsClient {
    let nobody = ([0, 0, 0, 0], 0).into();
    DtlsClient::new(DtlsPeer { remote: nobody, local: nobody }, 7)
}

fn hello(cookie: &[u8]) -> Vec<u8> {
    client().hello(cookie)
}

fn records() -> Vec<Vec<u8>> {
    let mut stray = client();
    let cut = hello(&[]);
    let cut = cut[..cut.len() / 2].to_vec();
    vec![
        hello(&[]),
        hello(&[]),
        hello(&[9; 17]),
        stray.plain(23, &[1; 100]),
        stray.plain(21, &[1, 0]),
        stray.plain(22, &[20; 60]),
        cut,
        vec![0xFF; 64],
    ]
}
