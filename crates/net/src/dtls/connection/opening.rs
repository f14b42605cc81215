//! The client's side of a full handshake with ephemeral keys (RFC 5246 §7.3, RFC 6347 §4.2, RFC 8422): what the server
//! says, one message after the other.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use super::super::handshake::{FIRST_WAIT, GROUPS, MOST_REPEATS, VERIFY_DATA};
use super::super::hello::{EXTENDED_MASTER_SECRET, POINT_FORMATS, RENEGOTIATION_INFO};
use super::super::protection::{Channel, Suite};
use super::super::wire::{
    CERTIFICATE, CERTIFICATE_REQUEST, CLIENT_HELLO, CLIENT_KEY_EXCHANGE, DTLS_1_2, FINISHED, Fragment,
    HANDSHAKE, HELLO_VERIFY_REQUEST, Message, Reader, RecordHeader, SERVER_HELLO, SERVER_HELLO_DONE,
    SERVER_KEY_EXCHANGE, message_header,
};
use super::flight::{self, Offer, Said};
use super::messages::{Incoming, Whole};
use super::{DtlsError, DtlsTrust};

/// The longest pause before something is said again (RFC 6347 §4.2.4.1).
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How many cookies a server may ask for, one after the other.
const MOST_COOKIES: u16 = 3;

/// A handshake under way.
pub(super) struct Opening {
    trust: DtlsTrust,
    provider: Arc<CryptoProvider>,
    offer: Offer,
    random: [u8; 32],
    cookie: Vec<u8>,
    transcript: Vec<u8>,
    incoming: Incoming,
    stage: Stage,
    /// What was said last, and may have to be said again.
    flight: Vec<Said>,
    /// The number of our next message, and of our next record without keys.
    ours_next: u16,
    plain_next: u64,
    repeat_at: Instant,
    wait: Duration,
    repeats: u8,
}

/// What the server has to say next.
enum Stage {
    Hello,
    Certificate(Chosen),
    Key(Chosen, CertificateDer<'static>),
    /// Whether it has asked for a certificate of ours.
    Done(Chosen, Offered, bool),
    Proof(Keys),
}

/// What the server chose.
#[derive(Clone, Copy)]
struct Chosen {
    suite: Suite,
    random: [u8; 32],
    extended_master_secret: bool,
}

/// Its part of the keys, signed.
struct Offered {
    group: &'static dyn SupportedKxGroup,
    public: Vec<u8>,
}

struct Keys {
    suite: Suite,
    master: Zeroizing<[u8; 48]>,
    channel: Channel,
}

impl Opening {
    pub(super) fn new(
        trust: DtlsTrust,
        provider: Arc<CryptoProvider>,
        now: Instant,
    ) -> Result<Self, DtlsError> {
        let mut random = [0; 32];
        provider.secure_random.fill(&mut random).map_err(|_| DtlsError::Internal)?;
        let has = |name: &_| provider.kx_groups.iter().any(|group| group.name() == *name);
        let offer = Offer {
            suites: provider.cipher_suites.iter().filter_map(Suite::of).collect(),
            groups: GROUPS.into_iter().filter(has).collect(),
            schemes: provider.signature_verification_algorithms.supported_schemes(),
        };
        let mut opening = Self {
            trust,
            provider,
            offer,
            random,
            cookie: Vec::new(),
            transcript: Vec::new(),
            incoming: Incoming::default(),
            stage: Stage::Hello,
            flight: Vec::new(),
            ours_next: 0,
            plain_next: 0,
            repeat_at: now + FIRST_WAIT,
            wait: FIRST_WAIT,
            repeats: 0,
        };
        opening.say_hello();
        Ok(opening)
    }

    /// The datagram that says, once more, what was said last.
    pub(super) fn say(&mut self) -> Vec<u8> {
        let channel = match &mut self.stage {
            Stage::Proof(keys) => Some(&mut keys.channel),
            Stage::Hello | Stage::Certificate(_) | Stage::Key(..) | Stage::Done(..) => None,
        };
        flight::datagram(&self.flight, &mut self.plain_next, channel)
    }

