//! DTLS 1.2 (RFC 6347) on the server's side: many clients of one UDP socket, driven without IO and without a clock.
//!
//! What is here is what a TURN server needs and no more: full handshakes with ephemeral keys and authenticated
//! encryption. There is no resumption, no renegotiation, no client certificate, no compression and no CBC, so there is
//! nothing to get wrong about them. Keys, signatures and ciphers are those of the process' cryptography library; the
//! rest is in the order in which it happens:
//!
//! - `cookie`: a client proves that it is where its packets say before anything is kept about it;
//! - `hello`, `handshake`: three messages of the client, each of which changes the state or nothing;
//! - `protection`: records, sealed and opened where they lie, without an allocation.
//!
//! Fragments of messages are not put together, records that cannot be decrypted and alerts without protection are
//! ignored: whoever can forge an address cannot end, slow down or fill anything by it. A client that begins anew at
//! its address takes the place of its old self only once it has proved the new keys.

#[cfg(any(test, feature = "testing"))]
pub(crate) mod client;
mod connection;
mod cookie;
mod endpoint;
mod handshake;
mod hello;
mod protection;
#[cfg(test)]
mod tests;
mod wire;

use std::net::SocketAddr;

pub use connection::{DtlsConnection, DtlsError, DtlsReceived, DtlsTrust};
pub use endpoint::{DtlsEndpoint, DtlsEvent, Expired, HandshakeId};

/// A client, as seen from a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DtlsPeer {
    /// Its address, canonical.
    pub remote: SocketAddr,
    /// Ours, that it talks to.
    pub local: SocketAddr,
}

/// Room that a message needs in front of it to be sealed in place, in bytes.
pub const DTLS_IN_FRONT: usize = protection::Protection::IN_FRONT;

/// Room that it needs behind it.
pub const DTLS_BEHIND: usize = protection::Protection::BEHIND;

/// The longest message that fits into one record (RFC 5246 §6.2.1).
pub const DTLS_LONGEST: usize = 16 << 10;

/// The length of the first record of a datagram, if it is whole.
pub fn dtls_record_len(datagram: &[u8]) -> Option<usize> {
    let header = wire::RecordHeader::read(datagram)?;
    let len = wire::RECORD_HEADER + header.len;
    (len <= datagram.len()).then_some(len)
}
