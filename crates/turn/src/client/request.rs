//! Requests: what is asked, and how it is written.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun::attribute::{Lifetime, RequestedAddressFamily, RequestedTransport, XorPeerAddress};
use stun::{BufferTooSmall, ChannelNumber, Class, Method, TransactionId, Writer};

use super::Settings;
use super::session::Session;
use crate::addr::Family;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Allocate,
    Refresh { lifetime: Duration },
    Permit(IpAddr),
    Bind(SocketAddr, ChannelNumber),
}

impl Purpose {
    pub(super) const fn method(self) -> Method {
        match self {
            Self::Allocate => Method::Allocate,
            Self::Refresh { .. } => Method::Refresh,
            Self::Permit(_) => Method::CreatePermission,
            Self::Bind(..) => Method::ChannelBind,
        }
    }
}

/// A request that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) id: TransactionId,
    pub(super) purpose: Purpose,
    /// How often the server wanted it with other credentials.
    pub(super) challenges: u8,
    pub(super) is_signed: bool,
}

/// Names, realm, nonce and algorithms at their longest.
const MAX_LEN: usize = 4096;

pub(super) fn write(asked: &Asked, settings: &Settings, session: &Session) -> Vec<u8> {
    let mut message = vec![0; MAX_LEN];
    let len = write_into(&mut message, asked, settings, session);
    // What a server sent too long to be sent back is not sent at all; the request is then not answered.
    message.truncate(len.unwrap_or_default());
    message
}

fn write_into(
    buffer: &mut [u8],
    asked: &Asked,
    settings: &Settings,
    session: &Session,
) -> Result<usize, BufferTooSmall> {
    let mut writer = Writer::new(buffer, Class::Request, asked.purpose.method(), asked.id)?;
    match asked.purpose {
        Purpose::Allocate => {
            writer.put(&RequestedTransport::UDP)?.put(&lifetime(settings.lifetime))?;
            // Servers of RFC 5766 without RFC 6156 know no families, and IPv4 needs no mention.
            if settings.family != Family::V4 {
                writer.put(&RequestedAddressFamily(settings.family))?;
            }
        }
        Purpose::Refresh { lifetime: wanted } => {
            writer.put(&lifetime(wanted))?;
        }
        Purpose::Permit(ip) => {
            writer.put(&XorPeerAddress(SocketAddr::new(ip, 0)))?;
        }
        Purpose::Bind(peer, channel) => {
            writer.put(&channel)?.put(&XorPeerAddress(peer))?;
        }
    }
    session.finish(writer)
}

fn lifetime(duration: Duration) -> Lifetime {
    Lifetime(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
}
