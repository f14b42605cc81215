//! What must hold for any bytes at all. Each function takes what a fuzzer or a property test comes up with and
//! panics if the crate breaks a promise; a fuzz target is a call of one of them.

use std::vec;

use crate::attribute::*;
use crate::channel_data::{ChannelData, ChannelNumber};
use crate::demux::{Kind, classify};
use crate::error::IntegrityError;
use crate::frame::{self, Frame, MAX_FRAME_LEN};
use crate::integrity::Key;
use crate::message::{Class, HEADER_LEN, Header, MAX_LEN, Message, Method, TransactionId};
use crate::writer::{Tail, Writer};

/// Everything below, on the same bytes.
pub fn all(bytes: &[u8]) {
    message(bytes);
    value(bytes);
    channel_data(bytes);
    stream(bytes);
    demux(bytes);
}

/// Parses a message, looks at all of it, and writes it again.
pub fn message(bytes: &[u8]) {
    let peeked = Header::peek(bytes);
    let Ok(message) = Message::parse(bytes) else { return };
    assert_eq!(peeked, Ok(message.header()));
    assert_eq!(message.header().message_len(), bytes.len());
    assert_eq!(message.header().to_bytes(), bytes[..HEADER_LEN]);
    look(&message);
    rewrite(&message);
}

/// Puts the bytes into a message as the value of an attribute, since a fuzzer rarely finds a whole message. The
/// first byte chooses the type, the next twelve the transaction.
pub fn value(bytes: &[u8]) {
    let Some((&[choice, ref id @ ..], value)) = bytes.split_first_chunk::<13>() else { return };
    let (kind, _) = types::ALL[usize::from(choice) % types::ALL.len()];
    let mut buffer = vec![0; MAX_LEN];
    let id = TransactionId::new(*id);
    let Ok(mut writer) = Writer::new(&mut buffer, Class::Request, Method::Binding, id) else { return };
    if is_tail(kind) || writer.put_raw(kind, value).is_err() {
        return;
    }
    let len = writer.finish();
    message(&buffer[..len]);
}

/// Parses ChannelData and writes it again; the padding of the result is zero.
pub fn channel_data(bytes: &[u8]) {
    let Ok(parsed) = ChannelData::parse(bytes) else { return };
    let mut buffer = vec![0xFF; MAX_FRAME_LEN];
    let len = parsed.write(&mut buffer).expect("what was received can be sent");
    assert_eq!(ChannelData::parse(&buffer[..len]), Ok(parsed));
    let used = 4 + parsed.data.len();
    assert_eq!(buffer[..used], bytes[..used]);
    assert!(buffer[used..len].iter().all(|&byte| byte == 0));
    assert_eq!(frame::next(&buffer[..len]), Frame::ChannelData { len: used, padded: len });
    assert!(parsed.write(&mut buffer[..len - 1]).is_err());
}

/// Cuts a stream into frames, all at once and byte by byte: the frames are the same, each is delivered with its
/// last byte, and what announces itself as a frame has the header of one.
pub fn stream(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        let whole = frame::next(rest);
        let slowly = (0..=rest.len()).map(|len| (len, frame::next(&rest[..len])));
        let (len, first) = slowly
            .inspect(|(len, frame)| assert!(!matches!(frame, Frame::Incomplete { need } if need <= len)))
            .find(|(len, frame)| *len == rest.len() || !matches!(frame, Frame::Incomplete { .. }))
            .expect("the last length is among them");
        assert_eq!(first, whole);
        match whole {
            Frame::Incomplete { need } => return assert!(need > rest.len() && need <= MAX_FRAME_LEN),
            Frame::Invalid => return,
            Frame::Message(message) => {
                assert_eq!(len, message);
                assert_eq!(Header::peek(rest).map(|header| header.message_len()), Ok(message));
            }
            Frame::ChannelData { len: used, padded } => {
                assert_eq!(len, padded);
                let parsed = ChannelData::parse(&rest[..used]).expect("a frame is complete");
                assert_eq!(parsed.data.len() + 4, used);
            }
        }
        rest = &rest[len..];
    }
}

/// What parses as something is classified as that.
pub fn demux(bytes: &[u8]) {
    let kind = classify(bytes);
    if ChannelData::parse(bytes).is_ok() {
        assert_eq!(kind, Kind::ChannelData);
    }
    // Methods from 0x100 on lie outside the range that RFC 7983 leaves to STUN; none has been assigned.
    if Message::parse(bytes).is_ok_and(|message| message.method().number() < 0x100) {
        assert_eq!(kind, Kind::Stun);
    }
}

