//! TCP listeners and streams, non-blocking, with a bounded queue of what the other side is slow to read.
//!
//! Messages are written from where they lie, many in one call. Only what the kernel does not take is copied, into the
//! [`Backlog`] of its stream.

pub(crate) mod backlog;

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use self::backlog::Backlog;
use crate::addr::canonical;
use crate::buffer::{Arena, Parts};
use crate::options::{TcpOptions, open_connecting, open_tcp};
use crate::udp::set_option;

/// How long the other side may be silent before the kernel asks whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How many bytes the kernel takes beyond those that are on their way. More would only grow old there: unlike a
/// [`Backlog`], the kernel drops nothing.
const KERNEL_BACKLOG: libc::c_int = 128 << 10;

/// Pieces of memory that are written at once.
const SLICES: usize = 128;

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
    backlog: Backlog,
}

/// A message for a stream, in an arena.
#[derive(Debug, Clone, Copy)]
pub struct StreamMessage {
    /// Its bytes.
    pub parts: Parts,
    /// What becomes of it if the other side is slow.
    pub worth: Worth,
}

/// How long a message is worth sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// For ever: the other side waits for it.
    Lasting,
    /// Until there is no room for newer ones.
    Fleeting,
}

/// What became of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// What is left to do.
    pub flush: Flush,
    /// How many messages were given up, of these and of earlier ones.
    pub dropped: usize,
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
    pub const DEFAULT_QUEUE: usize = Backlog::DEFAULT_LIMIT;

    /// Connects, and waits until that is done.
    ///
    /// # Errors
    /// Whatever the kernel or the other side answers.
    pub fn connect(remote: SocketAddr) -> io::Result<Self> {
        Self::new(std::net::TcpStream::connect(remote)?, remote)
    }

    /// Begins to connect from a port that may be that of a listener. There is room to write when that is done; then
    /// [`Self::is_connected`] says how it ended.
    ///
    /// # Errors
    /// Whatever the kernel answers at once.
    pub fn begin_connect(from: SocketAddr, to: SocketAddr) -> io::Result<Self> {
        Self::new(open_connecting(from, to)?.into(), to)
    }

    /// Whether the other side has taken the connection yet.
    ///
    /// # Errors
    /// It never will; why, if the kernel knows.
    pub fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.inner.take_error()? {
            return Err(error);
        }
        match self.inner.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn new(inner: std::net::TcpStream, remote: SocketAddr) -> io::Result<Self> {
        inner.set_nonblocking(true)?;
        inner.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        SockRef::from(&inner).set_tcp_keepalive(&keepalive)?;
        // Kernels without it are slower to notice a slow reader.
        let _ = set_option(&inner, libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, KERNEL_BACKLOG);
        let local = canonical(inner.local_addr()?);
        Ok(Self { inner, remote: canonical(remote), local, backlog: Backlog::default() })
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
        self.backlog.limit(bytes);
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

    /// Queues a whole message of lasting worth for [`Self::flush`]; never a part of one.
    ///
    /// # Errors
    /// If the message does not fit, because the other side reads too slowly.
    pub fn queue(&mut self, message: &[u8]) -> Result<(), WriteQueueFull> {
        if self.backlog.push(message.len(), [message], Worth::Lasting).kept {
            Ok(())
        } else {
            Err(WriteQueueFull)
        }
    }

    /// Nothing waits to be written.
    pub fn is_flushed(&self) -> bool {
        self.backlog.is_empty()
    }

    /// Hands messages to the kernel, behind those that wait already, and queues what it does not take. If there is
    /// no room for that, the oldest messages of fleeting worth are dropped.
    ///
    /// # Errors
    /// Whatever the kernel answers; the connection is of no further use.
    pub fn write(&mut self, arena: &Arena, messages: &[StreamMessage]) -> io::Result<Written> {
        let (done, started) = match self.flush()? {
            Flush::Empty => self.write_directly(arena, messages)?,
            Flush::Pending => (0, 0),
        };
        let mut dropped = 0;
        let mut rest = messages[done..].iter();
        if started > 0
            && let Some(message) = rest.next()
        {
            self.backlog.push_rest(started, message.parts.len(), message.parts.bytes(arena));
        }
        for message in rest {
            dropped +=
                self.backlog.push(message.parts.len(), message.parts.bytes(arena), message.worth).dropped;
        }
        Ok(Written { flush: self.left(), dropped })
    }

    /// Returns how many messages were written, and how many bytes of the next one.
    fn write_directly(&self, arena: &Arena, messages: &[StreamMessage]) -> io::Result<(usize, usize)> {
        let mut done = 0;
        while done < messages.len() {
            let (batch, len) = (&messages[done..], &mut 0);
            let Some(mut sent) = self.write_batch(arena, batch, len)? else { return Ok((done, 0)) };
            let full = sent < *len;
            for message in batch {
                let len = message.parts.len();
                if sent < len {
                    break;
                }
                sent -= len;
                done += 1;
            }
            // What was not taken now would not be taken a moment later.
            if full {
                return Ok((done, sent));
            }
        }
        Ok((done, 0))
    }

    /// Writes as many messages as fit in one call, `len` bytes of them. Returns how many the kernel took, if any.
    fn write_batch(
        &self,
        arena: &Arena,
        batch: &[StreamMessage],
        len: &mut usize,
    ) -> io::Result<Option<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for message in batch {
            if count + Parts::MOST > SLICES {
                break;
            }
            for bytes in message.parts.bytes(arena) {
                slices[count] = IoSlice::new(bytes);
                count += 1;
                *len += bytes.len();
            }
        }
        self.write_slices(&slices[..count])
    }

    /// Hands bytes to the kernel past those that wait. Returns how many it took, if any.
    pub(crate) fn write_slices(&self, slices: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        loop {
            match (&self.inner).write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(Some(count)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Hands queued bytes to the kernel, as many as it takes.
    ///
    /// # Errors
    /// Whatever the kernel answers; the connection is of no further use.
    pub fn flush(&mut self) -> io::Result<Flush> {
        while !self.backlog.is_empty() {
            let (front, back) = self.backlog.as_slices();
            match self.write_slices(&[IoSlice::new(front), IoSlice::new(back)])? {
                Some(count) => self.backlog.consume(count),
                None => return Ok(Flush::Pending),
            }
        }
        Ok(Flush::Empty)
    }

    fn left(&self) -> Flush {
        if self.is_flushed() { Flush::Empty } else { Flush::Pending }
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}
