//! The service as tests see it, and the two configurations that the acceptance criteria are about.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use auth::Configs;
use auth::clock::Clock;
use auth::ice::Advertising;
use auth::server::{Settings, router};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use config::{Auth, AuthKind, Config, Credentials, Listener, Protocol};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// When tests happen, in seconds since 1970.
pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) const SECRET: &str = "my-secret";

/// How configurations reach the service.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Delivery {
    Injected,
}

/// A running service.
pub(crate) struct Service {
    router: Router,
    configs: watch::Sender<Arc<Configs>>,
    now: Arc<AtomicU64>,
}

impl Service {
    pub(crate) async fn start(delivery: Delivery) -> Self {
        Self::advertising(delivery, Advertising::default()).await
    }

    #[expect(clippy::unused_async, reason = "delivery may have to be waited for")]
    pub(crate) async fn advertising(delivery: Delivery, advertising: Advertising) -> Self {
        let now = Arc::new(AtomicU64::new(NOW));
        let clock = Clock::new({
            let now = now.clone();
            move || now.load(Ordering::Relaxed)
        });
        let settings = Settings { advertising, clock, ..Settings::default() };
        match delivery {
            Delivery::Injected => {
                let (sender, configs) = watch::channel(Arc::default());
                Self { router: router(configs, settings), configs: sender, now }
            }
        }
    }

    /// A service that knows exactly these gateways.
    pub(crate) async fn with(delivery: Delivery, configs: &[Config]) -> Self {
        let service = Self::start(delivery).await;
        service.set(configs).await;
        service
    }

    /// Replaces all gateways and waits until the service knows.
    #[expect(clippy::unused_async, reason = "delivery may have to be waited for")]
    pub(crate) async fn set(&self, configs: &[Config]) {
        self.configs.send_replace(Arc::new(by_name(configs)));
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
    let secure = protocol.is_secure();
    Listener {
        name: name.to_owned(),
        protocol,
        public_address: public.0.to_owned(),
        public_port: public.1,
        address: private.0.to_owned(),
        port: private.1,
        cert: if secure { "Y2VydA==".to_owned() } else { String::new() },
        key: if secure { "a2V5" } else { "" }.into(),
        ..Listener::default()
    }
}

/// The texts of a JSON array.
pub(crate) fn texts(array: &Value) -> Vec<&str> {
    array.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}
