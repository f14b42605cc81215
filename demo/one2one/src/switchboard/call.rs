use std::time::Instant;

use super::session::Phase;
use super::{Deadline, Output, Reason, SessionId, Switchboard};
use crate::message::{Answer, Candidate, Description, Refusal, Reply};

impl Switchboard {
    pub(super) fn call(&mut self, caller: SessionId, to: &str, offer: Description, now: Instant) {
        let Some(session) = self.sessions.get_mut(&caller) else { return };
        let Some(from) = session.name.clone().filter(|_| session.phase.is_registered()) else {
            return self.refuse(caller, "register first");
        };
        if session.phase != Phase::Idle {
            return self.refuse(caller, "one call at a time");
        }
        session.keep_only_of(&offer);
        let callee = match self.find_idle(caller, to.trim()) {
            Ok(callee) => callee,
            Err(why) => {
                self.leave(caller);
                return self.send(caller, Reply::CallRefused(why));
            }
        };
        let until = now + self.timing.ring;
        self.enter(caller, Phase::Calling { callee, until });
        self.enter(callee, Phase::Ringing { caller });
        self.deadlines.insert(Deadline { at: until, session: caller, reason: Reason::Unanswered });
        self.send(callee, Reply::IncomingCall { from, offer });
    }

    pub(super) fn answer(&mut self, callee: SessionId, from: &str, answer: Answer) {
        let Some(session) = self.sessions.get_mut(&callee) else { return };
        let ringing = match session.phase {
            Phase::Anonymous | Phase::Registering => return self.refuse(callee, "register first"),
            Phase::Ringing { caller } => Some(caller),
            Phase::Idle => None,
            Phase::Calling { .. } | Phase::InCall { .. } => return self.refuse(callee, "nobody is calling"),
        };
        let expected = ringing.filter(|caller| self.name_of(*caller) == Some(from.trim()));
        match (answer, expected, ringing) {
            (Answer::Accept(answer), Some(caller), _) => self.connect(caller, callee, answer),
            (Answer::Refuse(why), Some(caller), _) => self.refuse_call(callee, caller, why),
            // The page hears of the end of its call together with the caller, who waits for a person who answered
            // somebody else.
            (_, None, Some(caller)) => {
                self.refuse_call(callee, caller, Refusal::Declined);
                self.send(callee, Reply::UnknownCaller(from.trim().to_owned()));
            }
            (Answer::Accept(_), None, None) => {
                self.send(callee, Reply::UnknownCaller(from.trim().to_owned()));
            }
            // The caller has hung up while the callee said no.
            (Answer::Refuse(_), None, None) => {}
        }
    }

    /// Delivers a candidate if the call stands, else keeps it until it does.
    pub(super) fn candidate(&mut self, id: SessionId, candidate: Option<Candidate>) {
        let Some(candidate) = candidate else { return };
        let Some(session) = self.sessions.get_mut(&id) else { return };
        match session.phase {
            Phase::Anonymous | Phase::Registering => self.refuse(id, "register first"),
            Phase::InCall { peer } => self.send(peer, Reply::Candidate(candidate)),
            Phase::Idle | Phase::Calling { .. } | Phase::Ringing { .. } => {
                if !session.keep(candidate) {
                    self.refuse(id, "too many candidates before the call is answered");
                }
            }
        }
    }

    /// Passes a renegotiation on. Without a call it is a message that crossed with the end of one.
    pub(super) fn relay(&mut self, id: SessionId, reply: Reply) {
        if let Some(&Phase::InCall { peer }) = self.sessions.get(&id).map(|session| &session.phase) {
            self.send(peer, reply);
        }
    }

    /// Ends the call of `id`, if any, and tells the other side.
    pub(super) fn hang_up(&mut self, id: SessionId) {
        if let Some(peer) = self.leave(id) {
            self.leave(peer);
            self.send(peer, Reply::StopCommunication("remote user hanged out"));
        }
    }

    /// Ends a call that rings since `until` minus the ring time, unless it was answered meanwhile.
    pub(super) fn give_up(&mut self, caller: SessionId, until: Instant) {
        let Some(session) = self.sessions.get(&caller) else { return };
        let Phase::Calling { callee, until: waiting } = session.phase else { return };
        if waiting != until {
            return;
        }
        let why = format!("User {} did not answer", self.name_of(callee).unwrap_or_default());
        self.leave(caller);
        self.leave(callee);
        self.send(caller, Reply::CallRefused(why));
        self.send(callee, Reply::StopCommunication("the call was not answered"));
    }

    fn connect(&mut self, caller: SessionId, callee: SessionId, answer: Description) {
        if let Some(session) = self.sessions.get_mut(&callee) {
            session.keep_only_of(&answer);
        }
        self.send(caller, Reply::CallAccepted { answer });
        for (id, peer) in [(caller, callee), (callee, caller)] {
            self.enter(id, Phase::InCall { peer });
            let early = self.sessions.get_mut(&id).map(|session| std::mem::take(&mut session.early));
            let early = early.into_iter().flatten();
            self.outputs.extend(early.map(|candidate| Output::Send(peer, Reply::Candidate(candidate))));
        }
    }

    fn refuse_call(&mut self, callee: SessionId, caller: SessionId, why: Refusal) {
        self.leave(caller);
        self.leave(callee);
        self.send(caller, Reply::CallRefused(why.text().to_owned()));
    }

    fn find_idle(&self, caller: SessionId, name: &str) -> Result<SessionId, String> {
        let found = self.names.get(name).and_then(|id| Some((*id, self.sessions.get(id)?.phase)));
        match found {
            Some((id, _)) if id == caller => Err("you cannot call yourself".to_owned()),
            Some((id, Phase::Idle)) => Ok(id),
            Some((_, phase)) if phase.is_registered() => Err(format!("User {name} is busy")),
            Some(_) | None => Err(format!("User {name} is not registered")),
        }
    }

    fn name_of(&self, id: SessionId) -> Option<&str> {
        Some(self.sessions.get(&id)?.name.as_ref()?.as_str())
    }

    fn enter(&mut self, id: SessionId, phase: Phase) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.phase = phase;
        }
    }

    /// Makes a registered session idle and forgets what it had kept for its call. Returns the other side.
    fn leave(&mut self, id: SessionId) -> Option<SessionId> {
        let session = self.sessions.get_mut(&id)?;
        if !session.phase.is_registered() {
            return None;
        }
        session.early.clear();
        std::mem::replace(&mut session.phase, Phase::Idle).peer()
    }
}
