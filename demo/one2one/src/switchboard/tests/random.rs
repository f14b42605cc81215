//! Any sequence of events leaves a consistent switchboard, and each side of a call hears of its end exactly once.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Connect(usize),
    Register(usize, usize),
    Ice(usize, bool),
    AskIce(usize),
    Call(usize, usize),
    Accept(usize, usize),
    Refuse(usize, usize),
    Candidate(usize),
    Stop(usize),
    Disconnect(usize),
    Pass(u64),
}

const SEATS: usize = 4;

fn event() -> impl Strategy<Value = Event> {
    let seat = 0..SEATS;
    prop_oneof![
        seat.clone().prop_map(Event::Connect),
        (seat.clone(), seat.clone()).prop_map(|(s, n)| Event::Register(s, n)),
        (seat.clone(), any::<bool>()).prop_map(|(s, ok)| Event::Ice(s, ok)),
        seat.clone().prop_map(Event::AskIce),
        (seat.clone(), seat.clone()).prop_map(|(s, n)| Event::Call(s, n)),
        (seat.clone(), seat.clone()).prop_map(|(s, n)| Event::Accept(s, n)),
        (seat.clone(), seat.clone()).prop_map(|(s, n)| Event::Refuse(s, n)),
        seat.clone().prop_map(Event::Candidate),
        seat.clone().prop_map(Event::Stop),
        seat.prop_map(Event::Disconnect),
        (0..40u64).prop_map(Event::Pass),
    ]
}

/// What the page in each seat believes, from the messages it sent and received alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Belief {
    #[default]
    Away,
    Unregistered,
    Idle,
    Calling,
    Ringing,
    Talking,
}

#[derive(Default)]
struct World {
    seats: [Option<SessionId>; SEATS],
    beliefs: [Belief; SEATS],
    open_questions: Vec<SessionId>,
    last_id: u64,
}

impl World {
    fn apply(&mut self, bench: &mut Bench, event: Event) {
        let name = |n: usize| ["ann", "ben", "cat", "dan"][n];
        let outputs = match event {
            Event::Connect(s) if self.seats[s].is_none() => {
                self.last_id += 1;
                self.seats[s] = Some(SessionId(self.last_id));
                self.beliefs[s] = Belief::Unregistered;
                bench.board.handle_connected(SessionId(self.last_id));
                bench.outputs()
            }
            Event::Disconnect(s) => {
                self.beliefs[s] = Belief::Away;
                self.seats[s].take().map(|id| bench.gone(id)).unwrap_or_default()
            }
            Event::Ice(s, ok) => {
                let Some(position) = self.open_questions.iter().position(|id| Some(*id) == self.seats[s])
                else {
                    return;
                };
                let id = self.open_questions.remove(position);
                bench.ice(id, if ok { Ok(ice(1)) } else { Err("down") })
            }
            Event::Pass(seconds) => bench.pass(seconds),
            Event::Register(s, n) => self.send(bench, s, register(name(n))),
            Event::AskIce(s) => self.send(bench, s, Request::IceConfiguration),
            Event::Call(s, n) => {
                let outputs = self.send(bench, s, call(name(n)));
                // A call that is not refused at once is under way.
                if outputs.iter().any(|o| matches!(o, Output::Send(_, Reply::IncomingCall { .. }))) {
                    self.beliefs[s] = Belief::Calling;
                } else if let Some(at) =
                    outputs.iter().position(|o| matches!(o, Output::Send(_, Reply::CallRefused(_))))
                {
                    assert_eq!(self.beliefs[s], Belief::Idle);
                    assert_eq!(at, 0);
                    return;
                }
                outputs
            }
            Event::Accept(s, n) => {
                let outputs = self.send(bench, s, accept(name(n)));
                if outputs.iter().any(|o| matches!(o, Output::Send(_, Reply::CallAccepted { .. }))) {
                    assert_eq!(self.beliefs[s], Belief::Ringing);
                    self.beliefs[s] = Belief::Talking;
                }
                outputs
            }
            Event::Refuse(s, n) => {
                let outputs = self.send(bench, s, refuse(name(n)));
                let ended = outputs.iter().any(|o| matches!(o, Output::Send(_, Reply::CallRefused(_))));
                let told = outputs.iter().any(|o| matches!(o, Output::Send(_, Reply::UnknownCaller(_))));
                if ended && !told {
                    self.beliefs[s] = Belief::Idle;
                }
                outputs
            }
            Event::Candidate(s) => self.send(bench, s, trickle(1)),
            Event::Stop(s) => {
                if matches!(self.beliefs[s], Belief::Calling | Belief::Ringing | Belief::Talking) {
                    self.beliefs[s] = Belief::Idle;
                }
                self.send(bench, s, Request::Stop)
            }
            Event::Connect(_) => return,
        };
        for output in outputs {
            self.observe(output);
        }
    }

