//! Allocate, [RFC 8656 section 7](https://www.rfc-editor.org/rfc/rfc8656#section-7).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_core::RngCore;
use smallvec::SmallVec;
use stun::attribute::{
    AdditionalAddressFamily, AddressErrorCode, ErrorCode, EvenPort, Lifetime, MobilityTicket,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorMappedAddress, XorRelayedAddress, types,
};
use stun::{AttributeError, Class, Method};

use super::admission::{AllocationRequest, Denial, PeerProtocol, Policy, QuotaUnit};
use super::allocation::{Allocation, Birth, Live, Opening, Stage};
use super::counters::DropReason;
use super::mobility::Tickets;
use super::output::{EndReason, Output, RelayError, RelayPort, Verdict};
use super::reject::{Reject, RejectReason};
use super::request::Request;
use super::reservation::{Claim, Claimed, Reservation};
use super::respond::{self, Details, Head};
use super::{Server, lifetime_of};
use crate::addr::{Family, RelayId, RelayedAddr};
use crate::credentials::{Caller, Signer};
use crate::time::{Now, RELAY_PATIENCE};

/// What an Allocate asks for, once it is known to make sense.
struct Wish {
    family: Family,
    /// The family that is asked for besides.
    additional: Option<Family>,
    port: PortWish,
    lifetime: u32,
}

/// An allocation as it is entered.
struct Start {
    birth: Birth,
    /// See [`Opening::ip`].
    ip: Option<IpAddr>,
    unit: QuotaUnit,
    family: Family,
    protocol: PeerProtocol,
    port: RelayPort,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PortWish {
    Any,
    Even,
    EvenPair,
}

impl<R: RngCore> Server<R> {
    /// The steps are those of [RFC 8656 section 7.2](https://www.rfc-editor.org/rfc/rfc8656#section-7.2), of which
    /// authentication is the first.
    pub(super) fn allocate(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        policy: &impl Policy,
    ) -> Result<Verdict<'static>, Reject> {
        // Section 21.4: a tunnel's address is no client's: 403.
        if request.client.is_tunnelled() {
            return Err(RejectReason::ClientForbidden.into());
        }

        // 2. The 5-tuple is in use: 437, unless this is the request that took it.
        if let Some((id, allocation)) = self.table.allocation_of(&request.client) {
            let is_repeated = allocation.birth.transaction == request.message.transaction_id()
                && *allocation.user == *caller.user;
            return match (is_repeated, allocation.live()) {
                (false, _) => Err(RejectReason::AllocationExists.into()),
                (true, None) => Ok(self.drop(DropReason::AllocatePending)),
                (true, Some(_)) => Ok(self.answer_allocate(id, &caller.signer)),
            };
        }

        // RFC 8489 section 10: another server of the same family: 300.
        let other = request.listener.alternate;
        if other.is_some_and(|other| other.is_ipv4() == request.client.remote().is_ipv4()) {
            return Err(RejectReason::Redirected.into());
        }
        // 3. REQUESTED-TRANSPORT is missing or broken: 400; is neither UDP nor TCP: 442.
        let protocol = match request.required::<RequestedTransport>()? {
            RequestedTransport::UDP => PeerProtocol::Udp,
            RequestedTransport::TCP => may_relay_tcp(request)?,
            _ => return Err(RejectReason::UnsupportedTransport.into()),
        };

        // RFC 8016: a ticket is wished for that may not be had: 405.
        let wants_ticket = self.wants_ticket(request, protocol == PeerProtocol::Tcp)?;

        // 4. DONT-FRAGMENT is supported, so there is nothing to refuse.

        // 5. RESERVATION-TOKEN excludes what was settled when the token was made: 400. An unknown token: 508.
        if let Some(token) = request.optional::<ReservationToken>()? {
            return self.claim(request, caller, token, wants_ticket);
        }

        // 6. to 9. The families and the port.
        let wish = Wish::read(request)?;
        let ip = request.listener.relay_address(wish.family).ok_or(RejectReason::UnsupportedFamily)?;

        // 10. The user, or the process, has as many as it may have: 486, 508. Both ports of a pair count.
        let asking = AllocationRequest { client: request.client, user: caller.user };
        let unit = policy.allocation(asking).map_err(RejectReason::from)?;
        let (port, token) = match wish.port {
            PortWish::Any => (RelayPort::Any, None),
            PortWish::Even => (RelayPort::Even, None),
            PortWish::EvenPair => {
                let unit = policy.allocation(asking).map_err(RejectReason::from)?;
                let mut token = ReservationToken([0; 8]);
                self.rng.fill_bytes(&mut token.0);
                let claim = claim(request, caller, token);
                (RelayPort::EvenPair(Reservation { claim, ip, unit }), Some(token))
            }
        };
        let mut birth = Birth {
            transaction: request.message.transaction_id(),
            lifetime: wish.lifetime,
            token,
            refused: None,
            ticket: wants_ticket.then(|| self.mint_ticket()),
        };

