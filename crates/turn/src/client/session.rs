//! The client's half of the long-term credential mechanism
//! ([RFC 8489 section 9.2](https://www.rfc-editor.org/rfc/rfc8489#section-9.2)).

use stun::attribute::{
    Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, SecurityFeatures, Userhash, Username, types,
};
use stun::{Attribute as _, BufferTooSmall, Class, Key, Message, Tail, Writer};

use super::Credentials;
use super::request::Asked;

/// The credentials, and what the server last wanted them to be put into.
pub(super) struct Session {
    credentials: Credentials,
    challenge: Option<Challenge>,
}

struct Challenge {
    realm: Box<str>,
    nonce: Box<str>,
    algorithm: Algorithm,
    /// PASSWORD-ALGORITHMS as it came; it goes back unchanged.
    algorithms: Option<Box<[u8]>>,
    hides_username: bool,
    key: Key,
    /// Made of the credentials before: answers to what was asked with them are still to come.
    former_key: Option<Key>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha256,
}

/// What an answer's signature says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The server knows the password.
    Proved,
    /// The answer is not signed, and could not or need not be.
    Unproved,
    /// It is signed by somebody else, or not signed where it has to be.
    Forged,
}

/// What a challenge leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenged {
    AskAgain,
    /// The credentials are wrong, or the challenge is.
    Refused,
    /// The nonce promises algorithms that the message lacks.
    Weakened,
}

impl Session {
    pub(super) const fn new(credentials: Credentials) -> Self {
        Self { credentials, challenge: None }
    }

    pub(super) fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
        if let Some(challenge) = &mut self.challenge {
            let key = key(&self.credentials, &challenge.realm, challenge.algorithm);
            challenge.former_key = Some(std::mem::replace(&mut challenge.key, key));
        }
    }

    pub(super) const fn can_sign(&self) -> bool {
        self.challenge.is_some()
    }

    /// Ends a request with what is known so far: nothing, or everything.
    pub(super) fn finish(&self, mut writer: Writer<'_>) -> Result<usize, BufferTooSmall> {
        let Some(challenge) = &self.challenge else { return Ok(writer.finish()) };
        let Credentials { username, .. } = &self.credentials;
        if challenge.hides_username {
            writer.put(&Userhash::of(username, &challenge.realm))?;
        } else {
            writer.put(&Username::new(username).map_err(|_| BufferTooSmall)?)?;
        }
        // Sent back as they came, whatever limits the server kept.
        writer.put_raw(Realm::TYPE, challenge.realm.as_bytes())?;
        writer.put_raw(Nonce::TYPE, challenge.nonce.as_bytes())?;
        if let Some(algorithms) = &challenge.algorithms {
            writer.put_raw(PasswordAlgorithms::TYPE, algorithms)?;
            writer.put(&match challenge.algorithm {
                Algorithm::Md5 => PasswordAlgorithm::MD5,
                Algorithm::Sha256 => PasswordAlgorithm::SHA256,
            })?;
            return writer.finish_with(Tail { sha256: Some(&challenge.key), ..Tail::default() });
        }
        writer.finish_with_integrity(&challenge.key)
    }

    /// Success is believed only with a signature, if the request had one. Servers differ in which of their errors
    /// they sign, and an error can do no more than what dropping packets does, so that unsigned ones pass.
    pub(super) fn judge(&self, message: &Message<'_>, was_signed: bool) -> Trust {
        let Some(challenge) = self.challenge.as_ref().filter(|_| was_signed) else { return Trust::Unproved };
        let is_signed = message.has_integrity() || message.has_integrity_sha256();
        let is_by = |key: &Key| match message.has_integrity_sha256() {
            true => message.verify_integrity_sha256(key).is_ok(),
            false => message.verify_integrity(key).is_ok(),
        };
        match message.class() {
            Class::Error if !is_signed => Trust::Unproved,
            _ if is_by(&challenge.key) || challenge.former_key.as_ref().is_some_and(is_by) => Trust::Proved,
            _ => Trust::Forged,
        }
    }

    /// Takes realm, nonce and algorithms of a 401 or 438.
    pub(super) fn take_challenge(&mut self, message: &Message<'_>, asked: &Asked) -> Challenged {
        let Ok(Some(nonce)) = message.get::<Nonce<'_>>() else { return Challenged::Refused };
        let realm = match (message.get::<Realm<'_>>(), &self.challenge) {
            (Ok(Some(realm)), _) => realm.as_str(),
            (Ok(None), Some(known)) => &*known.realm,
            (Ok(None), None) | (Err(_), _) => return Challenged::Refused,
        };
        let is_unauthenticated = super::Refusal::read(message).code == super::UNAUTHENTICATED;
        if let Some(known) = self.challenge.as_ref().filter(|_| asked.is_signed && is_unauthenticated)
            && *known.realm == *realm
        {
            // The server has seen these credentials in this realm and does not want them.
            return Challenged::Refused;
        }
        let features = nonce.security_features().unwrap_or_default();
        let raw = message.raw(types::PASSWORD_ALGORITHMS);
        if features.password_algorithms && raw.is_none() {
            return Challenged::Weakened;
        }
        let Some(algorithm) = choose(message, features) else { return Challenged::Refused };
        self.challenge = Some(Challenge {
            key: key(&self.credentials, realm, algorithm),
            realm: realm.into(),
            nonce: nonce.as_str().into(),
            algorithm,
            algorithms: raw.filter(|_| features.password_algorithms).map(Into::into),
            hides_username: features.username_anonymity,
            former_key: None,
        });
        Challenged::AskAgain
    }
}

/// The first algorithm of the server's list that is known here; MD5 without a list.
fn choose(message: &Message<'_>, features: SecurityFeatures) -> Option<Algorithm> {
    if !features.password_algorithms {
        return Some(Algorithm::Md5);
    }
    let offered = message.get::<PasswordAlgorithms<'_>>().ok()??;
    offered.iter().find_map(|algorithm| match algorithm {
        it if it == PasswordAlgorithm::MD5 => Some(Algorithm::Md5),
        it if it == PasswordAlgorithm::SHA256 => Some(Algorithm::Sha256),
        _ => None,
    })
}

fn key(credentials: &Credentials, realm: &str, algorithm: Algorithm) -> Key {
    match algorithm {
        Algorithm::Md5 => Key::long_term(&credentials.username, realm, &credentials.password),
        Algorithm::Sha256 => Key::long_term_sha256(&credentials.username, realm, &credentials.password),
    }
}
