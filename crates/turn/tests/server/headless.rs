//! Clients of one process that talk to each other: what the forwarding tables say at once is what would have come out
//! of the relay sockets, whichever servers the clients are at.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use stun::attribute::{Family, Lifetime};
use turn::addr::RelayId;
use turn::server::{Change, DropReason, Inbound, RejectReason, Verdict};

use crate::support::*;

/// The last one's relays are of the other family.
const CLIENTS: [(&str, &str, u16); 5] = [
    ("alice", "198.51.100.1:5000", 1),
    ("bob", "198.51.100.2:5000", 1),
    ("carol", "198.51.100.3:5000", 2),
    ("dave", "198.51.100.4:5000", 1),
    ("erin", "[2001:db8:c::5]:5000", 1),
];
const CHANNELS: [u16; 2] = [0x4000, 0x4001];
const OUTSIDE: &str = "192.0.2.7:9";

#[derive(Clone, Debug)]
enum Step {
    Allocate { client: usize, lifetime: u32 },
    Refresh { client: usize, lifetime: u32 },
    Permit { client: usize, peer: usize },
    Bind { client: usize, channel: usize, peer: usize },
    Send { client: usize, peer: usize },
    SendOn { client: usize, channel: usize },
    Leave { client: usize },
    Routes { which: usize },
    Wait { quarters: u32 },
    Timeout { server: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (client, channel) = (0..CLIENTS.len(), 0..CHANNELS.len());
    let peer = 0..=CLIENTS.len();
    let lifetime = prop::sample::select(vec![0_u32, 10, 600, 3600, 3600]);
    let quarters = prop_oneof![3 => 0..8_u32, 1 => 0..1300_u32, 1 => Just(1200), 1 => Just(2400)];
    let step = prop_oneof![
        5 => (client.clone(), lifetime.clone())
            .prop_map(|(client, lifetime)| Step::Allocate { client, lifetime }),
        2 => (client.clone(), lifetime).prop_map(|(client, lifetime)| Step::Refresh { client, lifetime }),
        8 => (client.clone(), peer.clone()).prop_map(|(client, peer)| Step::Permit { client, peer }),
        8 => (client.clone(), channel.clone(), peer.clone())
            .prop_map(|(client, channel, peer)| Step::Bind { client, channel, peer }),
        12 => (client.clone(), peer).prop_map(|(client, peer)| Step::Send { client, peer }),
        16 => (client.clone(), channel).prop_map(|(client, channel)| Step::SendOn { client, channel }),
        1 => client.prop_map(|client| Step::Leave { client }),
        2 => (0..4_usize).prop_map(|which| Step::Routes { which }),
        2 => quarters.prop_map(|quarters| Step::Wait { quarters }),
        1 => (0..4_usize).prop_map(|server| Step::Timeout { server }),
    ];
    // Everybody begins with an allocation, and clients are never alone for long.
    vec(step, 1..120)
}

fn routes(which: usize) -> Vec<Route> {
    let (v4, v6) = (route("203.0.113.0/24", 1), route("2001:db8:f::/48", 2));
    match which {
        0 => vec![v4, v6, route("192.0.2.0/24", 3)],
        1 => vec![v4.ports(50_000, 50_001), route("203.0.113.1/32", 4).ports(50_003, 65_535), v6],
        2 => vec![route("192.0.2.0/24", 3)],
        _ => vec![v4.tcp(), route("203.0.113.0/24", 5), v6],
    }
}

/// Some servers of one process, and all relay sockets.
struct Process {
    servers: Vec<World>,
    takes_short_cut: bool,
    /// The relay sockets that are open: whose they are.
    sockets: BTreeMap<SocketAddr, (usize, RelayId)>,
    published: BTreeMap<SocketAddr, (usize, Inbound)>,
    /// By client, where it was last relayed.
    relayed: [SocketAddr; CLIENTS.len()],
}

impl Process {
    fn new(servers: usize, takes_short_cut: bool) -> Self {
        let world = || {
            let mut world = World::with(|settings| settings.is_observed = true);
            world.rules.routes = routes(0);
            for listener in [1, 2] {
                world.rules.listener_mut(listener).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
            }
            CLIENTS.iter().for_each(|(name, remote, listener)| world.meet(name, *listener, remote));
            world
        };
        Self {
            servers: (0..servers).map(|_| world()).collect(),
            takes_short_cut,
            sockets: BTreeMap::new(),
            published: BTreeMap::new(),
            relayed: [addr("203.0.113.1:49999"); CLIENTS.len()],
        }
    }

    fn server_of(&self, client: usize) -> usize {
        client % self.servers.len()
    }

    /// A relay of this process, or somebody outside.
    fn peer(&self, peer: usize) -> String {
        self.relayed.get(peer).map_or(OUTSIDE.into(), ToString::to_string)
    }

