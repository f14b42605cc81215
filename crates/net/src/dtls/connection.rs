//! The client's side: one session with one server, driven without IO and without a clock.

mod flight;
mod messages;
mod opening;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::AlertDescription;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;

use super::handshake::Failure;
use super::protection::Channel;
use super::wire::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, CLOSE_NOTIFY, FATAL, HANDSHAKE, Message, RECORD_HEADER,
    Reader, RecordHeader, WARNING, plain_record,
};
use crate::identity::provider;
use opening::Opening;

/// Whom a client believes to be its server.
#[derive(Clone, Debug)]
pub struct DtlsTrust {
    /// Who judges the server's certificates. That the server has the key of the first is checked in any case.
    pub verifier: Arc<dyn ServerCertVerifier>,
    /// The name to ask for, and to expect.
    pub name: ServerName<'static>,
    /// The time of day at which certificates have to be good, since the UNIX epoch.
    pub time: Duration,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DtlsReceived {
    /// It is dealt with.
    Handled,
    /// It is nothing that anybody waits for: dropped.
    Stray,
    /// The server has proved that it knows the keys: there is a session.
    Established,
    /// A message for whoever speaks inside of DTLS, in the record at this place.
    Data(Range<usize>),
    /// The server has ended the session.
    Closed,
}

/// Why there will be no session.
#[derive(Debug, Clone, PartialEq)]
pub enum DtlsError {
    /// The certificates of the server, or its proof that they are its own.
    Certificate(rustls::Error),
    /// The server does not want to. The number is that of an alert (RFC 5246 §7.2).
    Refused(u8),
    /// It speaks another version than DTLS 1.2.
    Version([u8; 2]),
    /// It chose what was not offered.
    NotOffered(&'static str),
    /// A message makes no sense, or comes out of turn.
    Illegal(&'static str),
    /// It has other keys, or somebody changed what was said.
    Unproved,
    /// The system does not give what is needed.
    Internal,
}

/// A client's session with a server, and the handshake that leads to it.
///
/// After every call, send what [`Self::poll_transmit`] has. Until there is a session, call [`Self::handle_timeout`] when
/// [`Self::poll_timeout`] says so: what gets lost is said again. How long that may go on is the caller's business.
#[derive(Debug)]
pub struct DtlsConnection {
    opening: Option<Box<Opening>>,
    session: Option<Channel>,
    outgoing: VecDeque<Vec<u8>>,
}

impl DtlsConnection {
    /// Begins: the first datagram waits to be sent.
    ///
    /// # Errors
    /// [`DtlsError::Internal`].
    pub fn new(trust: DtlsTrust, now: Instant) -> Result<Self, DtlsError> {
        let opening = Opening::new(trust, provider(), now)?;
        let mut connection =
            Self { opening: Some(Box::new(opening)), session: None, outgoing: VecDeque::new() };
        connection.say();
        Ok(connection)
    }

    /// Whether there is a session.
    pub fn is_established(&self) -> bool {
        self.session.is_some()
    }

    /// Takes one record, see [`super::dtls_record_len`], and decrypts it in place.
    ///
    /// # Errors
    /// There will be no session. The server is told why.
    pub fn handle(&mut self, record: &mut [u8], now: Instant) -> Result<DtlsReceived, DtlsError> {
        let Some(header) = RecordHeader::read(record) else { return Ok(DtlsReceived::Stray) };
        let received = match (&mut self.opening, &mut self.session) {
            (Some(opening), _) => match header.epoch() {
                0 => self.handle_plain(header, &record[RECORD_HEADER..], now),
                1 => opening.finished(header, record).map(|session| match session {
                    Some(session) => {
                        (self.session, self.opening) = (Some(session), None);
                        DtlsReceived::Established
                    }
                    None => DtlsReceived::Stray,
                }),
                _ => Ok(DtlsReceived::Stray),
            },
            (None, Some(session)) if header.epoch() == 1 => {
                let contents = session.open(header, record);
                Ok(contents
                    .map_or(DtlsReceived::Stray, |contents| self.handle_contents(header, record, contents)))
            }
            // What is without protection may be from anybody.
            (None, _) => Ok(DtlsReceived::Stray),
        };
        if let Err(error) = &received {
            self.give_up(error);
        }
        received
    }

    /// Encrypts a message where it lies: behind [`super::DTLS_IN_FRONT`] bytes and in front of [`super::DTLS_BEHIND`].
    /// Returns where the record is; there is none without a session.
    pub fn seal(&mut self, bytes: &mut [u8]) -> Option<Range<usize>> {
        let longest = super::DTLS_IN_FRONT + super::DTLS_LONGEST + super::DTLS_BEHIND;
        self.session.as_mut().filter(|_| bytes.len() <= longest)?.seal(APPLICATION_DATA, bytes)
    }

    /// Ends the session and tells the server so.
    pub fn close(&mut self) {
        self.opening = None;
        if let Some(mut session) = self.session.take() {
            let mut record = Vec::new();
            session.record(ALERT, &[WARNING, CLOSE_NOTIFY], &mut record);
            self.outgoing.push_back(record);
        }
    }

    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    /// When something is to be said again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.opening.as_ref().map(|opening| opening.repeat_at())
    }

    /// Says it again, if it is time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(opening) = &mut self.opening
            && opening.repeat_at() <= now
        {
            opening.wait_longer(now);
            self.say();
        }
    }

