//! Loading from and following a discovery server.

use std::{collections::BTreeMap, convert::Infallible, pin::Pin, time::Duration};

use config::Config;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, StatusCode, header};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, Sleep, interval, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use crate::{
    Error, Event, Options, Watch,
    access::{Access, Connection, connect},
    get::get,
    origin::Server,
    wire::{self, KEEPALIVE, License, Scope},
};

/// Periods and deadlines of clients and file watchers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Pause before trying again to connect; period of looking for a file.
    pub retry: Duration,
    /// Period of pings.
    pub ping: Duration,
    /// A connection without any sign of the server for so long is dead.
    pub read_deadline: Duration,
    /// A connection that takes nothing for so long is dead.
    pub write_deadline: Duration,
    /// Longest time to set up a WebSocket.
    pub connect_deadline: Duration,
    /// Longest time for a request and its answer.
    pub request_deadline: Duration,
    /// How long a file has to stay as it is before it is taken for complete.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry: Duration::from_secs(1),
            ping: Duration::from_secs(5),
            read_deadline: Duration::from_secs(8),
            write_deadline: Duration::from_secs(2),
            connect_deadline: Duration::from_secs(45),
            request_deadline: Duration::from_secs(30),
            settle: Duration::from_millis(50),
        }
    }
}

/// Asks for the configurations of a scope once.
///
/// # Errors
/// The server cannot be reached or refuses (it does not know the gateway, for instance), or one of its configurations
/// is not valid.
pub async fn load(server: &Server, scope: &Scope, options: &Options) -> Result<Vec<Config>, Error> {
    let target = scope.target(options.node.as_deref(), false);
    let body = get(server, &target, options).await?;
    let documents = if matches!(scope, Scope::Gateway { .. }) { vec![body] } else { wire::items(&body)? };
    documents.iter().map(|document| Ok(options.parse(document)?)).collect()
}

/// Asks what the server says about its licence.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn license(server: &Server, options: &Options) -> Result<License, Error> {
    Ok(serde_json::from_str(&get(server, wire::LICENSE, options).await?)?)
}

/// Follows the configurations of a scope; see [`crate::watch`].
pub(crate) fn watch(server: Server, scope: Scope, options: Options) -> Watch {
    Watch::spawn(|events| Follower { server, scope, options, events, known: BTreeMap::new() }.run())
}

struct Follower {
    server: Server,
    scope: Scope,
    options: Options,
    events: mpsc::Sender<Event>,
    /// What was told last about each gateway.
    known: BTreeMap<String, Config>,
}

impl Follower {
    /// Goes on for ever: dropping the watch ends it.
    async fn run(mut self) {
        let mut last_failure = String::new();
        loop {
            let failure = match self.connection(&mut last_failure).await {
                Ok(never) => match never {},
                Err(error) => error.to_string(),
            };
            let (server, pause) = (self.server.authority(), self.options.timing.retry);
            if failure == last_failure {
                tracing::debug!(target: "cds-client", server, failure, "still no connection");
            } else {
                tracing::warn!(target: "cds-client", server, failure, "no connection, trying again every {pause:?}");
                last_failure = failure;
            }
            sleep(pause).await;
        }
    }

    /// Follows until the connection fails.
    ///
    /// What comes over the socket is the truth. The list asked for beside it tells which gateways are gone since an
    /// earlier connection, and when the socket has told everything there was.
    async fn connection(&mut self, last_failure: &mut String) -> Result<Infallible, Error> {
        let Options { node, timing, access, .. } = &self.options;
        let target = self.scope.target(node.as_deref(), true);
        let mut socket = Socket::open(&self.server, &target, access, timing).await?;
        let mut patience = std::pin::pin!(sleep(timing.read_deadline));
        let mut awaited = self.resync().await?;
        tracing::info!(target: "cds-client", server = self.server.authority(), scope = %self.scope, "following");
        last_failure.clear();
        let mut is_synced = false;
        loop {
            if awaited.is_empty() && !is_synced {
                is_synced = true;
                self.send(Event::Synced).await;
            }
            tokio::select! {
                document = socket.next() => {
                    let document = document?;
                    if let Some(id) = wire::claimed_id(&document) {
                        awaited.remove(&id);
                    }
                    self.take(&document).await;
                }
                () = patience.as_mut(), if !is_synced => {
                    for document in std::mem::take(&mut awaited).into_values() {
                        self.take(&document).await;
                    }
                }
            }
        }
    }

