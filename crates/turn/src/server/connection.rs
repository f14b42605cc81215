//! TCP between relays and peers, [RFC 6062](https://www.rfc-editor.org/rfc/rfc6062): Connect, ConnectionBind,
//! ConnectionAttempt.
//!
//! A connection to a peer begins with the client's Connect, or with the peer, and is named by a number. A client that
//! wants its bytes opens a second connection to the server and names that number in ConnectionBind; from then on the
//! server's caller carries bytes from the one to the other, and this room knows only that it does. The number says
//! which server of the process has the connection, since the kernel may have given the second one to another.

use std::net::SocketAddr;
use std::time::Instant;

use rand_core::RngCore;
use smallvec::SmallVec;
use stun::attribute::{ConnectionId as ConnectionIdAttribute, XorPeerAddress};
use stun::{Class, Method, Tail, TransactionId};

use super::Server;
use super::admission::{PeerProtocol, Policy};
use super::allocation::Allocation;
use super::counters::DropReason;
use super::output::{Output, Verdict};
use super::permission::admit;
use super::reject::{Reject, RejectReason};
use super::request::Request;
use super::respond::{self, Details, Head};
use crate::addr::{Client, ClusterId, ConnectionId, PeerAddr, RelayId};
use crate::credentials::{Caller, Signer};
use crate::time::{CONNECT_PATIENCE, Now, UNBOUND_LIFETIME};

/// A connection between a relay and a peer.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: PeerAddr,
    pub(super) cluster: ClusterId,
    pub(super) stage: Stage,
}

pub(super) enum Stage {
    /// The peer has not answered yet.
    Connecting { transaction: TransactionId, signer: Box<Signer>, until: Instant },
    /// No client has asked for it yet.
    Unbound { until: Instant },
    /// Its bytes are carried.
    Joined,
}

impl Connection {
    /// When it ends unless something happens.
    pub(super) const fn until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Connecting { until, .. } | Stage::Unbound { until } => Some(until),
            Stage::Joined => None,
        }
    }
}

/// Requests.
impl<R: RngCore> Server<R> {
    /// Connect, [RFC 6062 section 5.2](https://www.rfc-editor.org/rfc/rfc6062#section-5.2). Needs no permission: it
    /// is the client who begins. Answered when the peer has.
    pub(super) fn connect(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        policy: &impl Policy,
    ) -> Result<Verdict<'static>, Reject> {
        let own = self.own(request, caller)?;
        if !own.iter().all(|id| self.table.relays_tcp(id)) {
            return Err(RejectReason::UnsupportedMethod.into());
        }
        let spelled = request.required::<XorPeerAddress>()?;
        if spelled.0.port() == 0 {
            return Err(RejectReason::MalformedAttribute.about(spelled.0));
        }
        let (relay, peer, grant) = admit(request, own, spelled, policy)?;
        let (_, allocation) = self.own_of(own, peer.family())?;
        let Some(connections) = &allocation.connections else {
            return Err(RejectReason::UnsupportedMethod.into());
        };
        if connections.iter().any(|connection| connection.peer == peer) {
            return Err(RejectReason::ConnectionExists.about(spelled.0));
        }
        let cluster = grant.cluster(PeerProtocol::Tcp, peer.port());
        let cluster = cluster.ok_or_else(|| RejectReason::PeerRefused.about(spelled.0))?;
        if connections.len() >= usize::from(request.listener.limits.connections) {
            return Err(RejectReason::TooManyConnections.into());
        }
        let stage = Stage::Connecting {
            transaction: request.message.transaction_id(),
            signer: Box::new(caller.signer.clone()),
            until: request.now.mono + CONNECT_PATIENCE,
        };
        let id = self.number_connection();
        self.table.add_connection(relay, Connection { id, peer, cluster, stage });
        self.outputs.push_back(Output::Connect { relay, connection: id, peer });
        Ok(Verdict::Control)
    }

    /// ConnectionBind, [RFC 6062 section 5.4](https://www.rfc-editor.org/rfc/rfc6062#section-5.4).
    pub(super) fn connection_bind(
        &mut self,
        request: &Request<'_>,
        caller: &Caller<'_>,
    ) -> Result<Verdict<'static>, Reject> {
        let client = request.client;
        if !request.listener.transport.is_stream() {
            return Err(RejectReason::UnsupportedMethod.into());
        }
        if self.table.allocation_of(&client).is_some() {
            return Err(RejectReason::AllocationExists.into());
        }
        let ConnectionIdAttribute(number) = request.required()?;
        let id = ConnectionId(number);
        if id.member() != self.member && id.member() < self.members {
            self.outputs.push_back(Output::MoveClient { client, to: id.member() });
            return Ok(Verdict::Control);
        }
        let found = self.table.connection(id).filter(|(relay, connection)| {
            let owner = self.table.allocation(*relay).map(|allocation| allocation.client.listener());
            owner == Some(client.listener()) && matches!(connection.stage, Stage::Unbound { .. })
        });
        let (relay, connection) = found.ok_or(RejectReason::UnknownConnection)?;
        let cluster = connection.cluster;
        if self.table.allocation(relay).is_none_or(|allocation| *allocation.user != *caller.user) {
            return Err(RejectReason::WrongUser.into());
        }
        self.table.set_stage(id, Stage::Joined);
        respond::success(&mut self.outputs, request, caller.signer.tail(), |writer| {
            writer.put(&ConnectionIdAttribute(number))?;
            Ok(())
        });
        self.outputs.push_back(Output::Join { connection: id, client, cluster });
        Ok(Verdict::Control)
    }
}

