//! Serving HTTP to clients that may be slow, broken or hostile.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Tls, access::Io};

/// What clients may take. WebSockets count until they are one, and then no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Time for the head of a request, which is also how long a connection may idle.
    pub head: Duration,
    /// Time for requests that are under way when the server stops.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 16_384, head: Duration::from_secs(10), stop: Duration::from_secs(5) }
    }
}

/// Serves routes over HTTP/1.1 until `stop`, then completes requests that are under way.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    serve_over(listener, None, router, limits, stop).await;
}

/// The same over TLS, if there is a certificate.
pub async fn serve_over(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(accept(&listener, &slots)).await {
        match accepted {
            Ok((stream, slot)) => {
                let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    if let Some(stream) = secure(stream, tls.as_ref(), limits.head).await {
                        connection(stream, router, limits.head, stop).await;
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(target: "http-server", %error, "cannot accept a connection");
                sleep(PAUSE_AFTER_FAILED_ACCEPT).await;
            }
        }
    }
    connections.close();
    if timeout(limits.stop, connections.wait()).await.is_err() {
        tracing::info!(target: "http-server", connections = connections.len(), "stopping with requests under way");
    }
}

/// A connection, once there is a slot for it.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

/// The connection as it is to be served; nothing if the client does not speak TLS as it should.
async fn secure(stream: TcpStream, tls: Option<&Tls>, deadline: Duration) -> Option<Box<dyn Io>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    match timeout(deadline, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(target: "http-server", %error, "no TLS with a client");
            None
        }
        Err(_) => None,
    }
}

async fn connection(stream: Box<dyn Io>, router: Router, head: Duration, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(MAX_HEAD_LEN)
        // Names of headers have no case, but scripts that look for them do.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(target: "http-server", %error, "connection ended early");
    }
}

/// Longest head of a request, in bytes.
const MAX_HEAD_LEN: usize = 32 * 1024;
const PAUSE_AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);
