//! What a client asks for: the query string, parsed once into values that need no further checks.

use std::borrow::Cow;
use std::fmt;
use std::str::{FromStr, Utf8Error};

use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::host::Host;
use crate::refusal::Refusal;

/// Longest query string that is read, in bytes: every parameter at its full length fits several times.
pub const MAX_QUERY_LEN: usize = 8192;

/// Longest user id, in bytes. A TURN username has at most 508 bytes (RFC 8489 section 14.3), of which an ephemeral
/// one spends up to 20 on its expiry and the colon.
pub const MAX_USER_ID_LEN: usize = 488;

/// Seconds for which credentials are valid if the client does not say.
pub const DEFAULT_TTL: u32 = 86_400;

/// Most seconds that a client may ask for, unless the service is told otherwise: a year.
pub const DEFAULT_MAX_TTL: u32 = 31_536_000;

/// The two questions a client may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET /`: one TURN credential, in the shape of the TURN REST API draft.
    TurnAuth,
    /// `GET /ice`: the ICE configuration of a browser's peer connection.
    IceAuth,
}

impl Endpoint {
    /// The path it is asked at.
    pub fn path(self) -> &'static str {
        match self {
            Self::TurnAuth => "/",
            Self::IceAuth => "/ice",
        }
    }

    /// Parameters it understands; it ignores all others.
    pub fn parameters(self) -> impl Iterator<Item = Parameter> {
        Parameter::ALL
            .into_iter()
            .filter(move |&p| self == Self::IceAuth || p != Parameter::IceTransportPolicy)
    }

    pub(crate) fn abbreviation(self) -> &'static str {
        match self {
            Self::TurnAuth => "TURN",
            Self::IceAuth => "ICE",
        }
    }

    pub(crate) fn product(self) -> &'static str {
        match self {
            Self::TurnAuth => "TURN auth token",
            Self::IceAuth => "ICE config",
        }
    }
}

/// The parameters of a query, in the order in which they are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// Must be `turn`.
    Service,
    /// User id that becomes part of ephemeral usernames.
    Username,
    /// Seconds for which credentials shall be valid.
    Ttl,
    /// Which candidates the browser may use.
    IceTransportPolicy,
    /// API key; accepted and ignored.
    Key,
    /// Only gateways of this namespace.
    Namespace,
    /// Only this gateway of the namespace.
    Gateway,
    /// Only this listener of the gateway.
    Listener,
    /// Host to write into every URI.
    PublicAddr,
}

impl Parameter {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Service,
        Self::Username,
        Self::Ttl,
        Self::IceTransportPolicy,
        Self::Key,
        Self::Namespace,
        Self::Gateway,
        Self::Listener,
        Self::PublicAddr,
    ];

    /// Its name in a query, which is case-sensitive.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Username => "username",
            Self::Ttl => "ttl",
            Self::IceTransportPolicy => "iceTransportPolicy",
            Self::Key => "key",
            Self::Namespace => "namespace",
            Self::Gateway => "gateway",
            Self::Listener => "listener",
            Self::PublicAddr => "public-addr",
        }
    }

    fn invalid(self, why: impl fmt::Display) -> Refusal {
        Refusal::Invalid(self, why.to_string())
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A question that has been understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Whether it is about TURN at all. Not refused while parsing, because a service that knows no gateway has to say
    /// that first.
    pub service: Service,
    /// User id for ephemeral usernames; may be empty.
    pub user: String,
    /// Seconds for which credentials shall be valid, within the bounds of the service.
    pub ttl: u32,
    /// Which candidates the browser may use.
    pub policy: IceTransportPolicy,
    /// Which listeners are wanted.
    pub filter: Filter,
    /// Host to write into every URI.
    pub public_addr: Option<Host>,
}

/// The service a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The one there is.
    Turn,
    /// Any other.
    Unknown,
}

/// Which candidates a browser may use (W3C WebRTC, `RTCIceTransportPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IceTransportPolicy {
    /// Any. Also the answer to `public`, a word that browsers no longer know.
    #[default]
    All,
    /// Only those that go through a TURN server.
    Relay,
}

impl FromStr for IceTransportPolicy {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "all" | "public" => Ok(Self::All),
            "relay" => Ok(Self::Relay),
            _ => Err("must be one of all, public, relay"),
        }
    }
}

/// Which listeners are wanted. A gateway counts only within a namespace, a listener only within a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filter {
    /// All of them.
    #[default]
    Any,
    /// Those of one namespace.
    Namespace(String),
    /// Those of one gateway: namespace and name.
    Gateway(String, String),
    /// One: namespace, gateway and name.
    Listener(String, String, String),
}

impl Filter {
    fn new(namespace: Option<String>, gateway: Option<String>, listener: Option<String>) -> Self {
        match (namespace, gateway, listener) {
            (None, ..) => Self::Any,
            (Some(namespace), None, _) => Self::Namespace(namespace),
            (Some(namespace), Some(gateway), None) => Self::Gateway(namespace, gateway),
            (Some(namespace), Some(gateway), Some(listener)) => Self::Listener(namespace, gateway, listener),
        }
    }

    /// Whether a listener is wanted, given the three parts of its name.
    pub fn admits(&self, [namespace, gateway, listener]: [&str; 3]) -> bool {
        match self {
            Self::Any => true,
            Self::Namespace(n) => n == namespace,
            Self::Gateway(n, g) => n == namespace && g == gateway,
            Self::Listener(n, g, l) => n == namespace && g == gateway && l == listener,
        }
    }
}