/// News from the owner of the sockets.
impl<R: RngCore> Server<R> {
    /// Takes the answer to [`Output::Connect`]: whether the peer has taken the connection. An answer for a connection
    /// that has been closed in the meantime is ignored.
    pub fn handle_connected(&mut self, connection: ConnectionId, is_open: bool, now: Now) {
        self.handle_timeout(now);
        if !is_open {
            return self.fail_connection(connection, RejectReason::ConnectFailed);
        }
        let unbound = Stage::Unbound { until: now.mono + UNBOUND_LIFETIME };
        let Some((relay, Stage::Connecting { transaction, signer, .. })) =
            self.table.set_stage(connection, unbound)
        else {
            return;
        };
        let Some(client) = self.table.allocation(relay).map(|allocation| allocation.client) else { return };
        let head = Head { client, class: Class::Success, method: Method::Connect, transaction };
        respond::send(&mut self.outputs, head, signer.tail(), |writer| {
            writer.put(&ConnectionIdAttribute(connection.0))?;
            Ok(())
        });
    }

    /// Takes the news that `peer` has connected to a relay. Names the connection if the client is to hear of it; else
    /// it is to be closed.
    ///
    /// # Errors
    /// Why the connection is refused. Already counted.
    pub fn handle_accepted(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        policy: &impl Policy,
        now: Now,
    ) -> Result<ConnectionId, DropReason> {
        self.handle_timeout(now);
        let welcome = self.welcome(relay, peer, policy, now);
        let (client, peer, cluster) = welcome.inspect_err(|reason| self.counters.count_drop(*reason))?;
        let id = self.number_connection();
        let stage = Stage::Unbound { until: now.mono + UNBOUND_LIFETIME };
        self.table.add_connection(relay, Connection { id, peer, cluster, stage });
        let transaction = self.transaction();
        let head = Head { client, class: Class::Indication, method: Method::ConnectionAttempt, transaction };
        respond::send(&mut self.outputs, head, Tail::default(), |writer| {
            writer.put(&XorPeerAddress(peer.get()))?;
            writer.put(&ConnectionIdAttribute(id.0))?;
            Ok(())
        });
        Ok(id)
    }

