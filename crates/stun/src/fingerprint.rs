//! FINGERPRINT: a checksum that tells STUN from what looks like it (RFC 8489 §14.7).

use crate::attribute;
use crate::error::FingerprintError;

/// Bytes of the value.
pub const LEN: usize = 4;

/// "STUN", so that a CRC-32 computed by a protocol carried inside does not match by itself.
const MASK: u32 = 0x5354_554E;

/// The value for a message whose bytes up to the attribute are `covered`, length field already counting it.
pub(crate) fn compute(covered: &[u8]) -> [u8; LEN] {
    (crc32fast::hash(covered) ^ MASK).to_be_bytes()
}

/// Compares the attribute at `offset`, the last of the message.
pub(crate) fn verify(bytes: &[u8], offset: usize) -> Result<(), FingerprintError> {
    let (covered, attribute) = bytes.split_at(offset);
    if attribute[attribute::HEADER_LEN..] == compute(covered) {
        Ok(())
    } else {
        Err(FingerprintError::Mismatch)
    }
}
