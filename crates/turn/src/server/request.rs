//! A request as the handlers see it: typed attributes, known attributes, proven callers.

use smallvec::SmallVec;
use stun::attribute::{Attribute, PasswordAlgorithm, PasswordAlgorithms, Userhash, Username, types};
use stun::{Message, Method};

use super::admission::ListenerPolicy;
use super::discovery;
use super::reject::{Reject, RejectReason};
use crate::addr::Client;
use crate::credentials::{Algorithm, Assertion, Caller, Identity};
use crate::nonce::Nonces;
use crate::time::Now;

/// What a handler is given.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) client: Client,
    pub(super) message: Message<'a>,
    pub(super) listener: &'a ListenerPolicy,
    pub(super) now: Now,
}

/// The most unknown attributes a 420 lists. A client learns from the first one what to leave out.
const MAX_LISTED: usize = 16;

impl<'a> Request<'a> {
    pub(super) fn method(&self) -> Method {
        self.message.method()
    }

    /// An attribute the request may have.
    pub(super) fn optional<A: Attribute<'a>>(&self) -> Result<Option<A>, Reject> {
        self.message.get().map_err(|_| RejectReason::MalformedAttribute.into())
    }

    /// An attribute the request must have.
    pub(super) fn required<A: Attribute<'a>>(&self) -> Result<A, Reject> {
        self.optional()?.ok_or_else(|| RejectReason::MissingAttribute.into())
    }

    /// Types of the attributes that would have to be understood and are not.
    pub(super) fn unknown_attributes(&self) -> SmallVec<[u16; MAX_LISTED]> {
        let asks_about_nat = self.method() == Method::Binding && self.discovery().is_some();
        let is_known = |kind| is_known(kind) || asks_about_nat && discovery::is_attribute(kind);
        self.message.unknown_required(is_known).take(MAX_LISTED).collect()
    }

    /// Finds out who is asking, [RFC 8489 section 9.2.4](https://www.rfc-editor.org/rfc/rfc8489#section-9.2.4).
    pub(super) fn authenticate(&self, nonces: &mut Nonces) -> Result<Caller<'a>, Reject> {
        // 1. No integrity attribute: 401, with what is needed to come again.
        if !self.message.has_integrity() && !self.message.has_integrity_sha256() {
            return Err(RejectReason::Unauthenticated.into());
        }

        // 2. USERNAME or USERHASH, REALM or NONCE missing: 400.
        let (Some(identity), Some(nonce)) = (self.identity(), self.message.raw(types::NONCE)) else {
            return Err(RejectReason::MissingCredentials.into());
        };
        if !self.message.has(types::REALM) {
            return Err(RejectReason::MissingCredentials.into());
        }

        // 3. The nonce is not valid (any more), or not as it was sent: 438, with a valid one.
        let authority = &self.listener.authority;
        // Clients that have further connections for the bytes of TCP peers (RFC 6062) show on one what they were given on
        // another, and each refusal would cost them a round trip.
        let shares_nonces = self.listener.transport.is_stream() && self.listener.relays_tcp;
        let is_good = if shares_nonces { Nonces::verify_for_any_port } else { Nonces::verify };
        if !is_good(nonces, nonce, &self.client, self.now.unix) {
            return Err(RejectReason::StaleNonce.into());
        }

        // 4. Somebody has changed the choice of algorithms on its way to the client: 400.
        let algorithm = self.algorithm().ok_or(RejectReason::WrongAlgorithm)?;

        // 5. and 6. The name is unknown or the password wrong: 401, the same in either case. The realm that counts is
        // the listener's, so another one in the request makes the password a wrong one.
        authority
            .authenticate(Assertion { identity, algorithm }, &self.message, self.now.unix)
            .ok_or_else(|| RejectReason::WrongCredentials.into())
    }

    fn identity(&self) -> Option<Identity<'a>> {
        match self.message.get::<Username<'a>>() {
            Ok(Some(username)) => Some(Identity::Name(username.as_str())),
            Ok(None) => self.message.get::<Userhash>().ok().flatten().map(Identity::Hash),
            Err(_) => None,
        }
    }

    /// The algorithm the request names, if it names any. `None` if it does not repeat the whole choice it was given,
    /// or has taken none of it.
    fn algorithm(&self) -> Option<Option<Algorithm>> {
        if !self.message.has(types::PASSWORD_ALGORITHM) && !self.message.has(types::PASSWORD_ALGORITHMS) {
            return Some(None);
        }
        let offered = self.message.get::<PasswordAlgorithms<'a>>().ok()??;
        let chosen = self.message.get::<PasswordAlgorithm<'a>>().ok()??;
        if !offered.iter().eq(Algorithm::OFFERED) {
            return None;
        }
        let known =
            [(PasswordAlgorithm::SHA256, Algorithm::Sha256), (PasswordAlgorithm::MD5, Algorithm::Md5)];
        known.into_iter().find(|(named, _)| *named == chosen).map(|(_, algorithm)| Some(algorithm))
    }
}

/// The comprehension-required attributes the server understands, or has no reason to refuse a message for.
pub(super) const fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        types::MAPPED_ADDRESS
            | types::USERNAME
            | types::MESSAGE_INTEGRITY
            | types::ERROR_CODE
            | types::UNKNOWN_ATTRIBUTES
            | types::CHANNEL_NUMBER
            | types::LIFETIME
            | types::XOR_PEER_ADDRESS
            | types::DATA
            | types::REALM
            | types::NONCE
            | types::XOR_RELAYED_ADDRESS
            | types::REQUESTED_ADDRESS_FAMILY
            | types::EVEN_PORT
            | types::REQUESTED_TRANSPORT
            | types::DONT_FRAGMENT
            | types::MESSAGE_INTEGRITY_SHA256
            | types::PASSWORD_ALGORITHM
            | types::USERHASH
            | types::XOR_MAPPED_ADDRESS
            | types::RESERVATION_TOKEN
            | types::CONNECTION_ID
    )
}