/// Calls everything a message offers.
fn look(message: &Message<'_>) {
    let key = Key::short_term("fuzz");
    assert!(std::format!("{message:?}").starts_with("Message"));
    assert!(message.has_integrity() || message.verify_integrity(&key) == Err(IntegrityError::Missing));
    assert!(message.has_integrity_sha256() || message.verify_integrity_sha256(&key).is_err());
    assert!(message.has_fingerprint() || message.verify_fingerprint().is_err());
    assert!(message.unknown_required(|_| true).next().is_none());
    let required = message.attributes().filter(|&(kind, _)| kind < 0x8000).map(|(kind, _)| kind);
    assert!(message.unknown_required(|_| false).eq(required));
    if let Ok(Some(nonce)) = message.get::<Nonce<'_>>() {
        nonce.security_features();
    }
    values(message);
}

/// Every value that decodes can be encoded, and decodes to the same.
fn values(message: &Message<'_>) {
    let id = message.transaction_id();
    macro_rules! round_trip {
        ($($name:ty,)*) => {$(
            assert_eq!(message.all::<$name>().next().transpose(), message.get::<$name>());
            for decoded in message.all::<$name>().filter_map(Result::ok) {
                let mut value = vec![0xFF; decoded.encoded_len()];
                decoded.encode(&mut value, id);
                assert_eq!(<$name>::decode(&value, id), Ok(decoded));
            }
        )*};
    }
    round_trip! {
        MappedAddress, XorMappedAddress, XorPeerAddress, XorRelayedAddress, AlternateServer, ResponseOrigin,
        OtherAddress, Username<'_>, Realm<'_>, Nonce<'_>, Software<'_>, AlternateDomain<'_>, ErrorCode<'_>,
        AddressErrorCode<'_>, UnknownAttributes<'_>, Lifetime, ChannelNumber, Data<'_>, RequestedTransport,
        RequestedAddressFamily, AdditionalAddressFamily, EvenPort, DontFragment, ReservationToken, Icmp,
        ConnectionId, MobilityTicket<'_>, PasswordAlgorithm<'_>, PasswordAlgorithms<'_>, Userhash,
        ChangeRequest, Padding<'_>, ResponsePort, CacheTimeout, Priority, UseCandidate, IceControlled,
        IceControlling,
    }
}

/// A copy has the same attributes, without protection the same bytes up to padding, and with protection it can be
/// verified.
fn rewrite(message: &Message<'_>) {
    let mut buffer = vec![0xFF; MAX_LEN];
    let len = copy(message, &mut buffer).finish();
    let plain = Message::parse(&buffer[..len]).expect("what was written parses");
    assert_eq!((plain.class(), plain.method()), (message.class(), message.method()));
    assert_eq!(plain.transaction_id(), message.transaction_id());
    assert!(plain.attributes().eq(unprotected(message)));
    if unprotected(message).all(|(_, value)| value.len().is_multiple_of(4)) && len == message.as_bytes().len()
    {
        assert_eq!(plain.as_bytes(), message.as_bytes());
    }

    let key = Key::short_term("fuzz");
    let tail = Tail { sha1: Some(&key), sha256: Some(&key), fingerprint: true, ..Tail::default() };
    let Ok(len) = copy(message, &mut buffer).finish_with(tail) else { return };
    let sealed = Message::parse(&buffer[..len]).expect("what was written parses");
    assert!(unprotected(&sealed).eq(unprotected(message)));
    assert_eq!(sealed.verify_integrity(&key), Ok(()));
    assert_eq!(sealed.verify_integrity_sha256(&key), Ok(()));
    assert_eq!(sealed.verify_fingerprint(), Ok(()));
}

fn copy<'b>(message: &Message<'_>, buffer: &'b mut [u8]) -> Writer<'b> {
    let mut writer = Writer::new(buffer, message.class(), message.method(), message.transaction_id())
        .expect("the buffer holds any message");
    for (kind, value) in unprotected(message) {
        writer.put_raw(kind, value).expect("a copy is not longer");
    }
    writer
}

fn unprotected<'a>(message: &Message<'a>) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
    message.attributes().filter(|&(kind, _)| !is_tail(kind))
}

fn is_tail(kind: u16) -> bool {
    matches!(kind, types::MESSAGE_INTEGRITY | types::MESSAGE_INTEGRITY_SHA256 | types::FINGERPRINT)
}

#[cfg(test)]
mod tests;
