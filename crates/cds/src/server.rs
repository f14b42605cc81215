//! A [`Store`] over HTTP: documents to load, and WebSockets to follow.

use std::{fmt::Display, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts, Path, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use config::{Config, Listener, NODE_ADDRESS_PLACEHOLDER, RELAY_ADDRESS_VARIABLE};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Tls,
    guard::{Guard, Wanted},
    serve::{Limits, serve_over},
    socket::{Socket, Upgrade},
    store::{Change, Store, Subscription},
    wire::{self, KEEPALIVE, Refusal, Scope},
};

/// Finds the address of a node that clients reach it at.
pub type NodeAddress = dyn Fn(&str) -> Option<IpAddr> + Send + Sync;

/// Frames that are ready for one watcher are written together until they are that long, in bytes.
const TOGETHER: usize = 32 << 10;

/// How to serve a store.
#[derive(Clone)]
pub struct Server {
    store: Store,
    node_address: Option<Arc<NodeAddress>>,
    guard: Option<Guard>,
    tls: Option<Tls>,
    suppress_deletions: bool,
    write_deadline: Duration,
    idle_period: Duration,
    shutdown: CancellationToken,
    watches: TaskTracker,
}

/// Serves a store with default settings.
pub fn router(store: Store) -> Router {
    Server::new(store).router()
}