    fn ask(&mut self, client: usize, ask: Ask) -> Lines {
        let server = self.server_of(client);
        let world = &mut self.servers[server];
        world.greet(CLIENTS[client].0);
        let lines = world.ask(CLIENTS[client].0, ask);
        self.settle(server, lines)
    }

    /// Publishes what has changed, and closes sockets.
    fn settle(&mut self, server: usize, lines: Lines) -> Lines {
        let world = &mut self.servers[server];
        while let Some(change) = world.server.poll_change() {
            match change {
                Change::Changed(relay) => {
                    if let Some((relayed, inbound)) = world.server.inbound(relay) {
                        assert_eq!(inbound.relay(), relay);
                        self.published.insert(relayed.get(), (server, inbound));
                    }
                }
                Change::Ended(relay, relayed) => {
                    let ended = self.published.remove(&relayed.get());
                    assert_eq!(ended.map(|(at, inbound)| (at, inbound.relay())), Some((server, relay)));
                    self.sockets.remove(&relayed.get());
                }
            }
        }
        lines
    }

    /// The lowest port that is free, so that ports are soon somebody else's.
    fn allocate(&mut self, client: usize, lifetime: u32) -> Lines {
        let family = if client == CLIENTS.len() - 1 { Family::V6 } else { Family::V4 };
        let mut lines = self.ask(client, allocate().with(Lifetime(lifetime)).with(requested(family)));
        let Some(at) = lines.iter().position(|line| line.starts_with("open relay ")) else { return lines };
        let number: usize = lines[at].split(' ').nth(2).unwrap().parse().unwrap();
        let ip = if family == Family::V4 { "203.0.113.1" } else { "2001:db8:f::1" }.parse().unwrap();
        let free = |port: &u16| !self.sockets.contains_key(&SocketAddr::new(ip, *port));
        let port = (50_000..).find(free).unwrap();
        let server = self.server_of(client);
        let opened = self.servers[server].opens(number, port);
        self.relayed[client] = SocketAddr::new(ip, port);
        self.sockets.insert(self.relayed[client], (server, self.servers[server].relay(number)));
        lines.extend(self.settle(server, opened));
        lines
    }

    /// A client sends; what the process does with it, up to a client or out of the process.
    fn send(&mut self, client: usize, packet: &[u8]) -> Lines {
        let server = self.server_of(client);
        let world = &mut self.servers[server];
        let from = world.client(CLIENTS[client].0);
        let verdict = world.server.handle_client(from, packet, &world.rules, world.now);
        let Verdict::ToPeer { relay, peer, payload, cluster, .. } = verdict else {
            return world.tell(verdict).into_iter().collect();
        };
        let source = world.server.forwarding().relayed_addr(relay).unwrap();
        let mut lines = vec![format!("{} -> {peer} (cluster {})", source.get(), cluster.0)];
        let now = world.now;
        let passed_on = if !self.takes_short_cut {
            let socket = self.sockets.get(&peer.get());
            socket.map(|(at, relay)| {
                let world = &mut self.servers[*at];
                let verdict = world.server.handle_peer(*relay, source.get(), payload, now);
                world.tell(verdict)
            })
        } else if let Some(verdict) = world.server.handle_own_peer(relay, peer, payload, now) {
            Some(world.tell(verdict))
        } else {
            let inbound = self.published.get(&peer.get());
            inbound.map(|(_, inbound)| {
                let verdict = world.server.handle_neighbour(source, inbound, payload, now);
                world.tell(verdict)
            })
        };
        lines.extend(passed_on.flatten());
        lines
    }

    fn step(&mut self, step: &Step) -> Lines {
        match *step {
            Step::Allocate { client, lifetime } => self.allocate(client, lifetime),
            Step::Refresh { client, lifetime } => self.ask(client, refresh(lifetime)),
            Step::Permit { client, peer } => {
                let peer = self.peer(peer).parse::<SocketAddr>().unwrap().ip().to_string();
                self.ask(client, permit(&[&peer]))
            }
            Step::Bind { client, channel, peer } => {
                let peer = self.peer(peer);
                self.ask(client, bind(CHANNELS[channel], &peer))
            }
            Step::Send { client, peer } => {
                let (server, ask) = (self.server_of(client), send(&self.peer(peer), b"hi"));
                let packet = self.servers[server].packet(CLIENTS[client].0, &ask);
                self.send(client, &packet)
            }
            Step::SendOn { client, channel } => {
                let [high, low] = CHANNELS[channel].to_be_bytes();
                self.send(client, &[high, low, 0, 2, b'h', b'o', 0, 0])
            }
            Step::Leave { client } => {
                let server = self.server_of(client);
                let lines = self.servers[server].closes(CLIENTS[client].0);
                self.settle(server, lines)
            }
            Step::Routes { which } => {
                let each = 0..self.servers.len();
                each.flat_map(|server| {
                    self.servers[server].rules.routes = routes(which);
                    let lines = self.servers[server].reconfigures();
                    self.settle(server, lines)
                })
                .collect()
            }
            Step::Wait { quarters } => {
                self.servers.iter_mut().for_each(|world| world.wait(millis(u64::from(quarters) * 250)));
                vec![]
            }
            Step::Timeout { server } => {
                let server = server % self.servers.len();
                let lines = self.servers[server].timeout();
                self.settle(server, lines)
            }
        }
    }

