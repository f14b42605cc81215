//! What clients say.

use std::net::{IpAddr, SocketAddr};

use stun::attribute::{
    AdditionalAddressFamily, Attribute, Family, Lifetime, PasswordAlgorithm, PasswordAlgorithms,
    RequestedAddressFamily, RequestedTransport, Userhash, XorPeerAddress, types,
};
use stun::{Class, Key, Method, Tail, TransactionId, Writer};
use turn::addr::ConnectionId;
use turn::credentials::Algorithm;

use super::{Conversation, REALM, addr};

type Put = Box<dyn Fn(&mut Writer<'_>)>;

/// A message to be sent by a client.
pub(crate) struct Ask {
    class: Class,
    method: Method,
    attributes: Vec<Put>,
    pub(super) transaction: Option<TransactionId>,
    pub(super) is_signed: bool,
    has_fingerprint: bool,
    /// Chooses this algorithm and signs in the newer way.
    algorithm: Option<PasswordAlgorithm<'static>>,
    /// Says its name as a hash.
    is_anonymous: bool,
    without: Option<u16>,
    unprotected: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(class: Class, method: Method) -> Self {
        Self {
            class,
            method,
            attributes: Vec::new(),
            transaction: None,
            is_signed: false,
            has_fingerprint: false,
            algorithm: None,
            is_anonymous: false,
            without: None,
            unprotected: Vec::new(),
        }
    }

    fn request(method: Method) -> Self {
        Self { is_signed: true, ..Self::new(Class::Request, method) }
    }

    pub(crate) fn with<A: for<'v> Attribute<'v> + 'static>(mut self, attribute: A) -> Self {
        self.attributes.push(Box::new(move |writer| {
            writer.put(&attribute).unwrap();
        }));
        self
    }

    pub(crate) fn with_raw(mut self, kind: u16, value: &[u8]) -> Self {
        let value = value.to_vec();
        self.attributes.push(Box::new(move |writer| {
            writer.put_raw(kind, &value).unwrap();
        }));
        self
    }

    pub(crate) fn unsigned(self) -> Self {
        Self { is_signed: false, ..self }
    }

    pub(crate) fn fingerprint(self) -> Self {
        Self { has_fingerprint: true, ..self }
    }

    /// Signed as RFC 8489 has it, with a key made by this algorithm.
    pub(crate) fn signed_with(self, algorithm: PasswordAlgorithm<'static>) -> Self {
        Self { algorithm: Some(algorithm), ..self }
    }

    /// With USERHASH for USERNAME.
    pub(crate) fn anonymous(self) -> Self {
        Self { is_anonymous: true, ..self }
    }

    /// With this transaction id.
    pub(crate) fn transaction(self, id: u8) -> Self {
        Self { transaction: Some(TransactionId::new([id; 12])), ..self }
    }

    /// Without one of the credential attributes.
    pub(crate) fn without(self, kind: u16) -> Self {
        Self { without: Some(kind), ..self }
    }

    /// With an attribute after MESSAGE-INTEGRITY, where anybody could have put it.
    pub(crate) fn unprotected<A: for<'v> Attribute<'v>>(mut self, attribute: A) -> Self {
        let mut buffer = [0; 64];
        let id = self.transaction.unwrap();
        let mut writer = Writer::new(&mut buffer, self.class, self.method, id).unwrap();
        writer.put(&attribute).unwrap();
        let len = writer.finish();
        self.unprotected.extend_from_slice(&buffer[stun::HEADER_LEN..len]);
        self
    }

    pub(super) fn encode(&self, id: TransactionId, conversation: &Conversation) -> Vec<u8> {
        let mut packet = vec![0; 2048];
        let mut writer = Writer::new(&mut packet, self.class, self.method, id).unwrap();
        for put in &self.attributes {
            put(&mut writer);
        }
        let key = self.key(conversation);
        if self.is_signed {
            let nonce = conversation.nonce.as_deref().unwrap();
            let hash = Userhash::of(&conversation.username, REALM).0;
            let name = match self.is_anonymous {
                true => (types::USERHASH, &hash[..]),
                false => (types::USERNAME, conversation.username.as_bytes()),
            };
            let credentials = [name, (types::REALM, REALM.as_bytes()), (types::NONCE, nonce)];
            for (kind, value) in credentials {
                if self.without != Some(kind) {
                    writer.put_raw(kind, value).unwrap();
                }
            }
        }
        if let Some(chosen) = self.algorithm {
            if self.without != Some(types::PASSWORD_ALGORITHMS) {
                writer.put(&PasswordAlgorithms::new(&Algorithm::OFFERED).unwrap()).unwrap();
            }
            if self.without != Some(types::PASSWORD_ALGORITHM) {
                writer.put(&chosen).unwrap();
            }
        }
        let signing = Some(&key).filter(|_| self.is_signed);
        let (sha1, sha256) = match self.algorithm {
            Some(_) => (None, signing),
            None => (signing, None),
        };
        let tail = Tail { sha1, sha256, fingerprint: self.has_fingerprint, ..Tail::default() };
        let len = writer.finish_with(tail).unwrap();
        packet.truncate(len);
        packet.extend_from_slice(&self.unprotected);
        let attributes_len = (packet.len() - stun::HEADER_LEN) as u16;
        packet[2..4].copy_from_slice(&attributes_len.to_be_bytes());
        packet
    }
}

