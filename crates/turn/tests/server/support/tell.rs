//! What the server sends, in words.

use stun::attribute::{
    AddressErrorCode, AlternateServer, Data, ErrorCode, Icmp, Lifetime, PasswordAlgorithms,
    UnknownAttributes, XorMappedAddress, XorPeerAddress, types,
};
use stun::{ChannelData, Class, Key, Message, Method};
use turn::credentials::Algorithm;

use super::REALM;

pub(super) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// What a client makes of a packet that carries a peer's data.
pub(super) fn unwrap(packet: &[u8]) -> String {
    if let Ok(ChannelData { channel, data }) = ChannelData::parse(packet) {
        return format!("channel {:#x}: {}", channel.get(), text(data));
    }
    let message = Message::parse(packet).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::Data));
    let kinds: Vec<u16> = message.attributes().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [types::XOR_PEER_ADDRESS, types::DATA]);
    let XorPeerAddress(peer) = message.get().unwrap().unwrap();
    let Data(data) = message.get().unwrap().unwrap();
    format!("{peer}: {}", text(data))
}

pub(super) fn tell_attribute(message: &Message<'_>, kind: u16, [md5, sha256]: &[Key; 2]) -> String {
    match kind {
        types::ERROR_CODE => {
            assert_eq!(message.get::<ErrorCode<'_>>().unwrap().unwrap().reason(), "");
            String::new()
        }
        types::XOR_MAPPED_ADDRESS => {
            format!("mapped {}", message.get::<XorMappedAddress>().unwrap().unwrap().0)
        }
        types::XOR_PEER_ADDRESS => format!("peer {}", message.get::<XorPeerAddress>().unwrap().unwrap().0),
        types::ICMP => {
            let Icmp { kind, code, data } = message.get().unwrap().unwrap();
            format!("ICMP {kind}/{code}/{data}")
        }
        types::LIFETIME => format!("lifetime {}", message.get::<Lifetime>().unwrap().unwrap().0),
        types::ALTERNATE_SERVER => {
            format!("at {}", message.get::<AlternateServer>().unwrap().unwrap().0)
        }
        types::NONCE => "nonce".into(),
        types::REALM => {
            assert_eq!(message.raw(types::REALM), Some(REALM.as_bytes()));
            "realm".into()
        }
        types::RESERVATION_TOKEN => "token".into(),
        types::MOBILITY_TICKET => "ticket".into(),
        types::UNKNOWN_ATTRIBUTES => {
            let unknown = message.get::<UnknownAttributes<'_>>().unwrap().unwrap();
            let unknown: Vec<String> = unknown.iter().map(|kind| format!("{kind:#06x}")).collect();
            format!("unknown {}", unknown.join(" "))
        }
        types::ADDRESS_ERROR_CODE => {
            let refused = message.get::<AddressErrorCode<'_>>().unwrap().unwrap();
            format!("no {:?} {}", refused.family, refused.error.code())
        }
        types::PASSWORD_ALGORITHMS => {
            let offered = message.get::<PasswordAlgorithms<'_>>().unwrap().unwrap();
            assert!(offered.iter().eq(Algorithm::OFFERED));
            "algorithms".into()
        }
        types::MESSAGE_INTEGRITY if message.verify_integrity(md5).is_ok() => "signed".into(),
        types::MESSAGE_INTEGRITY_SHA256 if message.verify_integrity_sha256(sha256).is_ok() => {
            "signed with SHA-256".into()
        }
        types::MESSAGE_INTEGRITY_SHA256 if message.verify_integrity_sha256(md5).is_ok() => {
            "signed with SHA-256 and MD5".into()
        }
        types::MESSAGE_INTEGRITY | types::MESSAGE_INTEGRITY_SHA256 => "SIGNED BY SOMEBODY ELSE".into(),
        types::FINGERPRINT => {
            message.verify_fingerprint().unwrap();
            "fingerprint".into()
        }
        other => types::Display(other).to_string(),
    }
}
