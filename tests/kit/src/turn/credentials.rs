//! Names and passwords, made here without the gateway's code, so that the two check each other.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use stun::Key;

use super::Challenge;
use crate::clock;

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// What goes into USERNAME.
    pub username: String,
    /// What goes into the key.
    pub password: String,
}

impl Credentials {
    /// A fixed name and password.
    pub fn fixed(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned() }
    }

    /// The password that belongs to `username`, whatever it says, for servers that share `secret`:
    /// `base64(HMAC-SHA1(secret, username))`.
    pub fn ephemeral(secret: &str, username: &str) -> Self {
        let mut hmac =
            Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
        hmac.update(username.as_bytes());
        let password = STANDARD.encode(hmac.finalize().into_bytes());
        Self { username: username.to_owned(), password }
    }

    /// Credentials of `user` that end after `lifetime`: the user name is `<unix time>:<user>`.
    pub fn ephemeral_for(secret: &str, user: &str, lifetime: Duration) -> Self {
        let end = clock::since_1970() + lifetime;
        Self::ephemeral(secret, &format!("{}:{user}", end.as_secs()))
    }

    /// What requests carry once the server gave its realm and a nonce.
    pub(super) fn answer(&self, realm: String, nonce: String) -> Challenge {
        let key = Key::long_term(&self.username, &realm, &self.password);
        Challenge { username: self.username.clone(), realm, nonce, key }
    }
}
