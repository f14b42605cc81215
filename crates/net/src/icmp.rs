//! ICMP errors about datagrams that a socket has sent.
//!
//! On request the kernel keeps them in a queue of the socket's own (`IP_RECVERR`). It then also fails the next call on
//! the socket, whatever that is about: a send that fails this way has sent nothing and is repeated, see
//! [`UdpSocket::is_about_another`].
#![expect(unsafe_code, reason = "the error queue is read with recvmsg and control messages")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;

use crate::cmsg::{self, CONTROL_LEN, Control};
use crate::udp::{EMPTY_HEADER, EMPTY_NAME, UdpSocket, decode_name, set_option};

/// What the peer's machine, or one on the way to it, had to say about a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Where the datagram was sent to.
    pub to: SocketAddr,
    /// ICMP or ICMPv6 type, by the family of `to`.
    pub kind: u8,
    /// ICMP or ICMPv6 code.
    pub code: u8,
    /// The MTU that it was too long for, in bytes; zero if that is not what was wrong.
    pub mtu: u32,
}

/// How often a send is repeated. More errors than that would have to arrive between one system call and the next.
pub(crate) const REPETITIONS: usize = 4;

/// "Fragmentation needed", and "packet too big".
const TOO_LONG_V4: (u8, u8) = (3, 4);
const TOO_LONG_V6: (u8, u8) = (2, 0);

impl UdpSocket {
    /// Keeps the errors about what is sent from now on for [`UdpSocket::take_error`]. The event queue reports them, see
    /// [`Event::failed`](crate::Event::failed).
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn keep_errors(&self) -> io::Result<()> {
        if self.is_ipv6() {
            set_option(self, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)?;
        } else {
            set_option(self, libc::IPPROTO_IP, libc::IP_RECVERR, 1)?;
        }
        self.keeps_errors.store(true, Ordering::Relaxed);
        self.allow_fragments()
    }

    /// The next error, if there is one.
    pub fn take_error(&self) -> Option<IcmpError> {
        loop {
            let (to, error) = self.take_raw_error()?;
            let too_long = if to.is_ipv4() { TOO_LONG_V4 } else { TOO_LONG_V6 };
            let (kind, code) = match error.ee_origin {
                libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6 => (error.ee_type, error.ee_code),
                // It would not even have fitted the first link.
                libc::SO_EE_ORIGIN_LOCAL if error.ee_errno == libc::EMSGSIZE as u32 => too_long,
                _ => continue,
            };
            let mtu = if (kind, code) == too_long { error.ee_info } else { 0 };
            return Some(IcmpError { to, kind, code, mtu });
        }
    }

    fn take_raw_error(&self) -> Option<(SocketAddr, libc::sock_extended_err)> {
        loop {
            let (mut name, mut control) = (EMPTY_NAME, Control::EMPTY);
            let mut header = EMPTY_HEADER.msg_hdr;
            header.msg_name = (&raw mut name).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_control = control.as_mut_ptr();
            header.msg_controllen = CONTROL_LEN as _;
            let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
            // SAFETY: the header points to a name and a control buffer of the lengths given, which live through the
            // call and which nothing else refers to; there is no room for the datagram itself, which is cut off.
            let received = unsafe { libc::recvmsg(self.as_fd().as_raw_fd(), &raw mut header, flags) };
            if received >= 0 {
                match cmsg::read_error(&header) {
                    Some(error) => return Some((decode_name(&name), error)),
                    None => continue,
                }
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return None;
            }
        }
    }

    /// Whether a failure to send may be that of a datagram sent before. Then this one can be sent after all.
    pub(crate) fn is_about_another(&self, error: &io::Error) -> bool {
        self.keeps_errors.load(Ordering::Relaxed) && is_from_icmp(error)
    }
}

/// What an ICMP error becomes when the kernel reports it as one of a call.
pub(crate) fn is_from_icmp(error: &io::Error) -> bool {
    const ALL: [i32; 10] = [
        libc::ECONNREFUSED,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
        libc::EHOSTDOWN,
        libc::ENONET,
        libc::EMSGSIZE,
        libc::EACCES,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::EOPNOTSUPP,
    ];
    error.raw_os_error().is_some_and(|code| ALL.contains(&code))
}
