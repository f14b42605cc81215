//! Each test names an input and lists all its outputs.

mod calls;
mod candidates;
mod random;
mod registration;

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::message::{Answer, Candidate, Description, Refusal};

const ALICE: SessionId = SessionId(1);
const BOB: SessionId = SessionId(2);
const CAROL: SessionId = SessionId(3);

/// A switchboard with a hand-moved clock.
struct Bench {
    board: Switchboard,
    now: Instant,
}

impl Bench {
    /// Alice, Bob and Carol are connected.
    fn new() -> Self {
        let timing = Timing { ring: Duration::from_secs(60), credential_ttl: Duration::from_secs(1000) };
        let mut bench = Self { board: Switchboard::new(timing), now: crate::clock::now() };
        for id in [ALICE, BOB, CAROL] {
            bench.board.handle_connected(id);
        }
        bench
    }

    /// Alice, Bob and Carol are registered.
    fn registered() -> Self {
        let mut bench = Self::new();
        for (id, name) in [(ALICE, "alice"), (BOB, "bob"), (CAROL, "carol")] {
            bench.from(id, register(name));
            bench.ice(id, Ok(ice(1)));
        }
        bench
    }

    /// Alice has called Bob, who hears it ring.
    fn ringing() -> Self {
        let mut bench = Self::registered();
        bench.from(ALICE, call("bob"));
        bench
    }

    /// Alice and Bob talk.
    fn talking() -> Self {
        let mut bench = Self::ringing();
        bench.from(BOB, accept("alice"));
        bench
    }

    fn from(&mut self, id: SessionId, request: Request) -> Vec<Output> {
        self.board.handle_request(id, Ok(request), self.now);
        self.outputs()
    }

    fn ice(&mut self, id: SessionId, result: Result<IceConfiguration, &str>) -> Vec<Output> {
        self.board.handle_ice_configuration(id, result.map_err(str::to_owned), self.now);
        self.outputs()
    }

    fn gone(&mut self, id: SessionId) -> Vec<Output> {
        self.board.handle_disconnected(id);
        self.outputs()
    }

    fn pass(&mut self, seconds: u64) -> Vec<Output> {
        self.now += Duration::from_secs(seconds);
        self.board.handle_timeout(self.now);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.board.poll_output()).collect()
    }

    /// Alice and Bob are both free to talk to each other, which proves that nothing of an earlier call is left.
    fn assert_alice_and_bob_are_idle(&mut self) {
        assert_eq!(self.from(ALICE, call("bob")), [rings(BOB, "alice")]);
        assert_eq!(self.from(BOB, refuse("alice")), [refused(ALICE, "user declined")]);
        assert_eq!(self.from(BOB, call("alice")), [rings(ALICE, "bob")]);
        assert_eq!(self.from(ALICE, refuse("bob")), [refused(BOB, "user declined")]);
    }
}

fn name(text: &str) -> UserName {
    UserName::new(text).unwrap()
}

fn sdp(text: &str) -> Description {
    Description(text.to_owned())
}

fn ice(n: u32) -> IceConfiguration {
    IceConfiguration::from_json(format!(r#"{{"iceServers":[],"n":{n}}}"#).as_bytes()).unwrap()
}

fn register(text: &str) -> Request {
    Request::Register(UserName::new(text))
}

fn call(to: &str) -> Request {
    Request::Call { to: to.to_owned(), offer: sdp("offer") }
}

fn accept(from: &str) -> Request {
    Request::Answer { from: from.to_owned(), answer: Answer::Accept(sdp("answer")) }
}

fn refuse(from: &str) -> Request {
    Request::Answer { from: from.to_owned(), answer: Answer::Refuse(Refusal::Declined) }
}

fn candidate(n: usize) -> Candidate {
    let frame = json!({"id": "onIceCandidate", "candidate": {"candidate": format!("candidate:{n}")}});
    let Ok(Request::Candidate(Some(candidate))) = Request::parse(&frame.to_string()) else {
        panic!("{frame}")
    };
    candidate
}

fn trickle(n: usize) -> Request {
    Request::Candidate(Some(candidate(n)))
}

fn rings(callee: SessionId, from: &str) -> Output {
    Output::Send(callee, Reply::IncomingCall { from: name(from), offer: sdp("offer") })
}

fn accepted(caller: SessionId) -> Output {
    Output::Send(caller, Reply::CallAccepted { answer: sdp("answer") })
}

fn refused(caller: SessionId, why: &str) -> Output {
    Output::Send(caller, Reply::CallRefused(why.to_owned()))
}

fn stopped(id: SessionId) -> Output {
    Output::Send(id, Reply::StopCommunication("remote user hanged out"))
}

fn error(id: SessionId, why: &str) -> Output {
    Output::Send(id, Reply::Error(why.to_owned()))
}

fn arrives(id: SessionId, n: usize) -> Output {
    Output::Send(id, Reply::Candidate(candidate(n)))
}
