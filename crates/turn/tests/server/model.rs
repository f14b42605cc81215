//! The server against a naive model: lists that are searched from end to end, over random sequences of operations on
//! a virtual clock. Every line the server says must be one the model says.
//!
//! The clock moves in quarter seconds, so that everything ends on the tick the server clears away at; times in
//! between are tested in [`expiry`](crate::expiry).

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use stun::attribute::{EvenPort, Lifetime, ReservationToken};
use turn::time::{CHANNEL_LIFETIME, PERMISSION_LIFETIME, RELAY_PATIENCE, RESERVATION_LIFETIME};

use crate::support::*;

const CLIENTS: [(&str, &str); 3] =
    [("alice", "198.51.100.1:5000"), ("bob", "198.51.100.2:5000"), ("carol", "198.51.100.3:5000")];
const PEERS: [&str; 4] = ["192.0.2.1:1000", "192.0.2.1:2000", "192.0.2.2:1000", "10.0.0.1:1000"];
const CHANNELS: [u16; 3] = [0x4000, 0x4001, 0x4fff];
const MAX_PERMISSIONS: usize = 2;
const MAX_CHANNELS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Allocate { client: usize, lifetime: u32, port: Port },
    Claim { client: usize, token: usize },
    Opens { relay: usize },
    FailsToOpen { relay: usize },
    RelayFails { relay: usize },
    Refresh { client: usize, lifetime: u32 },
    Permit { client: usize, peers: Vec<usize> },
    Bind { client: usize, channel: usize, peer: usize },
    Send { client: usize, peer: usize },
    SendOn { client: usize, channel: usize },
    PeerSends { relay: usize, peer: usize },
    Closes { client: usize },
    Routes { which: usize },
    Wait { quarters: u32 },
    Timeout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Any,
    Even,
    Pair,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (client, peer, channel) = (0..CLIENTS.len(), 0..PEERS.len(), 0..CHANNELS.len());
    // Relays and tokens are counted from the latest one back.
    let (relay, token) = (0..4_usize, 0..2_usize);
    let lifetime = prop::sample::select(vec![0_u32, 1, 10, 200, 600, 3600, 9999]);
    let port = prop::sample::select(vec![Port::Any, Port::Any, Port::Even, Port::Pair]);
    let quarters = prop_oneof![0..8_u32, 0..1300_u32, Just(119), Just(120), Just(1200), Just(2400)];
    let step = prop_oneof![
        6 => (client.clone(), lifetime.clone(), port)
            .prop_map(|(client, lifetime, port)| Step::Allocate { client, lifetime, port }),
        2 => (client.clone(), token).prop_map(|(client, token)| Step::Claim { client, token }),
        8 => (0..2_usize).prop_map(|relay| Step::Opens { relay }),
        1 => relay.clone().prop_map(|relay| Step::FailsToOpen { relay }),
        1 => relay.clone().prop_map(|relay| Step::RelayFails { relay }),
        3 => (client.clone(), lifetime).prop_map(|(client, lifetime)| Step::Refresh { client, lifetime }),
        6 => (client.clone(), vec(peer.clone(), 0..3))
            .prop_map(|(client, peers)| Step::Permit { client, peers }),
        6 => (client.clone(), channel.clone(), peer.clone())
            .prop_map(|(client, channel, peer)| Step::Bind { client, channel, peer }),
        6 => (client.clone(), peer.clone()).prop_map(|(client, peer)| Step::Send { client, peer }),
        6 => (client.clone(), channel).prop_map(|(client, channel)| Step::SendOn { client, channel }),
        8 => (relay, peer).prop_map(|(relay, peer)| Step::PeerSends { relay, peer }),
        1 => client.prop_map(|client| Step::Closes { client }),
        1 => (0..3_usize).prop_map(|which| Step::Routes { which }),
        4 => quarters.prop_map(|quarters| Step::Wait { quarters }),
        2 => Just(Step::Timeout),
    ];
    vec(step, 1..150)
}

