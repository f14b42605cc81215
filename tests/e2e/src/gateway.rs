use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use kit::Process;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A TURN server nobody here wrote, on UDP and TCP of one port, for user `user-1` with password `pass-1`.
#[derive(Debug)]
pub struct Coturn {
    process: Process,
    /// The port of both transports.
    pub port: u16,
}

impl Coturn {
    /// Starts it; `None` where there is none.
    pub fn start(refused_peers: Option<&str>) -> Option<Self> {
        let mut command = kit::need("coturn")?.command("turnserver");
        let port = kit::free_port();
        command.args(["-n", "--listening-ip", "127.0.0.1", "--listening-port", &port.to_string()]);
        command.args(["--relay-ip", "127.0.0.1", "--user", "user-1:pass-1", "--realm", "stunner.l7mp.io"]);
        command.args(["--lt-cred-mech", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli"]);
        command.args(["--log-file", "stdout", "--verbose"]);
        if let Some(peers) = refused_peers {
            command.arg(format!("--denied-peer-ip={peers}"));
        }
        let process = Process::spawn(command);
        kit::await_tcp(([127, 0, 0, 1], port).into());
        Some(Self { process, port })
    }

    /// What it has logged.
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }
}

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
