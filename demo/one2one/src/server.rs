//! Sockets, TLS and the life of the process.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::hub::Hub;
use crate::limits::{Door, Place};
use crate::settings::{Listen, Settings};
use crate::tls::{self, TlsError};
use crate::web::{self, App};

/// The application, listening and not yet serving.
#[derive(Debug)]
pub struct Application {
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    settings: Settings,
}

/// Why the application cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, #[source] io::Error),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Binds, announces the URL in the log and serves until `shutdown`.
///
/// # Errors
/// [`StartError`] if the application cannot start.
pub async fn serve(settings: Settings, shutdown: impl Future<Output = ()>) -> Result<(), StartError> {
    let application = Application::bind(settings).await?;
    tracing::info!(address = %application.local_addr(), "the one-to-one call application has started");
    tracing::info!("Open {} with a WebRTC capable browser", application.url());
    application.run(shutdown).await;
    Ok(())
}

impl Application {
    /// Takes the address and loads or makes the certificate.
    ///
    /// # Errors
    /// [`StartError`] if the application cannot start.
    pub async fn bind(mut settings: Settings) -> Result<Self, StartError> {
        let listen = std::mem::replace(&mut settings.listen, Listen::Everywhere(0));
        let name = match &listen {
            Listen::Everywhere(port) => format!("port {port}"),
            Listen::Address(address) => address.to_string(),
            Listen::Socket(_) => "the given socket".to_owned(),
        };
        let listener = bind(listen).await.map_err(|error| StartError::Listen(name.clone(), error))?;
        let address = listener.local_addr().map_err(|error| StartError::Listen(name, error))?;
        let names = tls::certificate_names(std::slice::from_ref(&settings.host), &[address.ip()]);
        let tls = Arc::new(tls::server_config(settings.keys.as_deref(), &names)?);
        Ok(Self { listener, address, tls, settings })
    }

    /// The address in use.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What to type into a browser.
    pub fn url(&self) -> String {
        let host = match self.settings.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Ok(IpAddr::V4(_)) | Err(_) => self.settings.host.clone(),
        };
        format!("https://{host}:{}/", self.address.port())
    }

    /// Serves until `shutdown`, then ends calls, closes connections and returns; that takes a few seconds at most.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Settings { auth, limits, timing, origins, ping, .. } = self.settings;
        let door = Door::new(limits);
        let (hub, events) = Hub::new(timing, Arc::new(auth), door.clone());
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let sessions = tasks.clone();
        let app = App {
            hub: events,
            sessions,
            last_id: AtomicU64::new(0),
            origins,
            frames: limits.frames_per_session,
            ping,
        };
        let router = web::router(Arc::new(app));
        let host = Host { tls: self.tls.into(), router, door, stop: stop.clone() };
        let hub = tokio::spawn(hub.run(stop.clone()));
        tokio::select! {
            () = accept(&self.listener, &host, &tasks) => {}
            () = shutdown => {}
        }
        drop(self.listener);
        stop.cancel();
        drop(host);
        tasks.close();
        if timeout(GOODBYE, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections left open at the end");
        }
        let _ = timeout(GOODBYE, hub).await;
    }
}

async fn bind(listen: Listen) -> io::Result<TcpListener> {
    match listen {
        Listen::Everywhere(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            // A machine without IPv6.
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
            }
            Err(error) => Err(error),
        },
        Listen::Address(address) => TcpListener::bind(address).await,
        Listen::Socket(socket) => {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        }
    }
}

/// What each accepted connection needs.
#[derive(Clone)]
struct Host {
    tls: TlsAcceptor,
    router: Router,
    door: Door,
    stop: CancellationToken,
}

async fn accept(listener: &TcpListener, host: &Host, tasks: &TaskTracker) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, as a rule: let some connections end.
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if let Some(place) = host.door.enter(peer.ip(), crate::clock::now()) {
            let host = host.clone();
            tasks.spawn(async move { host.welcome(stream, peer, Arc::new(place)).await });
        }
    }
}

impl Host {
    /// Serves one connection: TLS, or a hint for those who forgot the `s` in `https`.
    async fn welcome(&self, stream: TcpStream, peer: SocketAddr, place: Arc<Place>) {
        let _ = stream.set_nodelay(true);
        let mut first = [0];
        let Ok(Ok(1)) = timeout(HANDSHAKE, stream.peek(&mut first)).await else { return };
        if first != [TLS_HANDSHAKE] {
            return self.converse(stream, peer, place, false).await;
        }
        match timeout(HANDSHAKE, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => self.converse(stream, peer, place, true).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        place: Arc<Place>,
        tls: bool,
    ) {
        let service = service_fn(|mut request: Request<Incoming>| {
            let (router, place) = (self.router.clone(), Arc::clone(&place));
            async move {
                if !tls {
                    return Ok::<_, Infallible>(to_https(&request));
                }
                request.extensions_mut().insert(place);
                router.oneshot(request.map(Body::new)).await
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let result = tokio::select! {
            result = &mut connection => result,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%peer, %error, "connection failed");
        }
    }
}

/// The same place, with TLS.
fn to_https(request: &Request<Incoming>) -> Response<Body> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let path = request.uri().path();
    let location = host.and_then(|host| HeaderValue::try_from(format!("https://{host}{path}")).ok());
    let mut response = Response::new(Body::from("this server speaks HTTPS\n"));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    if let Some(location) = location {
        *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// First byte of every TLS connection: a record of type handshake
/// ([RFC 8446 5.1](https://www.rfc-editor.org/rfc/rfc8446#section-5.1)).
const TLS_HANDSHAKE: u8 = 22;

const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(20);

/// How long the end of the process waits for visitors to close their connections.
const GOODBYE: Duration = Duration::from_secs(4);
