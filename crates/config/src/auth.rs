use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::{Error, Secret};

/// TURN realm of a configuration that gives none.
pub const DEFAULT_REALM: &str = "stunner.l7mp.io";

/// How clients prove who they are, for all listeners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Auth {
    /// What kind of credentials clients have.
    #[serde(rename = "type")]
    pub kind: AuthKind,
    /// TURN realm; validation replaces an empty one by [`DEFAULT_REALM`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub realm: String,
    /// What the kind needs.
    pub credentials: Credentials,
}

/// What kind of credentials clients have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AuthKind {
    /// One user name and password for everyone.
    #[default]
    Static,
    /// Time-windowed credentials derived from a shared secret.
    Ephemeral,
    /// Nobody may allocate: a plain STUN server.
    None,
}

/// User name and password (static), or shared secret (ephemeral), and what they were before.
///
/// While credentials are exchanged for others, the former ones go into the fields called `previous`: they are accepted
/// beside the new ones, and handed out to nobody. The original knows no such fields and ignores them.
///
/// Serialises as a map with sorted keys, without the absent ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Credentials {
    /// Password of static authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Password of static authentication that is still accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_password: Option<Secret>,
    /// Shared secret of ephemeral authentication that is still accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_secret: Option<Secret>,
    /// User name that goes with [`Credentials::previous_password`]; without it, the name has not changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_username: Option<Secret>,
    /// Shared secret of ephemeral authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// User name of static authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Secret>,
}

impl Credentials {
    /// Those of static authentication.
    pub fn for_user(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: Some(Secret::new(username)),
            password: Some(Secret::new(password)),
            ..Self::default()
        }
    }

    /// Those of ephemeral authentication.
    pub fn shared_secret(secret: impl Into<String>) -> Self {
        Self { secret: Some(Secret::new(secret)), ..Self::default() }
    }
}

impl AuthKind {
    /// Canonical spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Ephemeral => "ephemeral",
            Self::None => "none",
        }
    }
}

impl FromStr for AuthKind {
    type Err = Error;

    /// Reads the canonical spellings and their aliases, all in lower case; the empty text is the default.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "" | "static" | "plaintext" => Ok(Self::Static),
            "ephemeral" | "longterm" | "timewindowed" => Ok(Self::Ephemeral),
            "none" => Ok(Self::None),
            _ => Err(Error::new(
                "",
                format!("unknown authentication type: {text:?}"),
                "use static, ephemeral or none, in lower case",
            )),
        }
    }
}

impl fmt::Display for AuthKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for AuthKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
