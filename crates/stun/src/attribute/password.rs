//! Which hash makes the key, and user names as hashes.

use core::fmt;

use sha2::{Digest, Sha256};

use super::{Attribute, fixed, padded, types};
use crate::error::AttributeError;
use crate::message::TransactionId;

/// PASSWORD-ALGORITHM: how the key was made from the password (RFC 8489 §14.12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PasswordAlgorithm<'a> {
    number: u16,
    parameters: &'a [u8],
}

impl<'a> PasswordAlgorithm<'a> {
    /// `MD5(user ":" realm ":" password)`, see [`Key::long_term`](crate::Key::long_term).
    pub const MD5: PasswordAlgorithm<'static> = PasswordAlgorithm { number: 1, parameters: &[] };
    /// `SHA-256(user ":" realm ":" password)`, see [`Key::long_term_sha256`](crate::Key::long_term_sha256).
    pub const SHA256: PasswordAlgorithm<'static> = PasswordAlgorithm { number: 2, parameters: &[] };

    /// Bytes of number and length.
    const HEAD: usize = 4;

    /// An algorithm by its number (RFC 8489 §18.5), with the parameters it needs; MD5 and SHA-256 need none.
    ///
    /// # Errors
    /// [`AttributeError::Length`] for more parameters than an attribute can hold.
    pub const fn new(number: u16, parameters: &'a [u8]) -> Result<Self, AttributeError> {
        if parameters.len() > u16::MAX as usize - Self::HEAD {
            return Err(AttributeError::Length);
        }
        Ok(Self { number, parameters })
    }

    /// Its number.
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// Its parameters.
    pub const fn parameters(&self) -> &'a [u8] {
        self.parameters
    }

    const fn wire_len(&self) -> usize {
        Self::HEAD + self.parameters.len()
    }

    fn to_wire(self, into: &mut [u8]) {
        let (head, parameters) = into.split_at_mut(Self::HEAD);
        head[..2].copy_from_slice(&self.number.to_be_bytes());
        head[2..].copy_from_slice(&(self.parameters.len() as u16).to_be_bytes());
        parameters.copy_from_slice(self.parameters);
    }

    /// Takes one algorithm off the front.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), AttributeError> {
        let ([n0, n1, l0, l1], body) = bytes.split_first_chunk().ok_or(AttributeError::Length)?;
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let (parameters, rest) = body.split_at_checked(len).ok_or(AttributeError::Length)?;
        Ok((Self { number: u16::from_be_bytes([*n0, *n1]), parameters }, rest))
    }

    /// Takes one algorithm with its padding off the front. Whether the padding of the last one is counted in the
    /// attribute's length is left open, so it may be missing.
    fn split_padded(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), AttributeError> {
        let (algorithm, rest) = Self::split(bytes)?;
        let padding = padded(algorithm.parameters.len()) - algorithm.parameters.len();
        if rest.is_empty() {
            return Ok((algorithm, rest));
        }
        Ok((algorithm, rest.get(padding..).ok_or(AttributeError::Length)?))
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithm<'a> {
    const TYPE: u16 = types::PASSWORD_ALGORITHM;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        match Self::split_padded(value)? {
            (algorithm, []) => Ok(algorithm),
            _ => Err(AttributeError::Length),
        }
    }

    fn encoded_len(&self) -> usize {
        self.wire_len()
    }

    fn encode(&self, into: &mut [u8], _: TransactionId) {
        self.to_wire(into);
    }
}

/// PASSWORD-ALGORITHMS: what the server supports, best first (RFC 8489 §14.11).
#[derive(Clone, Copy)]
pub struct PasswordAlgorithms<'a>(List<'a>);

#[derive(Clone, Copy)]
enum List<'a> {
    Host(&'a [PasswordAlgorithm<'a>]),
    /// A sequence [`PasswordAlgorithm::split_padded`] has been through.
    Wire(&'a [u8]),
}

impl<'a> PasswordAlgorithms<'a> {
    /// The list to send.
    ///
    /// # Errors
    /// [`AttributeError::Length`] if it does not fit an attribute.
    pub fn new(algorithms: &'a [PasswordAlgorithm<'a>]) -> Result<Self, AttributeError> {
        let list = List::Host(algorithms);
        if list.wire_len() > usize::from(u16::MAX) { Err(AttributeError::Length) } else { Ok(Self(list)) }
    }

    /// The algorithms in order.
    pub fn iter(&self) -> impl Iterator<Item = PasswordAlgorithm<'a>> + use<'a> {
        let (host, mut wire): (&[PasswordAlgorithm<'a>], &[u8]) = match self.0 {
            List::Host(algorithms) => (algorithms, &[]),
            List::Wire(bytes) => (&[], bytes),
        };
        let wire = core::iter::from_fn(move || {
            let (algorithm, rest) = PasswordAlgorithm::split_padded(wire).ok()?;
            wire = rest;
            Some(algorithm)
        });
        host.iter().copied().chain(wire)
    }
}

impl List<'_> {
    fn wire_len(&self) -> usize {
        match self {
            List::Host(algorithms) => algorithms.iter().map(|algorithm| padded(algorithm.wire_len())).sum(),
            List::Wire(bytes) => bytes.len(),
        }
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithms<'a> {
    const TYPE: u16 = types::PASSWORD_ALGORITHMS;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let mut rest = value;
        while !rest.is_empty() {
            (_, rest) = PasswordAlgorithm::split_padded(rest)?;
        }
        Ok(Self(List::Wire(value)))
    }

    fn encoded_len(&self) -> usize {
        self.0.wire_len()
    }

    fn encode(&self, into: &mut [u8], _: TransactionId) {
        match self.0 {
            List::Wire(bytes) => into.copy_from_slice(bytes),
            List::Host(algorithms) => {
                let mut rest = into;
                for algorithm in algorithms {
                    let (item, tail) = rest.split_at_mut(padded(algorithm.wire_len()));
                    let (value, padding) = item.split_at_mut(algorithm.wire_len());
                    algorithm.to_wire(value);
                    padding.fill(0);
                    rest = tail;
                }
            }
        }
    }
}

impl PartialEq for PasswordAlgorithms<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for PasswordAlgorithms<'_> {}

impl fmt::Debug for PasswordAlgorithms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// USERHASH: who asks, without saying the name (RFC 8489 §14.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Userhash(pub [u8; 32]);

impl Userhash {
    /// `SHA-256(user ":" realm)`. Both are taken as they are; the OpaqueString profile is the caller's.
    pub fn of(username: &str, realm: &str) -> Self {
        let hash = Sha256::new().chain_update(username).chain_update(":").chain_update(realm).finalize();
        Self(hash.into())
    }

    fn from_wire(hash: [u8; 32]) -> Result<Self, AttributeError> {
        Ok(Self(hash))
    }

    fn to_wire(self) -> [u8; 32] {
        self.0
    }
}

fixed!(Userhash, USERHASH, 32);
