//! The server's side of a full handshake with ephemeral keys (RFC 5246 §7.3, RFC 6347 §4.2, RFC 8422), one step after
//! the other: a hello that has proved its address, a key exchange, a proof of the keys.

use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use rustls::crypto::hash::{Context, Output};
use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SupportedKxGroup};
use rustls::sign::{CertifiedKey, Signer};
use rustls::{NamedGroup, SignatureScheme};
use zeroize::Zeroizing;

use super::hello::{ClientHello, EXTENDED_MASTER_SECRET, POINT_FORMATS, RENEGOTIATION_INFO};
use super::protection::{Channel, Suite};
use super::wire::{
    ALERT, CERTIFICATE, CHANGE_CIPHER_SPEC, DTLS_1_2, FATAL, FINISHED, HANDSHAKE, MESSAGE_HEADER, Message,
    RECORD_HEADER, Reader, RecordHeader, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE,
    message_header, numbers, plain_record,
};

/// Most bytes of a datagram of ours. Fits every path that IPv6 can take.
const MTU: usize = 1200;

/// How long we wait for an answer before we repeat ourselves, at first; then twice as long each time
/// (RFC 6347 §4.2.4.1).
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How often we say the same because the client does, beside the times that we do so by ourselves.
pub(super) const MOST_REPEATS: u8 = 8;

/// Groups for the exchange of keys.
pub(super) const GROUPS: [NamedGroup; 3] = [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];

/// Why a handshake cannot go on. The number is that of an alert (RFC 5246 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Client and certificate have no way of theirs in common.
    NothingInCommon = 40,
    /// A message or a key makes no sense.
    Illegal = 47,
    /// A proof is wrong.
    Unproved = 51,
    /// The client does not know DTLS 1.2.
    Outdated = 70,
    /// The system does not give what is needed.
    Internal = 80,
}

/// What both sides use once they have proved themselves.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    /// The proof of ours, to be repeated if it gets lost.
    proof: [u8; PROOF],
    /// The next number of a record that changes to the keys.
    plain_next: u64,
    repeats: u8,
}

/// Bytes of a proof, and of the message it is in.
pub(super) const VERIFY_DATA: usize = 12;
const PROOF: usize = MESSAGE_HEADER + VERIFY_DATA;

impl Session {
    /// Says that we have the keys.
    pub(super) fn prove(&mut self, into: &mut Vec<u8>) {
        plain_record(CHANGE_CIPHER_SPEC, &mut self.plain_next, &[&[1]], into);
        let proof = self.proof;
        self.channel.record(HANDSHAKE, &proof, into);
    }

    /// The client repeats its proof: it has not heard ours.
    pub(super) fn prove_again(&mut self, into: &mut Vec<u8>) {
        if self.repeats < MOST_REPEATS {
            self.repeats += 1;
            self.prove(into);
        }
    }
}

/// A handshake with a client that has proved its address.
pub(super) struct Handshake {
    suite: Suite,
    transcript: Box<dyn Context>,
    client_random: [u8; 32],
    server_random: [u8; 32],
    extended_master_secret: bool,
    exchange: Option<Box<dyn ActiveKeyExchange>>,
    /// What we have said, and may have to repeat.
    flight: Vec<Vec<u8>>,
    /// The number of the next message of the client, and of ours.
    theirs_next: u16,
    ours_next: u16,
    /// The number of our next record without keys.
    plain_next: u64,
    keys: Option<Keys>,
    /// When we repeat ourselves.
    repeat_at: Instant,
    wait: Duration,
    repeats: u8,
}

/// Keys that the client has not proved yet.
struct Keys {
    master: Zeroizing<[u8; 48]>,
    channel: Channel,
}

impl Handshake {
    /// Answers a hello; see [`Self::repeat`] for what is to be sent.
    pub(super) fn begin(
        hello: &ClientHello<'_>,
        message: Message<'_>,
        sequence: u64,
        identity: &CertifiedKey,
        provider: &CryptoProvider,
        now: Instant,
    ) -> Result<Self, Failure> {
        let (suite, signer) = choose(hello, identity, provider).ok_or(Failure::NothingInCommon)?;
        let group = group(hello, provider).ok_or(Failure::NothingInCommon)?;
        let exchange = group.start().map_err(|_| Failure::Internal)?;
        let mut server_random = [0; 32];
        provider.secure_random.fill(&mut server_random).map_err(|_| Failure::Internal)?;
        let mut handshake = Self {
            suite,
            transcript: suite.tls.common.hash_provider.start(),
            client_random: *hello.random,
            server_random,
            extended_master_secret: hello.extended_master_secret,
            exchange: None,
            flight: Vec::with_capacity(4),
            theirs_next: message.number.wrapping_add(1),
            ours_next: message.number,
            plain_next: sequence,
            keys: None,
            repeat_at: now + FIRST_WAIT,
            wait: FIRST_WAIT,
            repeats: 0,
        };
        handshake.transcript.update(message.whole);
        handshake.say(SERVER_HELLO, &server_hello(&server_random, suite, hello));
        handshake.say(CERTIFICATE, &certificate(identity));
        handshake.say(SERVER_KEY_EXCHANGE, &handshake.key_exchange(&*exchange, &*signer)?);
        handshake.say(SERVER_HELLO_DONE, &[]);
        handshake.exchange = Some(exchange);
        Ok(handshake)
    }

