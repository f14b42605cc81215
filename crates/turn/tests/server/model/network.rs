//! The same duel over a network: packets of clients and peers get lost, arrive twice, late and in another order, and a
//! client's NAT gives it another address whenever it likes. Clients know only what has reached them. TCP clients, whose
//! bytes arrive or do not, connect to peers and are connected to by them.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use stun::attribute::{EvenPort, Lifetime, types};
use stun::{Message, Method};
use turn::server::Denial;

use super::naive::{Holder, Model, Time};
use super::{CHANNELS, CLIENTS, DATAGRAMS, Duel, PEERS, PEOPLE, Port, STREAMS, Step, host};
use crate::support::*;

/// How late each copy of a packet is, in quarter seconds; none has no copies.
type Copies = Vec<u64>;

#[derive(Clone, Debug)]
enum Event {
    /// Somebody on UDP says something; the answers travel, too.
    Says {
        person: usize,
        what: Said,
        there: Copies,
        back: Copies,
    },
    /// Somebody on UDP gets another address, or the former one again.
    Moves {
        person: usize,
    },
    /// A peer sends to a relay.
    PeerSends {
        relay: usize,
        peer: usize,
        there: Copies,
    },
    /// Time passes, and what is due by then arrives.
    Passes {
        quarters: u64,
    },
    /// What happens at the server itself, or on a stream.
    Happens(Step),
    AllocatesTcp {
        client: usize,
        lifetime: u32,
    },
    Connects {
        client: usize,
        peer: usize,
    },
    PeerAnswers {
        connection: usize,
        is_open: bool,
    },
    PeerConnects {
        relay: usize,
        peer: usize,
    },
    BindsConnection {
        client: usize,
        connection: usize,
    },
    ConnectionCloses {
        connection: usize,
    },
    /// The quota is used up, or not.
    Fills {
        is_full: bool,
    },
    /// Clients are sent to another server, or not.
    Redirects {
        redirects: bool,
    },
}

#[derive(Clone, Debug)]
enum Said {
    Allocate { lifetime: u32, port: Port },
    Claim { token: usize },
    Refresh { lifetime: u32 },
    Permit { peers: Vec<usize> },
    Bind { channel: usize, peer: usize },
    Send { peer: usize },
    SendOn { channel: usize },
}

