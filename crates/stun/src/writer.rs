//! Messages written into the caller's buffer.

use crate::attribute::{self, Attribute, padded, types};
use crate::error::BufferTooSmall;
use crate::fingerprint;
use crate::integrity::{self, Sha256Len};
use crate::message::{Class, HEADER_LEN, Header, MAX_LEN, Method, TransactionId};

/// Writes one message, attribute after attribute. Integrity and FINGERPRINT are written by the `finish` that ends
/// the message, so they are last and cover everything.
#[derive(Debug)]
pub struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
    id: TransactionId,
}

/// What protects a message, in the order in which it is written.
#[derive(Clone, Copy, Default, Debug)]
pub struct Tail<'k> {
    /// MESSAGE-INTEGRITY with this key.
    pub sha1: Option<&'k integrity::Key>,
    /// MESSAGE-INTEGRITY-SHA256 with this key.
    pub sha256: Option<&'k integrity::Key>,
    /// How much of its value is sent; all of it unless a usage of STUN says otherwise.
    pub sha256_len: Sha256Len,
    /// FINGERPRINT.
    pub fingerprint: bool,
}

impl<'b> Writer<'b> {
    /// Starts a message at the beginning of `buf`.
    ///
    /// # Errors
    /// There is no room for the header.
    pub fn new(
        buf: &'b mut [u8],
        class: Class,
        method: Method,
        id: TransactionId,
    ) -> Result<Self, BufferTooSmall> {
        let header = buf.first_chunk_mut::<HEADER_LEN>().ok_or(BufferTooSmall)?;
        *header = Header { class, method, length: 0, transaction_id: id }.to_bytes();
        Ok(Self { buf, len: HEADER_LEN, id })
    }

    /// Appends an attribute.
    ///
    /// # Errors
    /// It does not fit; the message is as it was.
    pub fn put<'v, A: Attribute<'v>>(&mut self, attribute: &A) -> Result<&mut Self, BufferTooSmall> {
        let id = self.id;
        attribute.encode(self.room(A::TYPE, attribute.encoded_len())?, id);
        Ok(self)
    }

    /// Appends an attribute by type and value. The types of integrity and FINGERPRINT are the finishers' to write.
    ///
    /// # Errors
    /// It does not fit; the message is as it was.
    pub fn put_raw(&mut self, kind: u16, value: &[u8]) -> Result<&mut Self, BufferTooSmall> {
        debug_assert!(!is_tail(kind), "{} is written by finish_with", types::Display(kind));
        self.room(kind, value.len())?.copy_from_slice(value);
        Ok(self)
    }

    /// Bytes written so far.
    #[expect(clippy::len_without_is_empty, reason = "a message is never empty: it has a header")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Ends the message without protection and gives its length.
    pub fn finish(self) -> usize {
        self.len
    }

    /// Ends the message with MESSAGE-INTEGRITY and gives its length.
    ///
    /// # Errors
    /// It does not fit.
    pub fn finish_with_integrity(self, key: &integrity::Key) -> Result<usize, BufferTooSmall> {
        self.finish_with(Tail { sha1: Some(key), ..Tail::default() })
    }

    /// Ends the message with MESSAGE-INTEGRITY-SHA256 and gives its length.
    ///
    /// # Errors
    /// It does not fit.
    pub fn finish_with_integrity_sha256(self, key: &integrity::Key) -> Result<usize, BufferTooSmall> {
        self.finish_with(Tail { sha256: Some(key), ..Tail::default() })
    }

    /// Ends the message with FINGERPRINT and gives its length.
    ///
    /// # Errors
    /// It does not fit.
    pub fn finish_with_fingerprint(self) -> Result<usize, BufferTooSmall> {
        self.finish_with(Tail { fingerprint: true, ..Tail::default() })
    }

