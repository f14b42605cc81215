//! The question to the authentication service: one HTTP request per registration, with a deadline and retries.

use std::fmt::Write as _;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::ice::{IceConfiguration, IceError};
use crate::name::UserName;

/// Where the authentication service is and what to ask of it.
#[derive(Clone, Debug)]
pub struct AuthService {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Offer only the gateways that match.
    pub filter: Filter,
    /// Life of the credentials to ask for.
    pub ttl: Duration,
}

/// Restricts the answer to a namespace, to a gateway in it, to a listener of that.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Namespace of the Gateway.
    pub namespace: Option<String>,
    /// Name of the Gateway.
    pub gateway: Option<String>,
    /// Name of the listener.
    pub listener: Option<String>,
}

impl AuthService {
    /// Asks for the ICE configuration of one user. Takes no longer than [`DEADLINE`], retries included.
    ///
    /// # Errors
    /// [`QueryError`], whose text is meant for the visitor.
    pub async fn ice(&self, user: &UserName) -> Result<IceConfiguration, QueryError> {
        let path = self.path(user);
        let mut last = Cause::Late;
        let attempts = async {
            for pause in PAUSES {
                sleep(pause).await;
                match self.attempt(&path).await {
                    Ok(ice) => return Ok(ice),
                    Err(cause) if cause.is_worth_another_try() => last = cause,
                    Err(cause) => return Err(cause),
                }
            }
            Err(Cause::Late)
        };
        let cause = match timeout(DEADLINE, attempts).await {
            Ok(Ok(ice)) => return Ok(ice),
            Ok(Err(Cause::Late)) | Err(_) => last,
            Ok(Err(cause)) => cause,
        };
        Err(QueryError { path, cause })
    }

    fn path(&self, user: &UserName) -> String {
        let mut path = "/ice?service=turn&username=".to_owned();
        escape(&mut path, user.as_str());
        path.push_str("&iceTransportPolicy=relay");
        let Filter { namespace, gateway, listener } = &self.filter;
        for (key, value) in [("namespace", namespace), ("gateway", gateway), ("listener", listener)] {
            if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
                let _ = write!(path, "&{key}=");
                escape(&mut path, value);
            }
        }
        let _ = write!(path, "&ttl={}", self.ttl.as_secs());
        path
    }

    async fn attempt(&self, path: &str) -> Result<IceConfiguration, Cause> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(Cause::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|_| Cause::Address)?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY).collect().await;
            let body = body.map_err(|_| Cause::Body)?.to_bytes();
            if status != StatusCode::OK {
                return Err(Cause::Status(status, first_line(&body)));
            }
            IceConfiguration::from_json(&body).map_err(Cause::Content)
        };
        tokio::pin!(connection);
        tokio::pin!(exchange);
        tokio::select! {
            biased;
            result = &mut exchange => result,
            // The connection may end right after the last byte of the answer.
            _ = &mut connection => exchange.await,
        }
    }
}

/// The authentication service gave no usable answer.
#[derive(Debug, thiserror::Error)]
#[error("HTTP error when querying the STUNner auth service with params {path}: {cause}")]
pub struct QueryError {
    path: String,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("no answer within {} s", DEADLINE.as_secs_f32())]
    Late,
    #[error("cannot connect to the service: {0}")]
    Connect(std::io::Error),
    #[error("the connection to the service broke: {0}")]
    Http(#[from] hyper::Error),
    #[error("the address of the service is not valid")]
    Address,
    #[error("the service answered {0}: {1}")]
    Status(StatusCode, String),
    #[error("the answer of the service could not be read")]
    Body,
    #[error("{0}")]
    Content(IceError),
}

impl Cause {
    fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Late | Self::Connect(_) | Self::Http(_) | Self::Body => true,
            Self::Status(status, _) => status.is_server_error(),
            Self::Address | Self::Content(_) => false,
        }
    }
}

/// The visitor hears of a failure within 5 seconds, network included.
pub const DEADLINE: Duration = Duration::from_millis(4500);

/// Waits before the first attempt and the two retries.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(600)];

const MAX_BODY: usize = 64 * 1024;

/// Percent-encodes all but the unreserved characters
/// ([RFC 3986 2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)).
fn escape(into: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// What a plain-text error body says, in one printable line.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
