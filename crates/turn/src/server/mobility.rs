//! Clients that change their address, [RFC 8016](https://www.rfc-editor.org/rfc/rfc8016).
//!
//! A client that wants to be able to gets a ticket: bytes that nobody can guess, and that mean something only to the
//! server that has the allocation. Whoever brings them with the allocation's credentials from another 5-tuple has the
//! allocation there, too, and gets a new ticket. Data for the client goes on to where it was until the client sends data
//! from where it is now; then the former 5-tuple and the former ticket are nobody's.

use rand_core::RngCore;
use stun::attribute::MobilityTicket;

use super::Server;
use super::allocation::Own;
use super::output::{Output, Verdict};
use super::reject::{Reject, RejectReason};
use super::request::Request;
use crate::addr::{Client, RelayId};
use crate::credentials::Caller;

/// What a client that has moved shows. Its first byte says which server of the process has the allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ticket(pub(super) [u8; LEN]);

const LEN: usize = 16;

/// The tickets of an allocation.
#[derive(Clone, Copy)]
pub(super) struct Tickets {
    pub(super) current: Ticket,
    /// The one before, for a client that has not got the answer with the current one. Good until the move is complete.
    pub(super) former: Option<Ticket>,
}

impl Tickets {
    pub(super) fn iter(&self) -> impl Iterator<Item = Ticket> + use<> {
        [Some(self.current), self.former].into_iter().flatten()
    }
}

/// Where a Refresh with a ticket leads.
pub(super) enum Found {
    /// To these allocations of the caller's, and to this new ticket.
    Here(Own, Ticket),
    /// To another server of the process, which is to handle it.
    Elsewhere(Verdict<'static>),
}

impl<R: RngCore> Server<R> {
    /// Whether an Allocate asks for a ticket, and may have one: the attribute must be empty, or it is 400; the listener
    /// must allow it, or it is 405 ([section 3.1.2](https://www.rfc-editor.org/rfc/rfc8016#section-3.1.2)). TCP
    /// connections with peers do not follow their client.
    pub(super) fn wants_ticket(&self, request: &Request<'_>, is_tcp: bool) -> Result<bool, Reject> {
        match request.optional::<MobilityTicket<'_>>()? {
            None => Ok(false),
            Some(MobilityTicket([])) if request.listener.mobility && !is_tcp => Ok(true),
            Some(MobilityTicket([])) => Err(RejectReason::MobilityForbidden.into()),
            Some(_) => Err(RejectReason::MalformedAttribute.into()),
        }
    }

    pub(super) fn mint_ticket(&mut self) -> Ticket {
        let mut ticket = Ticket([0; LEN]);
        self.rng.fill_bytes(&mut ticket.0);
        ticket.0[0] = self.member;
        ticket
    }

    /// Finds the allocation that a Refresh names by a ticket instead of its 5-tuple
    /// ([section 3.2.2](https://www.rfc-editor.org/rfc/rfc8016#section-3.2.2)).
    pub(super) fn admit_moved(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        ticket: &[u8],
    ) -> Result<Found, Reject> {
        if !request.listener.mobility {
            return Err(RejectReason::MobilityForbidden.into());
        }
        let ticket = Ticket(ticket.try_into().map_err(|_| RejectReason::MalformedAttribute)?);
        let client = request.client;

        // 1. A ticket of another server's; one that nobody has (any more): 437.
        let Some(id) = self.table.relay_by_ticket(ticket) else {
            let to = ticket.0[0];
            if to == self.member || to >= self.members || self.table.allocation_of(&client).is_some() {
                return Err(RejectReason::NoAllocation.into());
            }
            self.outputs.push_back(Output::MoveClient { client, to });
            return Ok(Found::Elsewhere(Verdict::Control));
        };
        let allocation = self.table.allocation(id).ok_or(RejectReason::NoAllocation)?;
        let expires = allocation.live().map(|live| live.expires);
        if expires.is_none_or(|expires| expires <= request.now.mono) {
            return Err(RejectReason::NoAllocation.into());
        }

        // 2. Somebody else's: 441. A ticket stays at its listener, whose rules the permissions were judged by: 437.
        if *allocation.user != *caller.user {
            return Err(RejectReason::WrongUser.into());
        }
        if allocation.client.listener() != client.listener() {
            return Err(RejectReason::NoAllocation.into());
        }

        // 3. The client has not moved, or has an allocation where it is: 400.
        let is_repeated = allocation.moving == Some(client);
        if !is_repeated && self.table.allocation_of(&client).is_some() {
            return Err(RejectReason::NotMoved.into());
        }

        // 4. A repeated request gets the same ticket; any other a new one, and the one it came with is good until data
        // comes from there.
        let tickets = allocation.tickets.ok_or(RejectReason::NoAllocation)?;
        if is_repeated && tickets.former == Some(ticket) {
            return Ok(Found::Here(self.own(request, caller)?, tickets.current));
        }
        let fresh = self.mint_ticket();
        self.table.renew_ticket(id, Tickets { current: fresh, former: Some(ticket) });
        if let Some(client) = self.table.begin_move(id, client) {
            self.outputs.push_back(Output::ClientGone { client });
        }
        Ok(Found::Here(self.own(request, caller)?, fresh))
    }

    /// Data comes from a 5-tuple without an allocation: it may be where one is moving to. Returns whether it has moved
    /// there now.
    pub(super) fn complete_move(&mut self, client: &Client) -> bool {
        let Some(id) = self.table.mover_to(client) else { return false };
        self.move_client(id);
        true
    }

    /// Makes the 5-tuple that allocations of a client are moving to the one they have.
    pub(super) fn move_client(&mut self, id: RelayId) {
        let twin = self.table.allocation(id).and_then(|allocation| allocation.twin);
        for relay in [Some(id), twin].into_iter().flatten() {
            if let Some((from, to)) = self.table.complete_move(relay) {
                self.outputs.push_back(Output::ClientMoved { relay, from, to });
            }
        }
    }
}
