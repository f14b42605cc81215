//! How a client's NAT behaves, [RFC 5780](https://www.rfc-editor.org/rfc/rfc5780): Binding answered from another
//! address or port, to another port, or in fragments.
//!
//! Nobody has to prove anything for that, so the answer is little longer than the question where the question is long,
//! and every one of them is paid for out of the budget of the address it goes to.

use std::net::SocketAddr;

use rand_core::RngCore;
use stun::attribute::{
    ChangeRequest, MappedAddress, OtherAddress, Padding, ResponseOrigin, ResponsePort, XorMappedAddress,
    types,
};
use stun::{Class, Method, Tail};

use super::Server;
use super::counters::DropReason;
use super::output::Verdict;
use super::reject::{Reject, RejectReason};
use super::request::Request;
use super::respond::{self, Head};
use crate::addr::Client;

/// The two addresses and two ports of a listener that helps clients to find out about their NAT: it is reached at
/// each address with each port. Both are of one family, and differ in address and in port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// The address and the port that clients are told of.
    pub first: SocketAddr,
    /// The other address and the other port.
    pub second: SocketAddr,
}

/// The most PADDING of an answer: it makes a datagram that has to go in fragments on nearly all paths.
const MAX_PADDING: usize = 1500;

impl Discovery {
    /// Where an answer leaves from, to a request that came to `local`: from the other address, from the other port, from
    /// both, or from where it came to. `None` for a request that came to none of the four.
    fn origin(self, local: SocketAddr, change: ChangeRequest) -> Option<SocketAddr> {
        let Self { first, second } = self;
        let pick = |is_first: bool, is_second: bool, other: bool| match (is_first, is_second) {
            (true, false) => Some(!other),
            (false, true) => Some(other),
            (true, true) | (false, false) => None,
        };
        let ip = pick(local.ip() == first.ip(), local.ip() == second.ip(), change.address)?;
        let port = pick(local.port() == first.port(), local.port() == second.port(), change.port)?;
        let ip = if ip { first.ip() } else { second.ip() };
        Some(SocketAddr::new(ip, if port { first.port() } else { second.port() }))
    }

    /// Whether this address of ours is one that only these questions are asked at.
    pub(super) const fn is_second_port(self, local: SocketAddr) -> bool {
        local.port() == self.second.port()
    }
}

/// The attributes of these questions.
pub(super) const fn is_attribute(kind: u16) -> bool {
    matches!(kind, types::CHANGE_REQUEST | types::PADDING | types::RESPONSE_PORT)
}

impl Request<'_> {
    /// What the listener offers at the address that the request came to.
    pub(super) fn discovery(&self) -> Option<Discovery> {
        let nothing = ChangeRequest { address: false, port: false };
        let local = self.client.local();
        self.listener.discovery.filter(|discovery| discovery.origin(local, nothing).is_some())
    }
}

impl<R: RngCore> Server<R> {
    /// Binding, [section 6.1](https://www.rfc-editor.org/rfc/rfc5780#section-6.1).
    pub(super) fn discover(
        &mut self,
        request: &Request<'_>,
        discovery: Discovery,
    ) -> Result<Verdict<'static>, Reject> {
        let Request { client, message, now, .. } = request;
        let change = request.optional::<ChangeRequest>()?;
        let change = change.unwrap_or(ChangeRequest { address: false, port: false });
        let response_port = request.optional::<ResponsePort>()?;
        let padding = request.optional::<Padding<'_>>()?;

        // 1. Fragments for whoever is at another port: 400.
        if response_port.is_some() && padding.is_some() {
            return Err(RejectReason::ConflictingAttributes.into());
        }
        let both = ChangeRequest { address: true, port: true };
        let (Some(origin), Some(other)) =
            (discovery.origin(client.local(), change), discovery.origin(client.local(), both))
        else {
            return Err(RejectReason::UnknownAttribute.into());
        };
        let port = response_port.map_or(client.remote().port(), |ResponsePort(port)| port);
        if port == 0 {
            return Err(RejectReason::MalformedAttribute.into());
        }
        if !self.budget.spend(client.remote().ip(), now.mono) {
            return Ok(self.drop(DropReason::ReplyBudget));
        }

        // 2. No more padding than came.
        let padding = padding.map(|Padding(padding)| &padding[..padding.len().min(MAX_PADDING) & !3]);
        let to = Client::new(client.listener(), SocketAddr::new(client.remote().ip(), port), origin);
        let tail = Tail { fingerprint: message.has_fingerprint(), ..Tail::default() };
        let (class, method, transaction) = (Class::Success, Method::Binding, message.transaction_id());
        let head = Head { client: to, class, method, transaction };
        let mut room = [0; MAX_PADDING + 4 * 4 + 128];
        respond::send_within(&mut room, &mut self.outputs, head, tail, |writer| {
            writer.put(&XorMappedAddress(client.remote()))?;
            writer.put(&MappedAddress(client.remote()))?;
            writer.put(&ResponseOrigin(origin))?;
            writer.put(&OtherAddress(other))?;
            if let Some(padding) = padding {
                writer.put(&Padding(padding))?;
            }
            Ok(())
        });
        Ok(Verdict::Control)
    }
}
