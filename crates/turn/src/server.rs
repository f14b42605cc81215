//! The server: its public type, its contract, and the dispatch of inputs to the rooms that handle them.

mod admission;
mod allocate;
mod allocation;
mod binding;
mod budget;
mod channel;
mod connection;
mod counters;
mod data;
mod deadlines;
mod discovery;
pub mod forwarding;
mod icmp;
mod mobility;
mod output;
mod permission;
mod refresh;
mod reject;
mod request;
mod reservation;
mod respond;
mod table;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rand_core::RngCore;
use stun::attribute::Lifetime;
use stun::demux::{self, Kind};
use stun::{Class, Message, Method};

pub use self::admission::{
    AllocationRequest, Denial, Flow, Grant, Limits, ListenerPolicy, PeerProtocol, Policy, Ports, QuotaUnit,
};
pub use self::counters::{Counters, DropReason};
pub use self::discovery::Discovery;
pub use self::forwarding::{Change, Forwarding, Inbound};
pub use self::output::{
    Deadline, DeadlineReason, EndReason, Output, Refusal, RelayError, RelayPort, Reply, Verdict, Via,
};
pub use self::reject::RejectReason;
pub use self::reservation::{Claim, Claimed, Reservation, Reservations};

use self::allocation::{Allocation, Own};
use self::budget::ReplyBudget;
use self::reject::Reject;
use self::request::Request;
use self::respond::{Details, Head};
use self::table::{Swept, Table};
use crate::addr::{Client, Family, PeerAddr, RelayId, RelayedAddr};
use crate::credentials::{Caller, Signer};
use crate::nonce::{NonceKey, Nonces};
use crate::time::{DEFAULT_LIFETIME, MAX_LIFETIME, Now};

/// What a server is made with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The secret of the nonces, the same for all workers of the process.
    pub nonce_key: NonceKey,
    /// Which of the servers of the process this one is, from 0.
    pub member: u8,
    /// How many servers the process has. Clients of those beyond the 256th can have no TCP relays.
    pub members: u8,
    /// How many error responses per second one source address gets over UDP before it has proved that it is there.
    /// It may save up two seconds' worth.
    pub unproved_replies_per_second: u16,
    /// Whether somebody drains [`Server::poll_change`].
    pub is_observed: bool,
}

impl Settings {
    /// The defaults: the only server of its process, 500 unproved replies per second, no observer.
    pub const fn new(nonce_key: NonceKey) -> Self {
        Self { nonce_key, member: 0, members: 1, unproved_replies_per_second: 500, is_observed: false }
    }
}