        // 9. The second one. That it cannot be had is no reason to refuse the first.
        let second = wish.additional.and_then(|family| {
            let unit = policy.allocation(asking).map_err(|_| RejectReason::Capacity);
            let ip = request.listener.relay_address(family).ok_or(RejectReason::UnsupportedFamily);
            match ip.and_then(|ip| Ok((ip, unit?))) {
                Ok((ip, unit)) => Some((family, ip, unit)),
                Err(reason) => {
                    birth.refused = Some((family, reason));
                    None
                }
            }
        });
        let id = self.open(
            request,
            caller,
            Start { birth, ip: Some(ip), unit, family: wish.family, protocol, port },
        );
        if let Some((family, ip, unit)) = second {
            let port = if wish.port == PortWish::Any { RelayPort::Any } else { RelayPort::Even };
            let twin =
                self.open(request, caller, Start { birth, ip: Some(ip), unit, family, protocol, port });
            self.table.pair(id, twin);
        }
        Ok(Verdict::Control)
    }

    /// Enters an allocation, and asks for its socket.
    fn open(&mut self, request: &Request<'_>, caller: &Caller<'_>, start: Start) -> RelayId {
        let Start { birth, ip, unit, family, protocol, port } = start;
        let patience = request.now.mono + RELAY_PATIENCE;
        let stage =
            Stage::Opening(Box::new(Opening { signer: caller.signer.clone(), ip, patience, ready: None }));
        let (client, user) = (request.client, caller.user.into());
        let allocation = Allocation::new(client, user, birth, stage, unit).relaying(protocol);
        let (relay, listener) = (self.table.open(allocation), client.listener());
        self.outputs.push_back(Output::OpenRelay { relay, listener, protocol, family, port });
        relay
    }

