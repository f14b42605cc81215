//! Binding: the client learns its own address, [RFC 8489 section 7](https://www.rfc-editor.org/rfc/rfc8489#section-7).

use rand_core::RngCore;
use stun::Tail;
use stun::attribute::XorMappedAddress;

use super::output::Verdict;
use super::reject::RejectReason;
use super::request::Request;
use super::{Server, respond};

impl<R: RngCore> Server<R> {
    /// Needs no credentials, so the answer is as small as it can be: the address, and a FINGERPRINT only for those who
    /// sent one themselves.
    pub(super) fn binding(&mut self, request: &Request<'_>) -> Verdict<'static> {
        if !request.unknown_attributes().is_empty() {
            return self.reject(request, None, RejectReason::UnknownAttribute.into());
        }
        if let Some(discovery) = request.discovery() {
            return self
                .discover(request, discovery)
                .unwrap_or_else(|reject| self.reject(request, None, reject));
        }
        let tail = Tail { fingerprint: request.message.has_fingerprint(), ..Tail::default() };
        respond::success(&mut self.outputs, request, tail, |writer| {
            writer.put(&XorMappedAddress(request.client.remote()))?;
            Ok(())
        });
        Verdict::Control
    }
}
