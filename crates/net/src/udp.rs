//! UDP sockets and batched receiving.
//!
//! One `recvmmsg` fills as many slots as there are datagrams waiting. On request the kernel also hands over
//! datagrams of one sender that follow each other closely as one packet (`UDP_GRO`), a train.
#![expect(unsafe_code, reason = "recvmmsg takes arrays of raw pointers; socket options that socket2 lacks")]

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use socket2::Socket;

use crate::addr::{canonical, mapped};
use crate::buffer::{Arena, Meta, Slot};
use crate::cmsg::{self, CONTROL_LEN, Control, Told};
use crate::icmp::is_from_icmp;
use crate::options::{Trains, UdpOptions, open_udp};

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket,
    local: SocketAddr,
    packet_info: bool,
    trains: Trains,
    receives_trains: AtomicBool,
    longest_in_train: AtomicU16,
    pub(crate) keeps_errors: AtomicBool,
}

impl UdpSocket {
    /// Binds a socket. Port 0 lets the kernel choose an unpredictable one.
    ///
    /// # Errors
    /// Whatever the kernel answers to opening, configuring and binding the socket.
    pub fn bind(addr: SocketAddr, options: &UdpOptions) -> io::Result<Self> {
        let socket = open_udp(addr, options)?;
        let packet_info = options.packet_info && addr.ip().is_unspecified();
        if packet_info {
            enable_packet_info(&socket, addr.is_ipv6())?;
        }
        let local =
            socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet socket"))?;
        let longest = if options.send_trains && sends_trains(&socket) { u16::MAX } else { 0 };
        let socket = Self {
            socket,
            local,
            packet_info,
            trains: options.receive_trains,
            receives_trains: AtomicBool::new(false),
            longest_in_train: AtomicU16::new(longest),
            keeps_errors: AtomicBool::new(false),
        };
        if options.receive_trains == Trains::Always {
            socket.receive_trains();
        }
        Ok(socket)
    }