impl Server {
    /// Default settings: everybody may ask, in the clear; no node has an address, deletions are told, a watcher that accepts nothing for ten seconds is
    /// given up, and one that says nothing for a minute is asked whether it is alive.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            node_address: None,
            guard: None,
            tls: None,
            suppress_deletions: false,
            write_deadline: Duration::from_secs(10),
            idle_period: Duration::from_secs(60),
            shutdown: CancellationToken::new(),
            watches: TaskTracker::new(),
        }
    }

    /// Where to look up the address that replaces [`NODE_ADDRESS_PLACEHOLDER`] for clients that name their node. Called
    /// for every configuration that is sent, so it should answer from memory; see also [`Store::touch_node`].
    #[must_use]
    pub fn node_address(mut self, find: impl Fn(&str) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.node_address = Some(Arc::new(find));
        self
    }

    /// Who may ask. A watch is asked about when it begins, and then goes on.
    #[must_use]
    pub fn guard(mut self, guard: Option<Guard>) -> Self {
        self.guard = guard;
        self
    }

    /// The certificate to serve with, instead of in the clear. It is [`Server::serve`] that heeds it.
    #[must_use]
    pub fn tls(mut self, tls: Option<Tls>) -> Self {
        self.tls = tls;
        self
    }

    /// Whether to keep quiet about gateways that are gone.
    #[must_use]
    pub fn suppress_deletions(mut self, suppress: bool) -> Self {
        self.suppress_deletions = suppress;
        self
    }

    /// How long a watcher may take to accept a configuration.
    #[must_use]
    pub fn write_deadline(mut self, deadline: Duration) -> Self {
        self.write_deadline = deadline;
        self
    }

    /// How long a watcher may say nothing before it is sent a ping, and then again before it is given up. Clients of
    /// this house and of the original ping more often than that, so this concerns those that have vanished.
    #[must_use]
    pub fn idle_period(mut self, period: Duration) -> Self {
        self.idle_period = period;
        self
    }

    /// Ends all watches, and [`Server::serve`], when it is cancelled.
    #[must_use]
    pub fn shutdown(mut self, shutdown: CancellationToken) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// The routes, to be merged with others or served on their own.
    pub fn router(self) -> Router {
        Router::new()
            .route("/api/v1/configs", get(all))
            .route("/api/v1/configs/{namespace}", get(namespace))
            .route("/api/v1/configs/{namespace}/{name}", get(gateway))
            .route(wire::LICENSE, get(license))
            .with_state(self)
    }

    /// Serves the routes until shutdown, and returns when the last connection is closed.
    ///
    /// # Errors
    /// The listener is broken. Connections that cannot be accepted are logged and skipped.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let (shutdown, watches, tls) = (self.shutdown.clone(), self.watches.clone(), self.tls.clone());
        listener.local_addr()?;
        serve_over(listener, tls, self.router(), Limits::default(), shutdown).await;
        watches.close();
        watches.wait().await;
        Ok(())
    }

    /// What somebody gets who may not have it.
    async fn refuse(&self, headers: &HeaderMap, wanted: Wanted) -> Option<Response> {
        let denied = self.guard.as_ref()?.decide(headers, wanted).await.err()?;
        let (status, reason) = denied.answer();
        let mut response = refusal(status, reason);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Some(response)
    }

    async fn reply(self, scope: Scope, call: Call) -> Response {
        if let Some(refused) = self.refuse(&call.headers, Wanted::Configs(scope.clone())).await {
            return refused;
        }
        let watch = match parse_watch(call.parameters.watch.as_deref()) {
            Ok(watch) => watch,
            Err(problem) => return (StatusCode::BAD_REQUEST, problem).into_response(),
        };
        let is_gateway = matches!(scope, Scope::Gateway { .. });
        let node = call.parameters.node.filter(|node| is_gateway && !node.is_empty());
        if !watch {
            return self.load(&scope, node.as_deref());
        }
        if !is_same_origin(&call.headers) {
            return refusal(StatusCode::FORBIDDEN, "web pages of other hosts may not read configurations");
        }
        match call.upgrade {
            Ok(upgrade) => {
                let (response, socket) = upgrade.accept();
                let watches = self.watches.clone();
                watches.spawn(async move {
                    if let Ok(socket) = socket.await {
                        self.watch(socket, scope, node).await;
                    }
                });
                response
            }
            Err(reason) => refusal(StatusCode::BAD_REQUEST, reason),
        }
    }

    fn load(&self, scope: &Scope, node: Option<&str>) -> Response {
        match scope {
            Scope::All | Scope::Namespace(_) => {
                json(wire::list(self.store.list(scope).iter().map(|(_, config)| config.to_json())))
            }
            Scope::Gateway { namespace, name } => {
                let id = format!("{namespace}/{name}");
                match self.store.get(&id) {
                    Some(config) => json(self.document(&config, node)),
                    None => refusal(StatusCode::NOT_FOUND, format!("Config not found for ID {id}")),
                }
            }
        }
    }

    /// Sends what changes until the watcher leaves, falls asleep, or the server shuts down.
    async fn watch(self, mut socket: Socket, scope: Scope, node: Option<String>) {
        let mut subscription = self.store.subscribe(scope, node.clone());
        let mut idle = interval(self.idle_period);
        idle.set_missed_tick_behavior(MissedTickBehavior::Delay);
        idle.reset();
        let mut is_asked = false;
        loop {
            let sent = tokio::select! {
                // Whoever takes nothing holds no more than what it is being sent.
                change = subscription.next() => {
                    let frames = self.gather(change, &mut subscription, node.as_deref());
                    self.in_time(socket.pass(&frames)).await
                }
                // Pings are answered by the library while it reads; whatever else comes has no meaning.
                life = socket.heed() => match life {
                    Some(()) => {
                        idle.reset();
                        is_asked = false;
                        continue;
                    }
                    None => return,
                },
                _ = idle.tick() => {
                    if std::mem::replace(&mut is_asked, true) {
                        return;
                    }
                    self.in_time(socket.send(Message::Ping(KEEPALIVE.into()))).await
                }
                () = self.shutdown.cancelled() => {
                    let _ = self.in_time(socket.send(Message::Close(None))).await;
                    return;
                }
            };
            if sent.is_none() {
                return;
            }
        }
    }

    /// Nothing if the watcher has left or does not take what it is sent in time.
    async fn in_time<E>(&self, sending: impl Future<Output = Result<(), E>>) -> Option<()> {
        match timeout(self.write_deadline, sending).await {
            Ok(sent) => sent.ok(),
            Err(_) => {
                tracing::debug!(target: "cds-server", "a watcher does not take what it is sent");
                None
            }
        }
    }

    /// Frames for a change and for what else there is, as many as are worth a write. There may be none.
    fn gather(&self, first: Change, more: &mut Subscription, node: Option<&str>) -> Vec<Bytes> {
        let mut frames = Vec::new();
        let mut length = 0;
        let mut next = Some(first);
        while let Some(change) = next {
            if let Some(frame) = self.announcement(&change, node) {
                length += frame.len();
                frames.push(frame);
            }
            next = if length < TOGETHER { more.ready() } else { None };
        }
        frames
    }

    fn announcement(&self, change: &Change, node: Option<&str>) -> Option<Bytes> {
        match &change.config {
            Some(config) if node.is_some() && config.listeners.iter().any(is_placeholder) => {
                Some(wire::frame(&self.document(config, node)))
            }
            Some(_) => Some(change.frame()),
            None => (!self.suppress_deletions).then(|| change.frame()),
        }
    }

    fn document(&self, config: &Config, node: Option<&str>) -> String {
        match node {
            Some(node) if config.listeners.iter().any(is_placeholder) => {
                let address = self.node_address.as_ref().and_then(|find| find(node));
                let address =
                    address.map_or_else(|| RELAY_ADDRESS_VARIABLE.to_owned(), |address| address.to_string());
                let mut config = config.clone();
                for listener in config.listeners.iter_mut().filter(|listener| is_placeholder(listener)) {
                    listener.address.clone_from(&address);
                }
                config.to_json()
            }
            _ => config.to_json(),
        }
    }
}