    /// When that has to be.
    pub(super) fn repeat_at(&self) -> Instant {
        self.repeat_at
    }

    /// Nobody has answered in time.
    pub(super) fn wait_longer(&mut self, now: Instant) {
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.repeat_at = now + self.wait;
    }

    pub(super) fn plain_next(&self) -> u64 {
        self.plain_next
    }

    /// Takes messages without protection. Whether there is something to say.
    pub(super) fn handle(&mut self, contents: &[u8], now: Instant) -> Result<bool, DtlsError> {
        let mut reader = Reader(contents);
        let mut must_speak = false;
        while let Some(fragment) = Fragment::read(&mut reader) {
            if fragment.kind == HELLO_VERIFY_REQUEST && matches!(self.stage, Stage::Hello) {
                must_speak |= self.hello_verify_request(fragment);
            } else if self.incoming.is_old(fragment.number) {
                must_speak |= self.is_repeated(fragment);
            } else {
                self.incoming.add(fragment);
            }
        }
        while let Some(message) = self.incoming.pop() {
            must_speak |= self.message(&message)?;
        }
        if must_speak {
            (self.wait, self.repeat_at) = (FIRST_WAIT, now + FIRST_WAIT);
        }
        Ok(must_speak)
    }

    /// Takes a protected record, which can only be the proof that the server knows the keys.
    pub(super) fn finished(
        &mut self,
        header: RecordHeader,
        record: &mut [u8],
    ) -> Result<Option<Channel>, DtlsError> {
        let Stage::Proof(keys) = &mut self.stage else { return Ok(None) };
        let Some(contents) = keys.channel.open(header, record) else { return Ok(None) };
        let message = Message::read(&mut Reader(&record[contents]));
        let Some(message) = message.filter(|it| header.kind == HANDSHAKE && it.kind == FINISHED) else {
            return Ok(None);
        };
        let expected = keys.verify_data(b"server finished", &self.transcript);
        verify_slices_are_equal(&expected, message.body).map_err(|_| DtlsError::Unproved)?;
        let Stage::Proof(keys) = std::mem::replace(&mut self.stage, Stage::Hello) else { return Ok(None) };
        Ok(Some(keys.channel))
    }

    /// A server that repeats its last message has not heard our answer.
    fn is_repeated(&mut self, fragment: Fragment<'_>) -> bool {
        let has_answered = matches!(self.stage, Stage::Proof(_));
        if !has_answered || fragment.kind != SERVER_HELLO_DONE || self.repeats == MOST_REPEATS {
            return false;
        }
        self.repeats += 1;
        true
    }

    /// Says it again with a cookie (RFC 6347 §4.2.1). What was said before does not count.
    fn hello_verify_request(&mut self, fragment: Fragment<'_>) -> bool {
        let mut reader = Reader(fragment.body);
        let Some(_version) = reader.array::<2>() else { return false };
        let Some(cookie) = reader.vec8().filter(|cookie| !cookie.is_empty() && reader.is_empty()) else {
            return false;
        };
        if cookie == self.cookie || self.ours_next > MOST_COOKIES {
            return false;
        }
        self.cookie = cookie.to_vec();
        self.incoming.restart(self.ours_next);
        self.say_hello();
        true
    }

    fn say_hello(&mut self) {
        self.transcript.clear();
        self.flight.clear();
        let body = self.offer.hello(&self.random, &self.cookie, &self.trust.name);
        self.add(CLIENT_HELLO, &body);
    }

    /// Adds a message to the flight.
    fn add(&mut self, kind: u8, body: &[u8]) {
        let message = self.write(kind, body);
        self.flight.push(Said::Message(message));
    }

    /// The next message of ours, which now belongs to what was said.
    fn write(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        let header = message_header(kind, body.len(), self.ours_next, 0, body.len());
        let message = [&header, body].concat();
        self.ours_next += 1;
        self.transcript.extend(&message);
        message
    }