    /// Ends the message with MESSAGE-INTEGRITY and FINGERPRINT and gives its length.
    ///
    /// # Errors
    /// They do not fit.
    pub fn finish_with_integrity_and_fingerprint(
        self,
        key: &integrity::Key,
    ) -> Result<usize, BufferTooSmall> {
        self.finish_with(Tail { sha1: Some(key), fingerprint: true, ..Tail::default() })
    }

    /// Ends the message with any protection and gives its length.
    ///
    /// # Errors
    /// It does not fit.
    pub fn finish_with(mut self, tail: Tail<'_>) -> Result<usize, BufferTooSmall> {
        if let Some(key) = tail.sha1 {
            let offset = self.len;
            self.room(types::MESSAGE_INTEGRITY, integrity::SHA1_LEN)?;
            let value = key.sha1(&self.buf[..self.len], offset);
            self.fill(offset, &value);
        }
        if let Some(key) = tail.sha256 {
            let offset = self.len;
            let len = tail.sha256_len.bytes();
            self.room(types::MESSAGE_INTEGRITY_SHA256, len)?;
            let value = key.sha256(&self.buf[..self.len], offset, len);
            self.fill(offset, &value[..len]);
        }
        if tail.fingerprint {
            let offset = self.len;
            self.room(types::FINGERPRINT, fingerprint::LEN)?;
            let value = fingerprint::compute(&self.buf[..offset]);
            self.fill(offset, &value);
        }
        Ok(self.len)
    }

    /// Ends the message with an attribute of which only the header is written; the caller has its `len` bytes of
    /// value in place, or sends them from elsewhere, followed by zeros up to a multiple of four. Gives the number
    /// of bytes written. This is how a Data indication is put in front of a packet without copying the packet.
    ///
    /// # Errors
    /// The header does not fit its buffer, or the whole message not its length field.
    pub fn finish_before(mut self, kind: u16, len: usize) -> Result<usize, BufferTooSmall> {
        debug_assert!(!is_tail(kind), "{} is written by finish_with", types::Display(kind));
        let wire_len = u16::try_from(len).map_err(|_| BufferTooSmall)?;
        let start = self.len;
        let total = start + attribute::HEADER_LEN + padded(len);
        if total > MAX_LEN || self.buf.len() < start + attribute::HEADER_LEN {
            return Err(BufferTooSmall);
        }
        self.head(kind, wire_len);
        self.set_len(total);
        Ok(start + attribute::HEADER_LEN)
    }

    /// Makes room for an attribute: writes its header and padding, counts it, and gives the place of its value.
    fn room(&mut self, kind: u16, len: usize) -> Result<&mut [u8], BufferTooSmall> {
        let wire_len = u16::try_from(len).map_err(|_| BufferTooSmall)?;
        let start = self.len + attribute::HEADER_LEN;
        let end = start + len;
        let total = padded(end);
        if total > self.buf.len().min(MAX_LEN) {
            return Err(BufferTooSmall);
        }
        self.head(kind, wire_len);
        self.buf[end..total].fill(0);
        self.set_len(total);
        Ok(&mut self.buf[start..end])
    }

    fn head(&mut self, kind: u16, len: u16) {
        self.buf[self.len..][..2].copy_from_slice(&kind.to_be_bytes());
        self.buf[self.len + 2..][..2].copy_from_slice(&len.to_be_bytes());
    }

    /// Fills in the value of the attribute whose header is at `offset`.
    fn fill(&mut self, offset: usize, value: &[u8]) {
        self.buf[offset + attribute::HEADER_LEN..][..value.len()].copy_from_slice(value);
    }

    /// Keeps the header in step: at any time the buffer holds a complete message.
    fn set_len(&mut self, len: usize) {
        self.len = len;
        self.buf[2..4].copy_from_slice(&((len - HEADER_LEN) as u16).to_be_bytes());
    }
}

fn is_tail(kind: u16) -> bool {
    matches!(kind, types::MESSAGE_INTEGRITY | types::MESSAGE_INTEGRITY_SHA256 | types::FINGERPRINT)
}
