//! The HTTP servers of the process: health, status, metrics. One server per address, whatever it serves;
//! what it serves can change while it runs.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use net::{TcpListener, TcpOptions};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use crate::endpoint::Bind;
use crate::explain::Question;
use crate::plan::Roles;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A client that takes longer for its request's headers is no probe and no scraper.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections served at a time; further ones wait.
const MAX_CONNECTIONS: usize = 64;

/// What the servers show.
pub(crate) trait Source: Send + Sync + 'static {
    /// Whether traffic should be sent here.
    fn ready(&self) -> bool;
    /// The status document: of the gateway named, else of those given; with addresses of clients only `in_full`.
    fn status(&self, named: Option<&str>, in_full: bool, roles: &Roles) -> Option<String>;
    /// Why a peer is allowed or refused, and why clients were refused lately.
    fn explain(&self, question: &Question, roles: &Roles) -> Option<String>;
    /// The metrics text.
    fn metrics(&self) -> String;
}

/// A running HTTP server. Dropped, it closes its socket and its connections some time soon.
#[derive(Debug)]
pub(crate) struct Server {
    roles: Arc<ArcSwap<Roles>>,
    task: AbortHandle,
    /// Ends when the task has let go of its sockets.
    ended: Receiver<Infallible>,
}

/// Binds an address without serving it yet. A port that is `ours` already is shared until its present server
/// is gone.
pub(crate) fn bind(bind: Bind, ours: bool) -> io::Result<TcpListener> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for addr in bind.candidates() {
        let probed = if ours { Ok(()) } else { net::probe_tcp(addr) };
        result = probed.and_then(|()| TcpListener::bind(addr, &TcpOptions::LISTENER));
        match &result {
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {}
            _ => break,
        }
    }
    result
}

impl Server {
    /// Serves `roles` on `listener`.
    pub(crate) fn start(
        listener: TcpListener,
        roles: Roles,
        source: Weak<impl Source>,
        runtime: &Handle,
    ) -> io::Result<Self> {
        let _context = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener.into())?;
        let roles = Arc::new(ArcSwap::from_pointee(roles));
        let service = Arc::new(Service { roles: Arc::clone(&roles), source });
        let (alive, ended) = mpsc::channel();
        let served = Served { listener, _alive: alive };
        let serve = async move {
            // Taken as a whole, and not field by field.
            let served = served;
            accept(&served.listener, service).await;
        };
        Ok(Self { roles, task: runtime.spawn(serve).abort_handle(), ended })
    }

    /// Serves something else from now on.
    pub(crate) fn set_roles(&self, roles: Roles) {
        self.roles.store(Arc::new(roles));
    }

    /// Closes its socket and its connections before anything else happens. Not to be called with a lock that
    /// an answer may be waiting for.
    pub(crate) fn close(self) {
        self.task.abort();
        // Nothing is ever sent: this waits for the other end to go.
        let _ = self.ended.recv();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A socket, and behind it what tells that it is closed: fields are dropped in this order, also those of a task that
/// is aborted before it has run.
struct Served {
    listener: tokio::net::TcpListener,
    _alive: Sender<Infallible>,
}

async fn accept<S: Source>(listener: &tokio::net::TcpListener, service: Arc<Service<S>>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Aborting this task drops the set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = Arc::clone(&service);
                connections.spawn(async move {
                    let handle = service_fn(|request| {
                        let response = service.respond(&request);
                        async { Ok::<_, Infallible>(response) }
                    });
                    // A connection that breaks is the client's business.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEADER_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), handle)
                        .await;
                    drop(slot);
                });
            }
            // Out of files, most likely: others will be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

struct Service<S> {
    roles: Arc<ArcSwap<Roles>>,
    source: Weak<S>,
}

impl<S: Source> Service<S> {
    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let roles = self.roles.load();
        let Some(source) = self.source.upgrade() else { return not_found() };
        let path = request.uri().path();
        match path {
            "/live" if !roles.health.is_empty() => response(StatusCode::OK, JSON, "{}\n"),
            "/ready" if !roles.health.is_empty() => ready(source.ready()),
            "/status" if !roles.health.is_empty() => {
                let query = request.uri().query().unwrap_or_default();
                let named = parameter(query, "gateway");
                match source.status(named.as_deref(), in_full(query), &roles) {
                    Some(status) => response(StatusCode::OK, JSON, status),
                    None => not_found(),
                }
            }
            "/explain" if !roles.health.is_empty() => {
                match Question::read(request.uri().query().unwrap_or_default()) {
                    Ok(question) => match source.explain(&question, &roles) {
                        Some(answer) => response(StatusCode::OK, JSON, answer),
                        None => not_found(),
                    },
                    Err(problem) => response(StatusCode::BAD_REQUEST, PLAIN, format!("{problem}\n")),
                }
            }
            _ if roles.metrics.contains(path) || roles.metrics.contains("/") => {
                response(StatusCode::OK, PROMETHEUS, source.metrics())
            }
            _ => not_found(),
        }
    }
}

fn ready(ready: bool) -> Response<Full<Bytes>> {
    if ready {
        response(StatusCode::OK, JSON, "{\"status\":200,\"message\":\"READY\"}\n")
    } else {
        let body = "{\"status\":503,\"message\":\"stunnerd not ready\"}\n";
        response(StatusCode::SERVICE_UNAVAILABLE, JSON, body)
    }
}

fn not_found() -> Response<Full<Bytes>> {
    response(StatusCode::NOT_FOUND, PLAIN, "404 page not found\n")
}

fn response(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Whether addresses of clients are asked for as they are.
pub(crate) fn in_full(query: &str) -> bool {
    parameter(query, "addresses").is_some_and(|text| text == "full")
}

/// The value of a query parameter. Names of gateways need no escapes but that of the slash.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    Some(value.replace("%2F", "/").replace("%2f", "/"))
}
