//! Bytes of records and handshake messages (RFC 6347 §4, RFC 5246 §7.4), read without a copy.

/// Bytes in front of a record's contents: type, version, epoch and sequence number, length.
pub(super) const RECORD_HEADER: usize = 13;
/// Bytes in front of a handshake message: type, length, sequence number, fragment offset and length.
pub(super) const MESSAGE_HEADER: usize = 12;

/// Only what answers a first hello says this, whatever is spoken afterwards (RFC 6347 §4.2.1).
pub(super) const DTLS_1_0: [u8; 2] = [0xFE, 0xFF];
pub(super) const DTLS_1_2: [u8; 2] = [0xFE, 0xFD];

/// Types of records.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

/// Types of handshake messages.
pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;

/// What is left of some bytes. Every method is `None` if there is less than it wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().copied().map(u16::from_be_bytes)
    }

    pub(super) fn u24(&mut self) -> Option<usize> {
        self.array().map(|[a, b, c]| usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c))
    }

    /// Bytes behind their length in one byte.
    pub(super) fn vec8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// Bytes behind their length in two bytes.
    pub(super) fn vec16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(len.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The numbers of a list of them.
pub(super) fn numbers(list: &[u8]) -> impl Iterator<Item = u16> {
    list.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair))
}

/// What stands in front of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) kind: u8,
    /// The epoch in the upper 16 bits, the number within it in the others, as they stand there.
    pub(super) sequence: u64,
    /// Bytes that follow.
    pub(super) len: usize,
}

impl RecordHeader {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let kind = reader.u8()?;
        let [major, _] = reader.array()?;
        let sequence = u64::from_be_bytes(*reader.array()?);
        let len = usize::from(reader.u16()?);
        (*major == DTLS_1_2[0]).then_some(Self { kind, sequence, len })
    }

    pub(super) fn epoch(self) -> u16 {
        (self.sequence >> EPOCH_SHIFT) as u16
    }

    pub(super) fn write(self, version: [u8; 2], into: &mut [u8; RECORD_HEADER]) {
        into[0] = self.kind;
        into[1..3].copy_from_slice(&version);
        into[3..11].copy_from_slice(&self.sequence.to_be_bytes());
        into[11..].copy_from_slice(&(self.len as u16).to_be_bytes());
    }
}

/// Where the epoch begins in a sequence number.
pub(super) const EPOCH_SHIFT: u32 = 48;

/// A handshake message, or a part of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    /// Bytes of the whole message, without its header.
    pub(super) len: usize,
    pub(super) number: u16,
    /// Where in the message `body` belongs.
    pub(super) offset: usize,
    pub(super) body: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Takes the next one of a record.
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let kind = reader.u8()?;
        let len = reader.u24()?;
        let number = reader.u16()?;
        let (offset, fragment) = (reader.u24()?, reader.u24()?);
        let body = reader.take(fragment)?;
        (offset + fragment <= len).then_some(Self { kind, len, number, offset, body })
    }
}

/// A handshake message that is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    pub(super) number: u16,
    pub(super) body: &'a [u8],
    /// With its header, as it belongs into the transcript.
    pub(super) whole: &'a [u8],
}

impl<'a> Message<'a> {
    /// Takes the next message of a record. Fragments are none: what clients that show no certificate send fits into
    /// a packet, and nothing has to be kept for anybody until the rest comes.
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let from = reader.0;
        let Fragment { kind, len, number, body, .. } = Fragment::read(reader)?;
        (body.len() == len).then(|| Self { kind, number, body, whole: &from[..MESSAGE_HEADER + len] })
    }
}

/// Appends a record without protection.
pub(super) fn plain_record(kind: u8, next: &mut u64, parts: &[&[u8]], into: &mut Vec<u8>) {
    let mut header = [0; RECORD_HEADER];
    let len = parts.iter().map(|part| part.len()).sum();
    RecordHeader { kind, sequence: *next, len }.write(DTLS_1_2, &mut header);
    *next += 1;
    into.extend(header);
    parts.iter().for_each(|part| into.extend(*part));
}

/// An alert (RFC 5246 §7.2).
pub(super) const WARNING: u8 = 1;
pub(super) const FATAL: u8 = 2;
pub(super) const CLOSE_NOTIFY: u8 = 0;

/// The header of a message or of a part of it.
pub(super) fn message_header(
    kind: u8,
    len: usize,
    number: u16,
    offset: usize,
    fragment: usize,
) -> [u8; MESSAGE_HEADER] {
    let mut header = [0; MESSAGE_HEADER];
    header[0] = kind;
    header[1..4].copy_from_slice(&(len as u32).to_be_bytes()[1..]);
    header[4..6].copy_from_slice(&number.to_be_bytes());
    header[6..9].copy_from_slice(&(offset as u32).to_be_bytes()[1..]);
    header[9..].copy_from_slice(&(fragment as u32).to_be_bytes()[1..]);
    header
}
