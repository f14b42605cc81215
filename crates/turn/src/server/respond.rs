//! Responses: written on the stack, kept in the queue.

use std::collections::VecDeque;
use std::net::SocketAddr;

use stun::attribute::{AlternateServer, ErrorCode, Nonce, PasswordAlgorithms, Realm, UnknownAttributes};
use stun::{BufferTooSmall, Class, Method, Tail, TransactionId, Writer};

use super::output::{Output, Reply};
use super::reject::RejectReason;
use super::request::Request;
use crate::addr::Client;
use crate::credentials::{Algorithm, Signer};
use crate::nonce;

/// Enough for the longest response there is but those with PADDING: a challenge with the longest realm.
const MAX_LEN: usize = 1024;

/// Queues a success response.
pub(super) fn success(
    outputs: &mut VecDeque<Output>,
    request: &Request<'_>,
    tail: Tail<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), BufferTooSmall>,
) {
    let head = Head {
        client: request.client,
        class: Class::Success,
        method: request.method(),
        transaction: request.message.transaction_id(),
    };
    send(outputs, head, tail, write);
}

/// What every response begins with.
pub(super) struct Head {
    pub(super) client: Client,
    pub(super) class: Class,
    pub(super) method: Method,
    pub(super) transaction: TransactionId,
}

/// Queues a response.
pub(super) fn send(
    outputs: &mut VecDeque<Output>,
    head: Head,
    tail: Tail<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), BufferTooSmall>,
) {
    send_within(&mut [0; MAX_LEN], outputs, head, tail, write);
}

/// The same for a response of any length that there is room for.
pub(super) fn send_within(
    buffer: &mut [u8],
    outputs: &mut VecDeque<Output>,
    head: Head,
    tail: Tail<'_>,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), BufferTooSmall>,
) {
    let written = Writer::new(buffer, head.class, head.method, head.transaction).and_then(|mut writer| {
        write(&mut writer)?;
        writer.finish_with(tail)
    });
    match written {
        Ok(len) => {
            outputs.push_back(Output::Send { client: head.client, message: Reply::new(&buffer[..len]) });
        }
        Err(BufferTooSmall) => debug_assert!(false, "a {:?} response has outgrown its buffer", head.method),
    }
}

/// What an error response says besides its code.
#[derive(Clone, Copy, Default)]
pub(super) struct Details<'a> {
    /// What to sign the next request with.
    pub(super) challenge: Option<(&'a str, &'a nonce::Nonce)>,
    /// The attributes that were not understood.
    pub(super) unknown: &'a [u16],
    /// Where to try instead.
    pub(super) alternate: Option<SocketAddr>,
    /// Signs the response, once the caller has proved to know the key.
    pub(super) signer: Option<&'a Signer>,
}

/// Queues an error response. Its reason phrase is empty: the code says it all.
pub(super) fn error(outputs: &mut VecDeque<Output>, head: Head, reason: RejectReason, details: Details<'_>) {
    let tail = details.signer.map_or_else(Tail::default, Signer::tail);
    send(outputs, head, tail, |writer| {
        if let Ok(code) = ErrorCode::new(reason.code(), "") {
            writer.put(&code)?;
        }
        if let Some((realm, nonce)) = details.challenge {
            if let Ok(nonce) = Nonce::new(nonce.as_str()) {
                writer.put(&nonce)?;
            }
            if let Ok(realm) = Realm::new(realm) {
                writer.put(&realm)?;
            }
            if let Ok(algorithms) = PasswordAlgorithms::new(&Algorithm::OFFERED) {
                writer.put(&algorithms)?;
            }
        }
        if let Some(alternate) = details.alternate {
            writer.put(&AlternateServer(alternate))?;
        }
        if !details.unknown.is_empty() {
            writer.put(&UnknownAttributes::new(details.unknown))?;
        }
        Ok(())
    });
}