impl Said {
    fn method(&self) -> Option<Method> {
        match self {
            Self::Allocate { .. } | Self::Claim { .. } => Some(Method::Allocate),
            Self::Refresh { .. } => Some(Method::Refresh),
            Self::Permit { .. } => Some(Method::CreatePermission),
            Self::Bind { .. } => Some(Method::ChannelBind),
            Self::Send { .. } | Self::SendOn { .. } => None,
        }
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let copies = || {
        let late = prop_oneof![4 => 0..2_u64, 1 => 0..20_u64];
        prop_oneof![1 => Just(vec![]), 6 => vec(late.clone(), 1..2), 2 => vec(late, 2..4)]
    };
    let (peer, channel) = (0..PEERS.len(), 0..CHANNELS.len());
    // Some do more than others, and get further.
    let person = prop_oneof![4 => Just(0), 1 => 0..PEOPLE];
    let (relay, back) = (0..4_usize, 0..4_usize);
    let stream = prop_oneof![3 => Just(DATAGRAMS), 1 => DATAGRAMS..DATAGRAMS + STREAMS];
    let second = DATAGRAMS + STREAMS..CLIENTS.len();
    let lifetime = prop::sample::select(vec![0_u32, 1, 10, 200, 600, 3600, 9999]);
    let port = prop::sample::select(vec![Port::Any, Port::Any, Port::Even, Port::Pair]);
    let said = prop_oneof![
        5 => (lifetime.clone(), port).prop_map(|(lifetime, port)| Said::Allocate { lifetime, port }),
        2 => (0..2_usize).prop_map(|token| Said::Claim { token }),
        2 => lifetime.clone().prop_map(|lifetime| Said::Refresh { lifetime }),
        6 => vec(peer.clone(), 0..3).prop_map(|peers| Said::Permit { peers }),
        8 => (channel.clone(), peer.clone()).prop_map(|(channel, peer)| Said::Bind { channel, peer }),
        4 => peer.clone().prop_map(|peer| Said::Send { peer }),
        4 => channel.prop_map(|channel| Said::SendOn { channel }),
    ];
    let on_stream = prop_oneof![
        (stream.clone(), lifetime.clone()).prop_map(|(client, lifetime)| Step::Refresh { client, lifetime }),
        (stream.clone(), vec(peer.clone(), 0..3)).prop_map(|(client, peers)| Step::Permit { client, peers }),
        (stream.clone(), 0..1_usize, peer.clone()).prop_map(|(client, channel, peer)| Step::Bind {
            client,
            channel,
            peer
        }),
        (stream.clone(), peer.clone()).prop_map(|(client, peer)| Step::Send { client, peer }),
    ];
    let at_server = prop_oneof![
        10 => (0..2_usize).prop_map(|relay| Step::Opens { relay }),
        1 => relay.clone().prop_map(|relay| Step::FailsToOpen { relay }),
        1 => relay.clone().prop_map(|relay| Step::RelayFails { relay }),
        1 => (0..3_usize).prop_map(|which| Step::Routes { which }),
        1 => stream.clone().prop_map(|client| Step::Closes { client }),
        2 => Just(Step::Timeout),
    ];
    let quarters = prop_oneof![40 => 0..4_u64, 6 => 0..40_u64, 2 => 0..1300_u64, 1 => 2000..16_000_u64];
    let event = prop_oneof![
        24 => (person.clone(), said, copies(), copies())
            .prop_map(|(person, what, there, back)| Event::Says { person, what, there, back }),
        1 => person.prop_map(|person| Event::Moves { person }),
        5 => (relay.clone(), peer.clone(), copies())
            .prop_map(|(relay, peer, there)| Event::PeerSends { relay, peer, there }),
        20 => quarters.prop_map(|quarters| Event::Passes { quarters }),
        10 => at_server.prop_map(Event::Happens),
        4 => on_stream.prop_map(Event::Happens),
        3 => (stream.clone(), lifetime).prop_map(|(client, lifetime)| Event::AllocatesTcp { client, lifetime }),
        5 => (stream, peer.clone()).prop_map(|(client, peer)| Event::Connects { client, peer }),
        4 => (back.clone(), any::<bool>())
            .prop_map(|(connection, is_open)| Event::PeerAnswers { connection, is_open }),
        3 => (relay, peer).prop_map(|(relay, peer)| Event::PeerConnects { relay, peer }),
        3 => (second, back.clone())
            .prop_map(|(client, connection)| Event::BindsConnection { client, connection }),
        2 => back.prop_map(|connection| Event::ConnectionCloses { connection }),
        2 => prop::bool::weighted(0.2).prop_map(|is_full| Event::Fills { is_full }),
        2 => prop::bool::weighted(0.2).prop_map(|redirects| Event::Redirects { redirects }),
    ];
    vec(event, 1..150)
}

/// A nonce, whom it is for, and when it was made.
#[derive(Clone, Debug)]
struct Nonce {
    bytes: Vec<u8>,
    client: usize,
    made: Time,
}

impl Nonce {
    fn is_good(&self, client: usize, now: Time) -> bool {
        self.client == client && now / 1000 < self.made / 1000 + 3600
    }
}

/// Something on its way.
#[derive(Clone, Debug)]
enum Flight {
    Up { client: usize, packet: Vec<u8>, what: Said, number: u64, nonce: Option<Nonce>, back: Copies },
    Answer { person: usize, nonce: Nonce },
    Down { relay: usize, peer: usize },
}

#[derive(Clone, Debug, Default)]
struct Person {
    has_moved: bool,
    nonce: Option<Nonce>,
}

struct Network {
    duel: Duel,
    people: [Person; PEOPLE],
    flights: Vec<(Time, u64, Flight)>,
    /// Counts packets, so that what arrives at one moment arrives in the order in which it was sent.
    sent: u64,
}

impl Network {
    fn new() -> Self {
        Self { duel: Duel::new(), people: Default::default(), flights: Vec::new(), sent: 0 }
    }

