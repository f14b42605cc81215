use std::time::{Duration, Instant};

use super::session::{Phase, Question};
use super::{Deadline, Output, Reason, SessionId, Switchboard};
use crate::ice::IceConfiguration;
use crate::message::Reply;
use crate::name::{NameError, UserName};

impl Switchboard {
    /// Reserves the name and asks for credentials; the page hears of it when these are there.
    pub(super) fn register(&mut self, id: SessionId, name: Result<UserName, NameError>) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.phase != Phase::Anonymous {
            return self.refuse(id, "this connection is registered already");
        }
        let name = match name {
            Ok(name) => name,
            Err(error) => return self.send(id, Reply::RegisterRefused(error.to_string())),
        };
        if self.names.contains_key(&name) {
            let why = format!("User {name} is already registered");
            return self.send(id, Reply::RegisterRefused(why));
        }
        session.name = Some(name.clone());
        session.phase = Phase::Registering;
        session.question = Question::OfPage;
        self.names.insert(name.clone(), id);
        self.outputs.push_back(Output::QueryIce(id, name));
    }

    /// A page wants fresh credentials, as it does before each call.
    pub(super) fn ask_ice(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if !session.phase.is_registered() {
            return self.refuse(id, "register first");
        }
        let name = session.name.clone();
        match std::mem::replace(&mut session.question, Question::OfPage) {
            Question::Ours | Question::OfPage => {}
            Question::None => self.outputs.extend(name.map(|name| Output::QueryIce(id, name))),
        }
    }

    /// The credentials this session was given grow old, unless it got others meanwhile.
    pub(super) fn renew_ice(&mut self, id: SessionId, renew_at: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.renew_at != Some(renew_at) {
            return;
        }
        session.renew_at = None;
        if session.question == Question::None {
            session.question = Question::Ours;
            self.outputs.extend(session.name.clone().map(|name| Output::QueryIce(id, name)));
        }
    }

    pub(super) fn ice_arrived(
        &mut self,
        id: SessionId,
        result: Result<IceConfiguration, String>,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let question = std::mem::take(&mut session.question);
        let registering = session.phase == Phase::Registering;
        let renew_in = match &result {
            Ok(_) => self.timing.credential_ttl / 4 * 3,
            Err(_) => RENEWAL_RETRY.min(self.timing.credential_ttl / 4),
        };
        let reply = match (result, question) {
            (Ok(ice), _) if registering => {
                session.phase = Phase::Idle;
                Some(Reply::Registered(ice))
            }
            (Err(why), _) if registering => {
                session.phase = Phase::Anonymous;
                if let Some(name) = session.name.take() {
                    self.names.remove(&name);
                }
                Some(Reply::RegisterRefused(why))
            }
            (Ok(ice), _) => Some(Reply::IceConfiguration(ice)),
            (Err(why), Question::OfPage) => Some(Reply::IceConfigurationRefused(why)),
            (Err(_), Question::Ours | Question::None) => None,
        };
        if session.phase.is_registered() {
            let at = now + renew_in;
            session.renew_at = Some(at);
            self.deadlines.insert(Deadline { at, session: id, reason: Reason::CredentialsAge });
        }
        self.outputs.extend(reply.map(|reply| Output::Send(id, reply)));
    }
}

/// How long to wait before asking a failing authentication service again on our own account.
const RENEWAL_RETRY: Duration = Duration::from_secs(30);
