//! What the operator serves: configurations, probes, metrics.

use std::{io, net::SocketAddr};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use cds::{Store, Tls, guard::Guard, serve::Limits, server::Server};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::View;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {what}: {error}")]
pub struct BindError {
    what: &'static str,
    address: SocketAddr,
    error: io::Error,
}

/// How configurations are kept from others than those they are for.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// The certificate to serve them with; in the clear if left out.
    pub tls: Option<Tls>,
    /// Who may ask for them; everybody if left out.
    pub guard: Option<Guard>,
}

/// The sockets of the operator.
#[derive(Debug)]
pub struct Listeners {
    discovery: TcpListener,
    probes: Option<TcpListener>,
    metrics: Option<TcpListener>,
}

impl Listeners {
    /// Opens them.
    ///
    /// # Errors
    /// One of the addresses cannot be had.
    pub async fn bind(
        discovery: SocketAddr,
        probes: Option<SocketAddr>,
        metrics: Option<SocketAddr>,
    ) -> Result<Self, BindError> {
        Ok(Self {
            discovery: bind("configurations", discovery).await?,
            probes: bind_some("probes", probes).await?,
            metrics: bind_some("metrics", metrics).await?,
        })
    }

    /// Serves until `stop`.
    pub async fn serve(self, store: Store, view: View, security: Security, stop: CancellationToken) {
        let mut servers = JoinSet::new();
        let nodes = view.nodes.clone();
        let server =
            Server::new(store.clone()).node_address(move |node| nodes.get(node)).shutdown(stop.clone());
        let server = server.tls(security.tls).guard(security.guard);
        servers.spawn(async move {
            if let Err(error) = server.serve(self.discovery).await {
                tracing::error!(target: "operator", %error, "configurations are no longer served");
            }
        });
        let probes = Router::new().route("/healthz", get(health)).route("/readyz", get(ready));
        let probes = probes.with_state(view.clone());
        let metrics = Router::new().route("/metrics", get(metrics)).with_state((view, store));
        for (listener, router) in [(self.probes, probes), (self.metrics, metrics)] {
            if let Some(listener) = listener {
                let stop = stop.clone();
                servers
                    .spawn(async move { cds::serve::serve(listener, router, Limits::default(), stop).await });
            }
        }
        servers.join_all().await;
    }
}

async fn bind_some(
    what: &'static str,
    address: Option<SocketAddr>,
) -> Result<Option<TcpListener>, BindError> {
    match address {
        Some(address) => bind(what, address).await.map(Some),
        None => Ok(None),
    }
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let listener = match TcpListener::bind(address).await {
        // A machine without IPv6 has no address for all interfaces but this one.
        Err(_) if address.ip().is_unspecified() => TcpListener::bind(("0.0.0.0", address.port())).await,
        bound => bound,
    };
    let listener = listener.map_err(|error| BindError { what, address, error })?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(target: "operator", %address, "serving {what}");
    }
    Ok(listener)
}

/// Well, as long as the loop goes round.
async fn health(State(view): State<View>) -> (StatusCode, String) {
    match view.idle() {
        Some(idle) => {
            let seconds = idle.as_secs();
            (StatusCode::SERVICE_UNAVAILABLE, format!("nothing has moved for {seconds} seconds\n"))
        }
        None => (StatusCode::OK, "ok\n".to_owned()),
    }
}

/// Ready, once configurations are served. That the API server is gone does not change it: dataplanes are better served
/// by what was last known than by nobody.
async fn ready(State(view): State<View>) -> (StatusCode, String) {
    let state = view.state.borrow().clone();
    if state.is_ready {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let awaited: Vec<_> = state.awaited.iter().map(|of| of.kind).collect();
    let what = if awaited.is_empty() { "the API server".to_owned() } else { awaited.join(", ") };
    (StatusCode::SERVICE_UNAVAILABLE, format!("not seen yet: {what}\n"))
}

async fn metrics(State((view, store)): State<(View, Store)>) -> ([(&'static str, &'static str); 1], String) {
    view.metrics.watchers.set(i64::try_from(store.watchers()).unwrap_or(i64::MAX));
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([("content-type", format)], view.metrics.text())
}