    /// Tells which gateways are gone, and returns the documents of those that are there by the ids they claim.
    async fn resync(&mut self) -> Result<BTreeMap<String, String>, Error> {
        let target = self.scope.target(self.options.node.as_deref(), false);
        let documents = match get(&self.server, &target, &self.options).await {
            Ok(body) if matches!(self.scope, Scope::Gateway { .. }) => vec![body],
            Ok(body) => wire::items(&body)?,
            Err(Error::Status { status: StatusCode::NOT_FOUND, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let present: BTreeMap<String, String> = documents
            .into_iter()
            .filter_map(|document| wire::claimed_id(&document).map(|id| (id, document)))
            .collect();
        let gone: Vec<String> = self.known.keys().filter(|id| !present.contains_key(*id)).cloned().collect();
        for id in gone {
            self.delete(id).await;
        }
        Ok(present)
    }

    /// Tells about a document unless it is unusable or says nothing new.
    async fn take(&mut self, document: &str) {
        let config = match self.options.parse(document) {
            Ok(config) => config,
            Err(error) => {
                let id = wire::claimed_id(document).unwrap_or_default();
                tracing::warn!(target: "cds-client", id, %error, "configuration ignored, the one before stays in force");
                return;
            }
        };
        let id = config.admin.name.clone();
        if config.is_deleted() {
            self.delete(id).await;
        } else if self.known.get(&id) != Some(&config) {
            self.known.insert(id, config.clone());
            self.send(Event::Config(Box::new(config))).await;
        }
    }

    async fn delete(&mut self, id: String) {
        if self.options.suppress_deletions {
            tracing::info!(target: "cds-client", id, "gateway is gone, its configuration stays in force");
        } else if self.known.remove(&id).is_some() {
            self.send(Event::Deleted(id)).await;
        }
    }

    async fn send(&self, event: Event) {
        // Fails only between the drop of the watch and the end of this task.
        let _ = self.events.send(event).await;
    }
}

/// A WebSocket that keeps itself alive, and notices when the other side is not.
struct Socket {
    stream: WebSocketStream<Connection>,
    ping: Interval,
    silence: Pin<Box<Sleep>>,
    timing: Timing,
}

impl Socket {
    async fn open(server: &Server, target: &str, access: &Access, timing: &Timing) -> Result<Self, Error> {
        let authority = server.authority();
        let mut request = format!("ws://{authority}{target}").into_client_request().map_err(Box::new)?;
        if let Ok(origin) = HeaderValue::try_from(format!("http://{authority}")) {
            request.headers_mut().insert(header::ORIGIN, origin);
        }
        if let Some(authorization) = access.authorization()? {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let open = async {
            let stream = connect(server, access).await?;
            let (stream, _) =
                client_async_with_config(request, stream, Some(limits)).await.map_err(Box::new)?;
            Ok::<_, Error>(stream)
        };
        let deadline = timing.connect_deadline;
        let late = |_| Error::Deadline { what: "a WebSocket", deadline };
        let stream = timeout(deadline, open).await.map_err(late)??;
        let mut ping = interval(timing.ping);
        ping.reset();
        let silence = Box::pin(sleep(timing.read_deadline));
        Ok(Self { stream, ping, silence, timing: timing.clone() })
    }

    /// Waits for the next text. Dropping the future before it is ready loses nothing.
    async fn next(&mut self) -> Result<String, Error> {
        loop {
            tokio::select! {
                message = self.stream.next() => {
                    self.silence.as_mut().reset(Instant::now() + self.timing.read_deadline);
                    match message.ok_or(Error::Closed)?.map_err(Box::new)? {
                        Message::Text(text) => return Ok(text.to_string()),
                        Message::Binary(_) => return Err(Error::BinaryFrame),
                        Message::Close(_) => return Err(Error::Closed),
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                    }
                }
                _ = self.ping.tick() => {
                    let deadline = self.timing.write_deadline;
                    let late = |_| Error::Deadline { what: "progress", deadline };
                    let ping = self.stream.send(Message::Ping(KEEPALIVE.into()));
                    timeout(deadline, ping).await.map_err(late)?.map_err(Box::new)?;
                }
                () = self.silence.as_mut() => {
                    return Err(Error::Deadline { what: "life", deadline: self.timing.read_deadline });
                }
            }
        }
    }
}

/// Room for what is read at a time, in bytes.
const READ_BUFFER: usize = 16 << 10;

/// Longest message that is taken, in bytes; a little more than the longest configuration that is read.
const MAX_MESSAGE: usize = 5 << 20;
