//! Connections to a server that cannot be reached by its address.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection under way.
pub type Opening = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send>>;

/// Opens connections to a server.
#[derive(Clone)]
pub struct Way(Arc<dyn Fn() -> Opening + Send + Sync>);

impl Way {
    /// A way that `open` opens each time.
    pub fn new(open: impl Fn() -> Opening + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Sends a request to the server, on a connection of its own.
    pub(crate) async fn ask(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, String> {
        let stream = (self.0)().await.map_err(|error| error.to_string())?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        // It ends when the answer has been read.
        tokio::spawn(connection);
        let authority = request.uri().authority().map(|it| it.as_str().to_owned()).unwrap_or_default();
        let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
        let target: Uri = path.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
        let host = HeaderValue::from_str(&authority).map_err(|error| error.to_string())?;
        *request.uri_mut() = target;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        sender.send_request(request).await.map_err(|error| error.to_string())
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}