    /// What all servers together have counted.
    fn counted(&self) -> (Vec<u64>, Vec<u64>) {
        let counters = || self.servers.iter().map(|world| world.server.counters());
        let drops = DropReason::ALL.map(|reason| counters().map(|counters| counters.drops(reason)).sum());
        let rejects =
            RejectReason::ALL.map(|reason| counters().map(|counters| counters.rejects(reason)).sum());
        (drops.into(), rejects.into())
    }
}

proptest! {
    #[test]
    fn short_cut_says_what_the_long_way_says(servers in 1..=4_usize, steps in steps()) {
        let mut long = Process::new(servers, false);
        let mut short = Process::new(servers, true);
        let everybody = (0..CLIENTS.len()).map(|client| Step::Allocate { client, lifetime: 3600 });
        for (at, step) in everybody.chain(steps).enumerate() {
            prop_assert_eq!(short.step(&step), long.step(&step), "step {}: {:?}", at, step);
            prop_assert_eq!(short.counted(), long.counted(), "step {}: {:?}", at, step);
        }
    }
}

/// Alice and bob at one server or at two, with a channel from alice and a permission or a channel for bob.
fn call(servers: usize) -> Process {
    let mut process = Process::new(servers, true);
    (0..3).for_each(|client| drop(process.allocate(client, 3600)));
    process.step(&Step::Bind { client: 0, channel: 0, peer: 1 });
    process
}

const FROM_ALICE: Step = Step::SendOn { client: 0, channel: 0 };
const SENT: &str = "203.0.113.1:50000 -> 203.0.113.1:50001 (cluster 1)";

#[test]
fn both_ends_must_have_permitted_each_other() {
    for servers in [1, 2] {
        let mut process = call(servers);
        assert_eq!(process.step(&FROM_ALICE), [SENT, "drop NoPermission"]);
        process.step(&Step::Permit { client: 1, peer: 0 });
        assert_eq!(process.step(&FROM_ALICE), [SENT, "bob <- 203.0.113.1:50000: ho (cluster 1)"]);
        process.step(&Step::Bind { client: 1, channel: 1, peer: 0 });
        assert_eq!(process.step(&FROM_ALICE), [SENT, "bob <- channel 0x4001: ho (cluster 1)"]);
        process.step(&Step::Wait { quarters: 1200 });
        process.step(&Step::Bind { client: 0, channel: 0, peer: 1 });
        assert_eq!(process.step(&FROM_ALICE), [SENT, "drop NoPermission"], "bob's has expired");
    }
}

#[test]
fn withdrawn_routes_hold_at_once_for_both_ends() {
    for servers in [1, 2] {
        let mut process = call(servers);
        process.step(&Step::Permit { client: 1, peer: 0 });
        assert_eq!(process.step(&FROM_ALICE).len(), 2);
        process.step(&Step::Routes { which: 2 });
        assert_eq!(process.step(&FROM_ALICE), ["drop PeerRefused"]);
        process.step(&Step::Routes { which: 0 });
        assert_eq!(process.step(&FROM_ALICE), [SENT, "bob <- 203.0.113.1:50000: ho (cluster 1)"]);
        // Now only what bob may get is withdrawn.
        let bobs = process.server_of(1);
        process.servers[bobs].rules.routes = routes(2);
        let lines = process.servers[bobs].reconfigures();
        process.settle(bobs, lines);
        let expected: &[&str] =
            if servers == 1 { &["drop PeerRefused"] } else { &[SENT, "drop PeerRefused"] };
        assert_eq!(process.step(&FROM_ALICE), expected);
    }
}

#[test]
fn relay_that_has_ended_is_nobodys_and_then_somebody_elses() {
    for servers in [1, 2] {
        let mut process = call(servers);
        process.step(&Step::Permit { client: 1, peer: 0 });
        process.step(&Step::Leave { client: 1 });
        assert_eq!(process.step(&FROM_ALICE), [SENT]);
        assert_eq!(process.published.len(), 2);
        // Dave gets the port, and has permitted nobody.
        process.allocate(3, 600);
        assert_eq!(process.relayed[3], process.relayed[1]);
        assert_eq!(process.step(&FROM_ALICE), [SENT, "drop NoPermission"]);
    }
}

#[test]
fn nothing_is_said_of_changes_when_nobody_listens() {
    let mut world = World::new();
    world.allocate("alice");
    world.permit("alice", &["192.0.2.7"]);
    assert_eq!(world.server.poll_change(), None);
}
