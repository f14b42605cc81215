//! An allocation in use.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use thiserror::Error;
use tokio::time::{Instant as TokioInstant, sleep_until, timeout};
use turn::client::{Allocated, CannotSend, Client, End, Event, Output, Received};

use crate::clock;
use crate::login::Login;
use crate::server::Server;
use crate::wire::{Reader, Writer};

/// Bytes that may wait for the server before a sender should pause.
const CONGESTION: usize = 256 << 10;

/// How long a server may take to confirm that an allocation is given back.
const FAREWELL: Duration = Duration::from_secs(1);

/// An allocation on a server. What has not been given back with [`Relay::close`] lives on the server until its
/// lifetime is over.
///
/// It works while somebody waits in [`Relay::next`]: that is where packets are sent and received and where the
/// allocation is refreshed.
pub struct Relay {
    server: Server,
    core: Client<ChaCha20Rng>,
    reader: Reader,
    writer: Writer,
    login: Login,
    renew_login_at: Option<Instant>,
    allocated: Option<Allocated>,
    ended: Option<End>,
    packet: Box<[u8]>,
    statistics: Statistics,
}

/// What comes out of a relay.
#[derive(Debug)]
pub enum Incoming<'r> {
    /// A peer sent something.
    Data(Received<'r>),
    /// Something happened to the allocation.
    Event(Event),
}

/// Why a relay is of no use any more.
#[derive(Debug, Error)]
pub enum RelayError {
    /// The allocation is gone.
    #[error("{0}")]
    Ended(End),
    /// The server cannot be reached any more.
    #[error("connection to the server: {0}")]
    Io(#[from] io::Error),
}

/// What went through a relay, payload only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets sent to peers.
    pub sent_packets: u64,
    /// Bytes sent to peers.
    pub sent_bytes: u64,
    /// Packets received from peers.
    pub received_packets: u64,
    /// Bytes received from peers.
    pub received_bytes: u64,
}

/// What woke [`Relay::next`].
enum Woken {
    Flushed(io::Result<()>),
    Due,
    Packet(io::Result<Range<usize>>),
}

impl Relay {
    pub(crate) fn new(
        server: Server,
        core: Client<ChaCha20Rng>,
        (reader, writer): (Reader, Writer),
        login: Login,
        renew_login_at: Option<Instant>,
    ) -> Self {
        Self {
            server,
            core,
            reader,
            writer,
            login,
            renew_login_at,
            allocated: None,
            ended: None,
            packet: vec![0; 65_536 + Client::<ChaCha20Rng>::MAX_OVERHEAD].into(),
            statistics: Statistics::default(),
        }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The addresses of the allocation.
    ///
    /// # Panics
    /// Never for a relay that [`dial`](crate::Dialer::dial) gave.
    pub fn allocated(&self) -> Allocated {
        self.allocated.unwrap_or_else(|| unreachable!("relays are handed out with an allocation"))
    }

    /// What went through so far.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Lets a host be reached and reach the allocation; [`Event::Permitted`] or [`Event::Refused`] will tell.
    pub fn permit(&mut self, peer: IpAddr) {
        self.core.permit(peer, clock::now());
    }

    /// The same for a peer, and with a channel, which spares 32 bytes a packet.
    pub fn bind(&mut self, peer: SocketAddr) {
        self.core.bind(peer, clock::now());
    }

    /// Sends a packet to a peer. Where the socket takes no more it waits until [`Relay::next`] is called; before it
    /// sends more, a caller should see whether the relay [is congested](Relay::is_congested).
    ///
    /// # Errors
    /// The server would drop the packet, or it is too long; nothing was sent.
    pub fn send(&mut self, peer: SocketAddr, payload: &[u8]) -> Result<(), CannotSend> {
        let len = self.core.write(peer, payload, &mut self.packet)?;
        if let Err(error) = self.writer.push(&self.packet[..len]) {
            // Packets get lost; whether the server is gone the next read will tell.
            tracing::debug!("sending to {}: {error}", self.server);
            return Ok(());
        }
        self.statistics.sent_packets += 1;
        self.statistics.sent_bytes += payload.len() as u64;
        Ok(())
    }

    /// Whether so much waits for the server that a sender should let [`Relay::next`] run first.
    pub fn is_congested(&self) -> bool {
        self.writer.waiting() > CONGESTION
    }

    /// Waits for the next thing from the server, and does meanwhile what keeps the allocation alive. Nothing is lost
    /// if the wait is given up.
    ///
    /// # Errors
    /// The allocation is gone, or the way to the server.
    pub async fn next(&mut self) -> Result<Incoming<'_>, RelayError> {
        let (peer, place) = loop {
            if let Some(event) = self.next_event()? {
                return Ok(Incoming::Event(event));
            }
            match self.wake().await {
                Woken::Flushed(flushed) => flushed?,
                Woken::Due => self.handle_timeout(),
                Woken::Packet(packet) => {
                    let packet = packet?;
                    if let Some(found) = self.handle_packet(packet) {
                        break found;
                    }
                }
            }
        };
        self.statistics.received_packets += 1;
        self.statistics.received_bytes += place.len() as u64;
        Ok(Incoming::Data(Received { peer, payload: &self.reader.bytes()[place] }))
    }

    /// Gives the allocation back, and waits a moment for the server to say so.
    pub async fn close(mut self) {
        self.core.release(clock::now());
        let farewell = async { while self.next().await.is_ok() {} };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("{} does not confirm that the allocation is given back", self.server);
        }
        drop(timeout(FAREWELL, self.writer.close()).await);
    }

    /// Sends what the core wants sent, and gives what it wants known.
    fn next_event(&mut self) -> Result<Option<Event>, RelayError> {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Send(message) => self.writer.push(&message)?,
                Output::Event(Event::Ended(end)) => self.ended = Some(end),
                Output::Event(event) => {
                    if let Event::Allocated(allocated) = event {
                        self.allocated = Some(allocated);
                    }
                    return Ok(Some(event));
                }
            }
        }
        self.ended.clone().map_or(Ok(None), |end| Err(RelayError::Ended(end)))
    }

    async fn wake(&mut self) -> Woken {
        let deadline = self.core.poll_timeout().map(|deadline| deadline.at);
        let deadline = [deadline, self.renew_login_at].into_iter().flatten().min();
        let due = async {
            match deadline {
                Some(at) => sleep_until(TokioInstant::from_std(at)).await,
                None => std::future::pending().await,
            }
        };
        let must_flush = self.writer.waiting() > 0;
        tokio::select! {
            flushed = self.writer.flush(), if must_flush => Woken::Flushed(flushed),
            packet = self.reader.next() => Woken::Packet(packet),
            () = due => Woken::Due,
        }
    }

    fn handle_timeout(&mut self) {
        let now = clock::now();
        if self.renew_login_at.is_some_and(|at| at <= now) {
            let (credentials, renew_after) = self.login.credentials(clock::unix());
            self.core.set_credentials(credentials);
            self.renew_login_at = renew_after.map(|after| now + after);
        }
        self.core.handle_timeout(now);
    }

    /// Gives the peer that sent it and the place of the payload, if a peer did.
    fn handle_packet(&mut self, place: Range<usize>) -> Option<(SocketAddr, Range<usize>)> {
        let start = place.start;
        let packet = &self.reader.bytes()[place];
        let Received { peer, payload } = self.core.handle_input(packet, clock::now())?;
        let offset = start + (payload.as_ptr().addr() - packet.as_ptr().addr());
        Some((peer, offset..offset + payload.len()))
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("server", &self.server)
            .field("allocated", &self.allocated)
            .finish_non_exhaustive()
    }
}