    /// The bound address; its IP is unspecified on a wildcard socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Datagrams no longer carry the don't-fragment bit, which the kernel sets by default in order to
    /// learn the path's MTU. Relayed datagrams must be fragmented on the way instead of disappearing,
    /// unless their sender asks otherwise.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn allow_fragments(&self) -> io::Result<()> {
        self.set_mtu_discovery(self.fragmenting())
    }

    /// The state of [`Self::allow_fragments`]. In the usual one, the kernel keeps from an IPv4 socket that a datagram
    /// was too long, even one that must not be fragmented.
    fn fragmenting(&self) -> libc::c_int {
        let tells = !self.is_ipv6() && self.keeps_errors.load(Ordering::Relaxed);
        if tells { libc::IP_PMTUDISC_OMIT } else { libc::IP_PMTUDISC_DONT }
    }

    /// Sends one datagram that must not be fragmented, and returns to the state of [`Self::allow_fragments`].
    pub(crate) fn send_unfragmented(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.set_mtu_discovery(libc::IP_PMTUDISC_DO)?;
        let sent = self.socket.send_to(bytes, &to.into());
        self.set_mtu_discovery(self.fragmenting())?;
        sent
    }

    /// Sends one datagram at once, outside any batch.
    ///
    /// # Errors
    /// Whatever the kernel answers; `WouldBlock` if its buffer is full.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        let to = if self.is_ipv6() { SocketAddr::V6(mapped(to)) } else { to };
        self.socket.send_to(bytes, &to.into())
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.local.is_ipv6()
    }

    /// The longest datagrams, in bytes, that are handed to the kernel together with others; 0 if none are,
    /// because the kernel cannot, was not asked to, or refused: see [`Sent::split`](crate::Sent::split).
    pub fn longest_in_train(&self) -> u16 {
        self.longest_in_train.load(Ordering::Relaxed)
    }

    /// The kernel refused to take apart datagrams of `len` bytes that it took one by one.
    pub(crate) fn refuse_trains(&self, len: u16, error: &io::Error) {
        // Only a device that cannot compute checksums answers EIO, whatever the length. Most other answers
        // are about a path that is too narrow for this length.
        let longest = if error.raw_os_error() == Some(libc::EIO) { 0 } else { len.saturating_sub(1) };
        self.longest_in_train.fetch_min(longest, Ordering::Relaxed);
    }

    /// Whether datagrams may leave from one of several addresses.
    pub(crate) fn chooses_source(&self) -> bool {
        self.packet_info
    }

    fn reads_control(&self) -> bool {
        self.packet_info || self.receives_trains.load(Ordering::Relaxed)
    }

    /// A kernel that cannot merge what it hands over hands it over one by one.
    fn receive_trains(&self) {
        let done = set_option(&self.socket, libc::SOL_UDP, libc::UDP_GRO, 1);
        self.receives_trains.store(done.is_ok(), Ordering::Relaxed);
    }

    fn several_waited(&self) {
        if self.trains == Trains::OnceSeveralWait && !self.receives_trains.load(Ordering::Relaxed) {
            self.receive_trains();
        }
    }

    fn set_mtu_discovery(&self, mode: libc::c_int) -> io::Result<()> {
        let (level, option) = if self.is_ipv6() {
            (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)
        } else {
            (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER)
        };
        set_option(&self.socket, level, option, mode)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn enable_packet_info(socket: &Socket, ipv6: bool) -> io::Result<()> {
    if ipv6 {
        // Covers the IPv4 datagrams of a dual-stack socket as well: they are reported as mapped addresses.
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Whether the kernel can take a train apart. Asked once.
fn sends_trains(socket: &Socket) -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    // Zero is what every socket has: datagrams are only taken apart where a send says so.
    *CAN.get_or_init(|| set_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok())
}

pub(crate) fn set_option(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value is an int that lives through the call.
    let done = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, option, (&raw const value).cast(), len)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

impl Arena {
    /// Receives up to `max` datagrams that are waiting, as many as there are free slots.
    ///
    /// Returns nothing if nothing waits. Interruptions by signals and errors that belong to an earlier
    /// datagram (an ICMP answer) count as nothing waiting: the poller calls again.
    ///
    /// # Errors
    /// An error of the socket itself.
    pub fn receive(
        &mut self,
        socket: &UdpSocket,
        max: usize,
    ) -> io::Result<impl ExactSizeIterator<Item = Slot> + use<>> {
        let count = if max == 1 && !socket.reads_control() {
            self.receive_one(socket)?
        } else {
            self.receive_batch(socket, max)?
        };
        if count > 1 {
            socket.several_waited();
        }
        Ok(self.filled(count))
    }

    /// A datagram about which there is nothing more to know: it needs no arrays, and costs the kernel less this way.
    fn receive_one(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        let (mut slots, meta, _) = self.split_free(1);
        let (Some(payload), [meta]) = (slots.payloads().next(), meta) else { return Ok(0) };
        let mut name = EMPTY_NAME;
        let mut name_len = size_of_val(&name) as libc::socklen_t;
        // With it the kernel answers with the datagram's length, even if that is more than it could write.
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let (descriptor, to) = (socket.socket.as_raw_fd(), payload.as_mut_ptr().cast());
        let from = (&raw mut name).cast();
        // SAFETY: the kernel writes up to the lengths given to a payload area, a name and its length, which are borrowed
        // mutably until after the call.
        let len = unsafe { libc::recvfrom(descriptor, to, payload.len(), flags, from, &raw mut name_len) };
        let Ok(len) = usize::try_from(len) else {
            return nothing_waiting(io::Error::last_os_error());
        };
        let written = len.min(payload.len());
        *meta = Meta {
            len: written,
            from: decode_name(&name),
            to: None,
            segment: written,
            truncated: written < len,
        };
        Ok(1)
    }

    fn receive_batch(&mut self, socket: &UdpSocket, max: usize) -> io::Result<usize> {
        let (mut slots, meta, scratch) = self.split_free(max);
        let count = meta.len();
        if count == 0 {
            return Ok(0);
        }
        scratch.names.resize(count, EMPTY_NAME);
        scratch.controls.resize(count, Control::EMPTY);
        scratch.vectors.clear();
        scratch.vectors.extend(
            slots
                .payloads()
                .map(|payload| libc::iovec { iov_base: payload.as_mut_ptr().cast(), iov_len: payload.len() }),
        );
        scratch.headers.clear();
        for ((name, control), vector) in
            scratch.names.iter_mut().zip(&mut scratch.controls).zip(&mut scratch.vectors)
        {
            let mut header = EMPTY_HEADER;
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
            header.msg_hdr.msg_iov = &raw mut *vector;
            header.msg_hdr.msg_iovlen = 1;
            if socket.reads_control() {
                header.msg_hdr.msg_control = control.as_mut_ptr();
                header.msg_hdr.msg_controllen = CONTROL_LEN as _;
            }
            scratch.headers.push(header);
        }
        // SAFETY: each of the headers points to its own name, control buffer and vector of the lengths given, and
        // each vector to its own payload area; all of these are borrowed mutably until after the call, and nothing
        // else refers to them.
        let received = unsafe { receive(socket, &mut scratch.headers) };
        let Ok(received) = usize::try_from(received) else {
            return nothing_waiting(io::Error::last_os_error());
        };
        for ((header, name), meta) in scratch.headers[..received].iter().zip(&scratch.names).zip(meta) {
            let len = header.msg_len as usize;
            let told = if socket.reads_control() { cmsg::read(&header.msg_hdr) } else { Told::default() };
            *meta = Meta {
                len,
                from: decode_name(name),
                to: told.to,
                segment: told.segment.unwrap_or(len),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
        }
        Ok(received)
    }
}

/// Lets the kernel fill messages. Returns how many it filled, or -1.
///
/// # Safety
/// Everything that the headers point to can be written to, and nobody else refers to it.
unsafe fn receive(socket: &UdpSocket, messages: &mut [libc::mmsghdr]) -> libc::c_int {
    let (descriptor, flags) = (socket.socket.as_raw_fd(), libc::MSG_DONTWAIT);
    if let [message] = messages {
        // A single one costs the kernel less this way.
        // SAFETY: as promised by the caller.
        let len = unsafe { libc::recvmsg(descriptor, &raw mut message.msg_hdr, flags) };
        return libc::c_uint::try_from(len).map_or(-1, |len| {
            message.msg_len = len;
            1
        });
    }
    let (first, count) = (messages.as_mut_ptr(), messages.len() as libc::c_uint);
    // SAFETY: as promised by the caller; there are `count` of them.
    unsafe { libc::recvmmsg(descriptor, first, count, flags as _, std::ptr::null_mut()) }
}

fn nothing_waiting(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ if is_from_icmp(&error) => Ok(0),
        _ => Err(error),
    }
}

/// An address as the kernel writes it; large enough for both families, told apart by the family field.
pub(crate) const EMPTY_NAME: libc::sockaddr_in6 = libc::sockaddr_in6 {
    sin6_family: 0,
    sin6_port: 0,
    sin6_flowinfo: 0,
    sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
    sin6_scope_id: 0,
};

// SAFETY: a header of all zeroes is valid: null pointers with zero lengths.
pub(crate) const EMPTY_HEADER: libc::mmsghdr = unsafe { std::mem::zeroed() };

pub(crate) fn decode_name(name: &libc::sockaddr_in6) -> SocketAddr {
    if libc::c_int::from(name.sin6_family) == libc::AF_INET {
        // SAFETY: the kernel wrote a `sockaddr_in`, which is smaller and no more aligned.
        let v4 = unsafe { (&raw const *name).cast::<libc::sockaddr_in>().read() };
        let ip = u32::from_be(v4.sin_addr.s_addr);
        return SocketAddr::new(std::net::Ipv4Addr::from(ip).into(), u16::from_be(v4.sin_port));
    }
    let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
    let port = u16::from_be(name.sin6_port);
    canonical(SocketAddr::V6(std::net::SocketAddrV6::new(ip, port, 0, name.sin6_scope_id)))
}

/// Writes an address the way a socket of the given family takes it; returns its length.
pub(crate) fn encode_name(
    name: &mut libc::sockaddr_in6,
    to: SocketAddr,
    ipv6_socket: bool,
) -> libc::socklen_t {
    if let (SocketAddr::V4(v4), false) = (to, ipv6_socket) {
        let value = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: v4.port().to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
            sin_zero: [0; 8],
        };
        // SAFETY: a `sockaddr_in` is smaller and no more aligned than the `sockaddr_in6` it goes into.
        unsafe { (&raw mut *name).cast::<libc::sockaddr_in>().write(value) };
        return size_of::<libc::sockaddr_in>() as libc::socklen_t;
    }
    let v6 = mapped(to);
    *name = libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: v6.port().to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
        sin6_scope_id: v6.scope_id(),
    };
    size_of::<libc::sockaddr_in6>() as libc::socklen_t
}
