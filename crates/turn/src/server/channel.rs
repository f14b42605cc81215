//! ChannelBind, [RFC 8656 section 12](https://www.rfc-editor.org/rfc/rfc8656#section-12).

use rand_core::RngCore;
use stun::ChannelNumber;
use stun::attribute::{XorPeerAddress, types};

use super::Server;
use super::admission::Policy;
use super::output::Verdict;
use super::permission::admit;
use super::reject::{Reject, RejectReason};
use super::request::Request;
use super::respond;
use crate::credentials::Caller;
use crate::time::{CHANNEL_LIFETIME, PERMISSION_LIFETIME};

impl<R: RngCore> Server<R> {
    /// The steps are those of [section 12.2](https://www.rfc-editor.org/rfc/rfc8656#section-12.2). A binding brings a
    /// permission for the peer's address, or refreshes it.
    pub(super) fn channel_bind(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        policy: &impl Policy,
    ) -> Result<Verdict<'static>, Reject> {
        let own = self.own(request, caller)?;
        let limits = request.listener.limits;
        // A TCP relay has no channels.
        if own.iter().any(|id| self.table.relays_tcp(id)) {
            return Err(RejectReason::UnsupportedMethod.into());
        }

        // 1. Both attributes are there and make sense: 400.
        // 2. The number is one of a channel: 400.
        if !request.message.has(types::CHANNEL_NUMBER) {
            return Err(RejectReason::MissingAttribute.into());
        }
        let number = request.message.get::<ChannelNumber>().ok().flatten();
        let number = number.ok_or(RejectReason::InvalidChannel)?;
        let spelled = request.required::<XorPeerAddress>()?;
        if spelled.0.port() == 0 {
            return Err(RejectReason::MalformedAttribute.about(spelled.0));
        }

        // 5. and 6. The address is of a family that is allocated: 443; and may be reached: 403.
        let (id, peer, grant) = admit(request, own, spelled, policy)?;

        // 3. and 4. Neither the number nor the peer is bound otherwise: 400. A number is the client's, of whichever
        // family its peer is.
        let (bound_peer, bound_number) = self.table.bindings(id, number, peer);
        let is_elsewhere = own.iter().any(|other| other != id && self.table.is_bound(other, number));
        let is_free =
            bound_peer.is_none_or(|bound| bound == peer) && bound_number.is_none_or(|bound| bound == number);
        if is_elsewhere || !is_free {
            return Err(RejectReason::ChannelConflict.about(spelled.0));
        }

        // 7. There is room: 508.
        let (_, allocation) = self.own_of(own, peer.family())?;
        let (permissions, channels) = (allocation.permissions.len(), allocation.channels.len());
        if bound_peer.is_none() && channels >= usize::from(limits.channels) {
            return Err(RejectReason::TooManyChannels.into());
        }
        if !self.table.permits(id, peer.ip()) && permissions >= usize::from(limits.permissions) {
            return Err(RejectReason::TooManyPermissions.into());
        }

        let now = request.now.mono;
        self.table.permit(id, peer.ip(), grant, now + PERMISSION_LIFETIME);
        self.table.bind(id, number, peer, now + CHANNEL_LIFETIME);
        respond::success(&mut self.outputs, request, caller.signer.tail(), |_| Ok(()));
        Ok(Verdict::Control)
    }
}