/// The TURN server of one worker, for all listeners of the process.
///
/// The contract in one sentence: after every `handle_*` and `reconfigure`, carry out the returned [`Verdict`] if
/// there is one, drain [`Server::poll_output`] in order, then sleep until [`Server::poll_timeout`] or the next input.
///
/// A client's packets must always reach the same server, and so must those of the relay sockets it asked for.
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
/// use std::time::Instant;
/// use turn::addr::{Client, ListenerId, Transport};
/// use turn::credentials::{Authority, Realm};
/// use turn::nonce::NonceKey;
/// use turn::server::{
///     AllocationRequest, Denial, Grant, Limits, ListenerPolicy, Output, Policy, QuotaUnit, Server, Settings, Verdict,
/// };
/// use turn::time::Now;
///
/// /// One listener, no routes, no quota.
/// struct Rules(ListenerPolicy);
///
/// impl Policy for Rules {
///     fn listener(&self, _: ListenerId) -> Option<&ListenerPolicy> {
///         Some(&self.0)
///     }
///     fn peer(&self, _: ListenerId, _: IpAddr) -> Grant {
///         Grant::refused()
///     }
///     fn allocation(&self, _: AllocationRequest<'_>) -> Result<QuotaUnit, Denial> {
///         Ok(QuotaUnit::none())
///     }
/// }
///
/// # use rand_core::SeedableRng as _;
/// # let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
/// let rules = Rules(ListenerPolicy {
///     transport: Transport::Udp,
///     authority: Authority::fixed(Realm::new("example.org")?, "user", "pass"),
///     relay_v4: Some(Ipv4Addr::new(203, 0, 113, 1)),
///     relay_v6: None,
///     relays_tcp: false,
///     limits: Limits::default(),
///     mobility: false,
///     discovery: None,
///     alternate: None,
/// });
/// let now = Now::new(Instant::now(), 1_800_000_000);
/// let settings = Settings::new(NonceKey::generate(&mut rng));
/// let mut server = Server::new(settings, rng, now);
///
/// // A packet has come: here, a Binding request.
/// let client = Client::new(ListenerId(1), "198.51.100.1:5000".parse()?, "203.0.113.1:3478".parse()?);
/// let packet = b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!";
/// match server.handle_client(client, packet, &rules, now) {
///     Verdict::ToPeer { .. } | Verdict::ToClient { .. } => { /* send the payload */ }
///     Verdict::Control | Verdict::Dropped(_) => {}
/// }
/// let mut answers = Vec::new();
/// while let Some(output) = server.poll_output() {
///     match output {
///         Output::Send { client, message } => answers.push((client, message)),
///         _ => { /* open and close relay sockets, count, log */ }
///     }
/// }
/// assert_eq!((answers[0].0, answers[0].1.len()), (client, 32));
/// assert_eq!(server.poll_timeout(), None); // nothing to wait for but the next packet
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What an unauthenticated packet costs
///
/// No memory: nonces are not remembered, the reply budget is of fixed size, and everything else begins with a valid
/// MESSAGE-INTEGRITY. No log line either: [`Output::Refused`] is about clients that have proved to be where they say.
///
/// # Credentials that change
///
/// Every request is checked against the credentials its listener has now. An allocation made with earlier ones keeps
/// its data flowing until the allocation, its permissions and channels expire; to prolong them, its owner (the same
/// user, see [`EphemeralUsername`](crate::credentials::EphemeralUsername)) needs credentials that are good now.
pub struct Server<R> {
    rng: R,
    nonces: Nonces,
    member: u8,
    members: u8,
    budget: ReplyBudget,
    table: Table,
    outputs: VecDeque<Output>,
    counters: Counters,
}

/// Inputs.
impl<R: RngCore> Server<R> {
    /// A server without allocations. `rng` must be a cryptographic generator seeded by the operating system: tokens
    /// and transaction ids come from it. `now` is the beginning of time: no input may be earlier.
    pub fn new(settings: Settings, mut rng: R, now: Now) -> Self {
        let Settings { nonce_key, member, members, unproved_replies_per_second, is_observed } = settings;
        let budget = ReplyBudget::new(unproved_replies_per_second, now.mono, rng.next_u64());
        let table = Table::new(now.mono, rng.next_u64(), is_observed);
        Self {
            rng,
            nonces: Nonces::new(nonce_key),
            member,
            members,
            budget,
            table,
            outputs: VecDeque::new(),
            counters: Counters::new(),
        }
    }

