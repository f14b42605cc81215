//! The service as tests see it, and the two configurations that the acceptance criteria are about.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth::Configs;
use auth::clock::Clock;
use auth::ice::Advertising;
use auth::server::{Settings, router};
use auth::split::GroupBy;
use auth::watch::{Followed, follow};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use cds::Store;
use config::{Auth, AuthKind, Config, Credentials, Listener, Protocol};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// When tests happen, in seconds since 1970.
pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) const SECRET: &str = "my-secret";

/// How configurations reach the service.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery {
    /// Put in place by the process itself.
    Injected,
    /// Through a server of config discovery.
    Discovered,
}

/// A running service.
pub(crate) struct Service {
    router: Router,
    source: Source,
    configs: watch::Receiver<Arc<Configs>>,
    now: Arc<AtomicU64>,
}

enum Source {
    Injected(watch::Sender<Arc<Configs>>),
    Discovered(Discovery),
}

impl Service {
    pub(crate) async fn start(delivery: Delivery) -> Self {
        Self::advertising(delivery, Advertising::default()).await
    }

    pub(crate) async fn advertising(delivery: Delivery, advertising: Advertising) -> Self {
        let now = Arc::new(AtomicU64::new(NOW));
        let clock = Clock::new({
            let now = now.clone();
            move || now.load(Ordering::Relaxed)
        });
        let (source, configs, synced) = match delivery {
            Delivery::Injected => {
                let (sender, configs) = watch::channel(Arc::default());
                (Source::Injected(sender), configs, None)
            }
            Delivery::Discovered => {
                let discovery = Discovery::start().await;
                let followed = discovery.follow(GroupBy::Config);
                (Source::Discovered(discovery), followed.configs, Some(followed.synced))
            }
        };
        let settings = Settings { advertising, clock, synced, ..Settings::default() };
        Self { router: router(configs.clone(), settings), source, configs, now }
    }

    /// A service that knows exactly these gateways.
    pub(crate) async fn with(delivery: Delivery, configs: &[Config]) -> Self {
        let service = Self::start(delivery).await;
        service.set(configs).await;
        service
    }

    /// Replaces all gateways and waits until the service knows.
    pub(crate) async fn set(&self, configs: &[Config]) {
        let configs = by_name(configs);
        match &self.source {
            Source::Injected(sender) => {
                sender.send_replace(Arc::new(configs));
            }
            Source::Discovered(discovery) => {
                let expected = delivered(&configs);
                discovery.store.set(configs);
                soon(self.configs.clone().wait_for(|current| **current == expected)).await.unwrap();
            }
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send(Request::get(target).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        ask(&self.router, request).await
    }

    /// The answer of `/ice` to a query, which must succeed.
    pub(crate) async fn ice(&self, query: &str) -> Value {
        self.get(&format!("/ice?{query}")).await.json()
    }

    /// The answer of `/` to a query, which must succeed.
    pub(crate) async fn turn(&self, query: &str) -> Value {
        self.get(&format!("/?{query}")).await.json()
    }

    /// The status of both paths for one query.
    pub(crate) async fn statuses(&self, query: &str) -> [StatusCode; 2] {
        [self.get(&format!("/?{query}")).await.status, self.get(&format!("/ice?{query}")).await.status]
    }
}

/// A server of config discovery on a port of its own.
pub(crate) struct Discovery {
    pub(crate) store: Store,
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Discovery {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), Store::new()).await
    }

    async fn start_at(address: SocketAddr, store: Store) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let server = cds::server::Server::new(store.clone()).shutdown(stop.clone());
        let task = tokio::spawn(server.serve(listener));
        Self { store, address, stop, task }
    }

    /// Ends the server and every connection to it.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
        self.address
    }

    /// Another server at the same address, with another store.
    pub(crate) async fn restart(self, store: Store) -> Self {
        let address = self.stop().await;
        Self::start_at(address, store).await
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn follow(&self, group_by: GroupBy) -> Followed {
        follow(watch_at(&self.origin()), group_by)
    }
}