    fn now(&self) -> Time {
        self.duel.model.now
    }

    fn send(&mut self, copies: &Copies, flight: &Flight) {
        for late in copies {
            self.sent += 1;
            self.flights.push((self.now() + late * 250, self.sent, flight.clone()));
        }
    }

    /// Where somebody's packets come from now.
    fn client(&self, person: usize) -> usize {
        if self.people[person].has_moved { person + PEOPLE } else { person }
    }

    /// The packet for something, signed with the nonce that has reached whoever says it, if any has.
    fn says(&mut self, person: usize, what: Said, there: &Copies, back: Copies) {
        let client = self.client(person);
        let name = CLIENTS[client].0;
        let nonce = self.people[person].nonce.clone();
        let duel = &mut self.duel;
        let ask = match &what {
            Said::Allocate { lifetime, port } => {
                let ask = allocate().with(Lifetime(*lifetime));
                match port {
                    Port::Any => ask,
                    Port::Even => ask.with(EvenPort { reserve: false }),
                    Port::Pair => ask.with(EvenPort { reserve: true }),
                }
            }
            Said::Claim { token } => {
                let Some(at) = duel.tokens.len().checked_sub(token + 1) else { return };
                allocate().with(duel.tokens[at])
            }
            Said::Refresh { lifetime } => refresh(*lifetime),
            Said::Permit { peers } => permit(&peers.iter().map(|peer| host(*peer)).collect::<Vec<_>>()),
            Said::Bind { channel, peer } => bind(CHANNELS[*channel], PEERS[*peer]),
            Said::Send { peer } => send(PEERS[*peer], b"hi"),
            Said::SendOn { channel } => {
                let packet = channel_data(CHANNELS[*channel], b"hi");
                self.sent += 1;
                let number = self.sent;
                let flight = Flight::Up { client, packet, what, number, nonce: None, back };
                return self.send(there, &flight);
            }
        };
        let what = match what {
            // By its place in the list, which grows meanwhile.
            Said::Claim { token } => Said::Claim { token: duel.tokens.len() - token - 1 },
            other => other,
        };
        let packet = match &nonce {
            Some(nonce) => {
                duel.world.set_nonce(name, &nonce.bytes);
                duel.world.packet(name, &ask)
            }
            None => duel.world.packet(name, &ask.unsigned()),
        };
        self.sent += 1;
        let number = self.sent;
        self.send(there, &Flight::Up { client, packet, what, number, nonce, back });
    }

    /// What both say to what arrives.
    fn arrives(&mut self, flight: Flight) -> (Lines, Lines) {
        match flight {
            Flight::Answer { person, nonce } => {
                // To where somebody was is to nobody.
                if self.client(person) == nonce.client {
                    self.people[person].nonce = Some(nonce);
                }
                Default::default()
            }
            Flight::Down { relay, peer } => {
                let said = self.duel.world.peer_sends(relay, PEERS[peer], b"ho");
                (said, vec![self.duel.model.peer_sends(relay, peer)])
            }
            Flight::Up { client, packet, what, number, nonce, back } => {
                let said = self.duel.world.sends(CLIENTS[client].0, &packet);
                let expected = self.hears(client, &what, number, nonce.as_ref());
                for index in 0..self.duel.world.replies.len() {
                    let message = Message::parse(&self.duel.world.replies[index]).unwrap();
                    let Some(bytes) = message.raw(types::NONCE) else { continue };
                    let nonce = Nonce { bytes: bytes.to_vec(), client, made: self.now() };
                    self.send(&back, &Flight::Answer { person: client % PEOPLE, nonce });
                }
                (said, expected)
            }
        }
    }