    /// This is the client that we are talking with, and not a later one at its address.
    pub(super) fn is_with(&self, hello: &ClientHello<'_>) -> bool {
        self.client_random == *hello.random
    }

    /// Takes the keys of the client.
    pub(super) fn client_key_exchange(&mut self, message: Message<'_>) -> Result<(), Failure> {
        if message.number != self.theirs_next {
            return Ok(());
        }
        let Some(exchange) = self.exchange.take() else { return Ok(()) };
        let mut reader = Reader(message.body);
        let public = reader.vec8().filter(|_| reader.is_empty()).ok_or(Failure::Illegal)?;
        self.transcript.update(message.whole);
        self.theirs_next += 1;
        let (label, seed) = if self.extended_master_secret {
            (&b"extended master secret"[..], self.so_far().as_ref().to_vec())
        } else {
            (&b"master secret"[..], [self.client_random, self.server_random].concat())
        };
        let mut master = Zeroizing::new([0; 48]);
        let prf = self.suite.tls.prf_provider;
        prf.for_key_exchange(&mut master, exchange, public, label, &seed).map_err(|_| Failure::Illegal)?;
        let keys = self.suite.keys(&master, &self.client_random, &self.server_random);
        let [theirs, ours] = keys.ok_or(Failure::Internal)?;
        self.keys = Some(Keys { master, channel: Channel::new(ours, theirs) });
        Ok(())
    }

    /// Takes an encrypted record, which can only be the proof that the client knows the keys. With that, the
    /// handshake is over. Whatever cannot be decrypted may be from anybody, and changes nothing.
    pub(super) fn finished(
        &mut self,
        header: RecordHeader,
        record: &mut [u8],
    ) -> Result<Option<Session>, Failure> {
        let Some(keys) = &mut self.keys else { return Ok(None) };
        let Some(contents) = keys.channel.open(header, record) else { return Ok(None) };
        let message = Message::read(&mut Reader(&record[contents]));
        let Some(message) = message.filter(|message| {
            header.kind == HANDSHAKE && message.kind == FINISHED && message.number == self.theirs_next
        }) else {
            return Ok(None);
        };
        let expected = self.verify_data(b"client finished");
        verify_slices_are_equal(&expected, message.body).map_err(|_| Failure::Unproved)?;
        self.transcript.update(message.whole);
        let proof = self.verify_data(b"server finished");
        let Some(Keys { channel, .. }) = self.keys.take() else { return Ok(None) };
        let mut whole = [0; PROOF];
        whole[..MESSAGE_HEADER].copy_from_slice(&message_header(
            FINISHED,
            VERIFY_DATA,
            self.ours_next,
            0,
            VERIFY_DATA,
        ));
        whole[MESSAGE_HEADER..].copy_from_slice(&proof);
        Ok(Some(Session { channel, proof: whole, plain_next: self.plain_next, repeats: 0 }))
    }

    /// When we have to repeat ourselves.
    pub(super) fn repeat_at(&self) -> Instant {
        self.repeat_at
    }

    /// Nobody has answered in time.
    pub(super) fn wait_longer(&mut self, now: Instant) {
        self.wait *= 2;
        self.repeat_at = now + self.wait;
    }

    /// The client repeats itself: it has not heard us. Whether there is any use in saying it again.
    pub(super) fn may_repeat(&mut self) -> bool {
        self.repeats += 1;
        self.repeats <= MOST_REPEATS && self.keys.is_none()
    }

    /// Says everything, once more: every message in records that fit into datagrams, each of which is handed out.
    pub(super) fn repeat(&mut self, mut send: impl FnMut(&[u8])) {
        let mut datagram = Vec::with_capacity(MTU);
        for message in &self.flight {
            let (header, body) = message.split_at(MESSAGE_HEADER);
            let (kind, number) = (header[0], u16::from_be_bytes([header[4], header[5]]));
            let mut offset = 0;
            loop {
                const HEADERS: usize = RECORD_HEADER + MESSAGE_HEADER;
                if datagram.len() + HEADERS + 64 > MTU {
                    send(&datagram);
                    datagram.clear();
                }
                let len = (body.len() - offset).min(MTU - datagram.len() - HEADERS);
                let header = message_header(kind, body.len(), number, offset, len);
                let part = &body[offset..offset + len];
                plain_record(HANDSHAKE, &mut self.plain_next, &[&header, part], &mut datagram);
                offset += len;
                if offset == body.len() {
                    break;
                }
            }
        }
        send(&datagram);
    }

