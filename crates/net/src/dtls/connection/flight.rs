//! What a client says, and how it says it again.

use rustls::pki_types::ServerName;
use rustls::{NamedGroup, SignatureScheme};

use super::super::hello::{
    EXTENDED_MASTER_SECRET, POINT_FORMATS, RENEGOTIATION_INFO, SIGNATURE_ALGORITHMS, SUPPORTED_GROUPS,
};
use super::super::protection::{Channel, Suite};
use super::super::wire::{CHANGE_CIPHER_SPEC, DTLS_1_2, HANDSHAKE, plain_record};

/// Extension (RFC 6066 §3).
pub(super) const SERVER_NAME: u16 = 0;

/// A part of a flight.
#[derive(Debug)]
pub(super) enum Said {
    /// A message in the clear.
    Message(Vec<u8>),
    /// What follows has keys.
    Change,
    /// A message with keys.
    Sealed(Vec<u8>),
}

/// All of it in one datagram, numbered anew: no flight of a client is longer than a packet.
pub(super) fn datagram(flight: &[Said], plain_next: &mut u64, mut channel: Option<&mut Channel>) -> Vec<u8> {
    let mut datagram = Vec::new();
    for said in flight {
        match said {
            Said::Message(message) => plain_record(HANDSHAKE, plain_next, &[message], &mut datagram),
            Said::Change => plain_record(CHANGE_CIPHER_SPEC, plain_next, &[&[1]], &mut datagram),
            Said::Sealed(message) => {
                if let Some(channel) = &mut channel {
                    channel.record(HANDSHAKE, message, &mut datagram);
                }
            }
        }
    }
    datagram
}

/// What a client offers.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) suites: Vec<Suite>,
    pub(super) groups: Vec<NamedGroup>,
    pub(super) schemes: Vec<SignatureScheme>,
}

impl Offer {
    /// The body of a ClientHello (RFC 5246 §7.4.1.2, RFC 6347 §4.2.1).
    pub(super) fn hello(&self, random: &[u8; 32], cookie: &[u8], name: &ServerName<'_>) -> Vec<u8> {
        // No session to come back to.
        let mut body = [&DTLS_1_2[..], random, &[0]].concat();
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend(list(self.suites.iter().map(Suite::number)));
        // No compression.
        body.extend([1, 0]);
        let mut extensions = Vec::new();
        if let ServerName::DnsName(name) = name {
            const HOST_NAME: u8 = 0;
            let name = [&[HOST_NAME][..], &vec16(name.as_ref().as_bytes())].concat();
            extend(&mut extensions, SERVER_NAME, &vec16(&name));
        }
        extend(&mut extensions, SUPPORTED_GROUPS, &list(self.groups.iter().map(|group| u16::from(*group))));
        extend(&mut extensions, POINT_FORMATS, &[1, 0]);
        let schemes = self.schemes.iter().map(|scheme| u16::from(*scheme));
        extend(&mut extensions, SIGNATURE_ALGORITHMS, &list(schemes));
        extend(&mut extensions, EXTENDED_MASTER_SECRET, &[]);
        extend(&mut extensions, RENEGOTIATION_INFO, &[0]);
        body.extend(vec16(&extensions));
        body
    }
}

fn extend(extensions: &mut Vec<u8>, kind: u16, contents: &[u8]) {
    extensions.extend(kind.to_be_bytes());
    extensions.extend(vec16(contents));
}

fn list(numbers: impl Iterator<Item = u16>) -> Vec<u8> {
    vec16(&numbers.flat_map(u16::to_be_bytes).collect::<Vec<u8>>())
}

/// Bytes behind their length in two bytes.
fn vec16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}
