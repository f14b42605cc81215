//! The messages between page and server: one JSON object per WebSocket text frame, told apart by `id`.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::ice::IceConfiguration;
use crate::name::{NameError, UserName};

/// The largest frame either side sends, in bytes.
pub const MAX_FRAME: usize = 64 * 1024;

/// What a page asks of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Take this name. A bad name is answered, not rejected as malformed.
    Register(Result<UserName, NameError>),
    /// Call somebody. The caller is whoever owns the connection; a `from` in the message is not looked at.
    Call {
        /// Name of the callee.
        to: String,
        /// The caller's session description.
        offer: Description,
    },
    /// Take or refuse the call of `from`.
    Answer {
        /// Name of the caller.
        from: String,
        /// The callee's decision.
        answer: Answer,
    },
    /// A local ICE candidate for the other side; `None` is ignored.
    Candidate(Option<Candidate>),
    /// End the call.
    Stop,
    /// Hand out fresh TURN credentials.
    IceConfiguration,
    /// Renegotiate a running call over new candidates.
    Restart {
        /// The new offer.
        offer: Description,
    },
    /// The answer to [`Request::Restart`].
    RestartAnswer {
        /// The new answer.
        answer: Description,
    },
}

/// A callee's decision about a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Taken, with the callee's session description.
    Accept(Description),
    /// Not taken.
    Refuse(Refusal),
}

/// Why a callee does not take a call. A closed list: free text of one visitor is not shown to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The callee said no, or was busy in a way the server could not know.
    Declined,
    /// The callee said yes, but the browser gave no camera or microphone.
    NoMedia,
}

impl Refusal {
    /// The text in the messages of both directions.
    pub fn text(self) -> &'static str {
        match self {
            Self::Declined => "user declined",
            Self::NoMedia => "user has no camera or microphone",
        }
    }
}

/// A session description (SDP), forwarded as it came.
///
/// `Debug` shows its size: it holds a visitor's addresses and ICE password.
#[derive(Clone, PartialEq, Eq)]
pub struct Description(pub String);

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes>", self.0.len())
    }
}

/// An ICE candidate (`RTCIceCandidateInit`), forwarded as it came. `Debug` does not show the address in it.
#[derive(Clone, PartialEq)]
pub struct Candidate(Map<String, Value>);

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Candidate(..)")
    }
}

impl Candidate {
    /// Whether the candidate may belong to the session `description`: false only if both name an ICE user
    /// fragment ([RFC 8839 5.4](https://www.rfc-editor.org/rfc/rfc8839#section-5.4)) and these differ, as they
    /// do for a candidate left over from an earlier call.
    pub fn may_belong_to(&self, description: &Description) -> bool {
        let Some(fragment) = self.0.get("usernameFragment").and_then(Value::as_str) else { return true };
        let mut named = description.0.lines().filter_map(|line| line.strip_prefix("a=ice-ufrag:")).peekable();
        named.peek().is_none() || named.any(|ufrag| ufrag.trim_end() == fragment)
    }
}

impl Request {
    /// Reads one text frame.
    ///
    /// # Errors
    /// [`Malformed`] with a text that tells a developer what was expected.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let Ok(Value::Object(members)) = serde_json::from_str(text) else {
            return Err(Malformed::NotAnObject);
        };
        let members = Members(members);
        match members.text("id")?.as_str() {
            "register" => Ok(Self::Register(members.name())),
            "call" => Ok(Self::Call { to: members.text("to")?, offer: members.description("sdpOffer")? }),
            "incomingCallResponse" => {
                Ok(Self::Answer { from: members.text("from")?, answer: members.answer()? })
            }
            "onIceCandidate" => Ok(Self::Candidate(members.candidate()?)),
            "stop" => Ok(Self::Stop),
            "iceConfiguration" => Ok(Self::IceConfiguration),
            "iceRestart" => Ok(Self::Restart { offer: members.description("sdpOffer")? }),
            "iceRestartResponse" => Ok(Self::RestartAnswer { answer: members.description("sdpAnswer")? }),
            _ => Err(Malformed::UnknownId),
        }
    }
}

/// Why a frame is not a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or JSON of another shape.
    #[error("Invalid message: expected one JSON object per frame")]
    NotAnObject,
    /// A binary frame.
    #[error("Invalid message: expected a text frame")]
    NotText,
    /// Nothing we know goes by that `id`.
    #[error("Invalid message: unknown id")]
    UnknownId,
    /// A member is missing or not of the expected kind.
    #[error("Invalid message: member '{0}' is missing or of the wrong type")]
    Member(&'static str),
}