    fn say(&mut self, kind: u8, body: &[u8]) {
        let header = message_header(kind, body.len(), self.ours_next, 0, body.len());
        self.ours_next += 1;
        let message = [&header, body].concat();
        self.transcript.update(&message);
        self.flight.push(message);
    }

    fn so_far(&self) -> Output {
        self.transcript.fork_finish()
    }

    fn verify_data(&self, label: &[u8]) -> [u8; VERIFY_DATA] {
        let mut data = [0; VERIFY_DATA];
        if let Some(keys) = &self.keys {
            let prf = self.suite.tls.prf_provider;
            prf.for_secret(&mut data, &keys.master[..], label, self.so_far().as_ref());
        }
        data
    }

    fn key_exchange(
        &self,
        exchange: &dyn ActiveKeyExchange,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, Failure> {
        const NAMED_CURVE: u8 = 3;
        let public = exchange.pub_key();
        let mut message = vec![NAMED_CURVE];
        message.extend(u16::from(exchange.group()).to_be_bytes());
        message.push(public.len() as u8);
        message.extend(public);
        let signed = [&self.client_random[..], &self.server_random, &message].concat();
        let signature = signer.sign(&signed).map_err(|_| Failure::Internal)?;
        message.extend(u16::from(signer.scheme()).to_be_bytes());
        message.extend((signature.len() as u16).to_be_bytes());
        message.extend(signature);
        Ok(message)
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

/// The first suite of ours that the client knows and the certificate can be used with, and how to sign.
fn choose(
    hello: &ClientHello<'_>,
    identity: &CertifiedKey,
    provider: &CryptoProvider,
) -> Option<(Suite, Box<dyn Signer>)> {
    let schemes: Vec<SignatureScheme> = numbers(hello.signatures).map(SignatureScheme::from).collect();
    provider.cipher_suites.iter().filter_map(Suite::of).find_map(|suite| {
        if !numbers(hello.suites).any(|number| number == suite.number()) {
            return None;
        }
        let signer = identity.key.choose_scheme(&suite.tls.resolve_sig_schemes(&schemes))?;
        Some((suite, signer))
    })
}

/// The first group of ours that the client knows. Those who name none know P-256 (RFC 8422 §4).
fn group(hello: &ClientHello<'_>, provider: &CryptoProvider) -> Option<&'static dyn SupportedKxGroup> {
    let knows = |group: NamedGroup| match hello.groups {
        [] => group == NamedGroup::secp256r1,
        groups => numbers(groups).any(|number| number == u16::from(group)),
    };
    let group = GROUPS
        .into_iter()
        .find(|group| knows(*group) && provider.kx_groups.iter().any(|ours| ours.name() == *group))?;
    provider.kx_groups.iter().copied().find(|ours| ours.name() == group)
}

fn server_hello(random: &[u8; 32], suite: Suite, hello: &ClientHello<'_>) -> Vec<u8> {
    let mut message = DTLS_1_2.to_vec();
    message.extend(random);
    // No session to come back to, and no compression.
    message.push(0);
    message.extend(suite.number().to_be_bytes());
    message.push(0);
    let extensions: [(bool, u16, &[u8]); 3] = [
        (hello.secure_renegotiation, RENEGOTIATION_INFO, &[0]),
        (hello.extended_master_secret, EXTENDED_MASTER_SECRET, &[]),
        (hello.sends_point_formats, POINT_FORMATS, &[1, 0]),
    ];
    let mut list = Vec::new();
    for (_, kind, contents) in extensions.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
        list.extend(kind.to_be_bytes());
        list.extend((contents.len() as u16).to_be_bytes());
        list.extend(contents);
    }
    if !list.is_empty() {
        message.extend((list.len() as u16).to_be_bytes());
        message.extend(list);
    }
    message
}

fn certificate(identity: &CertifiedKey) -> Vec<u8> {
    let length = |len: usize| (len as u32).to_be_bytes().into_iter().skip(1);
    let mut message: Vec<u8> = length(identity.cert.iter().map(|der| 3 + der.len()).sum()).collect();
    for der in &identity.cert {
        message.extend(length(der.len()));
        message.extend(&**der);
    }
    message
}

/// An alert that ends a handshake.
pub(super) fn alert(failure: Failure, mut sequence: u64) -> Vec<u8> {
    let mut record = Vec::new();
    plain_record(ALERT, &mut sequence, &[&[FATAL, failure as u8]], &mut record);
    record
}
