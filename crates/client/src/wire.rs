//! Packets to and from a server, whatever carries them. Reading and writing can wait at the same time, and either
//! can be given up at any moment without losing a byte.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use stun::frame::{self, Frame};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::UdpSocket;

use crate::dtls::Session;

/// A connection as a stream of bytes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Room for the longest datagram, and for the longest frame.
const ROOM: usize = if frame::MAX_FRAME_LEN > 65_536 { frame::MAX_FRAME_LEN } else { 65_536 };

/// Packets from the server.
pub(crate) struct Reader {
    source: Source,
    buffer: Box<[u8]>,
    /// Of a stream, and of a datagram with records, what has arrived: what was given out, and after it the rest.
    taken: usize,
    filled: usize,
}

enum Source {
    Datagrams(Arc<UdpSocket>),
    Records(Arc<UdpSocket>, Session),
    Stream(ReadHalf<Box<dyn Stream>>),
}

/// Packets to the server, which wait here while the socket takes no more.
pub(crate) struct Writer {
    sink: Sink,
}

enum Sink {
    Datagrams { socket: Arc<UdpSocket>, waiting: VecDeque<Box<[u8]>>, sealing: Option<Sealing> },
    Stream { half: WriteHalf<Box<dyn Stream>>, waiting: Vec<u8>, written: usize },
}

/// What encrypts packets, and the record that it made last.
struct Sealing {
    session: Session,
    record: Vec<u8>,
}

/// UDP, in the clear or inside of DTLS.
pub(crate) fn datagrams(socket: UdpSocket, session: Option<Session>) -> (Reader, Writer) {
    let socket = Arc::new(socket);
    let source = match &session {
        Some(session) => Source::Records(Arc::clone(&socket), session.clone()),
        None => Source::Datagrams(Arc::clone(&socket)),
    };
    let sealing = session.map(|session| Sealing { session, record: Vec::new() });
    let sink = Sink::Datagrams { socket, waiting: VecDeque::new(), sealing };
    (Reader::new(source), Writer { sink })
}

pub(crate) fn stream(stream: Box<dyn Stream>) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(stream);
    let sink = Sink::Stream { half: write, waiting: Vec::new(), written: 0 };
    (Reader::new(Source::Stream(read)), Writer { sink })
}

impl Reader {
    fn new(source: Source) -> Self {
        Self { source, buffer: vec![0; ROOM].into(), taken: 0, filled: 0 }
    }

    /// Waits for the next packet and gives its place in [`Reader::bytes`], where it stays until the next call.
    pub(crate) async fn next(&mut self) -> io::Result<std::ops::Range<usize>> {
        loop {
            match &self.source {
                Source::Datagrams(socket) => return Ok(0..socket.recv(&mut self.buffer).await?),
                Source::Records(socket, session) => {
                    let arrived = &mut self.buffer[..self.filled];
                    if let Some(packet) = session.next(arrived, &mut self.taken)? {
                        return Ok(packet);
                    }
                    self.filled = socket.recv(&mut self.buffer).await?;
                    self.taken = 0;
                }
                Source::Stream(_) => {
                    if let Some(packet) = self.frame()? {
                        return Ok(packet);
                    }
                    self.fill().await?;
                }
            }
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the next whole frame of a stream.
    fn frame(&mut self) -> io::Result<Option<std::ops::Range<usize>>> {
        let (len, whole) = match frame::next(&self.buffer[self.taken..self.filled]) {
            Frame::Incomplete { .. } => return Ok(None),
            Frame::Message(len) => (len, len),
            Frame::ChannelData { len, padded } => (len, padded),
            Frame::Invalid => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the server does not speak TURN"));
            }
        };
        let start = self.taken;
        self.taken += whole;
        Ok(Some(start..start + len))
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        let Source::Stream(half) = &mut self.source else { return Ok(()) };
        match half.read(&mut self.buffer[self.filled..]).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            len => {
                self.filled += len;
                Ok(())
            }
        }
    }
}

impl Writer {
    /// Sends a packet, or keeps it for [`Writer::flush`].
    pub(crate) fn push(&mut self, packet: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Datagrams { socket, waiting, sealing } => {
                let packet = match sealing {
                    Some(Sealing { session, record }) => session.seal(packet, record)?,
                    None => packet,
                };
                if waiting.is_empty() {
                    match socket.try_send(packet) {
                        Ok(_) => return Ok(()),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                waiting.push_back(packet.into());
            }
            Sink::Stream { waiting, .. } => waiting.extend_from_slice(packet),
        }
        Ok(())
    }

    /// Bytes that wait for the socket.
    pub(crate) fn waiting(&self) -> usize {
        match &self.sink {
            Sink::Datagrams { waiting, .. } => waiting.iter().map(|packet| packet.len()).sum(),
            Sink::Stream { waiting, written, .. } => waiting.len() - written,
        }
    }

    /// Waits until nothing waits.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Datagrams { socket, waiting, .. } => {
                while let Some(packet) = waiting.front() {
                    socket.send(packet).await?;
                    waiting.pop_front();
                }
            }
            Sink::Stream { half, waiting, written } => {
                while *written < waiting.len() {
                    *written += half.write(&waiting[*written..]).await?;
                }
                waiting.clear();
                *written = 0;
                // Records of TLS may still be on their way to the kernel.
                half.flush().await?;
            }
        }
        Ok(())
    }

    /// Says goodbye, where there is a way to.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        match &mut self.sink {
            Sink::Datagrams { socket, sealing, .. } => {
                let goodbye = sealing.as_ref().and_then(|sealing| sealing.session.close());
                match goodbye {
                    Some(goodbye) => socket.send(&goodbye).await.map(drop),
                    None => Ok(()),
                }
            }
            Sink::Stream { half, .. } => half.shutdown().await,
        }
    }
}
