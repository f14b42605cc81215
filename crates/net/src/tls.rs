//! TLS 1.2 and 1.3 on the server's side of a [`TcpStream`], with the same surface as the stream itself.
//!
//! rustls is driven without IO of its own: ciphertext that was read goes in, and whatever it wants to say goes to the
//! kernel at once. A record that is encrypted can no longer be left out, so what the kernel has no room for waits in
//! plaintext, in a bounded queue that drops the oldest media first, and rustls holds one record at most. There is no session
//! resumption: a client proves itself to TURN with every connection anyway, nothing is kept about those that are
//! gone, and every handshake is made with the certificate of the day.
//!
//! Per record, rustls copies the ciphertext into a buffer of the connection and the plaintext into one allocation
//! of its own, and back: one allocation for each record in each direction. Nothing here adds to that.

use std::fmt;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection};

use crate::buffer::{Arena, Parts};
use crate::identity::{Identity, provider};
use crate::tcp::backlog::Backlog;
use crate::tcp::{Flush, Read, StreamMessage, TcpStream, Worth, WriteQueueFull, Written};

/// The largest contents of a record (RFC 8446 §5.1).
const RECORD_CONTENTS: usize = 16 << 10;

/// Pieces of memory that one record is put together from, at most.
const SLICES: usize = 64;

/// How connections introduce themselves. Cloning is cheap; connections keep the one they began with.
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
}

impl TlsAcceptor {
    /// Connections that show this certificate and ask for none.
    ///
    /// # Errors
    /// The process was given cryptography that lacks what TLS 1.2 or 1.3 needs.
    pub fn new(identity: &Identity) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Always(Arc::clone(identity.certified()))));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config) })
    }

    /// Takes charge of a connection; the client speaks first.
    ///
    /// # Errors
    /// The process was given cryptography that lacks something.
    pub fn accept(&self, tcp: TcpStream) -> Result<TlsStream, rustls::Error> {
        let mut tls = ServerConnection::new(Arc::clone(&self.config))?;
        // It is given one record at a time, and no more before that one is with the kernel.
        tls.set_buffer_limit(None);
        Ok(TlsStream { tcp, tls, waiting: Backlog::default() })
    }
}

/// A TLS connection, the server's side.
#[derive(Debug)]
pub struct TlsStream {
    tcp: TcpStream,
    tls: ServerConnection,
    /// What is not encrypted yet.
    waiting: Backlog,
}

impl TlsStream {
    /// Most ciphertext taken in by one read, in bytes.
    pub const READ_CAPACITY: usize = 64 << 10;

    /// The other side's address, canonical.
    pub fn remote(&self) -> SocketAddr {
        self.tcp.remote()
    }

    /// Our address of this connection, canonical.
    pub fn local(&self) -> SocketAddr {
        self.tcp.local()
    }

    /// The client has not proved yet that it knows the keys.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Reads what is there and decrypts it. `ciphertext` is scratch space, of which [`Self::READ_CAPACITY`] bytes are
    /// used at most. What does not fit into `buffer` is kept: see [`Self::has_unread`].
    ///
    /// Reading may queue something to be sent, see [`Self::is_flushed`].
    ///
    /// # Errors
    /// Whatever the kernel answers, or that the client breaks the protocol; it has been told so. The connection is of
    /// no further use.
    pub fn read(&mut self, ciphertext: &mut [u8], buffer: &mut [u8]) -> io::Result<Read> {
        let mut filled = self.take_plaintext(buffer)?;
        if filled > 0 || buffer.is_empty() {
            return Ok(Read::Data(filled));
        }
        // Plaintext is shorter than its ciphertext, so that all of it fits but for a record that began in an earlier
        // read, for which rustls has room.
        let room = ciphertext.len().min(Self::READ_CAPACITY).min(buffer.len());
        let mut arrived = match self.tcp.read(&mut ciphertext[..room])? {
            Read::Data(len) => &ciphertext[..len],
            nothing => return Ok(nothing),
        };
        while !arrived.is_empty() {
            self.tls.read_tls(&mut arrived)?;
            self.process()?;
            filled += self.take_plaintext(&mut buffer[filled..])?;
        }
        if filled > 0 {
            return Ok(Read::Data(filled));
        }
        let closed =
            !self.has_unread() && self.tls.process_new_packets().is_ok_and(|state| state.peer_has_closed());
        Ok(if closed { Read::End } else { Read::Nothing })
    }