    /// Takes the message whose turn it is. Whether there is something to say.
    fn message(&mut self, message: &Whole) -> Result<bool, DtlsError> {
        let Whole { kind, number, body } = message;
        self.transcript.extend(message_header(*kind, body.len(), *number, 0, body.len()));
        self.transcript.extend(body);
        let stage = std::mem::replace(&mut self.stage, Stage::Hello);
        self.stage = match (stage, *kind) {
            (Stage::Hello, SERVER_HELLO) => Stage::Certificate(self.server_hello(body)?),
            (Stage::Certificate(chosen), CERTIFICATE) => Stage::Key(chosen, self.certificate(body)?),
            (Stage::Key(chosen, certificate), SERVER_KEY_EXCHANGE) => {
                let offered = self.key_exchange(&chosen, &certificate, body)?;
                Stage::Done(chosen, offered, false)
            }
            (Stage::Done(chosen, offered, false), CERTIFICATE_REQUEST) => Stage::Done(chosen, offered, true),
            (Stage::Done(chosen, offered, is_asked), SERVER_HELLO_DONE) => {
                self.stage = Stage::Proof(self.answer(&chosen, &offered, is_asked)?);
                return Ok(true);
            }
            _ => return Err(DtlsError::Illegal("message out of turn")),
        };
        Ok(false)
    }

    /// RFC 5246 §7.4.1.3.
    fn server_hello(&self, body: &[u8]) -> Result<Chosen, DtlsError> {
        let illegal = || DtlsError::Illegal("hello");
        let mut reader = Reader(body);
        let version = *reader.array().ok_or_else(illegal)?;
        if version != DTLS_1_2 {
            return Err(DtlsError::Version(version));
        }
        let random = *reader.array().ok_or_else(illegal)?;
        reader.vec8().ok_or_else(illegal)?;
        let number = reader.u16().ok_or_else(illegal)?;
        let suite = self.offer.suites.iter().find(|suite| suite.number() == number);
        let suite = *suite.ok_or(DtlsError::NotOffered("cipher suite"))?;
        reader.u8().filter(|compression| *compression == 0).ok_or(DtlsError::NotOffered("compression"))?;
        let mut chosen = Chosen { suite, random, extended_master_secret: false };
        if !reader.is_empty() {
            let mut extensions = Reader(reader.vec16().ok_or_else(illegal)?);
            while !extensions.is_empty() {
                let kind = extensions.u16().ok_or_else(illegal)?;
                let contents = extensions.vec16().ok_or_else(illegal)?;
                match (kind, contents) {
                    (EXTENDED_MASTER_SECRET, []) => chosen.extended_master_secret = true,
                    // There was nothing before, and the name is heard.
                    (RENEGOTIATION_INFO, [0]) | (POINT_FORMATS, _) | (flight::SERVER_NAME, []) => {}
                    (EXTENDED_MASTER_SECRET | RENEGOTIATION_INFO, _) => return Err(illegal()),
                    _ => return Err(DtlsError::NotOffered("extension")),
                }
            }
        }
        if reader.is_empty() { Ok(chosen) } else { Err(illegal()) }
    }

    /// RFC 5246 §7.4.2. Returns the server's own one.
    fn certificate(&self, body: &[u8]) -> Result<CertificateDer<'static>, DtlsError> {
        let illegal = || DtlsError::Illegal("list of certificates");
        let mut reader = Reader(body);
        reader.u24().filter(|len| *len == reader.0.len()).ok_or_else(illegal)?;
        let mut chain = Vec::new();
        while !reader.is_empty() {
            let len = reader.u24().ok_or_else(illegal)?;
            chain.push(CertificateDer::from(reader.take(len).ok_or_else(illegal)?.to_vec()));
        }
        let DtlsTrust { verifier, name, time } = &self.trust;
        let (own, others) = chain.split_first().ok_or_else(illegal)?;
        let time = UnixTime::since_unix_epoch(*time);
        verifier.verify_server_cert(own, others, name, &[], time).map_err(DtlsError::Certificate)?;
        Ok(chain.swap_remove(0))
    }

