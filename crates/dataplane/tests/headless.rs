//! Clients of one gateway that talk to each other: with the short cut and without, they see and count the same.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use common::{Gateway, Text, cluster, listener};
use dataplane::Options;
use kit::{Deadline, Event, TurnClient};
use proptest::collection::vec;
use proptest::prelude::*;

const CHANNELS: [u16; 2] = [0x4000, 0x4001];

/// How many bytes each packet carries: none, what needs padding, what does not, and what many paths cannot carry whole.
const LENGTHS: [usize; 4] = [0, 173, 1200, 9001];

#[derive(Clone, Debug)]
enum Step {
    Permit {
        client: usize,
        peer: usize,
    },
    Bind {
        client: usize,
        channel: usize,
        peer: usize,
    },
    Send {
        client: usize,
        peer: usize,
        length: usize,
    },
    SendOn {
        client: usize,
        channel: usize,
        length: usize,
    },
    /// An allocation ends, and another one begins on the same 5-tuple.
    Move {
        client: usize,
    },
    Routes {
        which: usize,
    },
}

/// The transports of the clients, and what they do.
fn calls() -> impl Strategy<Value = (Vec<bool>, Vec<Step>)> {
    (vec(any::<bool>(), 2..6), vec(any::<[prop::sample::Index; 4]>(), 10..60)).prop_map(|(tcp, choices)| {
        let clients = tcp.len();
        let steps = choices.into_iter().map(|[kind, client, other, length]| {
            let (client, peer) = (client.index(clients), other.index(clients));
            let (channel, length) = (other.index(CHANNELS.len()), LENGTHS[length.index(LENGTHS.len())]);
            match kind.index(20) {
                0..3 => Step::Permit { client, peer },
                3..7 => Step::Bind { client, channel: length % CHANNELS.len(), peer },
                7..12 => Step::Send { client, peer, length },
                12..18 => Step::SendOn { client, channel, length },
                18 => Step::Move { client },
                _ => Step::Routes { which: client % 3 },
            }
        });
        (tcp, steps.collect())
    })
}

/// Clusters that tell the two listeners apart.
fn routes(text: Text, which: usize) -> Text {
    let port = text.port;
    let (udp, tcp) = [("[a]", "[b]"), ("[a]", "[]"), ("[none, a]", "[b, a]")][which];
    Text {
        listeners: vec![listener("udp", "TURN-UDP", port, udp), listener("tcp", "TURN-TCP", port, tcp)],
        clusters: vec![
            cluster("a", "[127.0.0.0/8]"),
            cluster("b", "[127.0.0.1]"),
            cluster("none", "[10.0.0.0/8]"),
        ],
        ..text
    }
}

type Series = BTreeMap<String, f64>;

/// A gateway with clients, and what they have seen.
struct Town {
    gateway: Gateway,
    text: Text,
    metrics: SocketAddr,
    clients: Vec<TurnClient>,
    /// Where each client is relayed.
    relayed: Vec<SocketAddr>,
    /// The peer behind each client's channels.
    channels: BTreeMap<(usize, usize), SocketAddr>,
}

impl Town {
    fn new(workers: usize, headless_short_cut: bool, tcp: &[bool]) -> Self {
        let metrics = common::address(kit::free_port());
        let admin = format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'");
        let text = routes(Text::new().admin(&admin), 0);
        let options = Options { workers, headless_short_cut, ..Options::default() };
        let gateway = Gateway::with_options(&text, options);
        let mut clients: Vec<_> =
            tcp.iter().map(|tcp| if *tcp { gateway.tcp() } else { gateway.udp() }).collect();
        let relayed = clients.iter_mut().map(|client| client.allocate().unwrap().relayed).collect();
        Self { gateway, text, metrics, clients, relayed, channels: BTreeMap::new() }
    }

    fn name(&self, relayed: SocketAddr) -> String {
        let at = self.relayed.iter().position(|candidate| *candidate == relayed);
        at.map_or("somebody".to_owned(), |at| format!("client {at}"))
    }

    fn counted(&self) -> Series {
        let mut series = common::scrape(self.metrics, "/");
        series.retain(|name, _| name.starts_with("stunner_"));
        series
    }

    fn step(&mut self, step: &Step) -> String {
        match *step {
            Step::Permit { client, peer } => {
                format!("{:?}", self.clients[client].create_permission(self.relayed[peer]))
            }
            Step::Bind { client, channel, peer } => {
                let peer = self.relayed[peer];
                let result = self.clients[client].channel_bind(CHANNELS[channel], peer);
                if result.is_ok() {
                    self.channels.insert((client, channel), peer);
                }
                format!("{result:?}")
            }
            Step::Send { client, peer, length } => {
                let to = self.relayed[peer];
                self.sent(to, |town| town.clients[client].send(to, &vec![7; length]))
            }
            Step::SendOn { client, channel, length } => {
                // An unbound channel leads nowhere, which is as good as to somebody who is gone.
                let to = self.channels.get(&(client, channel)).copied();
                let to = to.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
                let [high, low] = CHANNELS[channel].to_be_bytes();
                let [long, short] = (length as u16).to_be_bytes();
                let mut packet = [&[high, low, long, short], &vec![8; length][..]].concat();
                packet.resize(packet.len().next_multiple_of(4), 0);
                self.sent(to, |town| town.clients[client].send_raw(&packet))
            }
            Step::Move { client } => {
                self.clients[client].refresh(0).unwrap();
                self.relayed[client] = self.clients[client].allocate().unwrap().relayed;
                self.channels.retain(|(owner, _), _| *owner != client);
                String::new()
            }
            Step::Routes { which } => {
                self.gateway.apply(&routes(self.text.clone(), which));
                String::new()
            }
        }
    }

