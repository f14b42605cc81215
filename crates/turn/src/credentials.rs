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
use stun::attribute::{PasswordAlgorithm, SecurityFeatures, Userhash};
use stun::{Key, Message, Tail};
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
    Static(Vec<Account>),
    Ephemeral(Vec<Zeroizing<Box<[u8]>>>),
    Nobody,
}

/// A username and its password, ready to be compared with.
#[derive(Clone)]
struct Account {
    username: Box<str>,
    username_digest: [u8; 32],
    userhash: Userhash,
    keys: Keys,
}

/// The keys of one user with one password, by the algorithm that makes them of it.
#[derive(Clone)]
struct Keys {
    md5: Key,
    sha256: Key,
}

impl Keys {
    fn new(username: &str, realm: &Realm, password: &str) -> Self {
        Self {
            md5: Key::long_term(username, realm.as_str(), password),
            sha256: Key::long_term_sha256(username, realm.as_str(), password),
        }
    }

    fn of(&self, algorithm: Algorithm) -> &Key {
        match algorithm {
            Algorithm::Md5 => &self.md5,
            Algorithm::Sha256 => &self.sha256,
        }
    }
}

impl fmt::Debug for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static(_) => "Static(<SECRET>)",
            Self::Ephemeral(_) => "Ephemeral(<SECRET>)",
            Self::Nobody => "Nobody",
        })
    }
}

/// How a password becomes a key, [RFC 8489 section 18.5](https://www.rfc-editor.org/rfc/rfc8489#section-18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// As in RFC 5389, and what a client means that does not say.
    Md5,
    /// What is preferred.
    Sha256,
}

impl Algorithm {
    /// Those offered to clients, the preferred one first.
    pub const OFFERED: [PasswordAlgorithm<'static>; 2] = [PasswordAlgorithm::SHA256, PasswordAlgorithm::MD5];
}

/// How a request says who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'u> {
    /// USERNAME.
    Name(&'u str),
    /// USERHASH. Known only where names are, which is where they are static.
    Hash(Userhash),
}

/// Somebody whose message proves that they know the password.
#[derive(Clone, Debug)]
pub struct Caller<'u> {
    /// Who they are: the owner of what they allocate.
    pub user: &'u str,
    /// What signs the answers to them.
    pub signer: Signer,
}

/// Signs messages for one client in the way that client understands.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Key,
    /// With MESSAGE-INTEGRITY-SHA256 instead of MESSAGE-INTEGRITY.
    is_sha256: bool,
}

impl Signer {
    /// The end of a message that is to be signed.
    pub fn tail(&self) -> Tail<'_> {
        let key = Some(&self.key);
        match self.is_sha256 {
            true => Tail { sha256: key, ..Tail::default() },
            false => Tail { sha1: key, ..Tail::default() },
        }
    }
}

/// What a request says about how it was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assertion<'u> {
    /// Who says to have sent it.
    pub identity: Identity<'u>,
    /// The algorithm it names; without one, a password is hashed with MD5 and answers carry MESSAGE-INTEGRITY.
    pub algorithm: Option<Algorithm>,
}

impl Authority {
    /// One username with one password.
    pub fn fixed(realm: Realm, username: &str, password: &str) -> Self {
        Self { realm, scheme: Scheme::Static(Vec::new()) }.or_fixed(username, password)
    }

    /// Any username that carries an expiry not yet passed, with the password made of it and `secret`.
    pub fn ephemeral(realm: Realm, secret: &str) -> Self {
        Self { realm, scheme: Scheme::Ephemeral(Vec::new()) }.or_ephemeral(secret)
    }

    /// Nobody: Binding is answered, everything else is refused.
    pub fn nobody(realm: Realm) -> Self {
        Self { realm, scheme: Scheme::Nobody }
    }

