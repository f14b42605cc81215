//! Who may ask a server for what.

use std::{fmt, pin::Pin, sync::Arc};

use config::Secret;
use http::{HeaderMap, StatusCode, header};

use crate::wire::Scope;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Configurations, which have credentials in them.
    Configs(Scope),
    /// What there is to say about the licence.
    License,
}

/// Why somebody gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nobody knows who asks: status 401.
    Unknown(String),
    /// Who asks may not have that: status 403.
    Forbidden(String),
    /// Who could tell does not answer: status 503.
    Unavailable(String),
}

/// An answer under way.
pub type Decision = Pin<Box<dyn Future<Output = Result<(), Denied>> + Send>>;

/// Decides about a request from its token, if it has one.
#[derive(Clone)]
pub struct Guard(Arc<dyn Fn(Option<Secret>, Wanted) -> Decision + Send + Sync>);

impl Guard {
    /// A guard that decides like this.
    pub fn new(decide: impl Fn(Option<Secret>, Wanted) -> Decision + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    pub(crate) async fn decide(&self, headers: &HeaderMap, wanted: Wanted) -> Result<(), Denied> {
        (self.0)(token(headers), wanted).await
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Denied {
    /// The status and the reason that are answered.
    pub(crate) fn answer(&self) -> (StatusCode, &str) {
        match self {
            Self::Unknown(reason) => (StatusCode::UNAUTHORIZED, reason),
            Self::Forbidden(reason) => (StatusCode::FORBIDDEN, reason),
            Self::Unavailable(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
        }
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn token(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Secret::from(token.to_owned()))
}
