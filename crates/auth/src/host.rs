//! The host part of a TURN URI.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// Longest name that DNS can carry, in bytes.
const MAX_NAME_LEN: usize = 253;
const MAX_LABEL_LEN: usize = 63;

/// An IP address or a host name, without a port: what a browser accepts between `turn:` and the port.
///
/// IPv6 addresses are kept without their brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(String);

impl Host {
    /// The address or name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an IP address or a host name (without scheme, port or path)")]
pub struct HostError;

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let bare = bracketed.unwrap_or(text);
        let v6 = bare.parse::<Ipv6Addr>().is_ok();
        let fits = if bracketed.is_some() { v6 } else { v6 || is_v4_or_name(bare) };
        if fits { Ok(Self(bare.to_owned())) } else { Err(HostError) }
    }
}

/// Letters, digits, `-` and `_` in labels of DNS length. Four numbers must be an address: `1.2.3.400` is a slip, and
/// no name ends in a number (RFC 3696 section 2).
fn is_v4_or_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let numeric_end = name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if numeric_end {
        return text.parse::<Ipv4Addr>().is_ok();
    }
    name.len() <= MAX_NAME_LEN && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_LEN).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
