//! Refresh, [RFC 8656 section 8](https://www.rfc-editor.org/rfc/rfc8656#section-8).

use rand_core::RngCore;
use stun::AttributeError;
use stun::attribute::{Lifetime, MobilityTicket, RequestedAddressFamily};

use super::allocation::Own;
use super::mobility::Found;
use super::output::{EndReason, Verdict};
use super::reject::{Reject, RejectReason};
use super::request::Request;
use super::respond;
use super::{Server, lifetime_of};
use crate::credentials::Caller;

impl<R: RngCore> Server<R> {
    /// A repeated Refresh is served again, which does no harm. A repeated deletion finds nothing to delete: 437, which
    /// a client that wanted to delete takes for success
    /// ([section 8.3](https://www.rfc-editor.org/rfc/rfc8656#section-8.3)).
    pub(super) fn refresh(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
    ) -> Result<Verdict<'static>, Reject> {
        // RFC 8016: a ticket names the allocation of a client that has moved, and is renewed.
        let (own, ticket) = match request.optional::<MobilityTicket<'_>>()? {
            None => (self.own(request, caller)?, None),
            Some(MobilityTicket(ticket)) => match self.admit_moved(request, caller, ticket)? {
                Found::Here(own, ticket) => (own, Some(ticket)),
                Found::Elsewhere(verdict) => return Ok(verdict),
            },
        };

        // 1. The family is one there is no allocation of: 443. Without one, all there is of the client's is meant.
        let family = match request.message.get::<RequestedAddressFamily>() {
            Ok(requested) => requested.map(|requested| requested.0),
            Err(AttributeError::Family(_)) => return Err(RejectReason::FamilyMismatch.into()),
            Err(_) => return Err(RejectReason::MalformedAttribute.into()),
        };
        let own = match family {
            Some(family) => Own::NONE.with(family, self.own_of(own, family)?.0),
            None => own,
        };

        // 2. Lifetime zero deletes; any other is bounded like an Allocate's.
        let granted = match request.optional::<Lifetime>()? {
            Some(Lifetime(0)) => {
                own.iter().for_each(|id| self.end(id, EndReason::Deleted));
                0
            }
            requested => {
                let lifetime = lifetime_of(requested);
                own.iter().for_each(|id| self.table.prolong(id, request.now.mono + lifetime));
                lifetime.as_secs() as u32
            }
        };
        respond::success(&mut self.outputs, request, caller.signer.tail(), |writer| {
            writer.put(&Lifetime(granted))?;
            if let Some(ticket) = ticket.filter(|_| granted > 0) {
                writer.put(&MobilityTicket(&ticket.0))?;
            }
            Ok(())
        });
        Ok(Verdict::Control)
    }
}
