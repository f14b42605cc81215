//! Nonces without memory.
//!
//! A nonce is the second it was made in, the client's port, and a MAC of both and the client's address. Whoever holds the key can
//! check one without having kept it, so asking for nonces costs the server nothing, and a nonce overheard is of no
//! use at another address. The MAC's key is derived anew for every hour.
//!
//! In front of both stands what the listener supports besides the credentials of RFC 5389
//! ([RFC 8489 section 9.2](https://www.rfc-editor.org/rfc/rfc8489#section-9.2)). A client signs its nonce, so whoever
//! changes that on the way to it only makes the nonce one that the server has not sent.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::RngCore;
use sha2::Sha256;
use stun::attribute::{self, SecurityFeatures};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::addr::Client;
use crate::time::NONCE_LIFETIME;

const STAMP_LEN: usize = 4;
const PORT_LEN: usize = 2;
const MAC_LEN: usize = 10;
const RAW_LEN: usize = STAMP_LEN + PORT_LEN + MAC_LEN;
const COOKIE: &[u8] = attribute::Nonce::COOKIE.as_bytes();
const PREFIX_LEN: usize = COOKIE.len() + 4;

/// The length of a nonce in characters.
pub const NONCE_LEN: usize = PREFIX_LEN + (RAW_LEN * 4).div_ceil(3);

/// How far in the future a stamp may lie: the wall clock may have been set back a little since.
const CLOCK_SLACK: u64 = 60;

const HOUR: u64 = 3600;

/// The secret nonces are made with. Workers of one process share it, so that a nonce is good on all of them; a new
/// process has a new one.
#[derive(Clone)]
pub struct NonceKey(Zeroizing<[u8; 32]>);

impl NonceKey {
    /// Draws a key. The source must be the operating system's, or seeded from it.
    pub fn generate(rng: &mut impl RngCore) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        Self(key)
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceKey(<SECRET>)")
    }
}

/// A nonce as it is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonce([u8; NONCE_LEN]);

impl Nonce {
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Mints and checks nonces.
pub(crate) struct Nonces {
    master: NonceKey,
    /// The keys of the hours used last, even and odd hours apart.
    hours: [Option<(u64, Hmac<Sha256>)>; 2],
}

impl Nonces {
    pub(crate) const fn new(master: NonceKey) -> Self {
        Self { master, hours: [None, None] }
    }

    /// A nonce for this client that announces `features`, good for [`NONCE_LIFETIME`].
    pub(crate) fn mint(&mut self, client: &Client, features: SecurityFeatures, unix: u64) -> Nonce {
        let mut raw = [0; RAW_LEN];
        let port = client.remote().port().to_be_bytes();
        let (head, mac) = raw.split_at_mut(STAMP_LEN + PORT_LEN);
        head[..STAMP_LEN].copy_from_slice(&stamp(unix));
        head[STAMP_LEN..].copy_from_slice(&port);
        mac.copy_from_slice(&self.mac(client, port, features.to_base64(), unix));
        let mut text = [0; NONCE_LEN];
        let (prefix, coded) = text.split_at_mut(PREFIX_LEN);
        let (cookie, bits) = prefix.split_at_mut(COOKIE.len());
        cookie.copy_from_slice(COOKIE);
        bits.copy_from_slice(&features.to_base64());
        let Ok(_) = BASE64URL.encode_slice(raw, coded) else {
            unreachable!("a nonce has room for {RAW_LEN} bytes in base64")
        };
        Nonce(text)
    }

    /// Whether `nonce` was minted for this client, with the features it announces, less than [`NONCE_LIFETIME`] ago.
    pub(crate) fn verify(&mut self, nonce: &[u8], client: &Client, unix: u64) -> bool {
        self.port_of(nonce, client, unix) == Some(client.remote().port())
    }

    /// The same, if it may have been minted for another port of this client.
    pub(crate) fn verify_for_any_port(&mut self, nonce: &[u8], client: &Client, unix: u64) -> bool {
        self.port_of(nonce, client, unix).is_some()
    }

    /// The port of this client's that a good nonce was minted for.
    fn port_of(&mut self, nonce: &[u8], client: &Client, unix: u64) -> Option<u16> {
        let mut raw = [0; RAW_LEN];
        let (features, coded) = nonce.strip_prefix(COOKIE)?.split_first_chunk()?;
        if nonce.len() != NONCE_LEN || BASE64URL.decode_slice(coded, &mut raw) != Ok(RAW_LEN) {
            return None;
        }
        let (made, rest) = raw.split_first_chunk()?;
        let (port, mac) = rest.split_first_chunk()?;
        let made = u64::from(u32::from_be_bytes(*made));
        let is_fresh = made <= unix + CLOCK_SLACK && unix < made + NONCE_LIFETIME.as_secs();
        let is_ours = is_fresh && self.mac(client, *port, *features, made).ct_eq(mac).into();
        is_ours.then_some(u16::from_be_bytes(*port))
    }

    fn mac(&mut self, client: &Client, port: [u8; PORT_LEN], features: [u8; 4], unix: u64) -> [u8; MAC_LEN] {
        let mut mac = self.hour_key(unix / HOUR).clone();
        mac.update(&stamp(unix));
        mac.update(&features);
        mac.update(&client.listener().0.to_be_bytes());
        mac.update(&port);
        match client.remote().ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut short = [0; MAC_LEN];
        short.copy_from_slice(&full[..MAC_LEN]);
        short
    }

    fn hour_key(&mut self, hour: u64) -> &Hmac<Sha256> {
        let master = &self.master;
        let cached = &mut self.hours[(hour & 1) as usize];
        if cached.as_ref().is_none_or(|(cached, _)| *cached != hour) {
            *cached = None;
        }
        let (_, key) = cached.get_or_insert_with(|| {
            let derived = keyed(&*master.0).chain_update(hour.to_be_bytes()).finalize().into_bytes();
            (hour, keyed(&derived))
        });
        key
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let Ok(mac) = Hmac::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
    mac
}

/// The UNIX time in the four bytes a nonce has for it; good until 2106.
const fn stamp(unix: u64) -> [u8; STAMP_LEN] {
    (unix as u32).to_be_bytes()
}

#[cfg(test)]
mod tests;