    /// What the model says.
    fn hears(&mut self, client: usize, what: &Said, number: u64, nonce: Option<&Nonce>) -> Lines {
        let now = self.now();
        let model = &mut self.duel.model;
        if let Some(method) = what.method()
            && nonce.is_none_or(|nonce| !nonce.is_good(client, now))
        {
            let code = if nonce.is_none() { 401 } else { 438 };
            return vec![format!("{} <- {method:?} {code}: nonce, realm, algorithms", CLIENTS[client].0)];
        }
        match what {
            Said::Allocate { lifetime, port } => {
                born(model, client, number, |model| model.allocate(client, *lifetime, *port))
            }
            Said::Claim { token } => born(model, client, number, |model| model.claim(client, *token)),
            Said::Refresh { lifetime } => model.refresh(client, *lifetime),
            Said::Permit { peers } => model.permit(client, peers),
            Said::Bind { channel, peer } => model.bind(client, *channel, *peer),
            Said::Send { peer } => vec![model.send(client, *peer)],
            Said::SendOn { channel } => vec![model.send_on(client, *channel)],
        }
    }

    /// The `back`th connection from the latest.
    fn connection(&self, back: usize) -> Option<usize> {
        self.duel.model.connections.checked_sub(back).filter(|number| *number > 0)
    }

    /// What happens at once, and what both say to it.
    fn happens(&mut self, event: Event) -> (Lines, Lines) {
        let duel = &mut self.duel;
        match event {
            Event::Happens(step) => duel.step(step),
            Event::AllocatesTcp { client, lifetime } => {
                let said = duel.ask(client, allocate_tcp().with(Lifetime(lifetime)));
                (said, duel.model.allocate_tcp(client, lifetime))
            }
            Event::Connects { client, peer } => {
                let said = duel.ask(client, connect(PEERS[peer]));
                let expected = duel.model.connect(client, peer);
                duel.model.note_cluster();
                (said, expected)
            }
            Event::PeerAnswers { connection, is_open } => {
                let Some(number) = self.connection(connection) else { return Default::default() };
                let duel = &mut self.duel;
                // Peers answer once.
                if !duel.model.is_connecting(number) {
                    return Default::default();
                }
                (duel.world.peer_answers(number, is_open), duel.model.peer_answers(number, is_open))
            }
            Event::PeerConnects { relay, peer } => {
                let Some(relay) = duel.relay(relay) else { return Default::default() };
                let said = duel.world.peer_connects(relay, PEERS[peer]);
                let expected = duel.model.peer_connects(relay, peer);
                duel.model.note_cluster();
                (said, expected)
            }
            Event::BindsConnection { client, connection } => {
                let Some(number) = self.connection(connection) else { return Default::default() };
                let id = self.duel.world.connection(number);
                let said = self.duel.ask(client, connection_bind(id));
                (said, self.duel.model.connection_bind(client, number))
            }
            Event::ConnectionCloses { connection } => {
                let Some(number) = self.connection(connection) else { return Default::default() };
                let duel = &mut self.duel;
                (duel.world.connection_closes(number), duel.model.connection_closes(number))
            }
            Event::Fills { is_full } => {
                duel.world.rules.denial = is_full.then_some(Denial::Quota);
                duel.model.is_full = is_full;
                Default::default()
            }
            Event::Redirects { redirects } => {
                let other = redirects.then(|| addr("198.51.100.99:3478"));
                duel.world.rules.listener_mut(1).alternate = other;
                duel.model.redirects = redirects;
                Default::default()
            }
            Event::Says { person, what, there, back } => {
                self.says(person, what, &there, back);
                Default::default()
            }
            Event::Moves { person } => {
                self.people[person].has_moved ^= true;
                Default::default()
            }
            Event::PeerSends { relay, peer, there } => {
                if let Some(relay) = duel.relay(relay) {
                    self.send(&there, &Flight::Down { relay, peer });
                }
                Default::default()
            }
            Event::Passes { .. } => Default::default(),
        }
    }

    /// What arrives next, if it does until then.
    fn next_arrival(&mut self, until: Time) -> Option<Flight> {
        let due = |at: &usize| (self.flights[*at].0, self.flights[*at].1);
        let first = (0..self.flights.len()).min_by_key(due).filter(|at| self.flights[*at].0 <= until)?;
        let (at, _, flight) = self.flights.swap_remove(first);
        self.wait_until(at);
        Some(flight)
    }

    fn wait_until(&mut self, at: Time) {
        let by = at.saturating_sub(self.now());
        self.duel.world.wait(millis(by));
        self.duel.model.now += by;
    }

