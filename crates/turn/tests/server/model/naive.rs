//! TURN as lists that are searched from end to end.

use turn::time::{CHANNEL_LIFETIME, PERMISSION_LIFETIME, RELAY_PATIENCE, RESERVATION_LIFETIME};

use super::{CHANNELS, CLIENTS, MAX_CHANNELS, MAX_PERMISSIONS, PEERS, Port, is_stream};
use crate::support::Lines;

/// What the routes say, without any of the server's types.
fn cluster(which: usize, peer: usize) -> Option<u16> {
    match (which, PEERS[peer]) {
        (0, "10.0.0.1:1000") => None,
        (0, _) => Some(1),
        (1, "192.0.2.1:1000") => Some(1),
        (1, "192.0.2.1:2000") => Some(2),
        (2, "10.0.0.1:1000") => Some(3),
        _ => None,
    }
}

pub(super) fn is_routed(which: usize, peer: usize) -> bool {
    match which {
        0 | 1 => PEERS[peer].starts_with("192.0.2."),
        _ => PEERS[peer].starts_with("10."),
    }
}

pub(super) fn host(peer: usize) -> &'static str {
    PEERS[peer].split(':').next().unwrap()
}

/// In milliseconds since the beginning.
pub(super) type Time = u64;

#[derive(Clone, Debug)]
pub(super) enum Holder {
    Opening {
        client: usize,
        lifetime: u32,
        pair: bool,
        tcp: bool,
        patience: Time,
        /// The number of the request.
        transaction: u64,
    },
    Live {
        client: usize,
        expires: Time,
        permissions: Vec<(&'static str, Time)>,
        channels: Vec<(usize, usize, Time)>,
        /// Those of a TCP relay.
        connections: Option<Vec<Connection>>,
        /// The number of the request, and what it was answered with.
        birth: (u64, String),
    },
}

/// Between a relay and a peer.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// In the order in which they came about, from 1.
    pub(super) number: usize,
    pub(super) peer: usize,
    pub(super) stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting(Time),
    Unbound(Time),
    Joined,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) now: Time,
    pub(super) routes: usize,
    /// By relay number, from 1; those that have ended hold nothing.
    pub(super) relays: Vec<Option<Holder>>,
    /// The port each token stands for and until when, in the order of the tokens.
    pub(super) tokens: Vec<Option<(usize, Time)>>,
    /// How many connections there have been, and the cluster of each.
    pub(super) connections: usize,
    pub(super) clusters: Vec<u16>,
    /// Nobody gets another allocation.
    pub(super) is_full: bool,
    /// Clients on UDP are sent to another server.
    pub(super) redirects: bool,
}

pub(super) fn millis_of(duration: std::time::Duration) -> Time {
    duration.as_millis() as Time
}

fn granted(lifetime: u32) -> u32 {
    if lifetime == 0 { 600 } else { lifetime.min(3600) }
}

impl Model {
    pub(super) fn holder(&self, relay: usize) -> Option<&Holder> {
        self.relays.get(relay.checked_sub(1)?)?.as_ref()
    }

    /// The relay of a client, open or not.
    pub(super) fn relay_of(&self, client: usize) -> Option<usize> {
        let is_theirs = |holder: &Option<Holder>| match holder {
            Some(Holder::Opening { client: owner, .. } | Holder::Live { client: owner, .. }) => {
                *owner == client
            }
            None => false,
        };
        self.relays.iter().position(is_theirs).map(|at| at + 1)
    }

    /// The relay of a client with an allocation that has not expired.
    pub(super) fn live(&self, client: usize) -> Option<usize> {
        let relay = self.relay_of(client)?;
        match self.holder(relay)? {
            Holder::Live { expires, .. } if self.now < *expires => Some(relay),
            _ => None,
        }
    }

    pub(super) fn end(&mut self, relay: usize, reason: &str) -> Lines {
        match self.relays[relay - 1].take() {
            None => vec![],
            Some(Holder::Live { client, connections, .. }) => {
                let mut lines = vec![
                    format!("ended {}: relay {relay}, {reason}", CLIENTS[client].0),
                    format!("close relay {relay}"),
                ];
                let connections = connections.into_iter().flatten();
                lines.extend(connections.map(|it| format!("close connection {}", it.number)));
                lines
            }
            Some(Holder::Opening { .. }) => vec![format!("close relay {relay}")],
        }
    }

    pub(super) fn give_up(&mut self, relay: usize) -> Lines {
        let Some(Holder::Opening { client, .. }) = self.holder(relay) else { return vec![] };
        let name = CLIENTS[*client].0;
        let mut lines =
            vec![format!("refused {name}: Allocate for NoRelay"), format!("{name} <- Allocate 508: signed")];
        lines.extend(self.end(relay, ""));
        lines
    }

