//! One HTTP request.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{Error, origin::Server};

/// Longest answer that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

/// Connects to a discovery server.
pub(crate) async fn connect(server: &Server) -> Result<TcpStream, Error> {
    if server.tls {
        return Err(Error::Tls(server.authority()));
    }
    let failed = |source| Error::Connect { authority: server.authority(), source };
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    Ok(stream)
}

/// The body of a successful answer to `GET target`.
pub(crate) async fn get(server: &Server, target: &str, deadline: Duration) -> Result<String, Error> {
    timeout(deadline, request(server, target))
        .await
        .map_err(|_| Error::Deadline { what: "an answer", deadline })?
}

async fn request(server: &Server, target: &str) -> Result<String, Error> {
    let stream = connect(server).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(target)
        .header(header::HOST, server.authority())
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(Error::Target)?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await.map_err(Error::Body)?.to_bytes();
    connection.abort();
    let body = String::from_utf8_lossy(&body).into_owned();
    if status == StatusCode::OK {
        Ok(body)
    } else {
        Err(Error::Status { status, body: body.trim_end().to_owned() })
    }
}