/// Serves any routes until `shutdown`; see [`crate::serve::serve`], whose usual [`Limits`] apply.
///
/// # Errors
/// The listener is broken.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    listener.local_addr()?;
    crate::serve::serve(listener, router, Limits::default(), shutdown).await;
    Ok(())
}

/// Whether the listener has the address of whichever node it is on.
fn is_placeholder(listener: &Listener) -> bool {
    listener.address == NODE_ADDRESS_PLACEHOLDER
}

/// Everything about a request for configurations but the path.
#[derive(FromRequestParts)]
struct Call {
    #[from_request(via(Query))]
    parameters: Parameters,
    headers: HeaderMap,
    upgrade: Result<Upgrade, String>,
}

#[derive(Deserialize)]
struct Parameters {
    watch: Option<String>,
    node: Option<String>,
}

async fn all(State(server): State<Server>, call: Call) -> Response {
    server.reply(Scope::All, call).await
}

async fn namespace(State(server): State<Server>, Path(namespace): Path<String>, call: Call) -> Response {
    server.reply(Scope::Namespace(namespace), call).await
}

async fn gateway(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
    call: Call,
) -> Response {
    server.reply(Scope::Gateway { namespace, name }, call).await
}

async fn license(State(server): State<Server>, headers: HeaderMap) -> Response {
    if let Some(refused) = server.refuse(&headers, Wanted::License).await {
        return refused;
    }
    json(serde_json::to_string(&server.store.license()).unwrap_or_default())
}

fn json(mut body: String) -> Response {
    body.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refusal(status: StatusCode, message: impl Display) -> Response {
    let refusal = Refusal { code: status.as_u16(), message: message.to_string() };
    (status, json(serde_json::to_string(&refusal).unwrap_or_default())).into_response()
}

/// Reads the spellings of booleans that the original reads.
fn parse_watch(text: Option<&str>) -> Result<bool, String> {
    match text {
        None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some(other) => {
            Err(format!("Invalid format for parameter watch: {other:?} is neither true nor false\n"))
        }
    }
}

/// Web pages of other hosts must not read credentials through a browser that can reach this server. Programs that send
/// no origin are fine, and so is any scheme, path or query in one that is sent.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return true };
    let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    authority.eq_ignore_ascii_case(host)
}