/// Shows as the path that a wanted listener's name starts with.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Namespace(n) => write!(f, "{n}/*"),
            Self::Gateway(n, g) => write!(f, "{n}/{g}/*"),
            Self::Listener(n, g, l) => write!(f, "{n}/{g}/{l}"),
        }
    }
}

impl Query {
    /// Understands the raw query string of a request, without its question mark.
    ///
    /// An empty value counts as no value, except for `ttl`. Values are percent-decoded and must then be UTF-8
    /// without control characters; `+` is a space.
    ///
    /// # Errors
    /// The first refusal in this order: too long; `service` missing where it is required; a parameter given twice; a
    /// value without sense, in the order of [`Parameter::ALL`].
    pub fn parse(endpoint: Endpoint, raw: &str, max_ttl: u32) -> Result<Self, Refusal> {
        if raw.len() > MAX_QUERY_LEN {
            return Err(Refusal::QueryTooLong);
        }
        let given = Given::split(endpoint, raw)?;
        Ok(Self {
            service: given.service()?,
            user: given.user()?,
            ttl: given.ttl(max_ttl)?,
            policy: given.parsed(Parameter::IceTransportPolicy)?.unwrap_or_default(),
            filter: {
                given.text(Parameter::Key)?;
                let [namespace, gateway, listener] =
                    [Parameter::Namespace, Parameter::Gateway, Parameter::Listener].map(|p| given.text(p));
                Filter::new(namespace?, gateway?, listener?)
            },
            public_addr: given.parsed(Parameter::PublicAddr)?,
        })
    }
}

/// The raw value of each parameter that is given.
struct Given<'a>([Option<&'a str>; Parameter::ALL.len()]);

impl<'a> Given<'a> {
    fn split(endpoint: Endpoint, raw: &'a str) -> Result<Self, Refusal> {
        let mut values = [None; Parameter::ALL.len()];
        let mut repeated = [false; Parameter::ALL.len()];
        for pair in raw.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // A name that cannot be decoded is not a name we know.
            let Ok(name) = decode(name) else { continue };
            let Some(parameter) = endpoint.parameters().find(|p| p.name() == name) else { continue };
            let slot = parameter as usize;
            repeated[slot] |= values[slot].is_some();
            values[slot].get_or_insert(value);
        }
        let required = Parameter::Service;
        if endpoint == Endpoint::TurnAuth && values[required as usize].is_none_or(str::is_empty) {
            return Err(Refusal::Missing(required));
        }
        match Parameter::ALL.into_iter().find(|&p| repeated[p as usize]) {
            Some(parameter) => Err(Refusal::Repeated(parameter)),
            None => Ok(Self(values)),
        }
    }

    /// The decoded value of a parameter; an empty one is none.
    fn text(&self, parameter: Parameter) -> Result<Option<String>, Refusal> {
        let Some(raw) = self.0[parameter as usize].filter(|raw| !raw.is_empty()) else { return Ok(None) };
        let text = decode(raw).map_err(|why| parameter.invalid(why))?;
        if text.contains(char::is_control) {
            return Err(parameter.invalid("control characters are not allowed"));
        }
        Ok(Some(text.into_owned()))
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&self, parameter: Parameter) -> Result<Option<T>, Refusal> {
        self.text(parameter)?.map(|text| text.parse()).transpose().map_err(|why| parameter.invalid(why))
    }

    fn service(&self) -> Result<Service, Refusal> {
        Ok(match self.text(Parameter::Service)?.as_deref() {
            None | Some("turn") => Service::Turn,
            Some(_) => Service::Unknown,
        })
    }

    fn user(&self) -> Result<String, Refusal> {
        let user = self.text(Parameter::Username)?.unwrap_or_default();
        if user.len() > MAX_USER_ID_LEN {
            return Err(Parameter::Username.invalid(format!("must have at most {MAX_USER_ID_LEN} bytes")));
        }
        Ok(user)
    }

    fn ttl(&self, max: u32) -> Result<u32, Refusal> {
        let parameter = Parameter::Ttl;
        if self.0[parameter as usize].is_none() {
            return Ok(DEFAULT_TTL.min(max));
        }
        let text = self.text(parameter)?.unwrap_or_default();
        let seconds: i64 =
            text.parse().map_err(|_| parameter.invalid("must be a whole number of seconds"))?;
        u32::try_from(seconds)
            .ok()
            .filter(|seconds| (1..=max).contains(seconds))
            .ok_or_else(|| parameter.invalid(format!("must be from 1 to {max} seconds")))
    }
}

/// Why a value cannot be decoded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum DecodeError {
    #[error("invalid percent-encoding")]
    Percent,
    #[error("not UTF-8")]
    Utf8(#[from] Utf8Error),
}

/// Decodes `application/x-www-form-urlencoded` text, and unlike the usual decoders refuses a stray `%`.
fn decode(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    let well_formed = text
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()));
    if !well_formed {
        return Err(DecodeError::Percent);
    }
    if !text.contains('+') {
        return Ok(percent_decode_str(text).decode_utf8()?);
    }
    let spaced = text.replace('+', " ");
    Ok(Cow::Owned(percent_decode_str(&spaced).decode_utf8()?.into_owned()))
}