    /// Takes one packet from a client: a datagram, or one frame of a stream.
    pub fn handle_client<'p>(
        &mut self,
        client: Client,
        packet: &'p [u8],
        policy: &impl Policy,
        now: Now,
    ) -> Verdict<'p> {
        match demux::classify(packet) {
            Kind::ChannelData => self.channel_data(&client, packet, now),
            Kind::Stun => self.message(client, packet, policy, now),
            Kind::Dtls | Kind::Other => self.drop(DropReason::NotTurn),
        }
    }

    /// Takes one datagram that `peer` sent to a relay socket.
    pub fn handle_peer<'p>(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        payload: &'p [u8],
        now: Now,
    ) -> Verdict<'p> {
        self.peer_data(relay, peer, payload, now)
    }

    /// Takes what a [`Verdict::ToPeer`] would send to a peer that is a relay of this server: what would come of it if
    /// it had arrived at that relay's socket, from the address that the sending relay is advertised by. `None` if the
    /// peer is somebody else.
    pub fn handle_own_peer<'p>(
        &mut self,
        relay: RelayId,
        peer: PeerAddr,
        payload: &'p [u8],
        now: Now,
    ) -> Option<Verdict<'p>> {
        let to = self.forwarding().relay_at(peer.get())?;
        let from = self.forwarding().relayed_addr(relay)?;
        Some(self.peer_data(to, from.get(), payload, now))
    }

    /// The same for a peer that is a relay of another server of the process, which published `inbound`.
    pub fn handle_neighbour<'p>(
        &mut self,
        from: RelayedAddr,
        inbound: &Inbound,
        payload: &'p [u8],
        now: Now,
    ) -> Verdict<'p> {
        self.peer_data_for(inbound, from.get(), payload, now)
    }

    /// Takes the answer to [`Output::OpenRelay`]: the socket's port, or why there is none. An answer for a relay that
    /// has been closed in the meantime is ignored.
    pub fn handle_relay_opened(&mut self, relay: RelayId, opened: Result<u16, RelayError>, now: Now) {
        self.handle_timeout(now);
        self.relay_opened(relay, opened, now);
    }

    /// Takes the answer to [`Output::OpenRelay`] for a port in reserve: what [`Reservations::claim`] gave. An answer
    /// for a relay that has been closed in the meantime is ignored, and the port free again.
    pub fn handle_relay_claimed(&mut self, relay: RelayId, claimed: Option<Claimed>, now: Now) {
        self.handle_timeout(now);
        self.relay_claimed(relay, claimed, now);
    }

    /// Takes the news that a relay socket broke, open or half open. Its allocation ends, and the socket is still to be
    /// closed.
    pub fn handle_relay_failed(&mut self, relay: RelayId, now: Now) {
        self.handle_timeout(now);
        if self.table.allocation(relay).is_some_and(|allocation| allocation.live().is_none()) {
            self.give_up_on(relay, now);
        } else {
            self.end(relay, EndReason::RelayFailed);
        }
    }

    /// Takes the news that a client's connection is closed. What it has allocated ends at once, unless it is moving to
    /// another.
    pub fn handle_client_closed(&mut self, client: Client, now: Now) {
        self.handle_timeout(now);
        // Where a client was or is going to is of no importance while there is the other.
        if let Some(id) = self.table.mover_to(&client) {
            self.table.cancel_move(id);
            return;
        }
        if let Some((id, _)) = self.table.allocation_of(&client) {
            self.move_client(id);
        }
        while let Some((id, _)) = self.table.allocation_of(&client) {
            self.end(id, EndReason::ClientClosed);
        }
    }

    /// Ends what has expired. Calling it early does no harm, and calling it late none either: what has expired is of
    /// no effect from that moment on.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(id) = self.table.take_due(now.mono) {
            self.settle(id, now);
        }
    }

    /// Asks the policy anew about every peer of every allocation, after the configuration has changed.
    ///
    /// What is withdrawn stops at once; what is granted (again) to a living permission or channel flows at once.
    /// Allocations of listeners that are gone end; ports in reserve are up to [`Reservations::retain`]. Changed
    /// credentials end nothing, see [`Server`].
    pub fn reconfigure(&mut self, policy: &impl Policy, now: Now) {
        self.handle_timeout(now);
        for id in self.table.relays() {
            let Some(allocation) = self.table.allocation(id) else { continue };
            let listener = allocation.client.listener();
            if policy.listener(listener).is_some() {
                self.table.regrant(id, |ip| policy.peer(listener, ip));
                self.revoke_connections(id, policy);
            } else {
                self.end(id, EndReason::ListenerRemoved);
            }
        }
    }
}

