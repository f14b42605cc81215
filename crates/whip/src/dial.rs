//! Makes an offer over HTTP and opens a channel.

use std::time::Duration;

use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use tokio::time::timeout;

use crate::connection::{Connection, Delivery, Ended, Event, PrepareError, Prepared};
use crate::ice::{IceServer, Policy};
use crate::server::Settings;
use crate::way::Way;

/// The label of the channel.
pub const LABEL: &str = "whipconn";

/// What it takes to connect to a server.
#[derive(Clone, Debug)]
pub struct Dialer {
    /// Where offers go, such as `http://127.0.0.1:8089/whip`.
    pub endpoint: String,
    /// What the server wants to see; empty for nothing.
    pub token: String,
    /// Where candidates of this side come from.
    pub ice_servers: Vec<IceServer>,
    /// Which of them are used.
    pub policy: Policy,
    /// How the channel treats messages that get lost.
    pub delivery: Delivery,
    /// How long it may take until the channel is open.
    pub patience: Duration,
    /// Another way to the server than its address.
    pub way: Option<Way>,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum DialError {
    /// Not an address.
    #[error("{0}: not the address of a WHIP endpoint; write http://HOST:PORT/whip")]
    Endpoint(String),
    /// There are no candidates of this side.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The server cannot be asked.
    #[error("asking {endpoint}: {problem}")]
    Http {
        /// Where.
        endpoint: String,
        /// What went wrong.
        problem: String,
    },
    /// The server does not want to.
    #[error("{endpoint} answers {status}: {text}")]
    Refused {
        /// Where.
        endpoint: String,
        /// How.
        status: StatusCode,
        /// In its words.
        text: String,
    },
    /// The two sides do not find each other.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// Nothing happens.
    #[error("no channel within {patience:?}: candidates of this side: {local}; of the other: {remote}")]
    TimedOut {
        /// How long was waited.
        patience: Duration,
        /// Candidates of this side.
        local: String,
        /// Candidates of the other side.
        remote: String,
    },
}

/// An open channel, and what ends it at the server.
#[derive(Debug)]
pub struct Dialled {
    /// The connection.
    pub connection: Connection,
    resource: Option<Uri>,
    way: Option<Way>,
}

impl Dialer {
    /// All candidates and no servers, a reliable channel, no token, 30 seconds.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            token: String::new(),
            ice_servers: Vec::new(),
            policy: Policy::All,
            delivery: Delivery::Reliable,
            patience: Duration::from_secs(30),
            way: None,
        }
    }

    /// Connects, and waits for the channel.
    ///
    /// # Errors
    /// [`DialError`].
    pub async fn dial(&self) -> Result<Dialled, DialError> {
        let bad = || DialError::Endpoint(self.endpoint.clone());
        let endpoint: Uri = self.endpoint.parse().map_err(|_| bad())?;
        endpoint.scheme().ok_or_else(bad)?;
        let host = endpoint.host().ok_or_else(bad)?.to_owned();
        let near = tokio::net::lookup_host((host.trim_matches(['[', ']']), 9)).await;
        let near = near.ok().and_then(|mut found| found.next()).map(|address| address.ip());
        let mut prepared = Prepared::gather(self.policy, &self.ice_servers, near).await?;
        let offer = prepared.offer(LABEL, self.delivery)?;
        let (answer, location) = self.post(&endpoint, offer.sdp).await?;
        let mut connection = prepared.answered(offer.pending, &answer)?;
        let resource = location.and_then(|location| resolve(&endpoint, &location));
        match timeout(self.patience, opened(&mut connection)).await {
            Ok(Ok(())) => Ok(Dialled { connection, resource, way: self.way.clone() }),
            Ok(Err(ended)) => Err(ended.into()),
            Err(_) => {
                let candidates = connection.candidates();
                let [local, remote] = [candidates.local, candidates.remote].map(|list| list.join(", "));
                Err(DialError::TimedOut { patience: self.patience, local, remote })
            }
        }
    }

    async fn post(&self, endpoint: &Uri, sdp: String) -> Result<(String, Option<String>), DialError> {
        let mut request = Request::post(endpoint.clone()).header(header::CONTENT_TYPE, "application/sdp");
        if !self.token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        }
        let failed = |problem: &dyn std::fmt::Display| failed(&self.endpoint, problem);
        let request = request.body(Full::new(Bytes::from(sdp))).map_err(|error| failed(&error))?;
        let way = self.way.as_ref();
        let (status, location, text) = ask(request, way).await.map_err(|problem| failed(&problem))?;
        match status {
            StatusCode::CREATED => Ok((text, location)),
            status => {
                let (endpoint, text) = (self.endpoint.clone(), text.trim().to_owned());
                Err(DialError::Refused { endpoint, status, text })
            }
        }
    }
}

