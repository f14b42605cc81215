//! The client and the server of this crate, over a wire that may lose packets.

#[path = "../server/support/mod.rs"]
mod support;

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;
use turn::addr::Transport;
use turn::client::{Client, Credentials, End, Event, Failure, Output, Refusal, Settings};

use support::{Lines, PASS, USER, World, addr, rng, seconds};

const PEER: &str = "192.0.2.7:4000";

/// A client, and the server in whose world it is Alice.
struct Pair {
    client: Client<ChaCha20Rng>,
    world: World,
    wire: ChaCha20Rng,
    /// Of a hundred packets, how many are lost.
    loss: u32,
    events: Vec<Event>,
    /// What the server did with packets, answers excepted.
    done: Lines,
    ports: u16,
}

impl Pair {
    fn new(loss: u32, password: &str) -> Self {
        let world = World::new();
        let settings = Settings::new(Transport::Udp, Credentials::new(USER, password));
        let client = Client::new(settings, rng(5), world.now.mono);
        let mut pair =
            Self { client, world, wire: rng(6), loss, events: Vec::new(), done: Lines::new(), ports: 50_000 };
        pair.settle();
        pair
    }

    fn is_lost(&mut self) -> bool {
        self.wire.next_u32() % 100 < self.loss
    }

    /// Carries packets until both sides have nothing more to say.
    fn settle(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Send(packet) => self.carry(&packet),
            }
        }
    }

    fn carry(&mut self, packet: &[u8]) {
        if self.is_lost() {
            return;
        }
        let lines = self.world.sends("alice", packet);
        let mut replies = std::mem::take(&mut self.world.replies);
        for line in lines {
            if let Some(rest) = line.strip_prefix("open relay ") {
                self.ports += 1;
                let number = rest.split(' ').next().unwrap().parse().unwrap();
                self.world.opens(number, self.ports);
                replies.append(&mut self.world.replies);
            } else if !line.starts_with("alice <-") {
                self.done.push(line);
            }
        }
        for reply in replies {
            if !self.is_lost() {
                assert_eq!(self.client.handle_input(&reply, self.world.now.mono), None);
            }
        }
    }

    /// Lets time pass for both.
    fn pass(&mut self, duration: Duration) {
        let end = self.world.now.mono + duration;
        while let Some(deadline) = self.client.poll_timeout().filter(|deadline| deadline.at <= end) {
            let pause = deadline.at.saturating_duration_since(self.world.now.mono);
            let lines = self.world.pass(pause);
            self.done.extend(lines);
            self.client.handle_timeout(self.world.now.mono);
            self.settle();
        }
        let lines = self.world.pass(end - self.world.now.mono);
        self.done.extend(lines);
    }

    /// Gives what the server relays when the client sends this to the peer.
    fn relayed(&mut self, payload: &[u8]) -> Lines {
        let mut packet = [0; 1500];
        let len = self.client.write(addr(PEER), payload, &mut packet).unwrap();
        self.world.sends("alice", &packet[..len])
    }
}

#[test]
fn an_allocation_lives_for_hours_without_losing_a_permission_or_channel() {
    let mut pair = Pair::new(0, PASS);
    pair.client.bind(addr(PEER), pair.world.now.mono);
    pair.settle();
    assert!(matches!(pair.events[..], [Event::Allocated(_), Event::Permitted(_), Event::Bound { .. }]));
    for _ in 0..60 {
        pair.pass(seconds(240));
        assert_eq!(pair.relayed(b"hi"), [format!("relay 1 -> {PEER}: hi (cluster 1)")]);
    }
    assert_eq!(pair.events.len(), 3, "{:?}", pair.events);
}

#[test]
fn a_wire_that_loses_a_third_of_all_packets_is_overcome() {
    let mut pair = Pair::new(33, PASS);
    pair.client.bind(addr(PEER), pair.world.now.mono);
    pair.settle();
    pair.pass(seconds(3 * 3600));
    pair.loss = 0;
    assert!(pair.client.is_allocated(), "{:?}", pair.events);
    assert_eq!(pair.relayed(b"hi"), [format!("relay 1 -> {PEER}: hi (cluster 1)")]);
}

#[test]
fn a_guessed_password_gets_nothing() {
    let pair = Pair::new(0, "guessed");
    let Event::Ended(End::Failed(Failure::Refused(Refusal { code, .. }))) = &pair.events[0] else {
        panic!("{:?}", pair.events);
    };
    assert_eq!(*code, 401);
}

#[test]
fn what_no_route_admits_is_refused_and_the_rest_goes_on() {
    let mut pair = Pair::new(0, PASS);
    pair.client.bind(addr("198.18.0.1:9"), pair.world.now.mono);
    pair.client.bind(addr(PEER), pair.world.now.mono);
    pair.settle();
    let refused = pair.events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
    assert_eq!(refused, 2, "permission and channel: {:?}", pair.events);
    assert_eq!(pair.relayed(b"hi"), [format!("relay 1 -> {PEER}: hi (cluster 1)")]);
}

#[test]
fn a_released_allocation_is_gone_at_once() {
    let mut pair = Pair::new(0, PASS);
    pair.client.release(pair.world.now.mono);
    pair.settle();
    assert_eq!(pair.events.last(), Some(&Event::Ended(End::Released)));
    assert!(pair.done.iter().any(|line| line.starts_with("close relay 1")), "{:?}", pair.done);
}