    /// Time passes for everything at once.
    pub(super) fn expire(&mut self) -> Lines {
        let mut lines = Lines::new();
        for relay in 1..=self.relays.len() {
            let now = self.now;
            lines.extend(self.expire_connections(relay));
            match &mut self.relays[relay - 1] {
                Some(Holder::Opening { patience, .. }) if now >= *patience => {
                    lines.extend(self.give_up(relay));
                }
                Some(Holder::Live { expires, .. }) if now >= *expires => {
                    lines.extend(self.end(relay, "Expired"));
                }
                Some(Holder::Live { permissions, channels, .. }) => {
                    permissions.retain(|(_, until)| now < *until);
                    channels.retain(|(_, _, expires)| now < *expires);
                }
                _ => {}
            }
        }
        lines
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        let times = self.relays.iter().flatten().flat_map(|holder| match holder {
            Holder::Opening { patience, .. } => vec![*patience],
            Holder::Live { expires, permissions, channels, connections, .. } => {
                let mut times = vec![*expires];
                times.extend(connections.iter().flatten().filter_map(Connection::until));
                times.extend(permissions.iter().map(|(_, until)| *until));
                times.extend(channels.iter().map(|(_, _, expires)| *expires));
                times
            }
        });
        times.min()
    }

    pub(super) fn live_count(&self) -> usize {
        self.relays.iter().flatten().filter(|holder| matches!(holder, Holder::Live { .. })).count()
    }

    /// The cluster that lets a packet between a relay and a peer through.
    fn passes(&self, relay: usize, peer: usize) -> Result<u16, &'static str> {
        if !self.permits(relay, peer) {
            return Err("NoPermission");
        }
        cluster(self.routes, peer).ok_or("PeerRefused")
    }

    pub(super) fn permits(&self, relay: usize, peer: usize) -> bool {
        let Some(Holder::Live { permissions, .. }) = self.holder(relay) else { return false };
        permissions.iter().any(|(ip, until)| *ip == host(peer) && self.now < *until)
    }

    fn permit_host(&mut self, relay: usize, ip: &'static str) {
        let until = self.now + millis_of(PERMISSION_LIFETIME);
        let Some(Holder::Live { permissions, .. }) = &mut self.relays[relay - 1] else { return };
        permissions.retain(|(held, _)| *held != ip);
        permissions.push((ip, until));
    }

    fn counts(&self, relay: usize) -> (Vec<&'static str>, usize) {
        match self.holder(relay) {
            Some(Holder::Live { permissions, channels, .. }) => {
                (permissions.iter().map(|(ip, _)| *ip).collect(), channels.len())
            }
            _ => (vec![], 0),
        }
    }
}

pub(super) fn refusal(client: usize, method: &str, reason: &str, code: u16, about: &str) -> Lines {
    let name = CLIENTS[client].0;
    vec![
        format!("refused {name}: {method} for {reason}{about}"),
        format!("{name} <- {method} {code}: signed"),
    ]
}

fn live(client: usize, expires: Time, connections: Option<Vec<Connection>>, birth: (u64, String)) -> Holder {
    Holder::Live { client, expires, permissions: vec![], channels: vec![], connections, birth }
}

fn created(client: usize, relay: usize, port: usize, lifetime: u32, token: &str) -> Lines {
    let (name, remote) = CLIENTS[client];
    vec![
        format!("created {name}: relay {relay} at 203.0.113.1:{port}"),
        format!(
            "{name} <- Allocate ok: relayed 203.0.113.1:{port}, lifetime {lifetime}, mapped {remote}{token}, signed"
        ),
    ]
}

/// What each step makes the server say.
impl Model {
    fn opening(&self, client: usize, lifetime: u32, pair: bool, tcp: bool) -> Holder {
        let patience = self.now + millis_of(RELAY_PATIENCE);
        Holder::Opening { client, lifetime: granted(lifetime), pair, tcp, patience, transaction: 0 }
    }

    fn redirected(&self, client: usize) -> Option<String> {
        let is_told = self.redirects && !is_stream(client);
        is_told.then(|| format!("{} <- Allocate 300: at 198.51.100.99:3478, signed", CLIENTS[client].0))
    }

