//! The server against a naive model: lists that are searched from end to end, over random sequences of operations on
//! a virtual clock. Every line the server says must be one the model says.
//!
//! The clock moves in quarter seconds, so that everything ends on the tick the server clears away at; times in
//! between are tested in [`expiry`](crate::expiry).

mod naive;
mod network;
mod tcp;

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use stun::attribute::{EvenPort, Lifetime, ReservationToken};

use self::naive::{Holder, Model, Time, host, millis_of};
use crate::support::*;

/// Clients on UDP as they are at first, the same behind another address of their NAT, clients on TCP, and connections
/// of those that ConnectionBind is said on.
const CLIENTS: [(&str, &str); 11] = [
    ("alice", "198.51.100.1:5000"),
    ("bob", "198.51.100.2:5000"),
    ("carol", "198.51.100.3:5000"),
    ("alice anew", "198.51.100.1:5001"),
    ("bob anew", "198.51.100.2:5001"),
    ("carol anew", "198.51.100.9:5000"),
    ("dan", "198.51.100.4:5000"),
    ("erin", "198.51.100.5:5000"),
    ("dan's first", "198.51.100.4:5001"),
    ("dan's second", "198.51.100.4:5002"),
    ("erin's", "198.51.100.5:5001"),
];
/// Of these, so many are people on UDP, and so many addresses of theirs.
const PEOPLE: usize = 3;
const DATAGRAMS: usize = 2 * PEOPLE;
/// The clients on TCP that may have allocations.
const STREAMS: usize = 2;

/// Whether a client is on TCP.
fn is_stream(client: usize) -> bool {
    client >= DATAGRAMS
}

const PEERS: [&str; 5] =
    ["192.0.2.1:1000", "192.0.2.1:2000", "192.0.2.2:1000", "192.0.2.3:1000", "10.0.0.1:1000"];
const CHANNELS: [u16; 3] = [0x4000, 0x4001, 0x7fff];
const MAX_PERMISSIONS: usize = 2;
const MAX_CHANNELS: usize = 2;
const MAX_CONNECTIONS: usize = 2;

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
    let (client, peer, channel) = (0..PEOPLE, 0..PEERS.len(), 0..CHANNELS.len());
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
        0 => vec![route("192.0.2.0/24", 1), route("192.0.2.0/24", 4).tcp()],
        1 => vec![
            route("192.0.2.1/32", 1).ports(0, 1500),
            route("192.0.2.0/24", 2).ports(1800, 2200),
            route("192.0.2.1/32", 5).ports(0, 1500).tcp(),
        ],
        _ => vec![route("10.0.0.0/8", 3)],
    }
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
        let mut world = World::new();
        for listener in [1, 2] {
            let limits = &mut world.rules.listener_mut(listener).limits;
            limits.permissions = MAX_PERMISSIONS as u16;
            limits.channels = MAX_CHANNELS as u16;
            limits.connections = MAX_CONNECTIONS as u16;
        }
        world.rules.routes = routes(0);
        for (at, (name, remote)) in CLIENTS.into_iter().enumerate() {
            world.meet(name, if is_stream(at) { 2 } else { 1 }, remote);
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
                (self.ask(client, ask), self.model.allocate(client, lifetime, port))
            }
            Step::Claim { client, token } => {
                let Some(at) = self.tokens.len().checked_sub(token + 1) else { return Default::default() };
                let said = self.ask(client, allocate().with(self.tokens[at]));
                (said, self.model.claim(client, at))
            }
            Step::Opens { relay } => {
                let Some(relay) = self.relay(relay) else { return Default::default() };
                let expected = self.model.opens(relay);
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
                (self.ask(client, refresh(lifetime)), self.model.refresh(client, lifetime))
            }
            Step::Permit { client, peers } => {
                let hosts: Vec<&str> = peers.iter().map(|peer| host(*peer)).collect();
                (self.ask(client, permit(&hosts)), self.model.permit(client, &peers))
            }
            Step::Bind { client, channel, peer } => {
                let said = self.ask(client, bind(CHANNELS[channel], PEERS[peer]));
                (said, self.model.bind(client, channel, peer))
            }
            Step::Send { client, peer } => {
                let said = self.ask(client, send(PEERS[peer], b"hi"));
                (said, vec![self.model.send(client, peer)])
            }
            Step::SendOn { client, channel } => {
                let said = self.world.sends_on(CLIENTS[client].0, CHANNELS[channel], b"hi");
                (said, vec![self.model.send_on(client, channel)])
            }
            Step::PeerSends { relay, peer } => {
                let Some(relay) = self.relay(relay) else { return Default::default() };
                (self.world.peer_sends(relay, PEERS[peer], b"ho"), vec![self.model.peer_sends(relay, peer)])
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
                let mut expected = self.model.expire();
                expected.extend(self.model.revoke_connections());
                (self.world.reconfigures(), expected)
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
    for (at, peer) in PEERS.into_iter().enumerate() {
        assert_eq!(host(at).parse::<IpAddr>().unwrap(), addr(peer).ip());
    }
}