/// A watch that knows no variables and does not wait long for a server to come back.
pub(crate) fn watch_at(origin: &str) -> cds::Watch {
    let timing = cds::Timing { retry: Duration::from_millis(10), ..cds::Timing::default() };
    let options = cds::Options { environment: Arc::new(|_| None), timing, ..auth::watch::options() };
    cds::watch(&origin.parse().unwrap(), cds::Scope::All, options).unwrap()
}

/// What happens, unless something is broken.
pub(crate) async fn soon<F: Future>(event: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), event).await.expect("this should have happened")
}

/// Configurations as they arrive.
pub(crate) fn delivered(configs: &Configs) -> Configs {
    let read =
        |config: &Config| Config::parse_without_certificates(&config.to_json(), &config::env::empty).unwrap();
    configs.iter().map(|(name, config)| (name.clone(), read(config))).collect()
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.into()).unwrap() }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) fn by_name(configs: &[Config]) -> Configs {
    configs.iter().map(|config| (config.admin.name.clone(), config.clone())).collect()
}

/// Static credentials, listeners of three gateways.
pub(crate) fn fixed() -> Config {
    let listeners = vec![
        listener("testnamespace/testgateway/udp", Protocol::Udp, ("1.2.3.4", 3478), ("127.0.0.1", 23478)),
        listener("dummynamespace/testgateway/tcp", Protocol::Tcp, ("1.2.3.4", 3478), ("127.0.0.1", 3478)),
        listener("testnamespace/dummygateway/tls", Protocol::Tls, ("", 0), ("127.0.0.1", 3479)),
        listener("testnamespace/testgateway/dtls", Protocol::Dtls, ("", 0), ("127.0.0.1", 3479)),
    ];
    gateway("testnamespace/stunnerd-static", Credentials::for_user("user1", "pass1"), listeners)
}

/// Ephemeral credentials, otherwise much the same.
pub(crate) fn ephemeral() -> Config {
    let listeners = vec![
        listener("testnamespace/testgateway/udp-2", Protocol::Udp, ("1.2.3.5", 3478), ("127.0.0.2", 23478)),
        listener("dummynamespace/testgateway/tcp-2", Protocol::Tcp, ("1.2.3.5", 3478), ("127.0.0.2", 3478)),
        listener("testnamespace/dummygateway/tls-2", Protocol::Tls, ("", 0), ("127.0.0.2", 3479)),
        listener("testnamespace/testgateway/dtls-2", Protocol::Dtls, ("", 0), ("127.0.0.2", 3479)),
    ];
    gateway("testnamespace/stunnerd-ephemeral", Credentials::shared_secret(SECRET), listeners)
}

/// No credentials at all: a STUN server.
pub(crate) fn open(name: &str, listeners: Vec<Listener>) -> Config {
    let mut config = gateway(name, Credentials::default(), listeners);
    config.auth.kind = AuthKind::None;
    config
}

pub(crate) fn gateway(name: &str, credentials: Credentials, listeners: Vec<Listener>) -> Config {
    let kind = if credentials.secret.is_some() { AuthKind::Ephemeral } else { AuthKind::Static };
    let mut config = Config::zero(name);
    config.auth = Auth { kind, credentials, ..config.auth };
    config.listeners = listeners;
    config
}

pub(crate) fn listener(
    name: &str,
    protocol: Protocol,
    public: (&str, u16),
    private: (&str, u16),
) -> Listener {
    Listener {
        name: name.to_owned(),
        protocol,
        public_address: public.0.to_owned(),
        public_port: public.1,
        address: private.0.to_owned(),
        port: private.1,
        ..Listener::default()
    }
}

/// The texts of a JSON array.
pub(crate) fn texts(array: &Value) -> Vec<&str> {
    array.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}
