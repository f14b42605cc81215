//! One WebRTC connection with one data channel.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use client::{DialError, Dialer, Login, Server};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event as RtcEvent, IceConnectionState, Input, Output, Rtc};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::ice::{IceServer, Policy};
use crate::path::{self, Packet, Path};

/// The longest message on a channel, in bytes.
pub const MAX_MESSAGE: usize = 64 << 10;

/// Messages that wait to be read, or to be sent.
const WAITING: usize = 1024;

/// How much of what was written may wait in the connection before more is taken.
const MAX_BUFFERED: usize = 256 << 10;

/// An address of the documentation that leads to the default route.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How a channel treats messages that get lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In order, and until they arrive.
    Reliable,
    /// Once, in whatever order: loss is seen.
    Once,
}

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The channel is open.
    Open,
    /// A message arrived.
    Message(Vec<u8>),
    /// This is the end.
    Ended(Ended),
}

/// Why a connection is over.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Ended {
    /// One of the sides closed it.
    #[error("closed")]
    Closed,
    /// No pair of addresses works, or none any more.
    #[error("ICE failed: no pair of candidates carries packets; {0}")]
    IceFailed(String),
    /// The WebRTC stack gave up.
    #[error("WebRTC: {0}")]
    Broken(String),
}

/// The candidates of both sides, and the pair that is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Ours, as in `udp4 relay 192.0.2.1:50000`.
    pub local: Vec<String>,
    /// Theirs.
    pub remote: Vec<String>,
    /// Places of the pair that is used in the two lists.
    pub selected: Option<(Option<usize>, Option<usize>)>,
}

/// Why a connection cannot be prepared.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// No relay, and nothing else may be used.
    #[error("no relay candidate: {0}")]
    NoRelay(String),
    /// The other side's SDP makes no sense.
    #[error("SDP: {0}")]
    Sdp(String),
    /// A socket of this host.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// The handle of a running connection. Dropped, the connection is closed.
#[derive(Debug)]
pub struct Connection {
    events: mpsc::Receiver<Event>,
    messages: mpsc::Sender<Vec<u8>>,
    candidates: tokio::sync::watch::Receiver<Candidates>,
    stop: CancellationToken,
}