    /// Accepts another username and password as well, while clients move from one to the other. Without effect on
    /// an authority that was not made by [`Authority::fixed`].
    #[must_use]
    pub fn or_fixed(mut self, username: &str, password: &str) -> Self {
        if let Scheme::Static(accounts) = &mut self.scheme {
            accounts.push(Account {
                username: username.into(),
                username_digest: digest(username),
                userhash: Userhash::of(username, self.realm.as_str()),
                keys: Keys::new(username, &self.realm, password),
            });
        }
        self
    }

    /// Accepts passwords made with another secret as well, while the one is replaced by the other. Without effect on
    /// an authority that was not made by [`Authority::ephemeral`].
    #[must_use]
    pub fn or_ephemeral(mut self, secret: &str) -> Self {
        if let Scheme::Ephemeral(secrets) = &mut self.scheme {
            secrets.push(Zeroizing::new(secret.as_bytes().into()));
        }
        self
    }

    /// The realm.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// What nonces announce: a choice of algorithms always, and names that can be given as hashes where they are
    /// known in advance.
    pub const fn features(&self) -> SecurityFeatures {
        SecurityFeatures {
            password_algorithms: true,
            username_anonymity: matches!(self.scheme, Scheme::Static(_)),
        }
    }

    /// Checks that `message` was signed as it claims, by a user who knows the password.
    ///
    /// A wrong name costs as much time as a wrong password: a key is derived and compared whatever the name is, and
    /// only then do name and signature count together.
    pub fn authenticate<'u>(
        &'u self,
        claim: Assertion<'u>,
        message: &Message<'_>,
        unix: u64,
    ) -> Option<Caller<'u>> {
        let algorithm = claim.algorithm.unwrap_or(Algorithm::Md5);
        let mut caller = None;
        let mut check = |user: Option<&'u str>, key: &Key| {
            let is_signed = is_signed(message, key);
            if let Some(user) = user.filter(|_| is_signed) {
                let signer = Signer { key: key.clone(), is_sha256: claim.algorithm.is_some() };
                caller = caller.take().or(Some(Caller { user, signer }));
            }
        };
        match &self.scheme {
            Scheme::Static(accounts) => {
                for account in accounts {
                    let is_known = account.is_called(claim.identity);
                    check(is_known.then_some(&*account.username), account.keys.of(algorithm));
                }
            }
            Scheme::Ephemeral(secrets) => {
                let username = claim.identity.name();
                let name = EphemeralUsername::parse(username).filter(|name| !name.is_expired(unix));
                for secret in secrets {
                    let mac = Zeroizing::new(ephemeral_mac(secret, username.as_bytes()));
                    let password = Zeroizing::new(BASE64.encode(*mac));
                    let key = derive(algorithm, username, &self.realm, &password);
                    check(name.map(|name| name.user), &key);
                }
            }
            Scheme::Nobody => check(None, &derive(algorithm, claim.identity.name(), &self.realm, "")),
        }
        caller
    }
}

impl Account {
    fn is_called(&self, identity: Identity<'_>) -> bool {
        match identity {
            Identity::Name(name) => digest(name).ct_eq(&self.username_digest).into(),
            Identity::Hash(hash) => hash.0.ct_eq(&self.userhash.0).into(),
        }
    }
}

impl<'u> Identity<'u> {
    /// A hash has no name to derive anything from, and no name that is good.
    const fn name(self) -> &'u str {
        match self {
            Self::Name(name) => name,
            Self::Hash(_) => "",
        }
    }
}

fn derive(algorithm: Algorithm, username: &str, realm: &Realm, password: &str) -> Key {
    match algorithm {
        Algorithm::Md5 => Key::long_term(username, realm.as_str(), password),
        Algorithm::Sha256 => Key::long_term_sha256(username, realm.as_str(), password),
    }
}

/// The newer of the two attributes is the one that counts,
/// [RFC 8489 section 9.2.4](https://www.rfc-editor.org/rfc/rfc8489#section-9.2.4).
fn is_signed(message: &Message<'_>, key: &Key) -> bool {
    match message.has_integrity_sha256() {
        true => message.verify_integrity_sha256(key).is_ok(),
        false => message.verify_integrity(key).is_ok(),
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
