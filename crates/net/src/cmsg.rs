//! Control messages: the local address a datagram came to or shall leave from, and where the datagrams of a
//! train begin.
#![expect(unsafe_code, reason = "control messages are raw memory by definition")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for the control messages of one datagram: packet info of either family, a segment size, and to spare.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Control([u8; CONTROL_LEN]);

pub(crate) const CONTROL_LEN: usize = 128;

impl Control {
    pub(crate) const EMPTY: Self = Self([0; CONTROL_LEN]);

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// Begins to write messages for the kernel.
    pub(crate) fn writer(&mut self) -> ControlWriter<'_> {
        ControlWriter { control: self, next: 0, end: 0 }
    }
}

/// Writes the control messages of one send, one behind the other.
pub(crate) struct ControlWriter<'c> {
    control: &'c mut Control,
    /// Where the next message begins.
    next: usize,
    /// Where the last one ends, without the padding behind it.
    end: usize,
}

impl ControlWriter<'_> {
    /// The length of what was written, to be handed to the kernel. Up to 36 bytes, such as one source address
    /// without padding, the kernel keeps on its stack; for more it asks its allocator, for every send.
    pub(crate) fn len(&self) -> usize {
        self.end
    }

    /// The local address that a datagram shall leave from. `ipv6_socket` selects the form, since a dual-stack
    /// socket takes mapped addresses.
    pub(crate) fn source(&mut self, source: IpAddr, ipv6_socket: bool) {
        match (source, ipv6_socket) {
            (IpAddr::V4(v4), false) => self.put(
                libc::IPPROTO_IP,
                libc::IP_PKTINFO,
                libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(v4).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                },
            ),
            (IpAddr::V4(v4), true) => self.source_v6(v4.to_ipv6_mapped()),
            (IpAddr::V6(v6), true) => self.source_v6(v6),
            (IpAddr::V6(_), false) => {}
        }
    }

    fn source_v6(&mut self, source: Ipv6Addr) {
        self.put(
            libc::IPPROTO_IPV6,
            libc::IPV6_PKTINFO,
            libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 },
        );
    }

    /// The length of each datagram that the kernel shall cut a send into; the last one takes what is left.
    pub(crate) fn segment(&mut self, len: u16) {
        self.put(libc::SOL_UDP, libc::UDP_SEGMENT, len);
    }

    fn put<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let value_len = size_of::<T>() as libc::c_uint;
        // SAFETY: computes a number from a number.
        let (space, len) = unsafe { (libc::CMSG_SPACE(value_len), libc::CMSG_LEN(value_len)) };
        let free = &mut self.control.0[self.next..];
        assert!(space as usize <= free.len(), "one message of each kind fits");
        let header = free.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: the buffer is aligned for a header and every message before this one took a multiple of that
        // alignment; `space` bytes hold header and value (asserted above), and the value is written unaligned
        // behind the header.
        unsafe {
            (*header).cmsg_len = len as _;
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        self.end = self.next + len as usize;
        self.next += space as usize;
    }
}

/// What the kernel told about a received datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The local address it was sent to.
    pub(crate) to: Option<IpAddr>,
    /// It is several datagrams of this length, of which the last may be shorter.
    pub(crate) segment: Option<usize>,
}

/// Reads what the kernel keeps about an error, out of the control messages of an entry of a socket's error queue.
pub(crate) fn read_error(header: &libc::msghdr) -> Option<libc::sock_extended_err> {
    // SAFETY: as in `read`.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: as in `read`.
        let level_and_kind = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        if let (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) =
            level_and_kind
        {
            // SAFETY: the kernel stores a `sock_extended_err`, and an address behind it, under these.
            return Some(unsafe {
                libc::CMSG_DATA(message).cast::<libc::sock_extended_err>().read_unaligned()
            });
        }
        // SAFETY: `message` came from the same header.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

/// Reads the control messages of a received datagram.
pub(crate) fn read(header: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: the header was filled by the kernel, whose `msg_controllen` covers only bytes it wrote into
    // a buffer that outlives the header; the macros stay within that length.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it points to a whole header within the control buffer.
        let (level, kind) = unsafe { ((*message).cmsg_level, (*message).cmsg_type) };
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the kernel stores an `in_pktinfo` under this level and type.
                let info = unsafe { libc::CMSG_DATA(message).cast::<libc::in_pktinfo>().read_unaligned() };
                told.to = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the kernel stores an `in6_pktinfo` under this level and type.
                let info = unsafe { libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>().read_unaligned() };
                told.to = Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)).to_canonical());
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                // SAFETY: the kernel stores an `int` under this level and type.
                let len = unsafe { libc::CMSG_DATA(message).cast::<libc::c_int>().read_unaligned() };
                told.segment = usize::try_from(len).ok().filter(|len| *len > 0);
            }
            _ => {}
        }
        // SAFETY: `message` came from the same header.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    told
}