    /// Some plaintext waits that the kernel will not announce: read again.
    pub fn has_unread(&mut self) -> bool {
        self.tls.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    /// Queues a whole message of lasting worth for [`Self::flush`]; never a part of one.
    ///
    /// # Errors
    /// If the message does not fit, because the other side reads too slowly.
    pub fn queue(&mut self, message: &[u8]) -> Result<(), WriteQueueFull> {
        if self.waiting.push(message.len(), [message], Worth::Lasting).kept {
            Ok(())
        } else {
            Err(WriteQueueFull)
        }
    }

    /// Encrypts messages, several to a record, and hands them to the kernel, behind those that wait already. What
    /// the kernel has no room for is queued as it is. If there is no room for that, the oldest messages of fleeting
    /// worth are dropped.
    ///
    /// # Errors
    /// Whatever the kernel answers; the connection is of no further use.
    pub fn write(&mut self, arena: &Arena, messages: &[StreamMessage]) -> io::Result<Written> {
        let mut rest = messages;
        let mut flush = self.flush()?;
        while !rest.is_empty() && flush == Flush::Empty {
            let encrypted = self.encrypt(arena, rest)?;
            rest = &rest[encrypted..];
            flush = self.hand_over()?;
        }
        let mut dropped = 0;
        for message in rest {
            let parts = &message.parts;
            dropped += self.waiting.push(parts.len(), parts.bytes(arena), message.worth).dropped;
        }
        Ok(Written { flush, dropped })
    }

    /// Nothing waits to be written.
    pub fn is_flushed(&self) -> bool {
        !self.tls.wants_write() && self.waiting.is_empty()
    }

    /// Hands to the kernel what waits, as much as it takes.
    ///
    /// # Errors
    /// Whatever the kernel answers; the connection is of no further use.
    pub fn flush(&mut self) -> io::Result<Flush> {
        loop {
            if self.hand_over()? == Flush::Pending {
                return Ok(Flush::Pending);
            }
            if self.waiting.is_empty() {
                return Ok(Flush::Empty);
            }
            let (front, back) = self.waiting.as_slices();
            let front = &front[..front.len().min(RECORD_CONTENTS)];
            let back = &back[..back.len().min(RECORD_CONTENTS - front.len())];
            let len = front.len() + back.len();
            // rustls takes all of it, since its own limit is off.
            let _ = self.tls.writer().write_vectored(&[IoSlice::new(front), IoSlice::new(back)])?;
            self.waiting.consume(len);
        }
    }

    /// Says goodbye, if the kernel takes it at once: RFC 8446 §6.1 tells an end from a cut by it.
    pub fn say_goodbye(&mut self) {
        self.tls.send_close_notify();
        // Nobody is left to be told.
        let _ = self.hand_over();
    }

    fn process(&mut self) -> io::Result<()> {
        let processed = self.tls.process_new_packets();
        // An answer, or the alert that says what was wrong.
        self.hand_over()?;
        processed.map(drop).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn take_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.tls.reader().read(buffer) {
            Ok(len) => Ok(len),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Encrypts as many messages as one record holds, at least one. Returns their number.
    fn encrypt(&mut self, arena: &Arena, messages: &[StreamMessage]) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let (mut taken, mut count, mut len) = (0, 0, 0);
        for StreamMessage { parts, .. } in messages {
            if taken > 0 && (count + Parts::MOST > SLICES || len + parts.len() > RECORD_CONTENTS) {
                break;
            }
            for bytes in parts.bytes(arena) {
                slices[count] = IoSlice::new(bytes);
                count += 1;
            }
            len += parts.len();
            taken += 1;
        }
        // rustls takes all of it, since its own limit is off.
        let _ = self.tls.writer().write_vectored(&slices[..count])?;
        Ok(taken)
    }

    /// Moves to the kernel what is encrypted.
    fn hand_over(&mut self) -> io::Result<Flush> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Kernel(&self.tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flush::Pending),
                Err(error) => return Err(error),
            }
        }
        Ok(Flush::Empty)
    }
}

impl AsFd for TlsStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

/// A connection as something to write ciphertext to.
struct Kernel<'s>(&'s TcpStream);

impl io::Write for Kernel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_slices(slices)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same certificate for everybody, whatever name they asked for.
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Always {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Always").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}
