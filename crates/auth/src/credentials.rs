//! From a gateway's authentication settings to what one client types in.

use config::{Auth, AuthKind, Secret};
use thiserror::Error;
use turn::credentials::{ephemeral_password, ephemeral_username};

/// What a client proves itself with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// TURN username.
    pub username: Secret,
    /// TURN password.
    pub password: Secret,
}

/// Why a gateway's settings yield no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Unusable {
    /// Static authentication without a user name or a password.
    #[error("invalid STUNner config: no username or password (auth: plaintext)")]
    NoUser,
    /// Ephemeral authentication without the secret that passwords are derived from.
    #[error("invalid STUNner config: no shared secret (auth: longterm)")]
    NoSecret,
}

/// Credentials of the client `user` that are valid until `expires` (seconds since 1970, included).
///
/// The user and the expiry matter for ephemeral authentication only. `None` means that the gateway hands out no
/// credentials, because it relays for nobody and answers STUN to everybody.
///
/// # Errors
/// The settings lack what their kind needs. Empty text counts as lacking: browsers refuse it.
pub fn mint(auth: &Auth, user: &str, expires: u64) -> Result<Option<Credentials>, Unusable> {
    let given = &auth.credentials;
    match auth.kind {
        AuthKind::Static => match (some(&given.username), some(&given.password)) {
            (Some(username), Some(password)) => {
                Ok(Some(Credentials { username: username.clone(), password: password.clone() }))
            }
            _ => Err(Unusable::NoUser),
        },
        AuthKind::Ephemeral => {
            let secret = some(&given.secret).ok_or(Unusable::NoSecret)?;
            let username = ephemeral_username(expires, Some(user));
            let password = ephemeral_password(secret.expose(), &username);
            Ok(Some(Credentials { username: username.into(), password: password.into() }))
        }
        AuthKind::None => Ok(None),
    }
}

fn some(secret: &Option<Secret>) -> Option<&Secret> {
    secret.as_ref().filter(|secret| !secret.is_empty())
}