impl Dialled {
    /// Closes the connection on both sides.
    pub async fn close(mut self) {
        if let Some(resource) = self.resource.take()
            && let Ok(request) = Request::builder().method(Method::DELETE).uri(resource).body(Full::default())
            && let Err(problem) = ask(request, self.way.as_ref()).await
        {
            tracing::debug!(target: "whip", "the server does not hear that the session is over: {problem}");
        }
        self.connection.close();
        while self.connection.next().await.is_some() {}
    }
}

async fn opened(connection: &mut Connection) -> Result<(), Ended> {
    loop {
        match connection.next().await {
            Some(Event::Open) => return Ok(()),
            Some(Event::Message(_)) => {}
            Some(Event::Ended(ended)) => return Err(ended),
            None => return Err(Ended::Closed),
        }
    }
}

/// Gives a server, such as `http://127.0.0.1:8089`, other ICE servers and another policy. `way` leads to it, if its address
/// does not.
///
/// # Errors
/// It does not answer, or does not want them.
pub async fn configure(
    address: &str,
    way: Option<&Way>,
    servers: &[IceServer],
    policy: Policy,
) -> Result<(), DialError> {
    let settings = Settings { ice_servers: servers.to_vec(), policy, ..Settings::default() };
    let address = format!("{address}/config");
    let body = serde_json::to_vec(&settings).map_err(|error| failed(&address, error))?;
    let request = Request::post(&address).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Full::new(Bytes::from(body)));
    ask_for(&address, StatusCode::OK, request, way).await.map(drop)
}

async fn ask_for(
    address: &str,
    expected: StatusCode,
    request: http::Result<Request<Full<Bytes>>>,
    way: Option<&Way>,
) -> Result<String, DialError> {
    let request = request.map_err(|error| failed(address, error))?;
    match ask(request, way).await.map_err(|problem| failed(address, problem))? {
        (status, _, text) if status == expected => Ok(text),
        (status, _, text) => {
            Err(DialError::Refused { endpoint: address.to_owned(), status, text: text.trim().to_owned() })
        }
    }
}

fn failed(endpoint: &str, problem: impl ToString) -> DialError {
    DialError::Http { endpoint: endpoint.to_owned(), problem: problem.to_string() }
}

/// Status, location and text of an answer.
async fn ask(
    request: Request<Full<Bytes>>,
    way: Option<&Way>,
) -> Result<(StatusCode, Option<String>, String), String> {
    let response = match way {
        Some(way) => way.ask(request).await?,
        None => {
            let client = Client::builder(TokioExecutor::new()).build_http();
            client.request(request).await.map_err(|error| match error.is_connect() {
                true => "connection refused or host not found".to_owned(),
                false => error.to_string(),
            })?
        }
    };
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let (status, location) = (response.status(), location.map(str::to_owned));
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok((status, location, String::from_utf8_lossy(&body).into_owned()))
}

/// A path on the same host, or a whole address.
fn resolve(endpoint: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let authority = endpoint.authority()?.clone();
    Uri::builder().scheme("http").authority(authority).path_and_query(location).build().ok()
}
