//! TCP listeners and streams, non-blocking, with a bounded queue of what the other side is slow to read.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::addr::canonical;
use crate::buffer::{Arena, Parts};
use crate::options::{TcpOptions, open_tcp};

/// How long the other side may be silent before the kernel asks whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A listening, non-blocking TCP socket.
#[derive(Debug)]
pub struct TcpListener {
    inner: std::net::TcpListener,
    local: SocketAddr,
}

impl TcpListener {
    /// Binds and listens.
    ///
    /// # Errors
    /// Whatever the kernel answers to opening, configuring and binding the socket.
    pub fn bind(addr: SocketAddr, options: &TcpOptions) -> io::Result<Self> {
        let inner: std::net::TcpListener = open_tcp(addr, options)?.into();
        let local = inner.local_addr()?;
        Ok(Self { inner, local })
    }

    /// The bound address; its IP is unspecified on a wildcard socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Accepts one connection if one waits. A connection that died while it waited is skipped.
    ///
    /// # Errors
    /// Whatever the kernel answers, most likely about open files; the connection keeps waiting then.
    pub fn accept(&self) -> io::Result<Option<TcpStream>> {
        loop {
            match self.inner.accept() {
                Ok((stream, remote)) => match TcpStream::new(stream, remote) {
                    Ok(stream) => return Ok(Some(stream)),
                    Err(_) => continue,
                },
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => continue,
                    _ => return Err(error),
                },
            }
        }
    }
}

/// For an asynchronous runtime: the socket is non-blocking already.
impl From<TcpListener> for std::net::TcpListener {
    fn from(listener: TcpListener) -> Self {
        listener.inner
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// A non-blocking TCP connection.
#[derive(Debug)]
pub struct TcpStream {
    inner: std::net::TcpStream,
    remote: SocketAddr,
    local: SocketAddr,
    unsent: VecDeque<u8>,
    limit: usize,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// So many bytes.
    Data(usize),
    /// Nothing yet.
    Nothing,
    /// The other side will send no more.
    End,
}

/// What a flush left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Nothing: everything is with the kernel.
    Empty,
    /// Some bytes: wait for room to write.
    Pending,
}

/// The other side reads too slowly; the message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteQueueFull;

impl TcpStream {
    /// Most bytes that wait to be written unless [`Self::limit_queue`] says otherwise.
    ///
    /// About half a second of one video stream: what has waited longer is of no use to anybody.
    pub const DEFAULT_QUEUE: usize = 256 << 10;

    /// Connects, and waits until that is done.
    ///
    /// # Errors
    /// Whatever the kernel or the other side answers.
    pub fn connect(remote: SocketAddr) -> io::Result<Self> {
        Self::new(std::net::TcpStream::connect(remote)?, remote)
    }

    fn new(inner: std::net::TcpStream, remote: SocketAddr) -> io::Result<Self> {
        inner.set_nonblocking(true)?;
        inner.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        SockRef::from(&inner).set_tcp_keepalive(&keepalive)?;
        let local = canonical(inner.local_addr()?);
        Ok(Self {
            inner,
            remote: canonical(remote),
            local,
            unsent: VecDeque::new(),
            limit: Self::DEFAULT_QUEUE,
        })
    }

    /// The other side's address, canonical.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Our address of this connection, canonical.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sets the most bytes that may wait to be written.
    pub fn limit_queue(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// Whatever the kernel answers; the connection is of no further use.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        loop {
            match self.inner.read(buffer) {
                Ok(0) => return Ok(Read::End),
                Ok(count) => return Ok(Read::Data(count)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Ok(Read::Nothing),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Queues a whole message for [`Self::flush`]; never a part of one.
    ///
    /// # Errors
    /// If the message does not fit, because the other side reads too slowly.
    pub fn queue(&mut self, message: &[u8]) -> Result<(), WriteQueueFull> {
        self.queue_all(message.len(), [message])
    }

    /// Queues a message that lies in an arena.
    ///
    /// # Errors
    /// As for [`Self::queue`].
    pub fn queue_parts(&mut self, arena: &Arena, message: &Parts) -> Result<(), WriteQueueFull> {
        self.queue_all(message.len(), message.bytes(arena))
    }

    fn queue_all<'b>(
        &mut self,
        len: usize,
        parts: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<(), WriteQueueFull> {
        if self.unsent.len() + len > self.limit {
            return Err(WriteQueueFull);
        }
        parts.into_iter().for_each(|part| self.unsent.extend(part));
        Ok(())
    }

    /// Nothing waits to be written.
    pub fn is_flushed(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Hands queued bytes to the kernel, as many as it takes.
    ///
    /// # Errors
    /// Whatever the kernel answers; the connection is of no further use.
    pub fn flush(&mut self) -> io::Result<Flush> {
        while !self.unsent.is_empty() {
            let (front, back) = self.unsent.as_slices();
            match self.inner.write_vectored(&[IoSlice::new(front), IoSlice::new(back)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Ok(Flush::Pending),
                    _ => return Err(error),
                },
            }
        }
        Ok(Flush::Empty)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
