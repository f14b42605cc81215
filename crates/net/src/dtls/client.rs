//! The other side, for tests, fuzz targets and load: it says what it is told to, right or wrong. Not for anything else:
//! it checks no certificate.

use super::protection::{Protection, Suite};
use super::wire::*;
use super::{DTLS_BEHIND, DTLS_IN_FRONT, DtlsPeer, dtls_record_len};
use crate::identity::provider;

const ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: u16 = 0xC02B;
const X25519: u16 = 0x1D;
const SECP256R1: u16 = 0x17;
const ECDSA_P256_SHA256: u16 = 0x0403;

/// A client of DTLS 1.2 that offers one suite, `ECDHE_ECDSA_WITH_AES_128_GCM_SHA256`, and believes whatever it is shown.
pub struct DtlsClient {
    pub(super) peer: DtlsPeer,
    random: [u8; 32],
    transcript: Vec<u8>,
    /// The number of the next record without keys, and of the next message.
    pub(super) record: u64,
    message: u16,
    server_random: [u8; 32],
    master: [u8; 48],
    pub(super) ours: Option<Protection>,
    pub(super) theirs: Option<Protection>,
    sealed: u64,
}

impl std::fmt::Debug for DtlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DtlsClient").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl DtlsClient {
    /// A client at an address, with random bytes that tell it from others there.
    pub fn new(peer: DtlsPeer, random: u8) -> Self {
        Self {
            peer,
            random: [random; 32],
            transcript: Vec::new(),
            record: 0,
            message: 0,
            server_random: [0; 32],
            master: [0; 48],
            ours: None,
            theirs: None,
            sealed: 1 << EPOCH_SHIFT,
        }
    }

    /// Where it is.
    pub fn peer(&self) -> DtlsPeer {
        self.peer
    }

    /// The record of a ClientHello.
    pub fn hello(&mut self, cookie: &[u8]) -> Vec<u8> {
        let mut body = [&DTLS_1_2[..], &self.random, &[0]].concat();
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend([0, 2]);
        body.extend(ECDHE_ECDSA_WITH_AES_128_GCM_SHA256.to_be_bytes());
        body.extend([1, 0]);
        let mut extensions = Vec::new();
        // The group of the keys that are exchanged, and that of the certificate.
        extensions.extend([0, 10, 0, 6, 0, 4]);
        extensions.extend([X25519, SECP256R1].map(u16::to_be_bytes).concat());
        extensions.extend([0, 13, 0, 4, 0, 2]);
        extensions.extend(ECDSA_P256_SHA256.to_be_bytes());
        // The extended master secret.
        extensions.extend([0, 23, 0, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        self.transcript.clear();
        self.say(CLIENT_HELLO, &body)
    }

    /// A message in a record of its own.
    pub fn say(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        let message = [&message_header(kind, body.len(), self.message, 0, body.len()), body].concat();
        self.message = self.message.wrapping_add(1);
        self.transcript.extend(&message);
        self.plain(HANDSHAKE, &message)
    }

    /// A record without protection.
    pub fn plain(&mut self, kind: u8, contents: &[u8]) -> Vec<u8> {
        let mut header = [0; RECORD_HEADER];
        RecordHeader { kind, sequence: self.record, len: contents.len() }.write(DTLS_1_2, &mut header);
        self.record += 1;
        [&header, contents].concat()
    }

    /// A record with protection, once there are keys.
    pub fn seal(&mut self, kind: u8, contents: &[u8]) -> Option<Vec<u8>> {
        let mut record = vec![0; DTLS_IN_FRONT];
        record.extend(contents);
        record.extend([0; DTLS_BEHIND]);
        let place = self.ours.as_ref()?.seal(kind, self.sealed, &mut record)?;
        self.sealed += 1;
        Some(record[place].to_vec())
    }

    /// The record of some data, once there are keys.
    pub fn data(&mut self, contents: &[u8]) -> Option<Vec<u8>> {
        self.seal(APPLICATION_DATA, contents)
    }

    /// Reads a whole flight of the server, puts its messages together, and answers with keys and their proof.
    pub fn answer(&mut self, flight: &[Vec<u8>]) -> Option<[Vec<u8>; 3]> {
        let mut key_exchange = Vec::new();
        for message in messages(flight) {
            let body = &message[MESSAGE_HEADER..];
            match message[0] {
                SERVER_HELLO => self.server_random = *body.get(2..)?.first_chunk()?,
                SERVER_KEY_EXCHANGE => key_exchange = body.to_vec(),
                _ => {}
            }
            self.transcript.extend(&message);
        }
        let public = key_exchange.get(4..)?.get(..usize::from(key_exchange[3]))?;
        let named = u16::from_be_bytes([key_exchange[1], key_exchange[2]]);
        let group = provider().kx_groups.iter().copied().find(|group| u16::from(group.name()) == named)?;
        let exchange = group.start().ok()?;
        let own = exchange.pub_key().to_vec();
        let keys = self.say(CLIENT_KEY_EXCHANGE, &[&[own.len() as u8], &own[..]].concat());
        let suite = suite()?;
        let session = suite.tls.common.hash_provider.hash(&self.transcript);
        let label = b"extended master secret";
        let prf = suite.tls.prf_provider;
        prf.for_key_exchange(&mut self.master, exchange, public, label, session.as_ref()).ok()?;
        let [ours, theirs] = suite.keys(&self.master, &self.random, &self.server_random)?;
        (self.ours, self.theirs) = (Some(ours), Some(theirs));
        let change = self.plain(CHANGE_CIPHER_SPEC, &[1]);
        Some([keys, change, self.proof()?])
    }

    /// The proof that it has the keys.
    pub fn proof(&mut self) -> Option<Vec<u8>> {
        let suite = suite()?;
        let mut data = [0; 12];
        let so_far = suite.tls.common.hash_provider.hash(&self.transcript);
        suite.tls.prf_provider.for_secret(&mut data, &self.master, b"client finished", so_far.as_ref());
        let message = [&message_header(FINISHED, 12, self.message, 0, 12)[..], &data].concat();
        self.seal(HANDSHAKE, &message)
    }

    /// What a protected record of the server contains.
    pub fn open(&self, record: &[u8]) -> Option<Vec<u8>> {
        let mut record = record.to_vec();
        let header = RecordHeader::read(&record)?;
        self.theirs.as_ref()?.open(header, &mut record).map(|place| record[place].to_vec())
    }

    /// The cookie in a datagram of the server, if that is what it asks for.
    pub fn cookie(datagram: &[u8]) -> Option<&[u8]> {
        let request = [HANDSHAKE, HELLO_VERIFY_REQUEST];
        let is_request = [*datagram.first()?, *datagram.get(RECORD_HEADER)?] == request;
        datagram.get(RECORD_HEADER + MESSAGE_HEADER + 3..).filter(|_| is_request)
    }

    /// Whether the server has said all that it says before the client's keys.
    pub fn is_whole(flight: &[Vec<u8>]) -> bool {
        messages(flight).last().is_some_and(|message| message[0] == SERVER_HELLO_DONE)
    }
}

pub(super) fn suite() -> Option<Suite> {
    let suites = provider().cipher_suites.clone();
    suites.iter().filter_map(Suite::of).find(|it| it.number() == ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
}

/// The messages in some datagrams, their fragments put together as far as they follow each other.
pub(super) fn messages(datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for datagram in datagrams {
        let mut rest = &datagram[..];
        while let Some(len) = dtls_record_len(rest) {
            let mut fragments = Reader(&rest[RECORD_HEADER..len]);
            while append(&mut fragments, &mut messages).is_some() {}
            rest = &rest[len..];
        }
    }
    messages
}

/// Takes one fragment.
fn append(reader: &mut Reader<'_>, messages: &mut Vec<Vec<u8>>) -> Option<()> {
    let Fragment { kind, len, number, offset, body } = Fragment::read(reader)?;
    if offset == 0 {
        messages.push(message_header(kind, len, number, 0, len).to_vec());
    }
    let message = messages.last_mut().filter(|message| message.len() == MESSAGE_HEADER + offset)?;
    message.extend(body);
    Some(())
}