    fn send(&self, bench: &mut Bench, seat: usize, request: Request) -> Vec<Output> {
        self.seats[seat].map(|id| bench.from(id, request)).unwrap_or_default()
    }

    fn observe(&mut self, output: Output) {
        let (id, reply) = match output {
            Output::Send(id, reply) => (id, reply),
            Output::QueryIce(id, _) => {
                assert!(!self.open_questions.contains(&id), "two questions at a time");
                return self.open_questions.push(id);
            }
            Output::Close(_) => panic!("closed without reason"),
        };
        let seat = self.seats.iter().position(|seat| *seat == Some(id)).expect("a message to nobody");
        let belief = &mut self.beliefs[seat];
        let (expected, next): (&[Belief], _) = match reply {
            Reply::Registered(_) => (&[Belief::Unregistered], Belief::Idle),
            Reply::IncomingCall { .. } => (&[Belief::Idle], Belief::Ringing),
            Reply::CallAccepted { .. } => (&[Belief::Calling], Belief::Talking),
            Reply::CallRefused(_) => (&[Belief::Calling], Belief::Idle),
            Reply::StopCommunication(_) => {
                (&[Belief::Calling, Belief::Ringing, Belief::Talking], Belief::Idle)
            }
            Reply::UnknownCaller(_) => (&[Belief::Idle, Belief::Ringing], Belief::Idle),
            Reply::Candidate(_) => (&[Belief::Talking], Belief::Talking),
            Reply::RegisterRefused(_)
            | Reply::IceConfiguration(_)
            | Reply::IceConfigurationRefused(_)
            | Reply::Restart { .. }
            | Reply::RestartAnswer { .. }
            | Reply::Error(_) => return,
        };
        assert!(expected.contains(belief), "{belief:?} was told {reply:?}");
        *belief = next;
    }

    /// Pages and switchboard agree, and both sides of each call do.
    fn check(&self, bench: &Bench) {
        assert_eq!(bench.board.sessions.len(), self.seats.iter().flatten().count());
        for (seat, id) in self.seats.iter().enumerate() {
            let Some(id) = id else { continue };
            let session = &bench.board.sessions[id];
            let belief = match session.phase {
                session::Phase::Anonymous | session::Phase::Registering => Belief::Unregistered,
                session::Phase::Idle => Belief::Idle,
                session::Phase::Calling { .. } => Belief::Calling,
                session::Phase::Ringing { .. } => Belief::Ringing,
                session::Phase::InCall { .. } => Belief::Talking,
            };
            assert_eq!(self.beliefs[seat], belief, "seat {seat}");
            if let Some(peer) = session.phase.peer() {
                assert_eq!(bench.board.sessions[&peer].phase.peer(), Some(*id));
            }
            assert_eq!(
                session.name.as_ref().map(|name| bench.board.names[name]),
                session.name.as_ref().map(|_| *id)
            );
        }
        let named = bench.board.sessions.values().filter(|session| session.name.is_some()).count();
        assert_eq!(bench.board.names.len(), named);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn s5_3_any_sequence_of_events_keeps_pages_and_server_in_step(events in proptest::collection::vec(event(), 1..120)) {
        let mut bench = Bench::new();
        for id in [ALICE, BOB, CAROL] {
            bench.gone(id);
        }
        let mut world = World { last_id: 10, ..World::default() };
        for event in events {
            world.apply(&mut bench, event);
            world.check(&bench);
        }
    }
}
