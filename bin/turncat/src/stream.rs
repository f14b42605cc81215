//! Clients on streams: standard input and output, TCP and Unix connections.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::bridge::Client;

/// What is read at once becomes one datagram, which should cross any network in one piece.
const CHUNK: usize = 1200;

/// A client on a stream.
pub(crate) struct StreamClient<R, W> {
    pub(crate) reader: R,
    pub(crate) writer: W,
}

impl<R: AsyncRead + Send + Unpin, W: AsyncWrite + Send + Unpin> Client for StreamClient<R, W> {
    async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let len = self.reader.read(&mut buffer[..CHUNK]).await?;
        Ok((len > 0).then_some(len))
    }

    async fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.writer.write_all(payload).await?;
        self.writer.flush().await
    }

    fn goes_silently(&self) -> bool {
        false
    }
}
