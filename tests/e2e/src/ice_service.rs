use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An authentication service whose answers a test decides.
#[derive(Debug)]
pub struct IceService {
    /// Its HTTP port.
    pub port: u16,
    answer: Arc<Mutex<Option<Value>>>,
    task: JoinHandle<()>,
}

impl IceService {
    /// Starts it, with nothing to offer.
    pub async fn start() -> Self {
        let answer = Arc::new(Mutex::new(None));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let current = Arc::clone(&answer);
        let router = Router::new().route("/ice", get(move || async move { reply(&current) }));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Self { port, answer, task }
    }

    /// From now on offers the TURN server on `port` over these transports, with this password.
    pub fn offer(&self, port: u16, transports: &[&str], password: &str) {
        let server = |transport: &&str| {
            let uri = format!("turn:127.0.0.1:{port}?transport={transport}");
            json!({"credential": password, "urls": [uri], "username": "user-1"})
        };
        let servers: Vec<_> = transports.iter().map(server).collect();
        self.set(Some(json!({"iceServers": servers, "iceTransportPolicy": "relay"})));
    }

    /// From now on has no gateway to offer, which is an error.
    pub fn fail(&self) {
        self.set(None);
    }

    fn set(&self, answer: Option<Value>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

impl Drop for IceService {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn reply(answer: &Mutex<Option<Value>>) -> Response {
    match answer.lock().unwrap_or_else(PoisonError::into_inner).clone() {
        Some(answer) => axum::Json(answer).into_response(),
        None => (StatusCode::INTERNAL_SERVER_ERROR, "no STUNner configuration available\n").into_response(),
    }
}