impl Connection {
    /// Waits for what happens next; `None` after the end.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Sends a message, after those that wait.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn send(&self, message: Vec<u8>) -> Result<(), Ended> {
        self.messages.send(message).await.map_err(|_| Ended::Closed)
    }

    /// The candidates of both sides.
    pub fn candidates(&self) -> Candidates {
        self.candidates.borrow().clone()
    }

    /// Closes the connection. [`Event::Ended`] follows.
    pub fn close(&self) {
        self.stop.cancel();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A connection that has its candidates, and nobody yet to talk to.
pub(crate) struct Prepared {
    rtc: Rtc,
    paths: Vec<Path>,
    arrived: mpsc::Receiver<Packet>,
    /// Ends the paths.
    paths_stop: CancellationToken,
    local: Vec<String>,
}

impl Prepared {
    /// Opens sockets and allocations. `near` is an address whose route may be another than the default one.
    pub(crate) async fn gather(
        policy: Policy,
        servers: &[IceServer],
        near: Option<IpAddr>,
    ) -> Result<Self, PrepareError> {
        let (sender, arrived) = mpsc::channel(WAITING);
        let paths_stop = CancellationToken::new();
        let mut paths = Vec::new();
        if policy == Policy::All {
            for ip in host_addresses(near).await {
                paths.push(path::host(ip, sender.clone(), paths_stop.clone()).await?);
            }
        }
        let mut problems = Vec::new();
        for (server, login) in servers.iter().flat_map(IceServer::turn_servers) {
            match dial(server, login).await {
                Ok(relay) => paths.push(path::relay(relay, sender.clone(), paths_stop.clone())),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if policy == Policy::Relay && paths.is_empty() {
            let why =
                if problems.is_empty() { "there is no TURN server".into() } else { problems.join("; ") };
            return Err(PrepareError::NoRelay(why));
        }
        for problem in problems {
            tracing::warn!(target: "whip", "{problem}");
        }
        let mut rtc = Rtc::builder().build(clock::now());
        let mut local = Vec::new();
        for path in &paths {
            let candidate = match path.is_relay {
                true => Candidate::relayed(path.address, path.address, "udp"),
                false => Candidate::host(path.address, "udp"),
            };
            let candidate = candidate.map_err(|error| PrepareError::Sdp(error.to_string()))?;
            local.push(describe(&candidate));
            rtc.add_local_candidate(candidate);
        }
        Ok(Self { rtc, paths, arrived, paths_stop, local })
    }

    /// An offer with one channel.
    pub(crate) fn offer(&mut self, label: &str, delivery: Delivery) -> Result<Offer, PrepareError> {
        let mut change = self.rtc.sdp_api();
        let config = match delivery {
            Delivery::Reliable => ChannelConfig { label: label.to_owned(), ..ChannelConfig::default() },
            Delivery::Once => ChannelConfig {
                label: label.to_owned(),
                ordered: false,
                reliability: Reliability::MaxRetransmits { retransmits: 0 },
                ..ChannelConfig::default()
            },
        };
        change.add_channel_with_config(config);
        let (offer, pending) = change.apply().ok_or_else(|| PrepareError::Sdp("nothing to offer".into()))?;
        Ok(Offer { sdp: offer.to_sdp_string(), pending })
    }

    /// Takes the answer to an offer and starts.
    pub(crate) fn answered(
        mut self,
        pending: SdpPendingOffer,
        answer: &str,
    ) -> Result<Connection, PrepareError> {
        let bad = |error: &dyn fmt::Display| PrepareError::Sdp(error.to_string());
        let parsed = SdpAnswer::from_sdp_string(answer).map_err(|error| bad(&error))?;
        self.rtc.sdp_api().accept_answer(pending, parsed).map_err(|error| bad(&error))?;
        Ok(self.start(answer))
    }

    /// Answers an offer and starts.
    pub(crate) fn accept(mut self, offer: &str) -> Result<(String, Connection), PrepareError> {
        let bad = |error: &dyn fmt::Display| PrepareError::Sdp(error.to_string());
        let parsed = SdpOffer::from_sdp_string(offer).map_err(|error| bad(&error))?;
        let answer = self.rtc.sdp_api().accept_offer(parsed).map_err(|error| bad(&error))?;
        Ok((answer.to_sdp_string(), self.start(offer)))
    }

    fn start(self, remote_sdp: &str) -> Connection {
        let (event_sender, events) = mpsc::channel(WAITING);
        let (messages, message_receiver) = mpsc::channel(WAITING);
        let candidates =
            Candidates { local: self.local, remote: remote_candidates(remote_sdp), selected: None };
        let (candidate_sender, candidates) = tokio::sync::watch::channel(candidates);
        let stop = CancellationToken::new();
        let task = Task {
            rtc: self.rtc,
            paths: self.paths,
            arrived: self.arrived,
            messages: message_receiver,
            waiting: VecDeque::new(),
            events: event_sender,
            candidates: candidate_sender,
            channel: None,
            stop: stop.clone(),
            ended: None,
        };
        let paths_stop = self.paths_stop;
        tokio::spawn(async move {
            task.run().await;
            paths_stop.cancel();
        });
        Connection { events, messages, candidates, stop }
    }
}

/// An offer, and what it takes to understand its answer.
pub(crate) struct Offer {
    pub(crate) sdp: String,
    pub(crate) pending: SdpPendingOffer,
}

struct Task {
    rtc: Rtc,
    paths: Vec<Path>,
    arrived: mpsc::Receiver<Packet>,
    messages: mpsc::Receiver<Vec<u8>>,
    /// Messages that the channel had no room for, or that came before it was open.
    waiting: VecDeque<Vec<u8>>,
    events: mpsc::Sender<Event>,
    candidates: tokio::sync::watch::Sender<Candidates>,
    channel: Option<ChannelId>,
    stop: CancellationToken,
    ended: Option<Ended>,
}

impl Task {
    async fn run(mut self) {
        let ended = match self.work().await {
            Ok(()) => self.ended.take().unwrap_or(Ended::Closed),
            Err(error) => Ended::Broken(error.to_string()),
        };
        // Nobody may be listening any more.
        drop(self.events.send(Event::Ended(ended)).await);
    }

    async fn work(&mut self) -> Result<(), str0m::RtcError> {
        let mut is_closing = false;
        // Checks begin with the first tick, and not with the candidates.
        self.rtc.handle_input(Input::Timeout(clock::now()))?;
        loop {
            self.write_waiting()?;
            let Some(due) = self.drain().await? else { return Ok(()) };
            if self.ended.is_some() && !is_closing {
                is_closing = true;
                // What was never connected has nobody to say goodbye to.
                if self.rtc.close().is_err() {
                    self.rtc.disconnect();
                }
                continue;
            }
            let may_take = self.waiting.is_empty() && self.channel.is_some() && !is_closing;
            tokio::select! {
                () = sleep_until(Instant::from_std(due)) => {
                    self.rtc.handle_input(Input::Timeout(clock::now()))?;
                }
                Some(packet) = self.arrived.recv() => self.receive(&packet)?,
                Some(message) = self.messages.recv(), if may_take => self.waiting.push_back(message),
                () = self.stop.cancelled(), if !is_closing => self.ended = Some(Ended::Closed),
            }
        }
    }

    fn receive(&mut self, packet: &Packet) -> Result<(), str0m::RtcError> {
        let Packet { source, destination, contents } = packet;
        // What is neither STUN nor DTLS is noise.
        let Ok(received) = Receive::new(Protocol::Udp, *source, *destination, contents) else {
            return Ok(());
        };
        let input = Input::Receive(clock::now(), received);
        if self.rtc.accepts(&input) { self.rtc.handle_input(input) } else { Ok(()) }
    }

    fn write_waiting(&mut self) -> Result<(), str0m::RtcError> {
        let Some(mut channel) = self.channel.and_then(|id| self.rtc.channel(id)) else { return Ok(()) };
        while let Some(message) = self.waiting.front() {
            if channel.buffered_amount() > MAX_BUFFERED || !channel.write(true, message)? {
                break;
            }
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Does what the stack wants done; gives when it wants to be called again, `None` when it is over.
    async fn drain(&mut self) -> Result<Option<std::time::Instant>, str0m::RtcError> {
        while self.rtc.is_alive() {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => return Ok(self.rtc.is_alive().then_some(due)),
                Output::Transmit(packet) => {
                    if let Some(path) = self.paths.iter().find(|path| path.address == packet.source) {
                        path.send(packet.destination, packet.contents.to_vec());
                    }
                    if self.channel.is_some() {
                        self.note_pair(packet.source, packet.destination);
                    }
                }
                Output::Event(event) => self.handle_event(event).await,
            }
        }
        Ok(None)
    }

    async fn handle_event(&mut self, event: RtcEvent) {
        match event {
            RtcEvent::ChannelOpen(id, _) if self.channel.is_none() => {
                self.channel = Some(id);
                self.tell(Event::Open).await;
            }
            RtcEvent::ChannelData(data) => self.tell(Event::Message(data.data)).await,
            RtcEvent::ChannelClose(id) if self.channel == Some(id) => self.ended = Some(Ended::Closed),
            RtcEvent::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                let Candidates { local, remote, .. } = self.candidates.borrow().clone();
                let tried = format!("ours: {}; theirs: {}", local.join(", "), remote.join(", "));
                self.ended = Some(Ended::IceFailed(tried));
            }
            _ => {}
        }
    }

    async fn tell(&self, event: Event) {
        // A reader that went away will close the connection.
        tokio::select! {
            sent = self.events.send(event) => drop(sent),
            () = self.stop.cancelled() => {}
        }
    }

    /// The pair that carries the channel, as it is used.
    fn note_pair(&self, source: SocketAddr, destination: SocketAddr) {
        self.candidates.send_if_modified(|candidates| {
            let place = |list: &[String], address: SocketAddr| {
                list.iter().position(|it| it.ends_with(&format!(" {address}")))
            };
            let pair = (place(&candidates.local, source), place(&candidates.remote, destination));
            let is_new = candidates.selected != Some(pair);
            candidates.selected = Some(pair);
            is_new
        });
    }
}

async fn dial(server: Server, login: Login) -> Result<client::Relay, DialError> {
    let patience = Duration::from_secs(5);
    Dialer { patience, ..Dialer::new(server, login) }.dial().await
}

/// The addresses of this host on the default route, and on that to `near`.
async fn host_addresses(near: Option<IpAddr>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for other in [Some(ANYWHERE), near].into_iter().flatten() {
        if let Ok(ip) = path::local_address_towards(other).await
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

fn describe(candidate: &Candidate) -> String {
    let family = if candidate.addr().is_ipv4() { "udp4" } else { "udp6" };
    format!("{family} {} {}", candidate.kind(), candidate.addr())
}

/// The candidates of an SDP, without duplicates.
fn remote_candidates(sdp: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in sdp.lines().filter_map(|line| line.strip_prefix("a=")) {
        if let Ok(candidate) = Candidate::from_sdp_string(line) {
            let text = describe(&candidate);
            if !found.contains(&text) {
                found.push(text);
            }
        }
    }
    found
}
