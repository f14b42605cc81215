//! Every way in which a request is refused, with its status and its words.

use axum::http::StatusCode;
use thiserror::Error;

use crate::query::{Endpoint, MAX_QUERY_LEN, Parameter};

/// Why there is no answer. Displays as the body of the response.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The query is not worth reading.
    #[error("The query is longer than {MAX_QUERY_LEN} bytes")]
    QueryTooLong,
    /// A required parameter is missing or empty.
    #[error("Query argument {0} is required, but not found")]
    Missing(Parameter),
    /// A parameter is given more than once.
    #[error("Invalid format for parameter {0}: multiple values for single value parameter '{0}'")]
    Repeated(Parameter),
    /// The value of a parameter makes no sense. The value itself is not repeated: it may be a name or a key.
    #[error("Invalid format for parameter {0}: {1}")]
    Invalid(Parameter, String),
    /// No gateway is known.
    #[error("no STUNner configuration available")]
    NoConfiguration,
    /// The service asked for is not TURN.
    #[error(r#"could not generate {} auth token: "\"service\" must be \"turn\"""#, .0.abbreviation())]
    WrongService(Endpoint),
    /// Gateways are known, but no listener the client asked for.
    #[error("could not generate {}: no valid listener found", .0.product())]
    NoListener(Endpoint),
}

impl Refusal {
    /// The HTTP status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::QueryTooLong => StatusCode::URI_TOO_LONG,
            Self::Missing(_) | Self::Repeated(_) | Self::Invalid(..) | Self::WrongService(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NoConfiguration => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoListener(_) => StatusCode::NOT_FOUND,
        }
    }
}
