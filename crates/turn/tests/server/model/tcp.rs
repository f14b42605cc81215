//! TCP relays as the model knows them: RFC 6062.

use turn::time::{CONNECT_PATIENCE, UNBOUND_LIFETIME};

use super::naive::{Connection, Holder, Model, Stage, Time, is_routed, millis_of, refusal};
use super::{CLIENTS, MAX_CONNECTIONS, PEERS};
use crate::support::Lines;

impl Connection {
    pub(super) fn until(&self) -> Option<Time> {
        match self.stage {
            Stage::Connecting(until) | Stage::Unbound(until) => Some(until),
            Stage::Joined => None,
        }
    }
}

/// The cluster that a connection to or from a peer is of.
fn cluster(which: usize, peer: usize) -> Option<u16> {
    match (which, PEERS[peer]) {
        (0, "10.0.0.1:1000") => None,
        (0, _) => Some(4),
        (1, "192.0.2.1:1000") => Some(5),
        _ => None,
    }
}

impl Model {
    pub(super) fn is_tcp(&self, relay: usize) -> bool {
        matches!(self.holder(relay), Some(Holder::Live { connections: Some(_), .. }))
    }

    fn connections_of(&mut self, relay: usize) -> Option<(usize, &mut Vec<Connection>)> {
        match self.relays.get_mut(relay.checked_sub(1)?)? {
            Some(Holder::Live { client, connections: Some(connections), .. }) => Some((*client, connections)),
            _ => None,
        }
    }

    /// Where a connection is.
    fn find(&self, number: usize) -> Option<(usize, Connection)> {
        (1..=self.relays.len()).find_map(|relay| {
            let Some(Holder::Live { connections: Some(connections), .. }) = self.holder(relay) else {
                return None;
            };
            connections.iter().find(|it| it.number == number).map(|it| (relay, it.clone()))
        })
    }

    pub(super) fn is_connecting(&self, number: usize) -> bool {
        self.find(number).is_some_and(|(_, it)| matches!(it.stage, Stage::Connecting(_)))
    }

    /// Connections that this is true of end, and whoever waits for one is told why.
    fn end_connections(
        &mut self,
        relay: usize,
        (reason, code): (&str, u16),
        is_over: impl Fn(&Connection) -> bool,
    ) -> Lines {
        let Some((client, connections)) = self.connections_of(relay) else { return vec![] };
        let (over, left): (Vec<_>, Vec<_>) = connections.drain(..).partition(is_over);
        *connections = left;
        let mut lines = Lines::new();
        for it in over {
            lines.push(format!("close connection {}", it.number));
            lines.extend(told(client, &it, reason, code));
        }
        lines
    }

    pub(super) fn expire_connections(&mut self, relay: usize) -> Lines {
        let now = self.now;
        self.end_connections(relay, ("ConnectFailed", 447), |it| it.until().is_some_and(|until| until <= now))
    }

    pub(super) fn revoke_connections(&mut self) -> Lines {
        let routes = self.routes;
        let all = 1..=self.relays.len();
        let revoke = |relay| {
            self.end_connections(relay, ("PeerRefused", 403), |it| cluster(routes, it.peer).is_none())
        };
        all.flat_map(revoke).collect()
    }

    pub(super) fn connect(&mut self, client: usize, peer: usize) -> Lines {
        let mut lines = self.expire();
        let about = format!(" about {}", PEERS[peer]);
        let refuse = |reason, code, about: &str| refusal(client, "Connect", reason, code, about);
        let until = self.now + millis_of(CONNECT_PATIENCE);
        let (routes, number) = (self.routes, self.connections + 1);
        let Some(relay) = self.live(client) else {
            lines.extend(refuse("NoAllocation", 437, ""));
            return lines;
        };
        let Some((_, connections)) = self.connections_of(relay) else {
            lines.extend(refuse("UnsupportedMethod", 400, ""));
            return lines;
        };
        if !is_routed(routes, peer) {
            lines.extend(refuse("PeerRefused", 403, &about));
        } else if connections.iter().any(|it| it.peer == peer) {
            lines.extend(refuse("ConnectionExists", 446, &about));
        } else if cluster(routes, peer).is_none() {
            lines.extend(refuse("PeerRefused", 403, &about));
        } else if connections.len() >= MAX_CONNECTIONS {
            lines.extend(refuse("TooManyConnections", 508, ""));
        } else {
            connections.push(Connection { number, peer, stage: Stage::Connecting(until) });
            self.connections = number;
            lines.push(format!("connect {number} from relay {relay} to {}", PEERS[peer]));
        }
        lines
    }

