//! An application on a free port, an authentication service that can be told to fail, and pages without a browser.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use one2one::{Application, Listen, Settings};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{self, http};

/// Long enough for any machine; nothing here is expected to take long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The authentication service's part in these tests.
pub(crate) struct Auth {
    pub(crate) port: u16,
    works: Arc<AtomicBool>,
}

impl Auth {
    pub(crate) async fn start() -> Self {
        let works = Arc::new(AtomicBool::new(true));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::clone(&works);
        let answer = move || async move {
            if state.load(Ordering::SeqCst) {
                axum::Json(ice_servers()).into_response()
            } else {
                (StatusCode::INTERNAL_SERVER_ERROR, "no STUNner configuration available\n").into_response()
            }
        };
        let router = Router::new().route("/ice", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, works }
    }

    pub(crate) fn works(&self, works: bool) {
        self.works.store(works, Ordering::SeqCst);
    }
}

fn ice_servers() -> Value {
    json!({"iceServers": [{"credential": "pass-1", "urls": ["turn:192.0.2.1:3478?transport=udp"],
        "username": "user-1"}], "iceTransportPolicy": "relay"})
}

/// A running application.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) url: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(auth: &Auth) -> Self {
        Self::with(auth, |_| {}).await
    }

    pub(crate) async fn with(auth: &Auth, change: impl FnOnce(&mut Settings)) -> Self {
        let listen = Listen::Address("127.0.0.1:0".parse().unwrap());
        let mut settings = Settings::new(listen, "127.0.0.1", auth.port);
        change(&mut settings);
        let application = Application::bind(settings).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (port, url) = (application.local_addr().port(), application.url());
        let task = tokio::spawn(application.run(async {
            let _ = stopped.await;
        }));
        Self { port, url, stop: Some(stop), task }
    }

    /// Asks the server to end, and waits for it.
    pub(crate) async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }

    pub(crate) async fn tls(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        connector().connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
    }

    pub(crate) async fn page(&self) -> Page {
        self.page_from(&format!("https://localhost:{}", self.port)).await.unwrap()
    }

    pub(crate) async fn page_from(&self, origin: &str) -> Result<Page, tungstenite::Error> {
        let mut request = format!("wss://localhost:{}/one2one?anything", self.port).into_client_request()?;
        request.headers_mut().insert(http::header::ORIGIN, origin.parse().unwrap());
        let (socket, _) = tokio_tungstenite::client_async(request, self.tls().await).await?;
        Ok(Page { socket })
    }

    pub(crate) async fn registered(&self, name: &str) -> Page {
        let mut page = self.page().await;
        page.send(json!({"id": "register", "name": name})).await;
        assert_eq!(page.next().await["response"], "accepted");
        page
    }

    /// Fetches a path over HTTPS; returns the head and the body.
    pub(crate) async fn fetch(&self, request: &str) -> (String, String) {
        fetch_over(self.tls().await, request).await
    }
}

/// Sends a request text (with `\n` for line ends) and reads the whole answer.
pub(crate) async fn fetch_over(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    request: &str,
) -> (String, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let request = format!("{request}\nhost: localhost\nconnection: close\n\n").replace('\n', "\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A page's WebSocket.
pub(crate) struct Page {
    pub(crate) socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl Page {
    pub(crate) async fn send(&mut self, message: Value) {
        self.raw(Message::text(message.to_string())).await;
    }

    pub(crate) async fn raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// The next JSON message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap().unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("instead of a message: {other:?}"),
            }
        }
    }

    /// The close code the connection ends with, whatever comes before it; `None` if there is none.
    pub(crate) async fn end(&mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Proves that the connection works and nothing else is waiting on it.
    pub(crate) async fn assert_quiet(&mut self) {
        self.send(json!({"id": "nothing in particular"})).await;
        assert_eq!(self.next().await["message"], "Invalid message: unknown id");
    }
}

fn connector() -> TlsConnector {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
        .with_no_client_auth();
    Arc::new(config).into()
}

/// Accepts any certificate, as the visitor does. The library itself reads none of version 1.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
