//! Who is registered and who talks to whom, as a value: no socket, no clock, no HTTP.

mod call;
mod registration;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::ice::IceConfiguration;
use crate::message::{Malformed, Reply, Request};
use crate::name::UserName;
use session::Session;
pub use session::SessionId;

/// The state of the application.
///
/// After every `handle_*`, drain [`poll_output`](Self::poll_output), then sleep until
/// [`poll_timeout`](Self::poll_timeout) and call [`handle_timeout`](Self::handle_timeout).
///
/// Each connection walks `Anonymous -> Registering -> Idle -> (Calling | Ringing) -> InCall -> Idle`. The two
/// sides of a call always leave it together, and the side that did not end it is told exactly once.
#[derive(Debug)]
pub struct Switchboard {
    timing: Timing,
    sessions: BTreeMap<SessionId, Session>,
    names: BTreeMap<UserName, SessionId>,
    deadlines: BTreeSet<Deadline>,
    outputs: VecDeque<Output>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A call that nobody answers is given up after this time.
    pub ring: Duration,
    /// Life of the TURN credentials that are asked for; they are renewed when three quarters of it are over.
    pub credential_ttl: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { ring: Duration::from_secs(60), credential_ttl: Duration::from_secs(3600) }
    }
}

/// What the switchboard wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send this message on that connection.
    Send(SessionId, Reply),
    /// Ask the authentication service for TURN credentials for this user, and bring the answer to
    /// [`Switchboard::handle_ice_configuration`]. At most one question per connection is open at a time.
    QueryIce(SessionId, UserName),
    /// Close the connection: the server goes away.
    Close(SessionId),
}

impl Switchboard {
    /// An empty switchboard.
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            outputs: VecDeque::new(),
        }
    }

    /// A page has connected. `id` was never used before.
    pub fn handle_connected(&mut self, id: SessionId) {
        self.sessions.insert(id, Session::default());
    }

    /// A page has sent a frame.
    pub fn handle_request(&mut self, id: SessionId, request: Result<Request, Malformed>, now: Instant) {
        if !self.sessions.contains_key(&id) {
            return;
        }
        match request {
            Ok(Request::Register(name)) => self.register(id, name),
            Ok(Request::IceConfiguration) => self.ask_ice(id),
            Ok(Request::Call { to, offer }) => self.call(id, &to, offer, now),
            Ok(Request::Answer { from, answer }) => self.answer(id, &from, answer),
            Ok(Request::Candidate(candidate)) => self.candidate(id, candidate),
            Ok(Request::Stop) => self.hang_up(id),
            Ok(Request::Restart { offer }) => self.relay(id, Reply::Restart { offer }),
            Ok(Request::RestartAnswer { answer }) => self.relay(id, Reply::RestartAnswer { answer }),
            Err(malformed) => self.refuse(id, malformed.to_string()),
        }
    }

    /// The answer to [`Output::QueryIce`]: the configuration, or why there is none in words for the visitor.
    pub fn handle_ice_configuration(
        &mut self,
        id: SessionId,
        result: Result<IceConfiguration, String>,
        now: Instant,
    ) {
        self.ice_arrived(id, result, now);
    }

    /// A connection is gone: its call ends, its name is free.
    pub fn handle_disconnected(&mut self, id: SessionId) {
        self.hang_up(id);
        if let Some(session) = self.sessions.remove(&id)
            && let Some(name) = session.name
        {
            self.names.remove(&name);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(deadline) = self.deadlines.first().copied().filter(|deadline| deadline.at <= now) {
            self.deadlines.remove(&deadline);
            match deadline.reason {
                Reason::Unanswered => self.give_up(deadline.session, deadline.at),
                Reason::CredentialsAge => self.renew_ice(deadline.session, deadline.at),
            }
        }
    }

    /// The process is about to end: calls are ended on both sides and all connections are to be closed.
    pub fn handle_shutdown(&mut self) {
        for (&id, session) in &self.sessions {
            if session.phase.peer().is_some() {
                self.outputs
                    .push_back(Output::Send(id, Reply::StopCommunication("the server is going away")));
            }
            self.outputs.push_back(Output::Close(id));
        }
        self.sessions.clear();
        self.names.clear();
        self.deadlines.clear();
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest, if at all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|deadline| deadline.at)
    }

    fn send(&mut self, id: SessionId, reply: Reply) {
        self.outputs.push_back(Output::Send(id, reply));
    }

    /// Tells a page that its last message made no sense.
    fn refuse(&mut self, id: SessionId, why: impl Into<String>) {
        self.send(id, Reply::Error(why.into()));
    }
}

/// A point in time at which a session may need attention. It is not withdrawn when the reason goes away: whoever
/// handles it compares `at` with what the session still waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deadline {
    at: Instant,
    session: SessionId,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Unanswered,
    CredentialsAge,
}
