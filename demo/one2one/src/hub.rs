//! The task that owns the [`Switchboard`] and carries out what it wants done.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth_service::AuthService;
use crate::ice::IceConfiguration;
use crate::limits::Door;
use crate::message::{Malformed, Request};
use crate::name::UserName;
use crate::switchboard::{Output, SessionId, Switchboard, Timing};

/// What happens to the hub.
#[derive(Debug)]
pub(crate) enum Event {
    Connected { id: SessionId, address: IpAddr, outbox: mpsc::Sender<Outgoing> },
    Request { id: SessionId, request: Result<Request, Malformed> },
    Disconnected { id: SessionId },
    Ice { id: SessionId, result: Result<IceConfiguration, String> },
}

/// What a session is to do.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Frame(String),
    GoAway,
}

/// Frames that may wait for one slow page before it is cut off.
pub(crate) const OUTBOX: usize = 512;

/// Events that may wait for the hub before sessions stop reading.
pub(crate) const INBOX: usize = 1024;

pub(crate) struct Hub {
    switchboard: Switchboard,
    outboxes: BTreeMap<SessionId, (IpAddr, mpsc::Sender<Outgoing>)>,
    auth: Arc<AuthService>,
    door: Door,
    events: mpsc::Receiver<Event>,
    /// For the answers of the authentication service; weak, so that the hub ends with its last session.
    answers: mpsc::WeakSender<Event>,
}

impl Hub {
    /// A hub and the way to it.
    pub(crate) fn new(timing: Timing, auth: Arc<AuthService>, door: Door) -> (Self, mpsc::Sender<Event>) {
        let (sender, events) = mpsc::channel(INBOX);
        let switchboard = Switchboard::new(timing);
        let answers = sender.downgrade();
        (Self { switchboard, outboxes: BTreeMap::new(), auth, door, events, answers }, sender)
    }

    /// Runs until `stop`, or until nobody can send it events any more.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let deadline = self.switchboard.poll_timeout();
            let timeout = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = timeout => self.switchboard.handle_timeout(crate::clock::now()),
                event = self.events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => break,
                },
            }
            self.drain();
        }
        self.switchboard.handle_shutdown();
        self.drain();
    }

    fn handle(&mut self, event: Event) {
        let now = crate::clock::now();
        match event {
            Event::Connected { id, address, outbox } => {
                self.outboxes.insert(id, (address, outbox));
                self.switchboard.handle_connected(id);
            }
            Event::Request { id, request } => {
                tracing::debug!(connection = id.0, ?request, "received message");
                self.switchboard.handle_request(id, request, now);
            }
            Event::Disconnected { id } => {
                self.outboxes.remove(&id);
                self.switchboard.handle_disconnected(id);
            }
            Event::Ice { id, result } => self.switchboard.handle_ice_configuration(id, result, now),
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.switchboard.poll_output() {
            match output {
                Output::Send(id, reply) => {
                    tracing::debug!(connection = id.0, ?reply, "sending message");
                    self.send(id, Outgoing::Frame(reply.to_json()));
                }
                Output::Close(id) => self.send(id, Outgoing::GoAway),
                Output::QueryIce(id, user) => self.query(id, user),
            }
        }
    }

    /// A full outbox belongs to a page that reads no more: its session ends when the outbox is dropped.
    fn send(&mut self, id: SessionId, outgoing: Outgoing) {
        if let Some((_, outbox)) = self.outboxes.get(&id)
            && outbox.try_send(outgoing).is_err()
        {
            self.outboxes.remove(&id);
        }
    }

    fn query(&mut self, id: SessionId, user: UserName) {
        let Some(events) = self.answers.upgrade() else { return };
        let address = self.outboxes.get(&id).map(|(address, _)| *address);
        let may = address.is_some_and(|address| self.door.may_query(address, crate::clock::now()));
        let auth = Arc::clone(&self.auth);
        tokio::spawn(async move {
            let result = if may { ask(&auth, &user).await } else { Err(TOO_MANY.to_owned()) };
            // Nobody is interested any more once the hub is gone.
            let _ = events.send(Event::Ice { id, result }).await;
        });
    }
}

async fn ask(auth: &AuthService, user: &UserName) -> Result<IceConfiguration, String> {
    match auth.ice(user).await {
        Ok(ice) => {
            tracing::debug!(?ice, "received an ICE configuration");
            Ok(ice)
        }
        Err(error) => {
            tracing::warn!(%error, "no ICE configuration");
            Err(error.to_string())
        }
    }
}

const TOO_MANY: &str = "too many registrations from your address, try again in a minute";