    /// Sends one packet and waits until it is where it was going: with a client, or dropped, or sent to a relay that
    /// is no more.
    fn sent(&mut self, to: SocketAddr, send: impl FnOnce(&mut Self)) -> String {
        let sum = |series: &Series, name: &str| -> f64 {
            series.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, value)| value).sum()
        };
        let passed = |series: &Series, direction: &str| -> f64 {
            let direction = format!("direction=\"{direction}\"");
            let of = series.iter().filter(|(key, _)| key.starts_with("stunner_cluster_packets_total"));
            of.filter(|(key, _)| key.contains(&direction)).map(|(_, value)| value).sum()
        };
        let receiver = self.relayed.iter().position(|relayed| *relayed == to);
        let before = self.counted();
        send(self);
        let deadline = Deadline::default();
        let told = loop {
            assert!(deadline.left().is_some(), "the packet has not come to an end");
            let now = self.counted();
            if sum(&now, "stunner_packets_dropped") > sum(&before, "stunner_packets_dropped") {
                break String::new();
            }
            if passed(&now, "rx") > passed(&before, "rx") {
                break self.received(receiver.expect("nobody could get it"));
            }
            if receiver.is_none() && passed(&now, "tx") > passed(&before, "tx") {
                break String::new();
            }
        };
        let mut counted = self.counted();
        counted.retain(|name, value| {
            *value -= before.get(name).copied().unwrap_or_default();
            *value != 0.0
        });
        format!("{told} {counted:?}")
    }

    fn received(&mut self, receiver: usize) -> String {
        match self.clients[receiver].recv() {
            Event::Data { peer, channel, data } => {
                let peer = self.name(peer);
                format!(
                    "client {receiver} got {} of {:?} from {peer} on {channel:?}",
                    data.len(),
                    data.first()
                )
            }
            other => panic!("not data: {other:?}"),
        }
    }
}

fn with_and_without_are_the_same(workers: usize, tcp: &[bool], steps: &[Step]) -> Result<(), TestCaseError> {
    let mut with = Town::new(workers, true, tcp);
    let mut without = Town::new(workers, false, tcp);
    for (at, step) in steps.iter().enumerate() {
        prop_assert_eq!(with.step(step), without.step(step), "step {}: {:?}", at, step);
    }
    for client in with.clients.iter_mut().chain(&mut without.clients) {
        prop_assert!(client.settle().unwrap().is_empty(), "something nobody counted");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn one_worker_does_the_same_with_the_short_cut_and_without((tcp, steps) in calls()) {
        with_and_without_are_the_same(1, &tcp, &steps)?;
    }

    #[test]
    fn two_workers_do_the_same_with_the_short_cut_and_without((tcp, steps) in calls()) {
        with_and_without_are_the_same(2, &tcp, &steps)?;
    }

    #[test]
    fn four_workers_do_the_same_with_the_short_cut_and_without((tcp, steps) in calls()) {
        with_and_without_are_the_same(4, &tcp, &steps)?;
    }
}

/// Both ends of a call, relayed at an address that no packet could be sent to.
fn elsewhere(text: &Text, workers: usize) -> Gateway {
    let at = |listener: &String| listener.replace("address: 127.0.0.1", "address: 203.0.113.9");
    let listeners: Vec<_> = text.listeners.iter().map(at).collect();
    Gateway::with_workers(
        &text.clone().listeners(&listeners).with_cluster("loop", "[203.0.113.0/24]"),
        workers,
    )
}

fn seen(event: Event) -> (SocketAddr, Option<u16>, Vec<u8>) {
    match event {
        Event::Data { peer, channel, data } => (peer, channel, data),
        other => panic!("not data: {other:?}"),
    }
}

#[test]
fn relays_are_known_by_the_address_they_are_advertised_by() {
    for workers in [1, 4] {
        let gateway = elsewhere(&Text::new(), workers);
        for (round, tcp) in
            [(false, false), (true, false), (false, true), (true, true)].repeat(4).iter().enumerate()
        {
            let client = |tcp| if tcp { gateway.tcp() } else { gateway.udp() };
            let (mut alice, mut bob) = (client(tcp.0), client(tcp.1));
            let (from, to) = (alice.allocate().unwrap().relayed, bob.allocate().unwrap().relayed);
            assert_eq!(to.ip().to_string(), "203.0.113.9");
            alice.channel_bind(0x4000, to).unwrap();
            bob.create_permission(from).unwrap();
            for number in 0..20 {
                let data = [number; 300];
                alice.send_channel(0x4000, &data[..280 + round]);
                let got = seen(bob.recv());
                assert_eq!(got, (from, None, data[..280 + round].to_vec()));
                bob.send(from, &data);
                assert_eq!(seen(alice.recv()), (to, Some(0x4000), data.to_vec()));
            }
        }
    }
}

#[test]
fn a_client_may_be_its_own_peer() {
    let gateway = Gateway::start(&Text::new());
    let mut client = gateway.udp();
    let relayed = client.allocate().unwrap().relayed;
    client.channel_bind(0x4000, relayed).unwrap();
    common::echo(&mut client, 0x4000, 3);
}