    /// Asks for a port in reserve, on behalf of whoever brings its token. It was admitted when it was reserved, so the
    /// policy is not asked again.
    fn claim(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        token: ReservationToken,
        wants_ticket: bool,
    ) -> Result<Verdict<'static>, Reject> {
        let settled = [types::EVEN_PORT, types::REQUESTED_ADDRESS_FAMILY, types::ADDITIONAL_ADDRESS_FAMILY];
        if settled.into_iter().any(|kind| request.message.has(kind)) {
            return Err(RejectReason::ConflictingAttributes.into());
        }
        let birth = Birth {
            transaction: request.message.transaction_id(),
            lifetime: lifetime_of(request.optional::<Lifetime>()?).as_secs() as u32,
            token: None,
            refused: None,
            ticket: wants_ticket.then(|| self.mint_ticket()),
        };
        let port = RelayPort::Reserved(claim(request, caller, token));
        let (ip, unit, family) = (None, QuotaUnit::none(), default_family(request));
        self.open(request, caller, Start { birth, ip, unit, family, protocol: PeerProtocol::Udp, port });
        Ok(Verdict::Control)
    }

    /// The relay socket of a waiting allocation is there, or will never be.
    pub(super) fn relay_opened(&mut self, id: RelayId, opened: Result<u16, RelayError>, now: Now) {
        let Some(Opening { ip: Some(ip), .. }) = self.opening(id) else { return };
        match opened {
            Ok(port) => self.relay_ready(id, SocketAddr::new(*ip, port), now),
            Err(_) => self.refuse_opening(id, RejectReason::NoRelay, now),
        }
    }

    /// The port in reserve that a waiting allocation is to have is there, or there is none of its.
    pub(super) fn relay_claimed(&mut self, id: RelayId, claimed: Option<Claimed>, now: Now) {
        let Some(Opening { ip: None, .. }) = self.opening(id) else { return };
        match claimed {
            Some(Claimed { port, reservation: Reservation { ip, unit, .. } }) => {
                let signer = self.go_live(id, SocketAddr::new(ip, port), Some(unit), now);
                self.answer_first(id, signer.as_ref());
            }
            None => self.refuse_opening(id, RejectReason::UnknownReservation, now),
        }
    }

    fn opening(&self, id: RelayId) -> Option<&Opening> {
        match &self.table.allocation(id)?.stage {
            Stage::Opening(opening) => Some(opening),
            Stage::Live(_) => None,
        }
    }

    /// Lets a waiting allocation begin, once its twin can, too.
    fn relay_ready(&mut self, id: RelayId, relayed: SocketAddr, now: Now) {
        let twin = self.table.allocation(id).and_then(|allocation| allocation.twin);
        let signer = match twin.map(|twin| (twin, self.opening(twin).and_then(|opening| opening.ready))) {
            None => self.go_live(id, relayed, None, now),
            Some((_, None)) => return self.table.ready(id, relayed),
            Some((twin, Some(other))) => {
                let signer = self.go_live(twin, other, None, now);
                signer.and(self.go_live(id, relayed, None, now))
            }
        };
        self.answer_first(id, signer.as_ref());
    }

    fn answer_first(&mut self, id: RelayId, signer: Option<&Signer>) {
        if let Some(signer) = signer {
            let _ = self.answer_allocate(id, signer);
        }
    }

    /// Lets a waiting allocation begin. Returns what its answer is to be signed with.
    fn go_live(
        &mut self,
        id: RelayId,
        relayed: SocketAddr,
        unit: Option<QuotaUnit>,
        now: Now,
    ) -> Option<Signer> {
        let allocation = self.table.allocation(id)?;
        let Stage::Opening(opening) = &allocation.stage else { return None };
        let (signer, client) = (opening.signer.clone(), allocation.client);
        let lifetime = Duration::from_secs(u64::from(allocation.birth.lifetime));
        let relayed = RelayedAddr::new(relayed);
        let ticket = allocation.birth.ticket;
        self.table.opened(id, Live { relayed, expires: now.mono + lifetime }, unit);
        if let Some(current) = ticket {
            self.table.renew_ticket(id, Tickets { current, former: None });
        }
        self.outputs.push_back(Output::AllocationCreated { client, relay: id, relayed });
        Some(signer)
    }

    /// Ends the wait for a relay socket that may still come: this one's, or its twin's if this one's is there.
    pub(super) fn give_up(&mut self, relay: RelayId, now: Now) {
        let is_ready = self.opening(relay).is_some_and(|opening| opening.ready.is_some());
        let twin = self.table.allocation(relay).and_then(|allocation| allocation.twin);
        self.give_up_on(twin.filter(|_| is_ready).unwrap_or(relay), now);
    }

    /// Does without a relay socket.
    pub(super) fn give_up_on(&mut self, relay: RelayId, now: Now) {
        self.refuse_opening(relay, RejectReason::NoRelay, now);
        self.outputs.push_back(Output::CloseRelay { relay });
    }

    /// Tells a waiting client that there is no relay socket for it; or notes it for the answer, if it can have one of
    /// the other family.
    fn refuse_opening(&mut self, id: RelayId, reason: RejectReason, now: Now) {
        let Some(allocation) = self.table.remove(id) else { return };
        let Stage::Opening(opening) = allocation.stage else { return };
        if let (Some(twin), Some(ip)) = (allocation.twin, opening.ip) {
            self.table.refuse_twin(twin, Family::of(ip), reason);
            if let Some(relayed) = self.opening(twin).and_then(|opening| opening.ready) {
                self.relay_ready(twin, relayed, now);
            }
            return;
        }
        self.counters.count_reject(reason);
        self.log_refusal(allocation.client, Method::Allocate, reason.into());
        let head = Head {
            client: allocation.client,
            class: Class::Error,
            method: Method::Allocate,
            transaction: allocation.birth.transaction,
        };
        let details = Details { signer: Some(&opening.signer), ..Details::default() };
        respond::error(&mut self.outputs, head, reason, details);
    }

    /// Answers the Allocate that made an allocation, the first time and every other time it is asked.
    fn answer_allocate(&mut self, id: RelayId, signer: &Signer) -> Verdict<'static> {
        let Some(allocation) = self.table.allocation(id) else { return Verdict::Control };
        let twin = allocation.twin.and_then(|twin| self.table.allocation(twin));
        let lives = [Some(allocation), twin].into_iter().flatten().filter_map(Allocation::live);
        let mut relayed: SmallVec<[SocketAddr; 2]> = lives.map(|live| live.relayed.get()).collect();
        relayed.sort_unstable();
        let Birth { transaction, lifetime, token, refused, ticket } = allocation.birth;
        let client = allocation.client;
        let head = Head { client, class: Class::Success, method: Method::Allocate, transaction };
        respond::send(&mut self.outputs, head, signer.tail(), |writer| {
            for relayed in relayed {
                writer.put(&XorRelayedAddress(relayed))?;
            }
            writer.put(&Lifetime(lifetime))?;
            writer.put(&XorMappedAddress(client.remote()))?;
            if let Some(token) = token {
                writer.put(&token)?;
            }
            if let Some(ticket) = ticket {
                writer.put(&MobilityTicket(&ticket.0))?;
            }
            if let Some((family, reason)) = refused
                && let Ok(error) = ErrorCode::new(reason.code(), "")
            {
                writer.put(&AddressErrorCode { family, error })?;
            }
            Ok(())
        });
        Verdict::Control
    }
}