impl Ask {
    fn key(&self, conversation: &Conversation) -> Key {
        let Conversation { username, password, .. } = conversation;
        match self.algorithm {
            Some(PasswordAlgorithm::SHA256) => Key::long_term_sha256(username, REALM, password),
            _ => Key::long_term(username, REALM, password),
        }
    }
}

pub(crate) fn binding() -> Ask {
    Ask::new(Class::Request, Method::Binding)
}

/// An Allocate for UDP.
pub(crate) fn allocate() -> Ask {
    bare_allocate().with(RequestedTransport::UDP)
}

/// An Allocate that does not say for what.
pub(crate) fn bare_allocate() -> Ask {
    Ask::request(Method::Allocate)
}

pub(crate) fn refresh(seconds: u32) -> Ask {
    Ask::request(Method::Refresh).with(Lifetime(seconds))
}

pub(crate) fn request(method: Method) -> Ask {
    Ask::request(method)
}

/// A CreatePermission for peers written as addresses, with any port.
pub(crate) fn permit(peers: &[&str]) -> Ask {
    let ask = Ask::request(Method::CreatePermission);
    peers.iter().fold(ask, |ask, peer| {
        let ip: IpAddr = peer.parse().unwrap();
        ask.with(XorPeerAddress(SocketAddr::new(ip, 0)))
    })
}

pub(crate) fn bind(channel: u16, peer: &str) -> Ask {
    let number = channel.to_be_bytes();
    Ask::request(Method::ChannelBind)
        .with_raw(types::CHANNEL_NUMBER, &[number[0], number[1], 0, 0])
        .with(XorPeerAddress(addr(peer)))
}

/// A Send indication.
pub(crate) fn send(peer: &str, data: &[u8]) -> Ask {
    Ask::new(Class::Indication, Method::Send).with(XorPeerAddress(addr(peer))).with_raw(types::DATA, data)
}

/// An Allocate for TCP.
pub(crate) fn allocate_tcp() -> Ask {
    bare_allocate().with(RequestedTransport::TCP)
}

pub(crate) fn connect(peer: &str) -> Ask {
    Ask::request(Method::Connect).with(XorPeerAddress(addr(peer)))
}

pub(crate) fn connection_bind(id: ConnectionId) -> Ask {
    Ask::request(Method::ConnectionBind).with(stun::attribute::ConnectionId(id.0))
}

pub(crate) fn requested(family: Family) -> RequestedAddressFamily {
    RequestedAddressFamily(family)
}

pub(crate) fn additional(family: Family) -> AdditionalAddressFamily {
    AdditionalAddressFamily(family)
}
