//! STUN and TURN on the wire: bytes to values and back.
//!
//! Messages and every attribute of RFC 8489 (STUN), RFC 8656 (TURN) and RFC 6062 (TURN over TCP), with the
//! attributes of RFC 5780, RFC 8016 and RFC 8445 that share their number space; ChannelData; message boundaries
//! on streams; telling protocols apart by their first byte. The crate knows no roles, no policy and no clock.
//!
//! Parsed values borrow from the packet and writers fill the caller's buffer. Nothing here allocates: the crate is
//! `no_std` without `alloc`, and `tests/no_alloc.rs` counts. Every error is a small `Copy` enum, because an
//! attacker decides how many of them are made.
//!
//! # Reading
//!
//! [`Message::parse`] is one pass over the attribute headers and refuses whatever has no meaning: lengths that do
//! not add up, integrity or fingerprint values of impossible sizes. Values are decoded when they are asked for.
//! A message **ends at its integrity attribute**: what follows is not protected, so it cannot be seen at all,
//! except a FINGERPRINT, and a MESSAGE-INTEGRITY-SHA256 after a MESSAGE-INTEGRITY (RFC 8489 §14.5).
//!
//! # Writing
//!
//! ```
//! use stun::attribute::{Lifetime, XorMappedAddress};
//! use stun::{Class, Key, Message, Method, TransactionId, Writer};
//!
//! let key = Key::long_term("user", "example.org", "pass");
//! let mut buffer = [0; 128];
//! let mut writer = Writer::new(&mut buffer, Class::Success, Method::Allocate, TransactionId::new([7; 12]))?;
//! writer.put(&XorMappedAddress("192.0.2.1:4321".parse()?))?;
//! writer.put(&Lifetime(600))?;
//! let len = writer.finish_with_integrity(&key)?;
//!
//! let message = Message::parse(&buffer[..len])?;
//! message.verify_integrity(&key)?;
//! assert_eq!(message.get::<Lifetime>()?, Some(Lifetime(600)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "testing"))]
extern crate std;

pub mod attribute;
pub mod channel_data;
pub mod demux;
pub mod error;
pub mod fingerprint;
pub mod frame;
#[cfg(any(test, feature = "testing"))]
pub mod fuzz;
pub mod integrity;
pub mod message;
pub mod writer;

pub use attribute::Attribute;
pub use channel_data::{ChannelData, ChannelNumber};
pub use error::{
    AttributeError, BufferTooSmall, ChannelDataError, FingerprintError, IntegrityError, ParseError,
};
pub use integrity::{Key, Sha256Len};
pub use message::{Class, HEADER_LEN, Header, MAGIC_COOKIE, MAX_LEN, Message, Method, TransactionId};
pub use writer::{Tail, Writer};