fn routes(which: usize) -> Vec<Route> {
    match which {
        0 => vec![route("192.0.2.0/24", 1)],
        1 => vec![route("192.0.2.1/32", 1).ports(0, 1500), route("192.0.2.0/24", 2).ports(1800, 2200)],
        _ => vec![route("10.0.0.0/8", 3)],
    }
}

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

fn is_routed(which: usize, peer: usize) -> bool {
    match which {
        0 | 1 => PEERS[peer].starts_with("192.0.2."),
        _ => PEERS[peer].starts_with("10."),
    }
}

fn host(peer: usize) -> &'static str {
    PEERS[peer].split(':').next().unwrap()
}

/// In milliseconds since the beginning.
type Time = u64;

#[derive(Clone, Debug)]
enum Holder {
    Opening {
        client: usize,
        lifetime: u32,
        pair: Option<usize>,
        patience: Time,
    },
    Live {
        client: usize,
        expires: Time,
        permissions: Vec<(&'static str, Time)>,
        channels: Vec<(usize, usize, Time)>,
    },
    Unopened,
    Reserved {
        expires: Time,
    },
}

#[derive(Default)]
struct Model {
    now: Time,
    routes: usize,
    /// By relay number, from 1; those that have ended hold nothing.
    relays: Vec<Option<Holder>>,
    /// The number of each token's relay, in the order of the tokens.
    tokens: Vec<usize>,
}

fn millis_of(duration: std::time::Duration) -> Time {
    duration.as_millis() as Time
}

fn granted(lifetime: u32) -> u32 {
    if lifetime == 0 { 600 } else { lifetime.min(3600) }
}

impl Model {
    fn holder(&self, relay: usize) -> Option<&Holder> {
        self.relays.get(relay.checked_sub(1)?)?.as_ref()
    }

    /// The relay of a client, open or not.
    fn relay_of(&self, client: usize) -> Option<usize> {
        let is_theirs = |holder: &Option<Holder>| match holder {
            Some(Holder::Opening { client: owner, .. } | Holder::Live { client: owner, .. }) => {
                *owner == client
            }
            _ => false,
        };
        self.relays.iter().position(is_theirs).map(|at| at + 1)
    }

    /// The relay of a client with an allocation that has not expired.
    fn live(&self, client: usize) -> Option<usize> {
        let relay = self.relay_of(client)?;
        match self.holder(relay)? {
            Holder::Live { expires, .. } if self.now < *expires => Some(relay),
            _ => None,
        }
    }

    fn end(&mut self, relay: usize, reason: &str) -> Lines {
        match self.relays[relay - 1].take() {
            None => vec![],
            Some(Holder::Live { client, .. }) => vec![
                format!("ended {}: relay {relay}, {reason}", CLIENTS[client].0),
                format!("close relay {relay}"),
            ],
            Some(Holder::Opening { pair, .. }) => {
                let mut lines = vec![format!("close relay {relay}")];
                lines.extend(pair.into_iter().flat_map(|pair| self.end(pair, reason)));
                lines
            }
            Some(Holder::Unopened | Holder::Reserved { .. }) => vec![format!("close relay {relay}")],
        }
    }

    fn give_up(&mut self, relay: usize) -> Lines {
        let Some(Holder::Opening { client, .. }) = self.holder(relay) else { return vec![] };
        let name = CLIENTS[*client].0;
        let mut lines =
            vec![format!("refused {name}: Allocate for NoRelay"), format!("{name} <- Allocate 508: signed")];
        lines.extend(self.end(relay, ""));
        lines
    }

