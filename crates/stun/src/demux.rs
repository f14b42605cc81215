//! Telling protocols on one port apart by the first byte (RFC 7983 §7, with the channels of RFC 5766).

/// What a packet can be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// 0..=3: STUN. Methods from 0x100 on would start with higher bytes; none has been assigned.
    Stun,
    /// 64..=127: TURN ChannelData, from 80 on that of older clients.
    ChannelData,
    /// 20..=63: DTLS.
    Dtls,
    /// Nothing this house speaks: RTP, ZRTP, QUIC, noise, an empty packet.
    Other,
}

/// Classifies a datagram by its first byte. Nothing is promised about the bytes after it.
#[inline]
pub const fn classify(packet: &[u8]) -> Kind {
    match packet {
        [0..=3, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        [64..=127, ..] => Kind::ChannelData,
        _ => Kind::Other,
    }
}
