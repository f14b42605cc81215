//! One client and its allocation.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use client::{Dialer, Event, Failure, Incoming, Relay, Statistics};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::bridge::Client;
use crate::statistics::Totals;

/// The shortest and the longest pause between two attempts to get a new allocation.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What the sessions of all clients have in common.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) peer: SocketAddr,
    pub(crate) linger: Duration,
    pub(crate) idle: Duration,
    pub(crate) reconnect: Duration,
    pub(crate) totals: Arc<Totals>,
    pub(crate) stop: CancellationToken,
}

/// Why copying ended.
enum End {
    /// The client is done, or the program is.
    Done,
    /// The allocation is gone, and another one may be better.
    Lost(anyhow::Error),
}

/// What happened while a session waited.
enum Happened {
    FromClient(std::io::Result<Option<usize>>),
    ToClient(std::io::Result<()>),
    Lost(anyhow::Error),
    Quiet,
    Stop,
}

impl Session {
    /// Runs a session and logs what became of it, as its client has nobody else to tell.
    pub(crate) async fn run_reporting(&self, client: impl Client, name: &str) {
        if let Err(error) = self.run(client, name).await {
            tracing::warn!(target: "turncat", "connection of {name} closed: {error:#}");
        }
    }

    /// Copies between a client and the peer until either is done.
    ///
    /// # Errors
    /// There is no allocation, or it was lost, or the peer may not be reached.
    pub(crate) async fn run(&self, client: impl Client, name: &str) -> Result<()> {
        self.totals.opened.fetch_add(1, Relaxed);
        self.totals.open.fetch_add(1, Relaxed);
        let end = self.relay_for(client, name).await;
        self.totals.open.fetch_sub(1, Relaxed);
        if end.is_err() {
            self.totals.failed.fetch_add(1, Relaxed);
        }
        end
    }

    async fn relay_for(&self, mut client: impl Client, name: &str) -> Result<()> {
        let Some(mut relay) = self.connect().await? else { return Ok(()) };
        let mut buffer = vec![0; 65_536];
        loop {
            let relayed = relay.allocated().relayed;
            tracing::info!(
                target: "turncat",
                "new connection: client-address={name}, relayed-address={relayed}"
            );
            let end = self.copy(&mut client, &mut relay, &mut buffer).await;
            let Statistics { sent_packets, sent_bytes, received_packets, received_bytes } =
                relay.statistics();
            tracing::info!(
                target: "turncat",
                "connection ends: client-address={name}, relayed-address={relayed}, sent {sent_packets} packets \
                 with {sent_bytes} bytes, received {received_packets} packets with {received_bytes} bytes"
            );
            relay.close().await;
            let another = match end? {
                End::Done if self.stop.is_cancelled() || !client.comes_back() => None,
                End::Done => self.connect().await?,
                End::Lost(why) => self.connect_again(why).await?,
            };
            match another {
                Some(another) => relay = another,
                None => return Ok(()),
            }
        }
    }

    /// An allocation that may reach the peer; `None` if the program is to end.
    async fn connect(&self) -> Result<Option<Relay>> {
        tokio::select! {
            () = self.stop.cancelled() => Ok(None),
            relay = self.dial() => relay.map(Some),
        }
    }

    async fn dial(&self) -> Result<Relay> {
        let mut relay = self.dialer.dial().await?;
        relay.bind(self.peer);
        loop {
            match relay.next().await? {
                Incoming::Event(Event::Permitted(_) | Event::Bound { .. }) => return Ok(relay),
                Incoming::Event(Event::Refused { failure, .. }) if is_final(&failure) => {
                    relay.close().await;
                    bail!("the peer {} may not be reached: {failure}", self.peer);
                }
                Incoming::Event(_) | Incoming::Data(_) => {}
            }
        }
    }

    /// The same for a client that had an allocation, for as long as the command line says.
    async fn connect_again(&self, why: anyhow::Error) -> Result<Option<Relay>> {
        let deadline = Instant::now() + self.reconnect;
        let (mut pause, longest) = PAUSES;
        let mut last = why;
        while Instant::now() < deadline {
            tracing::warn!(target: "turncat", "{last:#}; trying again");
            match timeout_at(deadline, self.connect()).await {
                Ok(Ok(relay)) => return Ok(relay),
                Ok(Err(error)) => last = error,
                Err(_) => break,
            }
            tokio::select! {
                () = self.stop.cancelled() => return Ok(None),
                () = sleep(pause) => pause = (pause * 2).min(longest),
            }
        }
        Err(last)
    }

    async fn copy(&self, client: &mut impl Client, relay: &mut Relay, buffer: &mut [u8]) -> Result<End> {
        let mut counted = Statistics::default();
        let mut is_open = true;
        let mut quiet_at = self.quiet_at(client, is_open);
        loop {
            let may_send = is_open && !relay.is_congested();
            let happened = tokio::select! {
                received = client.receive(buffer), if may_send => Happened::FromClient(received),
                incoming = relay.next() => match incoming {
                    Ok(incoming) => match self.payload(incoming)? {
                        Some(payload) => Happened::ToClient(client.send(payload).await),
                        None => continue,
                    },
                    Err(error) => Happened::Lost(anyhow!(error).context("the allocation is lost")),
                },
                () = wait_until(quiet_at) => Happened::Quiet,
                () = self.stop.cancelled() => Happened::Stop,
            };
            match happened {
                Happened::FromClient(received) => match received.context("reading from the client")? {
                    Some(len) => {
                        if let Err(error) = relay.send(self.peer, &buffer[..len]) {
                            tracing::debug!(target: "turncat", "{len} bytes dropped: {error}");
                        }
                    }
                    None => is_open = false,
                },
                Happened::ToClient(sent) => sent.context("writing to the client")?,
                Happened::Lost(why) => return Ok(End::Lost(why)),
                Happened::Quiet | Happened::Stop => return Ok(End::Done),
            }
            self.totals.add(&mut counted, relay.statistics());
            quiet_at = self.quiet_at(client, is_open);
        }
    }

    /// What the client gets of what came from the relay.
    fn payload<'p>(&self, incoming: Incoming<'p>) -> Result<Option<&'p [u8]>> {
        match incoming {
            Incoming::Data(received) if received.peer == self.peer => Ok(Some(received.payload)),
            Incoming::Data(received) => {
                tracing::debug!(target: "turncat", "packet from {} dropped: not the peer", received.peer);
                Ok(None)
            }
            Incoming::Event(Event::Refused { failure, .. }) if is_final(&failure) => {
                bail!("the peer {} may not be reached any more: {failure}", self.peer)
            }
            Incoming::Event(_) => Ok(None),
        }
    }

    /// When silence from now on ends the session: soon after the end of the input, late for clients that say no
    /// goodbye, and never for others.
    fn quiet_at(&self, client: &impl Client, is_open: bool) -> Option<Instant> {
        match is_open {
            false => Some(Instant::now() + self.linger),
            true => client.goes_silently().then(|| Instant::now() + self.idle),
        }
    }
}

/// Without a channel there are still indications.
fn is_final(failure: &Failure) -> bool {
    let is_channel = match failure {
        Failure::Refused(refusal) => refusal.method == client::Method::ChannelBind,
        Failure::NoAnswer { method } => *method == client::Method::ChannelBind,
    };
    !is_channel
}

async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