    /// RFC 8422 §5.4.
    fn key_exchange(
        &self,
        chosen: &Chosen,
        certificate: &CertificateDer<'_>,
        body: &[u8],
    ) -> Result<Offered, DtlsError> {
        const NAMED_CURVE: u8 = 3;
        let illegal = || DtlsError::Illegal("key exchange");
        let mut reader = Reader(body);
        reader.u8().filter(|kind| *kind == NAMED_CURVE).ok_or_else(illegal)?;
        let number = reader.u16().ok_or_else(illegal)?;
        let public = reader.vec8().ok_or_else(illegal)?;
        let params = &body[..body.len() - reader.0.len()];
        let scheme = SignatureScheme::from(reader.u16().ok_or_else(illegal)?);
        let signature = reader.vec16().filter(|_| reader.is_empty()).ok_or_else(illegal)?;
        let is_known = self.offer.groups.iter().any(|group| u16::from(*group) == number);
        let group = self.provider.kx_groups.iter().find(|group| u16::from(group.name()) == number);
        let group = *group.filter(|_| is_known).ok_or(DtlsError::NotOffered("group"))?;
        if !chosen.suite.tls.sign.contains(&scheme) {
            return Err(DtlsError::NotOffered("signature"));
        }
        let signed = [&self.random[..], &chosen.random, params].concat();
        self.verify(certificate, scheme, &signed, signature)?;
        Ok(Offered { group, public: public.to_vec() })
    }

    /// Whether who signed has the key of the certificate.
    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        scheme: SignatureScheme,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), DtlsError> {
        let bad = || {
            DtlsError::Certificate(rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature))
        };
        let malformed = |_| DtlsError::Certificate(rustls::CertificateError::BadEncoding.into());
        let own = EndEntityCert::try_from(certificate).map_err(malformed)?;
        let known = self.provider.signature_verification_algorithms.mapping;
        let (_, algorithms) = known.iter().find(|(it, _)| *it == scheme).ok_or_else(bad)?;
        // A scheme of TLS 1.2 names no curve, so there are several.
        let fits = algorithms.iter().any(|it| own.verify_signature(*it, signed, signature).is_ok());
        if fits { Ok(()) } else { Err(bad()) }
    }

    /// Our part of the keys, and the proof that we have them (RFC 5246 §7.4.7, §7.4.9, RFC 7627 §4).
    fn answer(&mut self, chosen: &Chosen, offered: &Offered, is_asked: bool) -> Result<Keys, DtlsError> {
        let Chosen { suite, random, extended_master_secret } = chosen;
        let exchange = offered.group.start().map_err(|_| DtlsError::Internal)?;
        self.flight.clear();
        self.repeats = 0;
        if is_asked {
            // We have none.
            self.add(CERTIFICATE, &[0, 0, 0]);
        }
        let own = exchange.pub_key();
        let own = [&[own.len() as u8], own].concat();
        self.add(CLIENT_KEY_EXCHANGE, &own);
        let (label, seed) = if *extended_master_secret {
            let so_far = suite.tls.common.hash_provider.hash(&self.transcript);
            (&b"extended master secret"[..], so_far.as_ref().to_vec())
        } else {
            (&b"master secret"[..], [self.random, *random].concat())
        };
        let mut master = Zeroizing::new([0; 48]);
        let prf = suite.tls.prf_provider;
        let derived = prf.for_key_exchange(&mut master, exchange, &offered.public, label, &seed);
        derived.map_err(|_| DtlsError::Illegal("key"))?;
        let [ours, theirs] = suite.keys(&master, &self.random, random).ok_or(DtlsError::Internal)?;
        let keys = Keys { suite: *suite, master, channel: Channel::new(ours, theirs) };
        let proof = keys.verify_data(b"client finished", &self.transcript);
        let proof = self.write(FINISHED, &proof);
        self.flight.extend([Said::Change, Said::Sealed(proof)]);
        Ok(keys)
    }
}

impl Keys {
    fn verify_data(&self, label: &[u8], transcript: &[u8]) -> [u8; VERIFY_DATA] {
        let mut data = [0; VERIFY_DATA];
        let so_far = self.suite.tls.common.hash_provider.hash(transcript);
        self.suite.tls.prf_provider.for_secret(&mut data, &self.master[..], label, so_far.as_ref());
        data
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("name", &self.trust.name).finish_non_exhaustive()
    }
}
