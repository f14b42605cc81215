//! CreatePermission, [RFC 8656 section 10](https://www.rfc-editor.org/rfc/rfc8656#section-10), and the one gate every
//! peer goes through before anything may be relayed to or from it.

use std::net::IpAddr;

use rand_core::RngCore;
use smallvec::SmallVec;
use stun::attribute::XorPeerAddress;

use super::Server;
use super::admission::{Grant, Policy};
use super::allocation::Own;
use super::output::Verdict;
use super::reject::{Reject, RejectReason};
use super::request::Request;
use super::respond;
use crate::addr::{PeerAddr, RelayId};
use crate::credentials::Caller;
use crate::time::PERMISSION_LIFETIME;

impl<R: RngCore> Server<R> {
    /// All peers of the request get their permission, or none does and the first to be refused is named in the log.
    pub(super) fn create_permission(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        policy: &impl Policy,
    ) -> Result<Verdict<'static>, Reject> {
        let own = self.own(request, caller)?;
        let max = usize::from(request.listener.limits.permissions);

        // 1. At least one XOR-PEER-ADDRESS, and none that is broken: 400.
        // 2. Every address is of a family that is allocated: 443.
        // 3. Every address may be reached: 403.
        let mut admitted = SmallVec::<[(RelayId, IpAddr, Grant); 4]>::new();
        for peer in request.message.all::<XorPeerAddress>() {
            let XorPeerAddress(peer) = peer.map_err(|_| RejectReason::MalformedAttribute)?;
            let (id, peer, grant) = admit(request, own, XorPeerAddress(peer), policy)?;
            if admitted.iter().any(|(_, ip, _)| *ip == peer.ip()) {
                continue;
            }
            // Before the list is complete: a frame of a stream has room for thousands.
            if admitted.iter().filter(|(relay, ..)| *relay == id).count() >= max {
                return Err(RejectReason::TooManyPermissions.into());
            }
            admitted.push((id, peer.ip(), grant));
        }
        if admitted.is_empty() {
            return Err(RejectReason::MissingAttribute.into());
        }

        // 4. There is room for all of them: 508.
        for id in own.iter() {
            let held = self.table.allocation(id).map_or(0, |allocation| allocation.permissions.len());
            let new = admitted.iter().filter(|(relay, ip, _)| *relay == id && !self.table.permits(id, *ip));
            if held + new.count() > max {
                return Err(RejectReason::TooManyPermissions.into());
            }
        }

        let until = request.now.mono + PERMISSION_LIFETIME;
        for (id, ip, grant) in admitted {
            self.table.permit(id, ip, grant, until);
        }
        respond::success(&mut self.outputs, request, caller.signer.tail(), |_| Ok(()));
        Ok(Verdict::Control)
    }
}

/// The gate: canonical spelling, family, routes. Names the allocation of the peer's family.
pub(super) fn admit(
    request: &Request<'_>,
    own: Own,
    XorPeerAddress(spelled): XorPeerAddress,
    policy: &impl Policy,
) -> Result<(RelayId, PeerAddr, Grant), Reject> {
    let peer = PeerAddr::new(spelled).map_err(|_| RejectReason::PeerForbidden.about(spelled))?;
    let id = own.of(peer.family()).ok_or(RejectReason::FamilyMismatch.about(spelled))?;
    let grant = policy.peer(request.client.listener(), peer.ip());
    if grant.is_refused() {
        return Err(RejectReason::PeerRefused.about(spelled));
    }
    Ok((id, peer, grant))
}
