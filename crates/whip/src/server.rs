//! Answers offers over HTTP ([RFC 9725](https://www.rfc-editor.org/rfc/rfc9725)) and sends back what comes on their
//! channels.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::connection::{Connection, Event, PrepareError, Prepared};
use crate::ice::{Hidden, IceServer, Policy};

/// What a server is made with, and can be given while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where its own candidates come from.
    #[serde(
        rename = "ICEServers",
        alias = "iceServers",
        alias = "iceservers",
        default,
        deserialize_with = "or_default"
    )]
    pub ice_servers: Vec<IceServer>,
    /// Which of them are used.
    #[serde(
        rename = "ICETransportPolicy",
        alias = "iceTransportPolicy",
        alias = "icetransportpolicy",
        default
    )]
    pub policy: Policy,
    /// What offers have to carry, if it is not empty.
    #[serde(rename = "BearerToken", alias = "bearerToken", alias = "bearertoken", default)]
    pub token: Hidden,
    /// Where offers go; starts with a slash.
    #[serde(rename = "WHIPEndpoint", alias = "whipEndpoint", alias = "whipendpoint", default)]
    pub endpoint: String,
}

impl Default for Settings {
    /// No servers, all candidates, no token, `/whip`.
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            policy: Policy::All,
            token: Hidden::default(),
            endpoint: "/whip".into(),
        }
    }
}

impl Settings {
    /// What a program's environment says: servers as a JSON array, or nothing; a policy, or nothing.
    ///
    /// # Errors
    /// Either is not what it should be.
    pub fn read(servers: &str, policy: &str, token: &str, endpoint: &str) -> Result<Self, serde_json::Error> {
        Ok(Self {
            ice_servers: match servers.trim() {
                "" => Vec::new(),
                servers => serde_json::from_str(servers)?,
            },
            policy: match policy.trim() {
                "" => Policy::All,
                policy => serde_json::from_value(serde_json::Value::from(policy))?,
            },
            token: Hidden(token.to_owned()),
            endpoint: endpoint.to_owned(),
        })
    }
}

fn or_default<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IceServer>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A server with its sessions. Cloning it gives another handle.
#[derive(Clone, Debug, Default)]
pub struct Server {
    state: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    settings: Settings,
    /// The sessions by number: what closes them.
    sessions: BTreeMap<u32, CancellationToken>,
}

impl Server {
    /// A server without sessions.
    pub fn new(settings: Settings) -> Self {
        Self { state: Arc::new(Mutex::new(Inside { settings, sessions: BTreeMap::new() })) }
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Closes all sessions.
    pub fn close_all(&self) {
        for stop in self.lock().sessions.values() {
            stop.cancel();
        }
    }

    /// Serves until `stop` says that it is enough, and closes the sessions then.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let router = self.router().into_make_service_with_connect_info::<SocketAddr>();
        let end = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
        self.close_all();
        end
    }

    fn router(&self) -> Router {
        let endpoint = self.lock().settings.endpoint.clone();
        let endpoint = endpoint.trim_end_matches('/');
        let mut router = Router::new()
            .route("/config", get(read_settings).post(write_settings))
            .route(&format!("{endpoint}/"), post(offer))
            .route(&format!("{endpoint}/{{id}}"), delete(end))
            .route(&format!("{endpoint}/{{id}}/"), delete(end))
            // Dialers that put the endpoint before a whole path, or take the path for a number.
            .route(&format!("{endpoint}{endpoint}/{{id}}"), delete(end));
        if !endpoint.is_empty() {
            router = router.route(endpoint, post(offer)).route("/{id}", delete(end));
        }
        router.with_state(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends back what comes, until the connection or the session is over.
    fn echo(&self, id: u32, mut connection: Connection) {
        let stop = CancellationToken::new();
        self.lock().sessions.insert(id, stop.clone());
        let server = self.clone();
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    () = stop.cancelled() => break connection.close(),
                    event = connection.next() => event,
                };
                match event {
                    Some(Event::Message(message)) => drop(connection.send(message).await),
                    Some(Event::Open) => tracing::info!(target: "whip", "session {id}: channel open"),
                    Some(Event::Ended(end)) => break tracing::info!(target: "whip", "session {id}: {end}"),
                    None => break,
                }
            }
            server.lock().sessions.remove(&id);
            // Its farewell is on its way until it has ended.
            while connection.next().await.is_some() {}
        });
    }
}

async fn offer(
    State(server): State<Server>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let settings = server.lock().settings.clone();
    let token = &settings.token.0;
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !token.is_empty() && authorization.and_then(|it| it.strip_prefix("Bearer ")) != Some(token) {
        return (StatusCode::UNAUTHORIZED, "Invalid or missing bearer token\n").into_response();
    }
    if content_type(&headers) != "application/sdp" {
        return (StatusCode::BAD_REQUEST, "Content-Type must be application/sdp\n").into_response();
    }
    let Ok(sdp) = std::str::from_utf8(&body) else {
        return (StatusCode::BAD_REQUEST, "the offer is not UTF-8\n").into_response();
    };
    match answer(&settings, from, sdp).await {
        Ok((answer, connection)) => {
            let id = fnv1a(answer.as_bytes());
            server.echo(id, connection);
            let location = format!("{}/{id}", settings.endpoint.trim_end_matches('/'));
            let headers =
                [(header::CONTENT_TYPE, "application/sdp".to_owned()), (header::LOCATION, location)];
            (StatusCode::CREATED, headers, answer).into_response()
        }
        Err(error @ PrepareError::Sdp(_)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("{error}\n")).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn answer(
    settings: &Settings,
    from: SocketAddr,
    offer: &str,
) -> Result<(String, Connection), PrepareError> {
    Prepared::gather(settings.policy, &settings.ice_servers, Some(from.ip())).await?.accept(offer)
}

async fn end(State(server): State<Server>, Path(id): Path<String>) -> Response {
    let session = id.parse().ok().and_then(|number: u32| server.lock().sessions.remove(&number));
    match session {
        Some(stop) => {
            stop.cancel();
            (StatusCode::OK, format!("Resource {id} deleted\n")).into_response()
        }
        None => (StatusCode::NOT_FOUND, "Unknown resource id\n").into_response(),
    }
}

async fn read_settings(State(server): State<Server>, headers: HeaderMap) -> Response {
    if let Some(refusal) = refuse_settings(&server, &headers) {
        return refusal;
    }
    axum::Json(server.lock().settings.clone()).into_response()
}

async fn write_settings(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refusal) = refuse_settings(&server, &headers) {
        return refusal;
    }
    match serde_json::from_slice::<Settings>(&body) {
        Ok(Settings { ice_servers, policy, token, .. }) => {
            let mut inside = server.lock();
            inside.settings.ice_servers = ice_servers;
            inside.settings.policy = policy;
            if !token.0.is_empty() {
                inside.settings.token = token;
            }
            StatusCode::OK.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

/// Settings are JSON.
fn refuse_settings(_: &Server, headers: &HeaderMap) -> Option<Response> {
    let is_json = content_type(headers) == "application/json";
    (!is_json).then(|| (StatusCode::BAD_REQUEST, "Content-Type must be application/json\n").into_response())
}

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// FNV-1a with 32 bits.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
