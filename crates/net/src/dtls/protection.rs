//! Encryption of records (RFC 5246 §6.2.3.3, RFC 5288, RFC 7905), in place.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustls::{CipherSuite, SupportedCipherSuite, Tls12CipherSuite};

use super::wire::{DTLS_1_2, EPOCH_SHIFT, RECORD_HEADER, RecordHeader};

/// Bytes of a nonce.
const NONCE: usize = 12;
/// Bytes behind the contents of a record that prove them.
const TAG: usize = 16;
/// Bytes of a nonce that stand in the record, with suites that want that.
const EXPLICIT: usize = 8;

/// A cipher suite: ephemeral keys and authenticated encryption, and nothing else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suite {
    pub(super) tls: &'static Tls12CipherSuite,
    aead: &'static Algorithm,
    /// Bytes of a nonce that come from the key exchange.
    fixed: usize,
}

impl Suite {
    /// `None` for those that are not for DTLS 1.2.
    pub(super) fn of(suite: &SupportedCipherSuite) -> Option<Self> {
        let SupportedCipherSuite::Tls12(tls) = suite else { return None };
        let (aead, fixed) = match tls.common.suite {
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => (&AES_128_GCM, NONCE - EXPLICIT),
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => (&AES_256_GCM, NONCE - EXPLICIT),
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => (&CHACHA20_POLY1305, NONCE),
            _ => return None,
        };
        Some(Self { tls, aead, fixed })
    }

    pub(super) fn number(&self) -> u16 {
        self.tls.common.suite.into()
    }

    /// The keys of the client and of the server.
    pub(super) fn keys(
        &self,
        master: &[u8; 48],
        client_random: &[u8; 32],
        server_random: &[u8; 32],
    ) -> Option<[Protection; 2]> {
        const MOST: usize = 2 * (32 + NONCE);
        let key_len = self.aead.key_len();
        let mut block = zeroize::Zeroizing::new([0; MOST]);
        let len = 2 * (key_len + self.fixed);
        let seed = [&server_random[..], client_random].concat();
        self.tls.prf_provider.for_secret(&mut block[..len], master, b"key expansion", &seed);
        let (keys, ivs) = block[..len].split_at(2 * key_len);
        let protection = |side: usize| {
            let key = UnboundKey::new(self.aead, &keys[side * key_len..(side + 1) * key_len]).ok()?;
            let mut iv = [0; NONCE];
            iv[..self.fixed].copy_from_slice(&ivs[side * self.fixed..(side + 1) * self.fixed]);
            Some(Protection { key: LessSafeKey::new(key), iv, explicit: NONCE - self.fixed })
        };
        Some([protection(0)?, protection(1)?])
    }
}

/// What protects the records of one direction.
pub(super) struct Protection {
    key: LessSafeKey,
    iv: [u8; NONCE],
    /// Bytes of the nonce that stand in the record.
    explicit: usize,
}

impl Protection {
    /// Room that a record's contents need in front of them, at most.
    pub(super) const IN_FRONT: usize = RECORD_HEADER + EXPLICIT;
    /// And behind them.
    pub(super) const BEHIND: usize = TAG;

    /// Encrypts what stands between [`Self::IN_FRONT`] and [`Self::BEHIND`] bytes. Returns where the record is.
    pub(super) fn seal(&self, kind: u8, sequence: u64, bytes: &mut [u8]) -> Option<Range<usize>> {
        let len = bytes.len().checked_sub(Self::IN_FRONT + Self::BEHIND)?;
        let start = EXPLICIT - self.explicit;
        let (front, rest) = bytes.split_at_mut(Self::IN_FRONT);
        let (contents, behind) = rest.split_at_mut(len);
        let nonce = self.nonce(sequence.to_be_bytes());
        let tag =
            self.key.seal_in_place_separate_tag(nonce, Aad::from(additional(kind, sequence, len)), contents);
        behind.copy_from_slice(tag.ok()?.as_ref());
        let header = front[start..].first_chunk_mut()?;
        RecordHeader { kind, sequence, len: self.explicit + len + TAG }.write(DTLS_1_2, header);
        front[start + RECORD_HEADER..].copy_from_slice(&sequence.to_be_bytes()[..self.explicit]);
        Some(start..bytes.len())
    }