    /// A peer takes a connection that it was asked for, or does not.
    pub(super) fn peer_answers(&mut self, number: usize, is_open: bool) -> Lines {
        let mut lines = self.expire();
        let until = self.now + millis_of(UNBOUND_LIFETIME);
        let Some((relay, it)) = self.find(number) else { return lines };
        let Some((client, connections)) = self.connections_of(relay) else { return lines };
        if is_open {
            connections
                .iter_mut()
                .filter(|it| it.number == number)
                .for_each(|it| it.stage = Stage::Unbound(until));
            lines.push(format!("{} <- Connect ok: connection {number}, signed", CLIENTS[client].0));
        } else {
            connections.retain(|it| it.number != number);
            lines.extend(told(client, &it, "ConnectFailed", 447));
        }
        lines
    }

    /// A second connection of a client's asks for the bytes of a connection.
    pub(super) fn connection_bind(&mut self, client: usize, number: usize) -> Lines {
        let mut lines = self.expire();
        let refuse = |reason, code| refusal(client, "ConnectionBind", reason, code, "");
        if self.relay_of(client).is_some() {
            lines.extend(refuse("AllocationExists", 437));
            return lines;
        }
        let found = self.find(number).filter(|(_, it)| matches!(it.stage, Stage::Unbound(_)));
        let Some((relay, it)) = found else {
            lines.extend(refuse("UnknownConnection", 400));
            return lines;
        };
        let cluster = self.joined_cluster(&it);
        if let Some((_, connections)) = self.connections_of(relay) {
            connections.iter_mut().filter(|it| it.number == number).for_each(|it| it.stage = Stage::Joined);
        }
        let name = CLIENTS[client].0;
        lines.push(format!("{name} <- ConnectionBind ok: connection {number}, signed"));
        lines.push(format!("join {number} with {name} (cluster {cluster})"));
        lines
    }

    /// What let a connection come about, which may not be what would let it come about now.
    fn joined_cluster(&self, it: &Connection) -> u16 {
        self.clusters.get(it.number - 1).copied().unwrap_or(0)
    }

    /// Notes what lets the latest connection come about.
    pub(super) fn note_cluster(&mut self) {
        if self.clusters.len() < self.connections {
            let latest = self.find(self.connections).map(|(_, it)| it.peer);
            let cluster = latest.and_then(|peer| cluster(self.routes, peer));
            self.clusters.push(cluster.unwrap_or(0));
        }
    }

    /// A peer connects to a relay.
    pub(super) fn peer_connects(&mut self, relay: usize, peer: usize) -> Lines {
        let mut lines = self.expire();
        let until = self.now + millis_of(UNBOUND_LIFETIME);
        let (routes, number) = (self.routes, self.connections + 1);
        let is_permitted = self.permits(relay, peer);
        let Some((client, connections)) = self.connections_of(relay) else {
            lines.push("refuse UnknownRelay".into());
            return lines;
        };
        if !is_permitted {
            lines.push("refuse NoPermission".into());
        } else if cluster(routes, peer).is_none() {
            lines.push("refuse PeerRefused".into());
        } else if connections.len() >= MAX_CONNECTIONS {
            lines.push("refuse TooManyConnections".into());
        } else {
            connections.push(Connection { number, peer, stage: Stage::Unbound(until) });
            self.connections = number;
            let name = CLIENTS[client].0;
            let peer = PEERS[peer];
            lines.push(format!("accept {number}"));
            lines.push(format!("{name} <- ConnectionAttempt Indication: peer {peer}, connection {number}"));
        }
        lines
    }

    /// A connection is closed from outside.
    pub(super) fn connection_closes(&mut self, number: usize) -> Lines {
        let mut lines = self.expire();
        let Some((relay, it)) = self.find(number) else { return lines };
        let Some((client, connections)) = self.connections_of(relay) else { return lines };
        connections.retain(|it| it.number != number);
        lines.extend(told(client, &it, "ConnectFailed", 447));
        lines
    }
}

/// What a client is told of a connection that it waits for.
fn told(client: usize, it: &Connection, reason: &str, code: u16) -> Lines {
    match it.stage {
        Stage::Connecting(_) => {
            refusal(client, "Connect", reason, code, &format!(" about {}", PEERS[it.peer]))
        }
        Stage::Unbound(_) | Stage::Joined => vec![],
    }
}
