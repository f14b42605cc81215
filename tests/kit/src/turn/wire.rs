//! Packets on a datagram socket, and packets cut from a stream.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use stun::frame::{self, Frame};

use crate::Deadline;

/// The server ended the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// A stream of bytes whose reads give up after a while.
pub trait Stream: Read + Write + Send {
    /// How long a read waits; after that it fails with `WouldBlock` or `TimedOut`.
    ///
    /// # Errors
    /// As of the socket's.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;

    /// The address this side sends from.
    ///
    /// # Errors
    /// As of the socket's.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

impl Stream for TcpStream {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Self::set_read_timeout(self, Some(timeout))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

pub(super) enum Wire {
    Udp { socket: UdpSocket, server: SocketAddr, buffer: Vec<u8> },
    Stream(Unread),
}

/// A stream with the bytes that were read from it and not yet used.
pub(super) struct Unread {
    stream: Box<dyn Stream>,
    bytes: Vec<u8>,
}

/// Any loopback port of the server's family.
pub(super) fn loopback(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    }
}

#[track_caller]
pub(super) fn connect(server: SocketAddr) -> TcpStream {
    let stream =
        TcpStream::connect(server).unwrap_or_else(|error| panic!("cannot connect to {server}: {error}"));
    stream.set_nodelay(true).expect("a TCP socket can be told not to delay");
    stream
}

impl Wire {
    #[track_caller]
    pub(super) fn udp(local: SocketAddr, server: SocketAddr) -> Self {
        let socket = bind(local).unwrap_or_else(|error| panic!("cannot bind to {local}: {error}"));
        Self::Udp { socket, server, buffer: vec![0; 65_536] }
    }

    pub(super) fn stream(stream: impl Stream + 'static) -> Self {
        Self::Stream(Unread { stream: Box::new(stream), bytes: Vec::new() })
    }

    pub(super) fn is_reliable(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    #[track_caller]
    pub(super) fn local(&self) -> SocketAddr {
        let address = match self {
            Self::Udp { socket, .. } => socket.local_addr(),
            Self::Stream(unread) => unread.stream.local_address(),
        };
        address.expect("an open socket has an address")
    }

    #[track_caller]
    pub(super) fn into_stream(self) -> Unread {
        match self {
            Self::Udp { .. } => panic!("a UDP client has no stream"),
            Self::Stream(unread) => unread,
        }
    }

    #[track_caller]
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        match self {
            Self::Udp { socket, server, .. } => {
                socket
                    .send_to(bytes, *server)
                    .unwrap_or_else(|error| panic!("cannot send to {server}: {error}"));
                Ok(())
            }
            Self::Stream(Unread { stream, .. }) => {
                stream.write_all(bytes).and_then(|()| stream.flush()).map_err(|_| Closed)
            }
        }
    }

    /// The next packet, or `None` at the deadline.
    #[track_caller]
    pub(super) fn recv(&mut self, deadline: Deadline) -> Result<Option<Vec<u8>>, Closed> {
        match self {
            Self::Udp { socket, server, buffer } => Ok(recv_datagram(socket, *server, buffer, deadline)),
            Self::Stream(unread) => unread.recv_frame(deadline),
        }
    }
}

#[track_caller]
fn recv_datagram(
    socket: &UdpSocket,
    server: SocketAddr,
    buffer: &mut [u8],
    deadline: Deadline,
) -> Option<Vec<u8>> {
    while let Some(left) = deadline.left() {
        socket.set_read_timeout(Some(left)).expect("a socket takes any timeout but zero");
        // Timeouts are seen by the deadline. Other errors are ICMP's about earlier datagrams, of which a client
        // learns nothing: the server may be about to start.
        let Ok((length, source)) = socket.recv_from(buffer) else { continue };
        assert_eq!(source, server, "an answer came from where nothing was sent to");
        return Some(buffer[..length].to_vec());
    }
    None
}

impl Unread {
    #[track_caller]
    fn recv_frame(&mut self, deadline: Deadline) -> Result<Option<Vec<u8>>, Closed> {
        loop {
            let (used, kept) = match frame::next(&self.bytes) {
                Frame::Message(length) => (length, length),
                Frame::ChannelData { len, padded } => (padded, len),
                Frame::Invalid => panic!("the server sent what is no frame: {:02x?}", self.bytes),
                Frame::Incomplete { .. } => {
                    let Some(left) = deadline.left() else { return Ok(None) };
                    self.read_more(left)?;
                    continue;
                }
            };
            let mut packet: Vec<u8> = self.bytes.drain(..used).collect();
            packet.truncate(kept);
            return Ok(Some(packet));
        }
    }

    fn read_more(&mut self, patience: Duration) -> Result<(), Closed> {
        let mut buffer = [0; 16_384];
        self.stream.set_read_timeout(patience).map_err(|_| Closed)?;
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Closed),
            Ok(length) => {
                self.bytes.extend_from_slice(&buffer[..length]);
                Ok(())
            }
            Err(error) if is_timeout(&error) => Ok(()),
            Err(_) => Err(Closed),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Read for Unread {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return self.stream.read(into);
        }
        let length = into.len().min(self.bytes.len());
        into[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes.drain(..length);
        Ok(length)
    }
}

impl Write for Unread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Unread {
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_address()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { socket, .. } => socket.fmt(f),
            Self::Stream(unread) => write!(f, "a stream with {} bytes unread", unread.bytes.len()),
        }
    }
}

/// Binds to `local`. A port of the kernel's choice is none that this process has had before: allocations outlive the
/// client that asked for them, and the next one at its address would be in their way.
fn bind(local: SocketAddr) -> io::Result<UdpSocket> {
    static USED: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    // They keep their ports until a new one is found.
    let mut had = Vec::new();
    loop {
        let socket = UdpSocket::bind(local)?;
        let is_new = USED.lock().unwrap_or_else(PoisonError::into_inner).insert(socket.local_addr()?);
        if local.port() != 0 || is_new {
            return Ok(socket);
        }
        had.push(socket);
    }
}
