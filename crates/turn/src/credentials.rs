//! Long-term credentials ([RFC 8489 section 9.2](https://www.rfc-editor.org/rfc/rfc8489#section-9.2)): who may
//! have them, minting them, and deriving the key that checks them.
//!
//! Ephemeral credentials follow the REST API convention for TURN servers: the username carries its own expiry and
//! the password is a MAC of the username under a secret shared with the service that hands credentials out.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use stun::{Key, Message};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A realm, short enough for its attribute
/// ([RFC 8489 section 14.9](https://www.rfc-editor.org/rfc/rfc8489#section-14.9)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Realm(Box<str>);

impl Realm {
    /// The longest a realm may be, in characters.
    pub const MAX_LEN: usize = 127;

    /// # Errors
    /// [`RealmTooLong`] above [`Realm::MAX_LEN`] characters.
    pub fn new(realm: &str) -> Result<Self, RealmTooLong> {
        if realm.chars().count() > Self::MAX_LEN { Err(RealmTooLong) } else { Ok(Self(realm.into())) }
    }

    /// The realm's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The realm does not fit into a REALM attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RealmTooLong;

impl fmt::Display for RealmTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a realm has at most {} characters", Realm::MAX_LEN)
    }
}

impl std::error::Error for RealmTooLong {}

/// A realm together with the credentials accepted in it.
#[derive(Clone, Debug)]
pub struct Authority {
    realm: Realm,
    scheme: Scheme,
}

#[derive(Clone)]
enum Scheme {
    Static { username_digest: [u8; 32], key: Key },
    Ephemeral { secret: Zeroizing<Box<[u8]>> },
    Nobody,
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static { .. } => "Static(<SECRET>)",
            Self::Ephemeral { .. } => "Ephemeral(<SECRET>)",
            Self::Nobody => "Nobody",
        })
    }
}

/// Somebody whose message proves that they know the password.
#[derive(Clone, Debug)]
pub struct Caller<'u> {
    /// Who they are: the owner of what they allocate.
    pub user: &'u str,
    /// What signs the answers to them.
    pub key: Key,
}

impl Authority {
    /// One username with one password.
    pub fn fixed(realm: Realm, username: &str, password: &str) -> Self {
        let scheme = Scheme::Static {
            username_digest: digest(username),
            key: Key::long_term(username, realm.as_str(), password),
        };
        Self { realm, scheme }
    }

    /// Any username that carries an expiry not yet passed, with the password made of it and `secret`.
    pub fn ephemeral(realm: Realm, secret: &str) -> Self {
        Self { realm, scheme: Scheme::Ephemeral { secret: Zeroizing::new(secret.as_bytes().into()) } }
    }

    /// Nobody: Binding is answered, everything else is refused.
    pub fn nobody(realm: Realm) -> Self {
        Self { realm, scheme: Scheme::Nobody }
    }

    /// The realm.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// Checks that `message` was signed by a user who is called `username` and knows the password.
    ///
    /// A wrong name costs as much time as a wrong password: a key is derived and compared whatever the name is, and
    /// only then do name and signature count together.
    pub fn authenticate<'u>(
        &self,
        username: &'u str,
        message: &Message<'_>,
        unix: u64,
    ) -> Option<Caller<'u>> {
        let (key, user) = match &self.scheme {
            Scheme::Static { username_digest, key } => {
                let is_known = bool::from(digest(username).ct_eq(username_digest));
                (key.clone(), is_known.then_some(username))
            }
            Scheme::Ephemeral { secret } => {
                let mac = Zeroizing::new(ephemeral_mac(secret, username.as_bytes()));
                let password = Zeroizing::new(BASE64.encode(*mac));
                let name = EphemeralUsername::parse(username).filter(|name| !name.is_expired(unix));
                (Key::long_term(username, self.realm.as_str(), &password), name.map(|name| name.user))
            }
            Scheme::Nobody => (Key::long_term(username, self.realm.as_str(), ""), None),
        };
        let is_signed = message.verify_integrity(&key).is_ok();
        user.filter(|_| is_signed).map(|user| Caller { user, key })
    }
}

/// Names are compared by their digests, so that the time it takes tells nothing about the length of the right one.
fn digest(username: &str) -> [u8; 32] {
    Sha256::digest(username.as_bytes()).into()
}

/// The password that belongs to an ephemeral username: `base64(HMAC-SHA1(secret, username))`.
pub fn ephemeral_password(secret: &str, username: &str) -> String {
    BASE64.encode(ephemeral_mac(secret.as_bytes(), username.as_bytes()))
}

/// The ephemeral username of `user` that is good until the UNIX time `expiry`: `expiry:user`, or the bare expiry
/// for nobody in particular.
pub fn ephemeral_username(expiry: u64, user: Option<&str>) -> String {
    match user {
        Some(user) => format!("{expiry}:{user}"),
        None => expiry.to_string(),
    }
}

fn ephemeral_mac(secret: &[u8], username: &[u8]) -> [u8; 20] {
    let Ok(mac) = Hmac::<Sha1>::new_from_slice(secret) else { unreachable!("HMAC takes keys of any length") };
    mac.chain_update(username).finalize().into_bytes().into()
}

/// An ephemeral username taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EphemeralUsername<'a> {
    /// The UNIX time after which the name is no good, in seconds.
    pub expiry: u64,
    /// Whose allocation it is.
    pub user: &'a str,
}

impl<'a> EphemeralUsername<'a> {
    /// Reads a username in any of its forms: `expiry`, `expiry:user`, `user:expiry`, `user:expiry:anything`. The
    /// expiry is the first of the parts between colons that is a decimal integer.
    ///
    /// Only `expiry:user` has a user of its own, so that a renewed name refreshes what the former one allocated.
    /// In any other form the whole name is the user.
    ///
    /// `None` when no part is an integer, or the first that is one is not positive.
    pub fn parse(username: &'a str) -> Option<Self> {
        let expiry = username.split(':').find_map(|part| part.parse::<i64>().ok())?;
        let expiry = u64::try_from(expiry).ok().filter(|expiry| *expiry > 0)?;
        let user = match username.split_once(':') {
            Some((first, rest))
                if first.parse::<i64>().is_ok() && !rest.is_empty() && !rest.contains(':') =>
            {
                rest
            }
            _ => username,
        };
        Some(Self { expiry, user })
    }

    /// Whether the name is no good any more. In its last second it still is.
    pub const fn is_expired(&self, unix: u64) -> bool {
        self.expiry < unix
    }
}

#[cfg(test)]
mod tests;