/// Outputs and views.
impl<R> Server<R> {
    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What has changed in the forwarding table, until there is nothing new; for whoever keeps a copy. Nothing unless
    /// [`Settings::is_observed`]. To be drained before [`Server::poll_output`], which closes the sockets of relays that
    /// have ended.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.table.next_change()
    }

    /// What a relay lets through to its client, and the address it is advertised by; `None` if it is not open.
    pub fn inbound(&self, relay: RelayId) -> Option<(RelayedAddr, Inbound)> {
        self.table.inbound(relay)
    }

    /// When to call [`Server::handle_timeout`] at the latest, and what for.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        self.table.next_deadline()
    }

    /// The number of allocations that were created and have not ended. One of two families counts twice.
    pub fn allocations(&self) -> usize {
        self.table.live()
    }

    /// Whether a client has an allocation, or is about to.
    pub fn has_allocation(&self, client: &Client) -> bool {
        self.table.allocation_of(client).is_some()
    }

    /// What was dropped and refused so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The table packets are forwarded by.
    pub fn forwarding(&self) -> &Forwarding {
        self.table.forwarding()
    }
}

/// Dispatch.
impl<R: RngCore> Server<R> {
    fn message<'p>(
        &mut self,
        client: Client,
        packet: &'p [u8],
        policy: &impl Policy,
        now: Now,
    ) -> Verdict<'p> {
        let Ok(message) = Message::parse(packet) else { return self.drop(DropReason::Malformed) };
        if message.has_fingerprint() && message.verify_fingerprint().is_err() {
            return self.drop(DropReason::WrongFingerprint);
        }
        match message.class() {
            Class::Request => {
                let Some(listener) = policy.listener(client.listener()) else {
                    return self.drop(DropReason::UnknownListener);
                };
                self.request(&Request { client, message, listener, now }, policy)
            }
            Class::Indication if message.method() == Method::Send => {
                self.send_indication(&client, &message, policy, now)
            }
            Class::Indication | Class::Success | Class::Error => self.drop(DropReason::Unexpected),
        }
    }

    fn request(&mut self, request: &Request<'_>, policy: &impl Policy) -> Verdict<'static> {
        match request.method() {
            Method::Binding => return self.binding(request),
            // Where clients find out about their NAT, they find nothing else.
            _ if request.discovery().is_some_and(|it| it.is_second_port(request.client.local())) => {
                return self.drop(DropReason::UnknownMethod);
            }
            Method::Allocate
            | Method::Refresh
            | Method::CreatePermission
            | Method::ChannelBind
            | Method::Connect
            | Method::ConnectionBind => {}
            Method::Send | Method::Data | Method::ConnectionAttempt | Method::Other(_) => {
                return self.drop(DropReason::UnknownMethod);
            }
        }
        let caller = match request.authenticate(&mut self.nonces) {
            Ok(caller) => caller,
            Err(reject) => return self.reject(request, None, reject),
        };
        self.serve(request, &caller, policy)
            .unwrap_or_else(|reject| self.reject(request, Some(&caller.signer), reject))
    }

    fn serve(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        policy: &impl Policy,
    ) -> Result<Verdict<'static>, Reject> {
        if !request.unknown_attributes().is_empty() {
            return Err(RejectReason::UnknownAttribute.into());
        }
        self.handle_timeout(request.now);
        if let Some((id, allocation)) = self.table.allocation_of(&request.client) {
            let twin = allocation.twin;
            self.settle(id, request.now);
            if let Some(twin) = twin {
                self.settle(twin, request.now);
            }
        }
        match request.method() {
            Method::Allocate => self.allocate(request, caller, policy),
            Method::Refresh => self.refresh(request, caller),
            Method::CreatePermission => self.create_permission(request, caller, policy),
            Method::ChannelBind => self.channel_bind(request, caller, policy),
            Method::Connect => self.connect(request, caller, policy),
            _ => self.connection_bind(request, caller),
        }
    }

    /// The caller's allocations on the 5-tuple: 437 if there is none, 441 if it is somebody else's.
    fn own(&self, request: &Request<'_>, caller: &Caller<'_>) -> Result<Own, Reject> {
        let found = self.table.allocation_of(&request.client);
        let (id, allocation) = found.ok_or(RejectReason::NoAllocation)?;
        let live = allocation.live().ok_or(RejectReason::NoAllocation)?;
        if *allocation.user != *caller.user {
            return Err(RejectReason::WrongUser.into());
        }
        let own = Own::NONE.with(live.family(), id);
        let twin = allocation.twin.and_then(|twin| Some((twin, self.table.allocation(twin)?.live()?)));
        Ok(twin.map_or(own, |(twin, live)| own.with(live.family(), twin)))
    }

    /// One of those, by its family: 443 if there is none of it.
    fn own_of(&self, own: Own, family: Family) -> Result<(RelayId, &Allocation), RejectReason> {
        let found = own.of(family).and_then(|id| Some((id, self.table.allocation(id)?)));
        found.ok_or(RejectReason::FamilyMismatch)
    }

    /// Clears away what has expired of a relay, itself included.
    fn settle(&mut self, id: RelayId, now: Now) {
        self.expire_connections(id, now);
        match self.table.sweep(id, now.mono) {
            Swept::Alive => {}
            Swept::Expired => self.end(id, EndReason::Expired),
            Swept::GaveUp => self.give_up(id, now),
        }
    }

    /// Refuses a request: signed if the caller has proved to know a key, and withheld if whoever is said to have sent
    /// it may not have.
    fn reject(&mut self, request: &Request<'_>, signer: Option<&Signer>, reject: Reject) -> Verdict<'static> {
        let Request { client, message, listener, now } = request;
        // Whoever has the credentials wrong had the nonce right, and nonces are sent to the address they are for.
        let is_there = listener.transport.proves_source()
            || signer.is_some()
            || matches!(reject.reason, RejectReason::WrongCredentials | RejectReason::WrongAlgorithm);
        self.counters.count_reject(reject.reason);
        if is_there {
            self.log_refusal(*client, request.method(), reject);
        } else if !self.budget.spend(client.remote().ip(), now.mono) {
            return self.drop(DropReason::ReplyBudget);
        }
        let features = listener.authority.features();
        let nonce = reject.reason.is_challenge().then(|| self.nonces.mint(client, features, now.unix));
        let unknown = match reject.reason {
            RejectReason::UnknownAttribute => request.unknown_attributes(),
            _ => Default::default(),
        };
        let details = Details {
            challenge: nonce.as_ref().map(|nonce| (listener.authority.realm().as_str(), nonce)),
            unknown: &unknown,
            alternate: listener.alternate.filter(|_| reject.reason == RejectReason::Redirected),
            signer,
        };
        let (method, transaction) = (request.method(), message.transaction_id());
        let head = Head { client: *client, class: Class::Error, method, transaction };
        respond::error(&mut self.outputs, head, reject.reason, details);
        Verdict::Control
    }

    fn log_refusal(&mut self, client: Client, method: Method, Reject { reason, peer }: Reject) {
        if !reason.is_routine() {
            let code = reason.code();
            self.outputs.push_back(Output::Refused(Refusal { client, method, reason, code, peer }));
        }
    }

    fn drop(&mut self, reason: DropReason) -> Verdict<'static> {
        self.counters.count_drop(reason);
        Verdict::Dropped(reason)
    }
}

/// The lifetime an allocation gets for the LIFETIME its client asks for.
///
/// Up to [`MAX_LIFETIME`] a wish is granted as it is, also one below the default, which
/// [RFC 8656 section 7.2](https://www.rfc-editor.org/rfc/rfc8656#section-7.2) would have raised: a client that wants to
/// be forgotten soon may be. Zero is no lifetime to begin with, so an Allocate that says so gets the default.
fn lifetime_of(requested: Option<Lifetime>) -> Duration {
    match requested {
        None | Some(Lifetime(0)) => DEFAULT_LIFETIME,
        Some(Lifetime(seconds)) => Duration::from_secs(u64::from(seconds)).min(MAX_LIFETIME),
    }
}