    fn handle_plain(
        &mut self,
        header: RecordHeader,
        contents: &[u8],
        now: Instant,
    ) -> Result<DtlsReceived, DtlsError> {
        let Some(opening) = &mut self.opening else { return Ok(DtlsReceived::Stray) };
        match (header.kind, contents) {
            (HANDSHAKE, _) => {
                if opening.handle(contents, now)? {
                    self.say();
                }
                Ok(DtlsReceived::Handled)
            }
            // The next epoch says the same, and cannot be forged.
            (CHANGE_CIPHER_SPEC, _) => Ok(DtlsReceived::Handled),
            (ALERT, [FATAL, number] | [_, number @ CLOSE_NOTIFY]) => Err(DtlsError::Refused(*number)),
            _ => Ok(DtlsReceived::Stray),
        }
    }

    fn handle_contents(
        &mut self,
        header: RecordHeader,
        record: &[u8],
        contents: Range<usize>,
    ) -> DtlsReceived {
        match (header.kind, &record[contents.clone()]) {
            (APPLICATION_DATA, _) => DtlsReceived::Data(contents),
            (ALERT, [FATAL, _] | [_, CLOSE_NOTIFY]) => {
                self.close();
                DtlsReceived::Closed
            }
            // Nothing is renegotiated, and a proof that is repeated proves nothing new.
            (HANDSHAKE, message) if Message::read(&mut Reader(message)).is_some() => DtlsReceived::Handled,
            _ => DtlsReceived::Stray,
        }
    }

    fn say(&mut self) {
        if let Some(opening) = &mut self.opening {
            self.outgoing.push_back(opening.say());
        }
    }

    fn give_up(&mut self, error: &DtlsError) {
        let Some(opening) = self.opening.take() else { return };
        if let Some(number) = error.alert() {
            let (mut record, mut next) = (Vec::new(), opening.plain_next());
            plain_record(ALERT, &mut next, &[&[FATAL, number]], &mut record);
            self.outgoing.push_back(record);
        }
    }
}

impl DtlsError {
    /// What the server is told, unless it knows.
    fn alert(&self) -> Option<u8> {
        const BAD_CERTIFICATE: u8 = 42;
        match self {
            Self::Certificate(_) => Some(BAD_CERTIFICATE),
            Self::Refused(_) => None,
            Self::Version(_) => Some(Failure::Outdated as u8),
            Self::NotOffered(_) | Self::Illegal(_) => Some(Failure::Illegal as u8),
            Self::Unproved => Some(Failure::Unproved as u8),
            Self::Internal => Some(Failure::Internal as u8),
        }
    }
}

impl fmt::Display for DtlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "{error}"),
            Self::Refused(number) => {
                write!(f, "the server refuses: alert {number}, {:?}", AlertDescription::from(*number))
            }
            Self::Version([major, minor]) => {
                write!(f, "the server speaks version {major:02x}{minor:02x}, and not DTLS 1.2")
            }
            Self::NotOffered(what) => write!(f, "the server chose a {what} that was not offered"),
            Self::Illegal(what) => write!(f, "the server's {what} makes no sense"),
            Self::Unproved => f.write_str("the server's proof of its keys is wrong"),
            Self::Internal => f.write_str("this machine gives no keys or no random numbers"),
        }
    }
}

impl std::error::Error for DtlsError {}