    /// What a client without an allocation is told if it gets none.
    fn turn_away(&self, client: usize, tcp: bool) -> Option<Lines> {
        if let Some(line) = self.redirected(client) {
            return Some(vec![line]);
        }
        if tcp && !is_stream(client) {
            return Some(refusal(client, "Allocate", "ConflictingAttributes", 400, ""));
        }
        self.is_full.then(|| refusal(client, "Allocate", "QuotaReached", 486, ""))
    }

    pub(super) fn allocate_tcp(&mut self, client: usize, lifetime: u32) -> Lines {
        let mut lines = self.expire();
        if self.relay_of(client).is_some() {
            lines.extend(refusal(client, "Allocate", "AllocationExists", 437, ""));
            return lines;
        }
        if let Some(refused) = self.turn_away(client, true) {
            lines.extend(refused);
            return lines;
        }
        let relay = self.relays.len() + 1;
        self.relays.push(Some(self.opening(client, lifetime, false, true)));
        lines.push(format!("open relay {relay} for listener 2, V4, TCP, any port"));
        lines
    }

    pub(super) fn allocate(&mut self, client: usize, lifetime: u32, port: Port) -> Lines {
        let mut lines = self.expire();
        if self.relay_of(client).is_some() {
            lines.extend(refusal(client, "Allocate", "AllocationExists", 437, ""));
            return lines;
        }
        if let Some(refused) = self.turn_away(client, false) {
            lines.extend(refused);
            return lines;
        }
        let relay = self.relays.len() + 1;
        let pair = port == Port::Pair;
        self.relays.push(Some(self.opening(client, lifetime, pair, false)));
        let port = match port {
            Port::Any => "any port",
            Port::Even => "even port",
            Port::Pair => "even port and the next in reserve",
        };
        lines.push(format!("open relay {relay} for listener 1, V4, {port}"));
        lines
    }

    pub(super) fn claim(&mut self, client: usize, token: usize) -> Lines {
        let mut lines = self.expire();
        if self.relay_of(client).is_some() {
            lines.extend(refusal(client, "Allocate", "AllocationExists", 437, ""));
            return lines;
        }
        let now = self.now;
        if let Some(refused) = self.redirected(client) {
            lines.push(refused);
            return lines;
        }
        let relay = self.relays.len() + 1;
        lines.push(format!("open relay {relay} for listener 1, V4, port in reserve"));
        let kept = self.tokens[token].take_if(|(_, until)| now < *until);
        let Some((port, _)) = kept else {
            self.relays.push(None);
            lines.extend(refusal(client, "Allocate", "UnknownReservation", 508, ""));
            return lines;
        };
        let said = created(client, relay, port, 600, "");
        self.relays.push(Some(live(client, now + 600_000, None, (0, said[1].clone()))));
        lines.extend(said);
        lines
    }

    pub(super) fn opens(&mut self, relay: usize) -> Lines {
        let mut lines = self.expire();
        let now = self.now;
        let Some(Holder::Opening { client, lifetime, pair, tcp, transaction, .. }) =
            self.holder(relay).cloned()
        else {
            return lines;
        };
        let expires = now + u64::from(lifetime) * 1000;
        let port = 50_000 + 2 * relay;
        if pair {
            self.tokens.push(Some((port + 1, now + millis_of(RESERVATION_LIFETIME))));
        }
        let said = created(client, relay, port, lifetime, if pair { ", token" } else { "" });
        let birth = (transaction, said[1].clone());
        self.relays[relay - 1] = Some(live(client, expires, tcp.then(Vec::new), birth));
        lines.extend(said);
        lines
    }

    pub(super) fn refresh(&mut self, client: usize, lifetime: u32) -> Lines {
        let mut lines = self.expire();
        let Some(relay) = self.live(client) else {
            lines.extend(refusal(client, "Refresh", "NoAllocation", 437, ""));
            return lines;
        };
        let given = if lifetime == 0 { 0 } else { granted(lifetime) };
        if lifetime == 0 {
            lines.extend(self.end(relay, "Deleted"));
        } else if let Some(Holder::Live { expires, .. }) = &mut self.relays[relay - 1] {
            *expires = self.now + u64::from(given) * 1000;
        }
        lines.push(format!("{} <- Refresh ok: lifetime {given}, signed", CLIENTS[client].0));
        lines
    }

