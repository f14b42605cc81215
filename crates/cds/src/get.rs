//! One HTTP request.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::{
    Error, Options,
    access::{Access, connect},
    origin::Server,
};

/// Longest answer that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

/// The body of a successful answer to `GET target`, within the deadline for requests. `target` begins with a slash.
///
/// # Errors
/// The server cannot be reached, or answers with another status than 200.
pub async fn get(server: &Server, target: &str, options: &Options) -> Result<String, Error> {
    let deadline = options.timing.request_deadline;
    timeout(deadline, request(server, target, &options.access))
        .await
        .map_err(|_| Error::Deadline { what: "an answer", deadline })?
}

async fn request(server: &Server, target: &str, access: &Access) -> Result<String, Error> {
    let authorization = access.authorization()?;
    let stream = connect(server, access).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::get(target)
        .header(header::HOST, server.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(Error::Target)?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, authorization);
    }
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
