//! A client's own connection: what it is carried by, and what protects it.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use net::{DtlsClient, DtlsPeer, Flush, Read, TcpStream, dtls_record_len};
use rustls::ClientConnection;

use super::Transport;
use crate::place;

/// A connection to the server.
pub(super) enum Link {
    Tcp(TcpStream),
    Tls(Box<Tls>),
    Dtls(Box<Dtls>),
}

/// TLS 1.2 with one suite.
pub(super) struct Tls {
    tcp: std::net::TcpStream,
    tls: ClientConnection,
    server: SocketAddr,
}

/// DTLS 1.2 with the same suite.
pub(super) struct Dtls {
    udp: UdpSocket,
    client: DtlsClient,
    server: SocketAddr,
}

/// How long an answer is waited for while a connection is made, and how often one is asked for.
const PATIENCE: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 10;
/// The longest datagram.
const LONGEST: usize = 1 << 16;

impl Link {
    /// Connects the client of this number.
    ///
    /// # Errors
    /// The server does not answer, or not as it should.
    pub(super) fn connect(server: SocketAddr, transport: Transport, number: usize) -> io::Result<Self> {
        Ok(match transport {
            Transport::Udp | Transport::Tcp => Self::Tcp(TcpStream::connect(server)?),
            Transport::Tls => Self::Tls(Box::new(Tls::connect(server)?)),
            Transport::Dtls => Self::Dtls(Box::new(Dtls::connect(server, number)?)),
        })
    }

    pub(super) fn remote(&self) -> SocketAddr {
        match self {
            Self::Tcp(tcp) => tcp.remote(),
            Self::Tls(tls) => tls.server,
            Self::Dtls(dtls) => dtls.server,
        }
    }

    /// Takes a message to be sent; whether there was room for it.
    pub(super) fn queue(&mut self, message: &[u8]) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.queue(message).is_ok(),
            Self::Tls(tls) => tls.tls.writer().write_all(message).is_ok(),
            Self::Dtls(dtls) => {
                let record = dtls.client.data(message);
                record.is_some_and(|record| dtls.udp.send(&record).is_ok())
            }
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<Flush> {
        match self {
            Self::Tcp(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
            Self::Dtls(_) => Ok(Flush::Empty),
        }
    }

    /// Reads what there is, framed as on a stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Self::Tcp(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
            Self::Dtls(dtls) => dtls.read(buffer),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Tls(tls) => tls.tcp.as_fd(),
            Self::Dtls(dtls) => dtls.udp.as_fd(),
        }
    }
}

impl Tls {
    fn connect(server: SocketAddr) -> io::Result<Self> {
        let mut tls =
            ClientConnection::new(kit::trusting_tls_1_2(), server.ip().into()).map_err(io::Error::other)?;
        let mut tcp = std::net::TcpStream::connect(server)?;
        tcp.set_nodelay(true)?;
        tls.complete_io(&mut tcp)?;
        tls.set_buffer_limit(Some(1 << 20));
        tcp.set_nonblocking(true)?;
        Ok(Self { tcp, tls, server })
    }

    fn flush(&mut self) -> io::Result<Flush> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flush::Pending),
                Err(error) => return Err(error),
            }
        }
        Ok(Flush::Empty)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        let mut filled = 0;
        loop {
            match self.tls.reader().read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if filled == buffer.len() {
                break;
            }
            match self.tls.read_tls(&mut self.tcp) {
                Ok(0) if filled == 0 => return Ok(Read::End),
                Ok(0) => break,
                Ok(_) => {
                    self.tls.process_new_packets().map_err(io::Error::other)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(if filled == 0 { Read::Nothing } else { Read::Data(filled) })
    }
}

impl Dtls {
    fn connect(server: SocketAddr, number: usize) -> io::Result<Self> {
        let udp = UdpSocket::bind((place::client(number), 0))?;
        udp.connect(server)?;
        udp.set_read_timeout(Some(PATIENCE))?;
        let peer = DtlsPeer { remote: udp.local_addr()?, local: server };
        for attempt in 0..ATTEMPTS {
            let mut client = DtlsClient::new(peer, attempt as u8);
            if shake_hands(&udp, &mut client)? {
                udp.set_nonblocking(true)?;
                return Ok(Self { udp, client, server });
            }
        }
        Err(io::Error::other(format!("no DTLS with {server}")))
    }

    /// Each record is a message, and messages are padded as on a stream.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        let mut datagram = [0; LONGEST];
        let mut filled = 0;
        while buffer.len() - filled >= 4096 {
            let len = match self.udp.recv(&mut datagram) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let mut rest = &datagram[..len];
            while let Some(len) = dtls_record_len(rest) {
                if let Some(message) = self.client.open(&rest[..len]) {
                    let padded = message.len().next_multiple_of(4);
                    let Some(room) = buffer.get_mut(filled..filled + padded) else { break };
                    room[..message.len()].copy_from_slice(&message);
                    room[message.len()..].fill(0);
                    filled += padded;
                }
                rest = &rest[len..];
            }
        }
        Ok(if filled == 0 { Read::Nothing } else { Read::Data(filled) })
    }
}

/// Whether there is a session in the end; there may be none because something was lost.
fn shake_hands(udp: &UdpSocket, client: &mut DtlsClient) -> io::Result<bool> {
    udp.send(&client.hello(&[]))?;
    let Some(request) = heard(udp)? else { return Ok(false) };
    let Some(cookie) = DtlsClient::cookie(&request) else { return Ok(false) };
    udp.send(&client.hello(cookie))?;
    let mut flight = Vec::new();
    while !DtlsClient::is_whole(&flight) {
        let Some(datagram) = heard(udp)? else { return Ok(false) };
        flight.push(datagram);
    }
    let Some(answer) = client.answer(&flight) else { return Ok(false) };
    udp.send(&answer.concat())?;
    // Its change of keys, and the proof that it has the same ones.
    while let Some(datagram) = heard(udp)? {
        let mut rest = &datagram[..];
        while let Some(len) = dtls_record_len(rest) {
            if client.open(&rest[..len]).is_some() {
                return Ok(true);
            }
            rest = &rest[len..];
        }
    }
    Ok(false)
}

/// A datagram, if there is one in time.
fn heard(udp: &UdpSocket) -> io::Result<Option<Vec<u8>>> {
    let mut datagram = vec![0; LONGEST];
    match udp.recv(&mut datagram) {
        Ok(len) => {
            datagram.truncate(len);
            Ok(Some(datagram))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a server of DTLS answers at an address.
pub(crate) fn answers_hellos(server: SocketAddr) -> io::Result<bool> {
    let udp = UdpSocket::bind((place::client(0), 0))?;
    udp.connect(server)?;
    udp.set_read_timeout(Some(Duration::from_millis(20)))?;
    let peer = DtlsPeer { remote: udp.local_addr()?, local: server };
    // Refused while nobody listens.
    let _ = udp.send(&DtlsClient::new(peer, 0).hello(&[]));
    Ok(heard(&udp).is_ok_and(|answer| answer.is_some_and(|answer| DtlsClient::cookie(&answer).is_some())))
}