    /// Time passes for everything at once.
    fn expire(&mut self) -> Lines {
        let mut lines = Lines::new();
        for relay in 1..=self.relays.len() {
            let now = self.now;
            match &mut self.relays[relay - 1] {
                Some(Holder::Opening { patience, .. }) if now >= *patience => {
                    lines.extend(self.give_up(relay));
                }
                Some(Holder::Live { expires, .. } | Holder::Reserved { expires }) if now >= *expires => {
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

    fn deadline(&self) -> Option<Time> {
        let times = self.relays.iter().flatten().flat_map(|holder| match holder {
            Holder::Opening { patience, .. } => vec![*patience],
            Holder::Live { expires, permissions, channels, .. } => {
                let mut times = vec![*expires];
                times.extend(permissions.iter().map(|(_, until)| *until));
                times.extend(channels.iter().map(|(_, _, expires)| *expires));
                times
            }
            Holder::Unopened => vec![],
            Holder::Reserved { expires } => vec![*expires],
        });
        times.min()
    }

    fn live_count(&self) -> usize {
        self.relays.iter().flatten().filter(|holder| matches!(holder, Holder::Live { .. })).count()
    }

    /// The cluster that lets a packet between a relay and a peer through.
    fn passes(&self, relay: usize, peer: usize) -> Result<u16, &'static str> {
        let Some(Holder::Live { permissions, .. }) = self.holder(relay) else { return Err("NoPermission") };
        let is_permitted = permissions.iter().any(|(ip, until)| *ip == host(peer) && self.now < *until);
        if !is_permitted {
            return Err("NoPermission");
        }
        cluster(self.routes, peer).ok_or("PeerRefused")
    }

    fn permit(&mut self, relay: usize, ip: &'static str) {
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

fn refusal(client: usize, method: &str, reason: &str, code: u16, about: &str) -> Lines {
    let name = CLIENTS[client].0;
    vec![
        format!("refused {name}: {method} for {reason}{about}"),
        format!("{name} <- {method} {code}: signed"),
    ]
}

fn created(client: usize, relay: usize, lifetime: u32, token: &str) -> Lines {
    let ((name, remote), port) = (CLIENTS[client], 50_000 + 2 * relay);
    vec![
        format!("created {name}: relay {relay} at 203.0.113.1:{port}"),
        format!(
            "{name} <- Allocate ok: relayed 203.0.113.1:{port}, lifetime {lifetime}, mapped {remote}{token}, signed"
        ),
    ]
}

/// The world and the model side by side.
struct Duel {
    world: World,
    model: Model,
    tokens: Vec<ReservationToken>,
    greeted: [Time; CLIENTS.len()],
}

impl Duel {
    fn new() -> Self {
        let mut world = World::with(|settings| {
            settings.max_permissions = MAX_PERMISSIONS as u16;
            settings.max_channels = MAX_CHANNELS as u16;
        });
        for (name, remote) in CLIENTS {
            world.meet(name, 1, remote);
            world.greet(name);
        }
        Self { world, model: Model::default(), tokens: Vec::new(), greeted: [0; CLIENTS.len()] }
    }

    fn ask(&mut self, client: usize, ask: Ask) -> Lines {
        let name = CLIENTS[client].0;
        if self.model.now - self.greeted[client] > 3_000_000 {
            self.world.greet(name);
            self.greeted[client] = self.model.now;
        }
        self.world.ask(name, ask)
    }

    /// The `back`th relay from the latest.
    fn relay(&self, back: usize) -> Option<usize> {
        self.model.relays.len().checked_sub(back).filter(|relay| *relay > 0)
    }

    /// Does one step in both, and gives what each says.
    fn step(&mut self, step: Step) -> (Lines, Lines) {
        match step {
            Step::Allocate { client, lifetime, port } => {
                let ask = allocate().with(Lifetime(lifetime));
                let ask = match port {
                    Port::Any => ask,
                    Port::Even => ask.with(EvenPort { reserve: false }),
                    Port::Pair => ask.with(EvenPort { reserve: true }),
                };
                (self.ask(client, ask), self.model_allocate(client, lifetime, port))
            }
            Step::Claim { client, token } => {
                let Some(at) = self.tokens.len().checked_sub(token + 1) else { return Default::default() };
                let said = self.ask(client, allocate().with(self.tokens[at]));
                (said, self.model_claim(client, self.model.tokens[at]))
            }
            Step::Opens { relay } => {
                let Some(relay) = self.relay(relay) else { return Default::default() };
                let expected = self.model_opens(relay);
                let said = self.world.opens(relay, 50_000 + 2 * relay as u16);
                if said.last().is_some_and(|line| line.contains("token")) {
                    self.tokens.push(token(&self.world));
                }
                (said, expected)
            }
            Step::FailsToOpen { relay } => {
                let Some(relay) = self.relay(relay) else { return Default::default() };
                let mut expected = self.model.expire();
                let mut refused = self.model.give_up(relay);
                refused.retain(|line| !line.starts_with("close"));
                expected.extend(refused);
                (self.world.fails_to_open(relay), expected)
            }
            Step::RelayFails { relay } => {
                let Some(relay) = self.relay(relay) else { return Default::default() };
                let mut expected = self.model.expire();
                expected.extend(match self.model.holder(relay) {
                    Some(Holder::Opening { .. }) => self.model.give_up(relay),
                    _ => self.model.end(relay, "RelayFailed"),
                });
                (self.world.relay_fails(relay), expected)
            }
            Step::Refresh { client, lifetime } => {
                (self.ask(client, refresh(lifetime)), self.model_refresh(client, lifetime))
            }
            Step::Permit { client, peers } => {
                let hosts: Vec<&str> = peers.iter().map(|peer| host(*peer)).collect();
                (self.ask(client, permit(&hosts)), self.model_permit(client, &peers))
            }
            Step::Bind { client, channel, peer } => {
                let said = self.ask(client, bind(CHANNELS[channel], PEERS[peer]));
                (said, self.model_bind(client, channel, peer))
            }
            Step::Send { client, peer } => {
                let said = self.ask(client, send(PEERS[peer], b"hi"));
                (said, vec![self.model_send(client, peer)])
            }
            Step::SendOn { client, channel } => {
                let said = self.world.sends_on(CLIENTS[client].0, CHANNELS[channel], b"hi");
                (said, vec![self.model_send_on(client, channel)])
            }
            Step::PeerSends { relay, peer } => {
                let Some(relay) = self.relay(relay) else { return Default::default() };
                (self.world.peer_sends(relay, PEERS[peer], b"ho"), vec![self.model_peer_sends(relay, peer)])
            }
            Step::Closes { client } => {
                let mut expected = self.model.expire();
                if let Some(relay) = self.model.relay_of(client) {
                    expected.extend(self.model.end(relay, "ClientClosed"));
                }
                (self.world.closes(CLIENTS[client].0), expected)
            }
            Step::Routes { which } => {
                self.world.rules.routes = routes(which);
                self.model.routes = which;
                (self.world.reconfigures(), self.model.expire())
            }
            Step::Wait { quarters } => {
                let by = millis(u64::from(quarters) * 250);
                self.world.wait(by);
                self.model.now += millis_of(by);
                Default::default()
            }
            Step::Timeout => (self.world.timeout(), self.model.expire()),
        }
    }

    fn model_allocate(&mut self, client: usize, lifetime: u32, port: Port) -> Lines {
        let mut lines = self.model.expire();
        if self.model.relay_of(client).is_some() {
            lines.extend(refusal(client, "Allocate", "AllocationExists", 437, ""));
            return lines;
        }
        let relay = self.model.relays.len() + 1;
        let pair = (port == Port::Pair).then_some(relay + 1);
        let patience = self.model.now + millis_of(RELAY_PATIENCE);
        self.model.relays.push(Some(Holder::Opening { client, lifetime: granted(lifetime), pair, patience }));
        self.model.relays.extend(pair.map(|_| Some(Holder::Unopened)));
        let port = match port {
            Port::Any => "any port".into(),
            Port::Even => "even port".into(),
            Port::Pair => format!("even port and relay {} above it", relay + 1),
        };
        lines.push(format!("open relay {relay} for listener 1, V4, {port}"));
        lines
    }

    fn model_claim(&mut self, client: usize, relay: usize) -> Lines {
        let mut lines = self.model.expire();
        if self.model.relay_of(client).is_some() {
            lines.extend(refusal(client, "Allocate", "AllocationExists", 437, ""));
        } else if let Some(Holder::Reserved { .. }) = self.model.holder(relay) {
            let expires = self.model.now + 600_000;
            let live = Holder::Live { client, expires, permissions: vec![], channels: vec![] };
            self.model.relays[relay - 1] = Some(live);
            let port = 50_000 + 2 * (relay - 1) + 1;
            let own = 50_000 + 2 * relay;
            let said = created(client, relay, 600, "");
            lines.extend(said.into_iter().map(|line| line.replace(&own.to_string(), &port.to_string())));
        } else {
            lines.extend(refusal(client, "Allocate", "UnknownReservation", 508, ""));
        }
        lines
    }

    fn model_opens(&mut self, relay: usize) -> Lines {
        let mut lines = self.model.expire();
        let now = self.model.now;
        let Some(Holder::Opening { client, lifetime, pair, .. }) = self.model.holder(relay).cloned() else {
            return lines;
        };
        let expires = now + u64::from(lifetime) * 1000;
        let live = Holder::Live { client, expires, permissions: vec![], channels: vec![] };
        self.model.relays[relay - 1] = Some(live);
        let Some(pair) = pair else {
            lines.extend(created(client, relay, lifetime, ""));
            return lines;
        };
        if let Some(Holder::Unopened) = self.model.holder(pair) {
            let expires = now + millis_of(RESERVATION_LIFETIME);
            self.model.relays[pair - 1] = Some(Holder::Reserved { expires });
        }
        self.model.tokens.push(pair);
        lines.extend(created(client, relay, lifetime, ", token"));
        lines
    }

    fn model_refresh(&mut self, client: usize, lifetime: u32) -> Lines {
        let mut lines = self.model.expire();
        let Some(relay) = self.model.live(client) else {
            lines.extend(refusal(client, "Refresh", "NoAllocation", 437, ""));
            return lines;
        };
        let given = if lifetime == 0 { 0 } else { granted(lifetime) };
        if lifetime == 0 {
            lines.extend(self.model.end(relay, "Deleted"));
        } else if let Some(Holder::Live { expires, .. }) = &mut self.model.relays[relay - 1] {
            *expires = self.model.now + u64::from(given) * 1000;
        }
        lines.push(format!("{} <- Refresh ok: lifetime {given}, signed", CLIENTS[client].0));
        lines
    }

    fn model_permit(&mut self, client: usize, peers: &[usize]) -> Lines {
        let mut lines = self.model.expire();
        let refuse = |reason, code, about: &str| refusal(client, "CreatePermission", reason, code, about);
        let Some(relay) = self.model.live(client) else {
            lines.extend(refuse("NoAllocation", 437, ""));
            return lines;
        };
        if peers.is_empty() {
            lines.extend(refuse("MissingAttribute", 400, ""));
            return lines;
        }
        if let Some(bad) = peers.iter().find(|peer| !is_routed(self.model.routes, **peer)) {
            lines.extend(refuse("PeerRefused", 403, &format!(" about {}:0", host(*bad))));
            return lines;
        }
        let (mut held, _) = self.model.counts(relay);
        held.extend(peers.iter().map(|peer| host(*peer)));
        held.sort_unstable();
        held.dedup();
        if held.len() > MAX_PERMISSIONS {
            lines.extend(refuse("TooManyPermissions", 508, ""));
            return lines;
        }
        for peer in peers {
            self.model.permit(relay, host(*peer));
        }
        lines.push(format!("{} <- CreatePermission ok: signed", CLIENTS[client].0));
        lines
    }

    fn model_bind(&mut self, client: usize, channel: usize, peer: usize) -> Lines {
        let mut lines = self.model.expire();
        let about = format!(" about {}", PEERS[peer]);
        let refuse = |reason, code, about: &str| refusal(client, "ChannelBind", reason, code, about);
        let Some(relay) = self.model.live(client) else {
            lines.extend(refuse("NoAllocation", 437, ""));
            return lines;
        };
        if !is_routed(self.model.routes, peer) {
            lines.extend(refuse("PeerRefused", 403, &about));
            return lines;
        }
        let (permissions, channel_count) = self.model.counts(relay);
        let expires = self.model.now + millis_of(CHANNEL_LIFETIME);
        let Some(Holder::Live { channels, .. }) = &mut self.model.relays[relay - 1] else { return lines };
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
            self.model.permit(relay, host(peer));
            lines.push(format!("{} <- ChannelBind ok: signed", CLIENTS[client].0));
        }
        lines
    }

    fn model_send(&self, client: usize, peer: usize) -> String {
        let Some(relay) = self.model.live(client) else { return "drop NoAllocation".into() };
        match self.model.passes(relay, peer) {
            Ok(cluster) => format!("relay {relay} -> {}: hi (cluster {cluster})", PEERS[peer]),
            Err(reason) => format!("drop {reason}"),
        }
    }

    fn model_send_on(&self, client: usize, channel: usize) -> String {
        let Some(relay) = self.model.live(client) else { return "drop NoAllocation".into() };
        let Some(Holder::Live { channels, .. }) = self.model.holder(relay) else { return String::new() };
        let bound =
            channels.iter().find(|(number, _, expires)| *number == channel && self.model.now < *expires);
        match bound.map(|(_, peer, _)| (*peer, self.model.passes(relay, *peer))) {
            None | Some((_, Err("NoPermission"))) => "drop UnboundChannel".into(),
            Some((_, Err(reason))) => format!("drop {reason}"),
            Some((peer, Ok(cluster))) => format!("relay {relay} -> {}: hi (cluster {cluster})", PEERS[peer]),
        }
    }

    fn model_peer_sends(&self, relay: usize, peer: usize) -> String {
        let Some(Holder::Live { client, expires, channels, .. }) = self.model.holder(relay) else {
            return "drop UnknownRelay".into();
        };
        if self.model.now >= *expires {
            return "drop UnknownRelay".into();
        }
        let name = CLIENTS[*client].0;
        let bound = channels.iter().find(|(_, bound, expires)| *bound == peer && self.model.now < *expires);
        match (self.model.passes(relay, peer), bound) {
            (Err(reason), _) => format!("drop {reason}"),
            (Ok(cluster), None) => format!("{name} <- {}: ho (cluster {cluster})", PEERS[peer]),
            (Ok(cluster), Some((channel, _, _))) => {
                format!("{name} <- channel {:#x}: ho (cluster {cluster})", CHANNELS[*channel])
            }
        }
    }
}

proptest! {
    #[test]
    fn server_says_what_a_naive_model_says(steps in steps()) {
        let mut duel = Duel::new();
        for (at, step) in steps.into_iter().enumerate() {
            let shown = format!("step {at}: {step:?}");
            let (mut said, mut expected) = duel.step(step);
            // Things that end at one moment end in any order.
            said.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(said, expected, "{}", shown);
            prop_assert_eq!(duel.world.server.allocations(), duel.model.live_count(), "{}", shown);
            let deadline = duel.world.server.poll_timeout().map(|next| next.at - start().mono);
            prop_assert_eq!(deadline.map(millis_of), duel.model.deadline(), "{}", shown);
        }
    }
}

#[test]
fn model_knows_its_peers() {
    for peer in 0..PEERS.len() {
        assert_eq!(host(peer).parse::<IpAddr>().unwrap(), addr(PEERS[peer]).ip());
    }
}
