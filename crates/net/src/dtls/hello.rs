//! The ClientHello, and the answer to one that does not prove yet that its sender is there.

use super::wire::{
    CLIENT_HELLO, DTLS_1_0, HANDSHAKE, HELLO_VERIFY_REQUEST, MESSAGE_HEADER, Message, RECORD_HEADER, Reader,
    RecordHeader, message_header, numbers,
};

/// Extensions (RFC 5246, RFC 8422, RFC 7627, RFC 5746).
pub(super) const SUPPORTED_GROUPS: u16 = 10;
pub(super) const POINT_FORMATS: u16 = 11;
pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const EXTENDED_MASTER_SECRET: u16 = 23;
pub(super) const RENEGOTIATION_INFO: u16 = 0xFF01;
/// Says the same as an empty [`RENEGOTIATION_INFO`].
const RENEGOTIATION_SCSV: u16 = 0x00FF;

/// What a client wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientHello<'a> {
    pub(super) random: &'a [u8; 32],
    pub(super) session_id: &'a [u8],
    pub(super) cookie: &'a [u8],
    pub(super) suites: &'a [u8],
    pub(super) compressions: &'a [u8],
    /// Empty if the client names none.
    pub(super) groups: &'a [u8],
    pub(super) signatures: &'a [u8],
    pub(super) sends_point_formats: bool,
    pub(super) extended_master_secret: bool,
    pub(super) secure_renegotiation: bool,
}

impl<'a> ClientHello<'a> {
    /// It is for an older version than 1.2. Versions count downwards.
    pub(super) fn is_outdated(message: Message<'a>) -> bool {
        message.kind == CLIENT_HELLO && matches!(message.body, [0xFE, 0xFE..=0xFF, ..])
    }

    /// `None` if it is malformed, or for an older version than 1.2, or asks for a renegotiation.
    pub(super) fn read(message: Message<'a>) -> Option<Self> {
        if message.kind != CLIENT_HELLO {
            return None;
        }
        let mut reader = Reader(message.body);
        let [0xFE, ..=0xFD] = reader.array()? else { return None };
        let mut hello = Self {
            random: reader.array()?,
            session_id: reader.vec8()?,
            cookie: reader.vec8()?,
            suites: reader.vec16()?,
            compressions: reader.vec8()?,
            groups: &[],
            signatures: &[],
            sends_point_formats: false,
            extended_master_secret: false,
            secure_renegotiation: false,
        };
        hello.secure_renegotiation = numbers(hello.suites).any(|suite| suite == RENEGOTIATION_SCSV);
        if !hello.compressions.contains(&0) {
            return None;
        }
        if !reader.is_empty() {
            let mut extensions = Reader(reader.vec16()?);
            while !extensions.is_empty() {
                let kind = extensions.u16()?;
                hello.extension(kind, Reader(extensions.vec16()?))?;
            }
        }
        reader.is_empty().then_some(hello)
    }

    fn extension(&mut self, kind: u16, mut contents: Reader<'a>) -> Option<()> {
        match kind {
            SUPPORTED_GROUPS => self.groups = contents.vec16()?,
            SIGNATURE_ALGORITHMS => self.signatures = contents.vec16()?,
            POINT_FORMATS => self.sends_point_formats = true,
            EXTENDED_MASTER_SECRET => self.extended_master_secret = true,
            RENEGOTIATION_INFO => {
                // There is nothing to renegotiate.
                contents.vec8().filter(|former| former.is_empty())?;
                self.secure_renegotiation = true;
            }
            _ => {}
        }
        Some(())
    }
}

/// The longest cookie.
const MAX_COOKIE: usize = 32;

/// Asks a client to say it again with a cookie. Shorter than any hello.
pub(super) fn hello_verify_request(sequence: u64, cookie: &[u8], into: &mut Vec<u8>) {
    debug_assert!(cookie.len() <= MAX_COOKIE, "short enough to be no amplification");
    let len = DTLS_1_0.len() + 1 + cookie.len();
    let mut header = [0; RECORD_HEADER];
    RecordHeader { kind: HANDSHAKE, sequence, len: MESSAGE_HEADER + len }.write(DTLS_1_0, &mut header);
    into.extend(header);
    into.extend(message_header(HELLO_VERIFY_REQUEST, len, 0, 0, len));
    into.extend(DTLS_1_0);
    into.push(cookie.len() as u8);
    into.extend(cookie);
}