    /// Decrypts a whole record. Returns where its contents are, if nobody has changed them.
    pub(super) fn open(&self, header: RecordHeader, record: &mut [u8]) -> Option<Range<usize>> {
        let start = RECORD_HEADER + self.explicit;
        let len = header.len.checked_sub(self.explicit + TAG)?;
        let nonce = if self.explicit == 0 {
            self.nonce(header.sequence.to_be_bytes())
        } else {
            self.nonce(*record.get(RECORD_HEADER..start)?.first_chunk()?)
        };
        let aad = Aad::from(additional(header.kind, header.sequence, len));
        self.key.open_in_place(nonce, aad, record.get_mut(start..start + len + TAG)?).ok()?;
        Some(start..start + len)
    }

    /// Either the part from the key exchange and the explicit one, or the sequence number over all of it.
    fn nonce(&self, varying: [u8; EXPLICIT]) -> Nonce {
        let mut nonce = self.iv;
        for (byte, varies) in nonce[NONCE - EXPLICIT..].iter_mut().zip(varying) {
            *byte ^= varies;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What is authenticated beside the contents.
fn additional(kind: u8, sequence: u64, len: usize) -> [u8; RECORD_HEADER] {
    let mut bytes = [0; RECORD_HEADER];
    bytes[..8].copy_from_slice(&sequence.to_be_bytes());
    bytes[8] = kind;
    bytes[9..11].copy_from_slice(&DTLS_1_2);
    bytes[11..].copy_from_slice(&(len as u16).to_be_bytes());
    bytes
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection").finish_non_exhaustive()
    }
}

/// What both sides protect their records with, and which records there have been.
#[derive(Debug)]
pub(super) struct Channel {
    ours: Protection,
    theirs: Protection,
    window: Window,
    /// The number of the next record of ours.
    next: u64,
}

impl Channel {
    pub(super) fn new(ours: Protection, theirs: Protection) -> Self {
        Self { ours, theirs, window: Window::default(), next: 1 << EPOCH_SHIFT }
    }

    /// Encrypts a record in place, see [`Protection::seal`].
    pub(super) fn seal(&mut self, kind: u8, bytes: &mut [u8]) -> Option<Range<usize>> {
        // There is no third epoch: whoever sends that much has to connect again.
        let number = Some(self.next).filter(|next| next >> EPOCH_SHIFT == 1)?;
        self.next += 1;
        self.ours.seal(kind, number, bytes)
    }

    /// Decrypts a record that has not come before. Returns where its contents are.
    pub(super) fn open(&mut self, header: RecordHeader, record: &mut [u8]) -> Option<Range<usize>> {
        let number = header.sequence & !(u64::MAX << EPOCH_SHIFT);
        if !self.window.is_new(number) {
            return None;
        }
        let contents = self.theirs.open(header, record)?;
        self.window.add(number);
        Some(contents)
    }

    /// A record of its own, for an alert or a proof.
    pub(super) fn record(&mut self, kind: u8, contents: &[u8], into: &mut Vec<u8>) {
        let mut record = vec![0; Protection::IN_FRONT + contents.len() + Protection::BEHIND];
        record[Protection::IN_FRONT..][..contents.len()].copy_from_slice(contents);
        if let Some(place) = self.seal(kind, &mut record) {
            into.extend(&record[place]);
        }
    }
}

/// Which of the latest records have come already (RFC 6347 §4.1.2.6).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    /// One more than the highest number.
    end: u64,
    /// The lowest bit stands for the highest number.
    seen: u64,
}

impl Window {
    /// It has not come yet, as far as can be told.
    pub(super) fn is_new(self, number: u64) -> bool {
        match self.end.checked_sub(number + 1) {
            None => true,
            Some(age) => age < u64::from(u64::BITS) && self.seen >> age & 1 == 0,
        }
    }

    /// It has come, and is what it says.
    pub(super) fn add(&mut self, number: u64) {
        match self.end.checked_sub(number + 1) {
            Some(age) => self.seen |= 1 << age,
            None => {
                let by = number + 1 - self.end;
                self.seen = u32::try_from(by).ok().and_then(|by| self.seen.checked_shl(by)).unwrap_or(0) | 1;
                self.end = number + 1;
            }
        }
    }
}