    /// The gate for peers that connect: the same as for their datagrams.
    fn welcome(
        &self,
        relay: RelayId,
        peer: SocketAddr,
        policy: &impl Policy,
        now: Now,
    ) -> Result<(Client, PeerAddr, ClusterId), DropReason> {
        let peer = PeerAddr::new(peer).map_err(|_| DropReason::PeerForbidden)?;
        let allocation = self.table.allocation(relay).filter(|allocation| allocation.live().is_some());
        let Some(Allocation { client, connections: Some(connections), .. }) = allocation else {
            return Err(DropReason::UnknownRelay);
        };
        let cluster = self.table.permitted(relay, peer, PeerProtocol::Tcp, now.mono)?;
        let limit = policy.listener(client.listener()).map_or(0, |listener| listener.limits.connections);
        if connections.len() >= usize::from(limit) {
            return Err(DropReason::TooManyConnections);
        }
        Ok((*client, peer, cluster))
    }

    /// Takes the news that a connection is closed, by the peer or by whoever was joined with it.
    pub fn handle_connection_closed(&mut self, connection: ConnectionId, now: Now) {
        self.handle_timeout(now);
        match self.table.connection(connection).map(|(_, connection)| &connection.stage) {
            Some(Stage::Connecting { .. }) => self.fail_connection(connection, RejectReason::ConnectFailed),
            Some(Stage::Unbound { .. } | Stage::Joined) => drop(self.table.remove_connection(connection)),
            None => {}
        }
    }
}

/// Ends.
impl<R: RngCore> Server<R> {
    /// Ends connections of a relay whose time is over.
    pub(super) fn expire_connections(&mut self, relay: RelayId, now: Now) {
        let is_over = |connection: &Connection| connection.until().is_some_and(|until| until <= now.mono);
        self.end_connections(relay, RejectReason::ConnectFailed, is_over);
    }

    /// Ends connections of a relay that no cluster consents to any more.
    pub(super) fn revoke_connections(&mut self, relay: RelayId, policy: &impl Policy) {
        let Some(allocation) = self.table.allocation(relay) else { return };
        let listener = allocation.client.listener();
        self.end_connections(relay, RejectReason::PeerRefused, |connection| {
            let grant = policy.peer(listener, connection.peer.ip());
            grant.cluster(PeerProtocol::Tcp, connection.peer.port()).is_none()
        });
    }

    fn end_connections(
        &mut self,
        relay: RelayId,
        reason: RejectReason,
        is_over: impl Fn(&Connection) -> bool,
    ) {
        let Some(connections) = self.table.allocation(relay).and_then(|held| held.connections.as_ref())
        else {
            return;
        };
        let over = connections.iter().filter(|connection| is_over(connection));
        let over: SmallVec<[ConnectionId; 4]> = over.map(|connection| connection.id).collect();
        for id in over {
            self.outputs.push_back(Output::CloseConnection { connection: id });
            self.fail_connection(id, reason);
        }
    }

    /// Forgets a connection, and tells the client if it waits for it.
    fn fail_connection(&mut self, id: ConnectionId, reason: RejectReason) {
        let Some((relay, connection)) = self.table.remove_connection(id) else { return };
        let Stage::Connecting { transaction, signer, .. } = connection.stage else { return };
        let Some(client) = self.table.allocation(relay).map(|allocation| allocation.client) else { return };
        self.counters.count_reject(reason);
        self.log_refusal(client, Method::Connect, reason.about(connection.peer.get()));
        let head = Head { client, class: Class::Error, method: Method::Connect, transaction };
        let details = Details { signer: Some(&signer), ..Details::default() };
        respond::error(&mut self.outputs, head, reason, details);
    }

    /// A number that nobody has, and nobody guesses.
    fn number_connection(&mut self) -> ConnectionId {
        loop {
            let id = ConnectionId::new(self.rng.next_u32(), self.member);
            if self.table.connection(id).is_none() {
                return id;
            }
        }
    }
}
