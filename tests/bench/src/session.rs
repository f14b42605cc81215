//! One client's conversation with a TURN server: what to say next, and what the answer means.

use std::net::SocketAddr;
use std::sync::Arc;

use stun::attribute::{ErrorCode, Lifetime, Nonce, Realm, RequestedTransport, Username};
use stun::attribute::{XorPeerAddress, XorRelayedAddress};
use stun::{BufferTooSmall, ChannelNumber, Class, Key, Message, Method, TransactionId, Writer};

/// The channel that every client binds.
pub const CHANNEL: ChannelNumber = ChannelNumber::MIN;

/// A name and a password, the same for all clients.
#[derive(Debug)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

/// How far a client has come, or wants to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It has nothing.
    Nothing,
    /// It has an allocation.
    Allocated,
    /// It has a permission for its peer.
    Permitted,
    /// It has a channel to its peer.
    Bound,
    /// It prolonged its allocation since it was last told to.
    Refreshed,
    /// It gave all that back.
    Gone,
}

/// A client's conversation, whatever it is carried by.
#[derive(Debug)]
pub struct Session {
    login: Arc<Login>,
    number: u32,
    stage: Stage,
    goal: Stage,
    peer: SocketAddr,
    relayed: Option<SocketAddr>,
    challenge: Option<Box<Challenge>>,
    /// Counts requests; makes their transaction ids differ.
    requests: u32,
}

#[derive(Debug)]
struct Challenge {
    realm: String,
    nonce: String,
    key: Key,
}

/// What an answer brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is more to ask for.
    More,
    /// The goal is reached.
    Reached,
    /// The server refused, with this code.
    Refused(u16),
    /// It was no answer to the last request.
    Stray,
}

impl Session {
    /// A client of this number, which has nothing yet and wants an allocation.
    pub fn new(login: Arc<Login>, number: usize, peer: SocketAddr) -> Self {
        Self {
            login,
            number: number as u32,
            stage: Stage::Nothing,
            goal: Stage::Allocated,
            peer,
            relayed: None,
            challenge: None,
            requests: 0,
        }
    }

    /// Sets another goal. An allocation that was prolonged can be prolonged again.
    pub fn aim(&mut self, goal: Stage) {
        self.goal = goal;
        if self.stage == Stage::Refreshed {
            self.stage = Stage::Bound;
        }
    }

    /// Sets the peer of the permission and the channel to come.
    pub fn set_peer(&mut self, peer: SocketAddr) {
        self.peer = peer;
    }

    /// The relayed address, once there is one.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    /// Whether there is nothing left to ask for.
    pub fn has_reached(&self) -> bool {
        self.next().is_none()
    }

    /// Writes the next request, the same one again until it is answered. Nothing if there is none.
    ///
    /// # Errors
    /// The buffer is too small.
    pub fn request(&self, into: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let Some(next) = self.next() else { return Ok(0) };
        let mut writer = Writer::new(into, Class::Request, next.method(), self.transaction())?;
        match next {
            Stage::Nothing | Stage::Refreshed => {}
            Stage::Allocated => drop(writer.put(&RequestedTransport::UDP)?),
            Stage::Permitted => drop(writer.put(&XorPeerAddress(self.peer))?),
            Stage::Bound => drop(writer.put(&CHANNEL)?.put(&XorPeerAddress(self.peer))?),
            Stage::Gone => drop(writer.put(&Lifetime(0))?),
        }
        let Some(Challenge { realm, nonce, key }) = self.challenge.as_deref() else {
            return Ok(writer.finish());
        };
        writer.put(&Username::new(&self.login.username).map_err(|_| BufferTooSmall)?)?;
        writer.put(&Realm::new(realm).map_err(|_| BufferTooSmall)?)?;
        writer.put(&Nonce::new(nonce).map_err(|_| BufferTooSmall)?)?;
        writer.finish_with_integrity(key)
    }

    /// Takes an answer.
    pub fn answer(&mut self, bytes: &[u8]) -> Outcome {
        let Ok(message) = Message::parse(bytes) else { return Outcome::Stray };
        let Some(next) = self.next().filter(|_| message.transaction_id() == self.transaction()) else {
            return Outcome::Stray;
        };
        self.requests += 1;
        match message.class() {
            Class::Success => self.granted(next, &message),
            Class::Error => self.refused(&message),
            Class::Request | Class::Indication => Outcome::Stray,
        }
    }

    /// The stage to reach next.
    fn next(&self) -> Option<Stage> {
        if self.stage >= self.goal {
            return None;
        }
        match self.stage {
            Stage::Nothing => Some(Stage::Allocated),
            Stage::Allocated => Some(Stage::Permitted),
            Stage::Permitted => Some(Stage::Bound),
            Stage::Bound | Stage::Refreshed => Some(self.goal),
            Stage::Gone => None,
        }
    }

    fn granted(&mut self, next: Stage, message: &Message<'_>) -> Outcome {
        if next == Stage::Allocated {
            let Ok(Some(relayed)) = message.get::<XorRelayedAddress>() else { return Outcome::Refused(0) };
            self.relayed = Some(relayed.0);
        }
        self.stage = next;
        if self.has_reached() { Outcome::Reached } else { Outcome::More }
    }

    fn refused(&mut self, message: &Message<'_>) -> Outcome {
        let code = match message.get::<ErrorCode<'_>>() {
            Ok(Some(error)) => error.code(),
            _ => 0,
        };
        let may_try_again = (code == 401 && self.challenge.is_none()) || code == 438;
        let (Ok(Some(realm)), Ok(Some(nonce)), true) =
            (message.get::<Realm<'_>>(), message.get::<Nonce<'_>>(), may_try_again)
        else {
            return Outcome::Refused(code);
        };
        let (realm, nonce) = (realm.as_str().to_owned(), nonce.as_str().to_owned());
        let key = Key::long_term(&self.login.username, &realm, &self.login.password);
        self.challenge = Some(Box::new(Challenge { realm, nonce, key }));
        Outcome::More
    }

    fn transaction(&self) -> TransactionId {
        let mut id = [0x5A; 12];
        id[..4].copy_from_slice(&self.number.to_be_bytes());
        id[4..8].copy_from_slice(&self.requests.to_be_bytes());
        TransactionId::new(id)
    }
}

impl Stage {
    /// How it is asked for.
    fn method(self) -> Method {
        match self {
            Self::Nothing | Self::Allocated => Method::Allocate,
            Self::Permitted => Method::CreatePermission,
            Self::Bound => Method::ChannelBind,
            Self::Refreshed | Self::Gone => Method::Refresh,
        }
    }
}