    /// The server says what the model says, and wants to be called when it does.
    fn agree(&self, (mut said, mut expected): (Lines, Lines), shown: &str) -> Result<(), TestCaseError> {
        said.sort_unstable();
        expected.sort_unstable();
        prop_assert_eq!(said, expected, "{}", shown);
        let Duel { world, model, .. } = &self.duel;
        prop_assert_eq!(world.server.allocations(), model.live_count(), "{}", shown);
        let deadline = world.server.poll_timeout().map(|next| next.at - start().mono);
        prop_assert_eq!(deadline.map(super::millis_of), model.deadline(), "{}", shown);
        Ok(())
    }
}

/// An Allocate: the same again if it is the one that made the client's allocation, else a new one.
fn born(model: &mut Model, client: usize, number: u64, make: impl FnOnce(&mut Model) -> Lines) -> Lines {
    let mut lines = model.expire();
    let held = model.relay_of(client).and_then(|relay| model.holder(relay));
    match held {
        Some(Holder::Opening { transaction, .. }) if *transaction == number => {
            lines.push("drop AllocatePending".into());
            return lines;
        }
        Some(Holder::Live { birth: (transaction, answer), .. }) if *transaction == number => {
            lines.push(answer.clone());
            return lines;
        }
        _ => {}
    }
    let before = model.relays.len();
    lines.extend(make(model));
    match model.relays.get_mut(before) {
        Some(Some(Holder::Opening { transaction, .. })) => *transaction = number,
        Some(Some(Holder::Live { birth: (transaction, _), .. })) => *transaction = number,
        _ => {}
    }
    lines
}

/// Plays some events, and shows what both say of each.
fn play(events: Vec<Event>, show: &mut dyn FnMut(&Lines)) -> Result<(), TestCaseError> {
    let mut network = Network::new();
    for (at, event) in events.into_iter().enumerate() {
        let shown = format!("event {at}: {event:?}");
        if let Event::Passes { quarters } = event {
            let until = network.now() + quarters * 250;
            while let Some(flight) = network.next_arrival(until) {
                let shown = format!("{shown}, {flight:?}");
                let both = network.arrives(flight);
                show(&both.0);
                network.agree(both, &shown)?;
            }
            network.wait_until(until);
        }
        let both = network.happens(event);
        show(&both.0);
        network.agree(both, &shown)?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn server_says_what_a_naive_model_says_over_a_network_that_loses_repeats_and_reorders(events in events()) {
        play(events, &mut |_| {})?;
    }
}

/// A duel about nothing would prove nothing: all this is said in a few hundred of them, the same each time.
#[test]
fn network_brings_about_what_it_is_there_for() {
    let mut missing = BTreeSet::from([
        "<- Allocate 401: nonce",
        "<- CreatePermission 438: nonce",
        "<- Allocate ok: relayed",
        "token, signed",
        "drop AllocatePending",
        "Allocate for AllocationExists",
        "Allocate for UnknownReservation",
        "<- Allocate 300: at",
        "<- Allocate 486",
        "<- Refresh ok: lifetime 0",
        "Refresh for NoAllocation",
        "ended alice anew: relay",
        "ended dan: relay",
        "hi (cluster",
        "ho (cluster",
        "drop UnboundChannel",
        "drop PeerRefused",
        "ChannelBind for ChannelConflict",
        "ChannelBind for UnsupportedMethod",
        "<- CreatePermission ok",
        "TooManyPermissions",
        "TooManyChannels",
        "<- Connect ok: connection",
        "<- Connect 447",
        "Connect for ConnectionExists",
        "Connect for TooManyConnections",
        "ConnectionAttempt Indication",
        "refuse NoPermission",
        "ConnectionBind ok: connection",
        "ConnectionBind for UnknownConnection",
        "close connection",
    ]);
    let mut runner = TestRunner::deterministic();
    for _ in 0..600 {
        let events = events().new_tree(&mut runner).unwrap().current();
        play(events, &mut |lines| missing.retain(|part| !lines.iter().any(|line| line.contains(part))))
            .unwrap();
    }
    assert!(missing.is_empty(), "{missing:?}");
}
