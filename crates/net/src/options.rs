//! How sockets are opened: which addresses, shared ports, buffer sizes.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// Options of a UDP socket.
#[derive(Debug, Clone, Copy)]
pub struct UdpOptions {
    /// Several sockets may bind the same address; the kernel spreads clients over them.
    pub reuse_port: bool,
    /// Report the local address of every datagram, and let replies choose theirs, on a wildcard socket; others have
    /// only one.
    pub packet_info: bool,
    /// An IPv6 wildcard also takes IPv4.
    pub dual_stack: bool,
    /// Wanted receive buffer in bytes; the kernel may give less.
    pub receive_buffer: usize,
    /// Wanted send buffer in bytes; the kernel may give less.
    pub send_buffer: usize,
    /// Whether datagrams that follow each other closely may be received as one packet, to be taken apart with
    /// [`Packet::datagrams`](crate::Packet::datagrams), where the kernel can do that.
    pub receive_trains: Trains,
    /// Datagrams of one length for one destination are handed to the kernel together, where it can take them
    /// apart.
    pub send_trains: bool,
}

/// When datagrams are received as trains. A socket that may get some costs the kernel more for each datagram, and
/// much less for those that follow each other closely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trains {
    /// Never.
    Never,
    /// From the first time on that several datagrams waited.
    OnceSeveralWait,
    /// Always.
    Always,
}

impl UdpOptions {
    /// A socket that many clients talk to.
    pub const LISTENER: Self = Self {
        reuse_port: true,
        packet_info: true,
        dual_stack: true,
        receive_buffer: 4 << 20,
        send_buffer: 4 << 20,
        receive_trains: Trains::Always,
        send_trains: true,
    };

    /// A socket that serves one client's peers: plenty of these exist at once.
    pub const RELAY: Self = Self {
        reuse_port: false,
        packet_info: false,
        dual_stack: false,
        receive_buffer: 512 << 10,
        send_buffer: 512 << 10,
        receive_trains: Trains::OnceSeveralWait,
        send_trains: true,
    };
}

/// Options of a TCP listening socket.
#[derive(Debug, Clone, Copy)]
pub struct TcpOptions {
    /// Several sockets may bind the same address; the kernel spreads connections over them.
    pub reuse_port: bool,
    /// An IPv6 wildcard also takes IPv4.
    pub dual_stack: bool,
    /// Connections the kernel holds until they are accepted.
    pub backlog: i32,
}

impl TcpOptions {
    /// A socket that many clients connect to.
    pub const LISTENER: Self = Self { reuse_port: true, dual_stack: true, backlog: 1024 };

    /// A socket that one client's peers connect to, and whose port that client's connections to peers share.
    pub const RELAY: Self = Self { reuse_port: true, dual_stack: false, backlog: 16 };
}

const DATAGRAMS: Type = Type::DGRAM.nonblocking().cloexec();

/// Opens a non-blocking UDP socket without binding it to shared use; see [`UdpOptions`].
pub(crate) fn open_udp(addr: SocketAddr, options: &UdpOptions) -> io::Result<Socket> {
    // A call that is not made is time saved on every allocation.
    let socket = Socket::new_raw(Domain::for_address(addr), DATAGRAMS, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!options.dual_stack)?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    // The kernel clamps to its limit and never fails; a smaller buffer is a slower gateway, not a broken one.
    let _ = socket.set_recv_buffer_size(options.receive_buffer);
    let _ = socket.set_send_buffer_size(options.send_buffer);
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Opens a non-blocking TCP listening socket.
pub(crate) fn open_tcp(addr: SocketAddr, options: &TcpOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!options.dual_stack)?;
    }
    // Without this a restart would have to wait for the old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(options.reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(options.backlog)?;
    Ok(socket)
}

/// Opens a non-blocking TCP socket on a port that may be shared with a listening one, and begins to connect it.
pub(crate) fn open_connecting(from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(socket),
    }
}

/// Finds out whether anybody holds a UDP port, without keeping it.
///
/// Sockets that share their port never notice each other, so two processes would split the clients
/// between them in silence. Asking for the port alone first makes that an error.
///
/// # Errors
/// What `bind` answered: most often that the address is in use, or not ours.
pub fn probe_udp(addr: SocketAddr) -> io::Result<()> {
    let alone = UdpOptions { reuse_port: false, ..UdpOptions::LISTENER };
    open_udp(addr, &alone).map(drop)
}

/// Finds out whether anybody listens on a TCP port, without keeping it.
///
/// # Errors
/// What `bind` or `listen` answered: most often that the address is in use, or not ours.
pub fn probe_tcp(addr: SocketAddr) -> io::Result<()> {
    let alone = TcpOptions { reuse_port: false, ..TcpOptions::LISTENER };
    open_tcp(addr, &alone).map(drop)
}
