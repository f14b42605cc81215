//! Requests before they have a transaction and a signature.

use std::fmt;

use stun::attribute::{
    AdditionalAddressFamily, Attribute, DontFragment, EvenPort, Family, Lifetime, RequestedAddressFamily,
    RequestedTransport, ReservationToken, types,
};
use stun::{BufferTooSmall, Class, MAX_LEN, Method, TransactionId, Writer};

use super::Challenge;

/// What an Allocate request asks for.
#[derive(Clone, Debug)]
pub struct AllocateOptions {
    /// REQUESTED-TRANSPORT: 17 for UDP, 6 for TCP; `None` leaves it out, which is an error.
    pub transport: Option<u8>,
    /// LIFETIME in seconds.
    pub lifetime: Option<u32>,
    /// REQUESTED-ADDRESS-FAMILY.
    pub family: Option<Family>,
    /// ADDITIONAL-ADDRESS-FAMILY.
    pub additional_family: Option<Family>,
    /// EVEN-PORT, and whether the next port shall be kept.
    pub even_port: Option<bool>,
    /// RESERVATION-TOKEN.
    pub token: Option<[u8; 8]>,
    /// DONT-FRAGMENT.
    pub dont_fragment: bool,
}

impl Default for AllocateOptions {
    fn default() -> Self {
        Self {
            transport: Some(RequestedTransport::UDP.0),
            lifetime: None,
            family: None,
            additional_family: None,
            even_port: None,
            token: None,
            dont_fragment: false,
        }
    }
}

impl AllocateOptions {
    pub(super) fn request(&self) -> Request {
        Request::new(Method::Allocate)
            .with_any(self.transport.map(RequestedTransport))
            .with_any(self.lifetime.map(Lifetime))
            .with_any(self.family.map(RequestedAddressFamily))
            .with_any(self.additional_family.map(AdditionalAddressFamily))
            .with_any(self.even_port.map(|reserve| EvenPort { reserve }))
            .with_any(self.token.map(ReservationToken))
            .with_any(self.dont_fragment.then_some(DontFragment))
    }
}

type Put = Box<dyn Fn(&mut Writer<'_>) -> Result<(), BufferTooSmall>>;

/// A method with attributes. Each time it is written it gets a new transaction, which masks addresses.
pub struct Request {
    method: Method,
    attributes: Vec<Put>,
}

impl Request {
    /// A request without attributes.
    pub fn new(method: Method) -> Self {
        Self { method, attributes: Vec::new() }
    }

    /// The same with one more attribute.
    #[must_use]
    pub fn with<A: Attribute<'static> + 'static>(mut self, attribute: A) -> Self {
        self.attributes.push(Box::new(move |writer| writer.put(&attribute).map(drop)));
        self
    }

    /// The same with one more attribute of any number and value, sense or nonsense.
    #[must_use]
    pub fn with_raw(mut self, kind: u16, value: &[u8]) -> Self {
        let value = value.to_vec();
        self.attributes.push(Box::new(move |writer| writer.put_raw(kind, &value).map(drop)));
        self
    }

    fn with_any<A: Attribute<'static> + 'static>(self, attribute: Option<A>) -> Self {
        match attribute {
            Some(attribute) => self.with(attribute),
            None => self,
        }
    }

    /// The message, signed if the server gave a challenge.
    pub(super) fn write(&self, id: TransactionId, challenge: Option<&Challenge>) -> Vec<u8> {
        self.compose(Class::Request, id, |writer| {
            let Some(challenge) = challenge else { return Ok(writer.finish()) };
            let mut writer = writer;
            writer.put_raw(types::USERNAME, challenge.username.as_bytes())?;
            writer.put_raw(types::REALM, challenge.realm.as_bytes())?;
            writer.put_raw(types::NONCE, challenge.nonce.as_bytes())?;
            writer.finish_with_integrity(&challenge.key)
        })
    }

    pub(super) fn write_indication(&self, id: TransactionId) -> Vec<u8> {
        self.compose(Class::Indication, id, |writer| Ok(writer.finish()))
    }

    fn compose(
        &self,
        class: Class,
        id: TransactionId,
        finish: impl FnOnce(Writer<'_>) -> Result<usize, BufferTooSmall>,
    ) -> Vec<u8> {
        let mut buffer = vec![0; MAX_LEN];
        let written = Writer::new(&mut buffer, class, self.method, id).and_then(|mut writer| {
            self.attributes.iter().try_for_each(|put| put(&mut writer))?;
            finish(writer)
        });
        let length = written.unwrap_or_else(|BufferTooSmall| panic!("{self:?} is longer than any message"));
        buffer.truncate(length);
        buffer
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} attributes", self.method, self.attributes.len())
    }
}