struct Members(Map<String, Value>);

impl Members {
    fn text(&self, key: &'static str) -> Result<String, Malformed> {
        self.0.get(key).and_then(Value::as_str).map(str::to_owned).ok_or(Malformed::Member(key))
    }

    fn description(&self, key: &'static str) -> Result<Description, Malformed> {
        self.text(key).map(Description)
    }

    fn name(&self) -> Result<UserName, NameError> {
        match self.0.get("name") {
            None | Some(Value::Null) => Err(NameError::Empty),
            Some(Value::String(name)) => UserName::new(name),
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                Err(NameError::NotText)
            }
        }
    }

    fn answer(&self) -> Result<Answer, Malformed> {
        if self.text("callResponse")? == "accept" {
            return Ok(Answer::Accept(self.description("sdpAnswer")?));
        }
        let message = self.0.get("message").and_then(Value::as_str);
        let refusal =
            if message == Some(Refusal::NoMedia.text()) { Refusal::NoMedia } else { Refusal::Declined };
        Ok(Answer::Refuse(refusal))
    }

    fn candidate(self) -> Result<Option<Candidate>, Malformed> {
        match self.0.get("candidate") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(candidate)) if candidate.get("candidate").is_some_and(Value::is_string) => {
                Ok(Some(Candidate(candidate.clone())))
            }
            Some(_) => Err(Malformed::Member("candidate")),
        }
    }
}

/// What the server tells a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The name is taken by this connection; here are the ICE servers.
    Registered(IceConfiguration),
    /// The name was refused, and why.
    RegisterRefused(String),
    /// Somebody calls.
    IncomingCall {
        /// The caller.
        from: UserName,
        /// The caller's session description.
        offer: Description,
    },
    /// The call was taken.
    CallAccepted {
        /// The callee's session description.
        answer: Description,
    },
    /// The call was not taken, and why.
    CallRefused(String),
    /// An ICE candidate of the other side.
    Candidate(Candidate),
    /// The call is over; the receiver is idle again.
    StopCommunication(&'static str),
    /// The call is over because the receiver answered a call that does not exist.
    UnknownCaller(String),
    /// Fresh TURN credentials, asked for or not.
    IceConfiguration(IceConfiguration),
    /// Fresh TURN credentials were asked for and could not be had.
    IceConfigurationRefused(String),
    /// A new offer for the running call.
    Restart {
        /// The new offer.
        offer: Description,
    },
    /// The answer to a new offer.
    RestartAnswer {
        /// The new answer.
        answer: Description,
    },
    /// The last message made no sense, or not now.
    Error(String),
}

impl Reply {
    /// The text frame.
    pub fn to_json(&self) -> String {
        match self {
            Self::Registered(ice) => {
                json!({"id": "registerResponse", "response": "accepted", "iceConfiguration": ice.expose()})
            }
            Self::RegisterRefused(why) => {
                json!({"id": "registerResponse", "response": "rejected", "message": why})
            }
            Self::IncomingCall { from, offer } => {
                json!({"id": "incomingCall", "from": from.as_str(), "sdpOffer": offer.0})
            }
            Self::CallAccepted { answer } => {
                json!({"id": "callResponse", "response": "accepted", "sdpAnswer": answer.0})
            }
            Self::CallRefused(why) => json!({"id": "callResponse", "response": "rejected", "message": why}),
            Self::Candidate(Candidate(members)) => json!({"id": "iceCandidate", "candidate": members}),
            Self::StopCommunication(why) => json!({"id": "stopCommunication", "message": why}),
            Self::UnknownCaller(from) => {
                json!({"id": "stopCommunication", "message": format!("unknown from = {from}")})
            }
            Self::IceConfiguration(ice) => {
                json!({"id": "iceConfiguration", "response": "accepted", "iceConfiguration": ice.expose()})
            }
            Self::IceConfigurationRefused(why) => {
                json!({"id": "iceConfiguration", "response": "rejected", "message": why})
            }
            Self::Restart { offer } => json!({"id": "iceRestart", "sdpOffer": offer.0}),
            Self::RestartAnswer { answer } => json!({"id": "iceRestartResponse", "sdpAnswer": answer.0}),
            Self::Error(why) => json!({"id": "error", "message": why}),
        }
        .to_string()
    }
}

#[cfg(test)]
mod tests;
