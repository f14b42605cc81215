//! The sockets of a listener: one per worker, sharing the port, so that the kernel spreads clients over them
//! and keeps each client on one.
//!
//! TLS listeners have the same sockets as TCP listeners: what makes them different begins with each connection,
//! see [`crate::pipe`]. DTLS listeners have those of UDP listeners, see [`crate::shard`].

use std::io;
use std::net::SocketAddr;

use net::{TcpListener, TcpOptions, UdpOptions, UdpSocket};
use turn::addr::{ListenerId, Transport};

/// A socket on its way to the worker that will own it.
#[derive(Debug)]
pub(crate) enum ListenerSocket {
    Udp(ListenerId, UdpSocket),
    /// On the second port of a listener that helps clients to find out about their NAT.
    Second(ListenerId, UdpSocket),
    Tcp(ListenerId, TcpListener),
}

impl ListenerSocket {
    /// The listener it belongs to.
    pub(crate) fn id(&self) -> ListenerId {
        match self {
            Self::Udp(id, _) | Self::Second(id, _) => *id,
            Self::Tcp(id, _) => *id,
        }
    }

    /// Opens one worker's socket.
    pub(crate) fn open(id: ListenerId, transport: Transport, addr: SocketAddr) -> io::Result<Self> {
        match transport {
            Transport::Udp | Transport::Dtls => {
                Ok(Self::Udp(id, bind_any_family(addr, |addr| UdpSocket::bind(addr, &UdpOptions::LISTENER))?))
            }
            Transport::Tcp | Transport::Tls => Ok(Self::Tcp(
                id,
                bind_any_family(addr, |addr| TcpListener::bind(addr, &TcpOptions::LISTENER))?,
            )),
        }
    }

    /// Opens one worker's socket on a second port.
    pub(crate) fn open_second(id: ListenerId, addr: SocketAddr) -> io::Result<Self> {
        bind_any_family(addr, |addr| UdpSocket::bind(addr, &UdpOptions::LISTENER))
            .map(|socket| Self::Second(id, socket))
    }

    /// Finds out whether another process holds the port.
    pub(crate) fn probe(transport: Transport, addr: SocketAddr) -> io::Result<()> {
        match transport {
            Transport::Udp | Transport::Dtls => bind_any_family(addr, net::probe_udp),
            Transport::Tcp | Transport::Tls => bind_any_family(addr, net::probe_tcp),
        }
    }
}

/// A machine without IPv6 cannot bind the wildcard of both families; IPv4 is all there is then.
fn bind_any_family<T>(addr: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    match bind(addr) {
        Err(error) if addr.ip().is_unspecified() && addr.is_ipv6() && lacks_ipv6(&error) => {
            bind(SocketAddr::from(([0, 0, 0, 0], addr.port())))
        }
        other => other,
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == io::ErrorKind::AddrNotAvailable
}