impl Wish {
    fn read(request: &Request<'_>) -> Result<Self, Reject> {
        // A family with a number nobody knows is one that is not served.
        let requested = match request.message.get::<RequestedAddressFamily>() {
            Ok(requested) => requested.map(|RequestedAddressFamily(family)| family),
            Err(AttributeError::Family(_)) => return Err(RejectReason::UnsupportedFamily.into()),
            Err(_) => return Err(RejectReason::MalformedAttribute.into()),
        };
        let additional = request.optional::<AdditionalAddressFamily>()?;
        let even = request.optional::<EvenPort>()?;

        // 6. Both families in two ways: 400.
        if requested.is_some() && additional.is_some() {
            return Err(RejectReason::ConflictingAttributes.into());
        }

        // 7. A family that is not served: 440.
        let family = requested.unwrap_or(default_family(request));

        // 8. EVEN-PORT with a reservation, for two families at once: 400.
        let port = match even {
            None => PortWish::Any,
            Some(EvenPort { reserve: false }) => PortWish::Even,
            Some(EvenPort { reserve: true }) if additional.is_some() => {
                return Err(RejectReason::ConflictingAttributes.into());
            }
            Some(EvenPort { reserve: true }) => PortWish::EvenPair,
        };

        // 9. IPv4 as the additional family: 400.
        if additional == Some(AdditionalAddressFamily(Family::V4)) {
            return Err(RejectReason::MalformedAttribute.into());
        }
        let additional = additional.map(|_| match family {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        });

        let lifetime = lifetime_of(request.optional::<Lifetime>()?).as_secs() as u32;
        Ok(Self { family, additional, port, lifetime })
    }
}

/// The family of an allocation whose client requests none: IPv4, or else the one there is. An IPv6-only listener
/// would otherwise be of no use to browsers, which request none.
const fn default_family(request: &Request<'_>) -> Family {
    if request.listener.relay_v4.is_some() { Family::V4 } else { Family::V6 }
}

/// [RFC 6062 section 5.1](https://www.rfc-editor.org/rfc/rfc6062#section-5.1): the client itself must come over a
/// stream, and wish for nothing that only datagrams and their ports have: 400.
fn may_relay_tcp(request: &Request<'_>) -> Result<PeerProtocol, Reject> {
    let datagrams = [types::DONT_FRAGMENT, types::EVEN_PORT, types::RESERVATION_TOKEN];
    let wants_datagrams = datagrams.into_iter().any(|kind| request.message.has(kind));
    if wants_datagrams || !request.listener.transport.is_stream() {
        return Err(RejectReason::ConflictingAttributes.into());
    }
    if !request.listener.relays_tcp {
        return Err(RejectReason::NoTcpRoute.into());
    }
    Ok(PeerProtocol::Tcp)
}

fn claim(request: &Request<'_>, caller: &Caller<'_>, token: ReservationToken) -> Claim {
    Claim { token, listener: request.client.listener(), user: caller.user.into() }
}

impl From<Denial> for RejectReason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Quota => Self::QuotaReached,
            Denial::Address => Self::AddressLimit,
            Denial::Draining => Self::Draining,
            Denial::Capacity => Self::Capacity,
        }
    }
}

/// The way every allocation ends.
impl<R: RngCore> Server<R> {
    /// Ends an allocation, live or waiting, and gives the socket back.
    pub(super) fn end(&mut self, relay: RelayId, reason: EndReason) {
        let Some(allocation) = self.table.remove(relay) else { return };
        let client = allocation.client;
        if let (Some(client), None) = (allocation.moving, allocation.twin) {
            self.outputs.push_back(Output::ClientGone { client });
        }
        if allocation.live().is_some() {
            self.outputs.push_back(Output::AllocationEnded { client, relay, reason });
        }
        for connection in allocation.connections.iter().flat_map(|connections| connections.iter()) {
            self.outputs.push_back(Output::CloseConnection { connection: connection.id });
        }
        self.outputs.push_back(Output::CloseRelay { relay });
    }
}