    pub(super) fn permit(&mut self, client: usize, peers: &[usize]) -> Lines {
        let mut lines = self.expire();
        let refuse = |reason, code, about: &str| refusal(client, "CreatePermission", reason, code, about);
        let Some(relay) = self.live(client) else {
            lines.extend(refuse("NoAllocation", 437, ""));
            return lines;
        };
        if peers.is_empty() {
            lines.extend(refuse("MissingAttribute", 400, ""));
            return lines;
        }
        if let Some(bad) = peers.iter().find(|peer| !is_routed(self.routes, **peer)) {
            lines.extend(refuse("PeerRefused", 403, &format!(" about {}:0", host(*bad))));
            return lines;
        }
        let (mut held, _) = self.counts(relay);
        held.extend(peers.iter().map(|peer| host(*peer)));
        held.sort_unstable();
        held.dedup();
        if held.len() > MAX_PERMISSIONS {
            lines.extend(refuse("TooManyPermissions", 508, ""));
            return lines;
        }
        for peer in peers {
            self.permit_host(relay, host(*peer));
        }
        lines.push(format!("{} <- CreatePermission ok: signed", CLIENTS[client].0));
        lines
    }

    pub(super) fn bind(&mut self, client: usize, channel: usize, peer: usize) -> Lines {
        let mut lines = self.expire();
        let about = format!(" about {}", PEERS[peer]);
        let refuse = |reason, code, about: &str| refusal(client, "ChannelBind", reason, code, about);
        let Some(relay) = self.live(client) else {
            lines.extend(refuse("NoAllocation", 437, ""));
            return lines;
        };
        if self.is_tcp(relay) {
            lines.extend(refuse("UnsupportedMethod", 400, ""));
            return lines;
        }
        if !is_routed(self.routes, peer) {
            lines.extend(refuse("PeerRefused", 403, &about));
            return lines;
        }
        let (permissions, channel_count) = self.counts(relay);
        let expires = self.now + millis_of(CHANNEL_LIFETIME);
        let Some(Holder::Live { channels, .. }) = &mut self.relays[relay - 1] else { return lines };
        let is_known = channels.iter().any(|(number, bound, _)| (*number, *bound) == (channel, peer));
        if !is_known && channels.iter().any(|(number, bound, _)| *number == channel || *bound == peer) {
            lines.extend(refuse("ChannelConflict", 400, &about));
        } else if !is_known && channel_count >= MAX_CHANNELS {
            lines.extend(refuse("TooManyChannels", 508, ""));
        } else if !permissions.contains(&host(peer)) && permissions.len() >= MAX_PERMISSIONS {
            lines.extend(refuse("TooManyPermissions", 508, ""));
        } else {
            channels.retain(|(number, _, _)| *number != channel);
            channels.push((channel, peer, expires));
            self.permit_host(relay, host(peer));
            lines.push(format!("{} <- ChannelBind ok: signed", CLIENTS[client].0));
        }
        lines
    }

    pub(super) fn send(&self, client: usize, peer: usize) -> String {
        let relay = self.live(client).filter(|relay| !self.is_tcp(*relay));
        let Some(relay) = relay else { return "drop NoAllocation".into() };
        match self.passes(relay, peer) {
            Ok(cluster) => format!("relay {relay} -> {}: hi (cluster {cluster})", PEERS[peer]),
            Err(reason) => format!("drop {reason}"),
        }
    }

    pub(super) fn send_on(&self, client: usize, channel: usize) -> String {
        let relay = self.live(client).filter(|relay| !self.is_tcp(*relay));
        let Some(relay) = relay else { return "drop NoAllocation".into() };
        let Some(Holder::Live { channels, .. }) = self.holder(relay) else { return String::new() };
        let bound = channels.iter().find(|(number, _, expires)| *number == channel && self.now < *expires);
        match bound.map(|(_, peer, _)| (*peer, self.passes(relay, *peer))) {
            None | Some((_, Err("NoPermission"))) => "drop UnboundChannel".into(),
            Some((_, Err(reason))) => format!("drop {reason}"),
            Some((peer, Ok(cluster))) => format!("relay {relay} -> {}: hi (cluster {cluster})", PEERS[peer]),
        }
    }

    pub(super) fn peer_sends(&self, relay: usize, peer: usize) -> String {
        let Some(Holder::Live { client, expires, channels, .. }) = self.holder(relay) else {
            return "drop UnknownRelay".into();
        };
        if self.now >= *expires || self.is_tcp(relay) {
            return "drop UnknownRelay".into();
        }
        let name = CLIENTS[*client].0;
        let bound = channels.iter().find(|(_, bound, expires)| *bound == peer && self.now < *expires);
        match (self.passes(relay, peer), bound) {
            (Err(reason), _) => format!("drop {reason}"),
            (Ok(cluster), None) => format!("{name} <- {}: ho (cluster {cluster})", PEERS[peer]),
            (Ok(cluster), Some((channel, _, _))) => {
                format!("{name} <- channel {:#x}: ho (cluster {cluster})", CHANNELS[*channel])
            }
        }
    }
}
