//! The server's end of a WebSocket.
//!
//! The library reads, and answers pings. What watchers are sent goes past it: it would copy every frame into a buffer of
//! each socket, and keep the room, where all of them can be sent the same bytes.

use std::io::{self, IoSlice};

use axum::{body::Body, extract::FromRequestParts, response::Response};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Request, request::Parts};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::server::create_response,
        protocol::{Role, WebSocketConfig},
    },
};

/// A request to go on as a WebSocket.
pub(crate) struct Upgrade {
    response: Response,
    connection: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    /// Why it is none.
    type Rejection = String;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, String> {
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        let response = create_response(&request).map_err(|error| error.to_string())?;
        let connection =
            parts.extensions.remove::<OnUpgrade>().ok_or("this connection cannot be upgraded")?;
        Ok(Self { response: response.map(|()| Body::empty()), connection })
    }
}

impl Upgrade {
    /// The answer, and the socket that there is once it was sent.
    pub(crate) fn accept(self) -> (Response, impl Future<Output = Result<Socket, hyper::Error>>) {
        let connection = self.connection;
        let socket = async move {
            let stream = TokioIo::new(connection.await?);
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BUFFER)
                .write_buffer_size(0)
                .max_message_size(Some(MAX_MESSAGE))
                .max_frame_size(Some(MAX_MESSAGE));
            Ok(Socket(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await))
        };
        (self.response, socket)
    }
}

/// A WebSocket of somebody who has nothing to say.
pub(crate) struct Socket(WebSocketStream<TokioIo<Upgraded>>);

impl Socket {
    /// Waits for a sign of life, of which there are no more when the other side has gone. Dropping the future before it
    /// is ready loses nothing.
    pub(crate) async fn heed(&mut self) -> Option<()> {
        self.0.next().await?.ok().map(|_| ())
    }

    /// Sends [frames](crate::wire::frame) as they are, in one write if the connection takes it. When the future is dropped
    /// before it is ready, the socket is good for nothing any more.
    pub(crate) async fn pass(&mut self, frames: &[Bytes]) -> io::Result<()> {
        // What answers a ping may be half way out.
        self.0.flush().await.map_err(io::Error::other)?;
        let stream = self.0.get_mut();
        let mut slices: Vec<_> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            match stream.write_vectored(left).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => IoSlice::advance_slices(&mut left, written),
            }
        }
        stream.flush().await
    }

    /// Sends a message of the library's.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Error> {
        self.0.send(message).await
    }
}

/// Room for what is read at a time, in bytes, which every socket has for as long as it lives.
const READ_BUFFER: usize = 1 << 10;

/// Longest message that a watcher may send, in bytes.
const MAX_MESSAGE: usize = 64 << 10;
