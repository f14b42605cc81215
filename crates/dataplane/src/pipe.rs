//! The bytes of a connection, whether they are encrypted on the way or not.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use net::{Arena, Flush, Read, StreamMessage, TcpStream, TlsAcceptor, TlsStream, Written};

/// A connection as the TURN server's frames see it.
#[derive(Debug)]
pub(crate) enum Pipe {
    Tcp(TcpStream),
    Tls(Box<TlsStream>),
}

impl Pipe {
    /// Takes charge of an accepted connection of a listener that speaks TLS if there is an acceptor.
    pub(crate) fn accept(tcp: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Self> {
        match tls {
            None => Ok(Self::Tcp(tcp)),
            Some(tls) => tls.accept(tcp).map(|tls| Self::Tls(Box::new(tls))).map_err(io::Error::other),
        }
    }

    /// The next bytes from the client may cost a signature.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.is_handshaking(),
        }
    }

    /// Reads what is there; `scratch` is for what must be decrypted first.
    pub(crate) fn read(&mut self, scratch: &mut [u8], buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Tcp(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(scratch, buffer),
        }
    }

    /// There is more to read although the kernel will not say so.
    pub(crate) fn has_unread(&mut self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(tls) => tls.has_unread(),
        }
    }

    /// Writes messages, or queues them behind what the client is slow to read.
    pub(crate) fn write(&mut self, arena: &Arena, messages: &[StreamMessage]) -> io::Result<Written> {
        match self {
            Self::Tcp(tcp) => tcp.write(arena, messages),
            Self::Tls(tls) => tls.write(arena, messages),
        }
    }

    /// Nothing waits to be written.
    pub(crate) fn is_flushed(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_flushed(),
            Self::Tls(tls) => tls.is_flushed(),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<Flush> {
        match self {
            Self::Tcp(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }

    /// The last words of a connection that is about to be closed, where the protocol has some.
    pub(crate) fn say_goodbye(&mut self) {
        match self {
            Self::Tcp(_) => {}
            Self::Tls(tls) => tls.say_goodbye(),
        }
    }
}

impl AsFd for Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Tls(tls) => tls.as_fd(),
        }
    }
}
