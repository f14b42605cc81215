//! Control messages: the local address a datagram came to or shall leave from.
#![expect(unsafe_code, reason = "control messages are raw memory by definition")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for the control messages of one datagram: packet info of either family, and to spare.
///
/// The segment size of batched datagrams (`UDP_GRO`, `UDP_SEGMENT`) will travel here, too; 24 bytes of it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Control([u8; CONTROL_LEN]);

pub(crate) const CONTROL_LEN: usize = 128;

impl Control {
    pub(crate) const EMPTY: Self = Self([0; CONTROL_LEN]);

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// Writes the local address that a datagram shall leave from; returns the length to hand to the
    /// kernel. `ipv6_socket` selects the form, since a dual-stack socket takes mapped addresses.
    pub(crate) fn put_source(&mut self, source: IpAddr, ipv6_socket: bool) -> usize {
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
            (IpAddr::V4(v4), true) => self.put_source_v6(v4.to_ipv6_mapped()),
            (IpAddr::V6(v6), true) => self.put_source_v6(v6),
            (IpAddr::V6(_), false) => 0,
        }
    }

    fn put_source_v6(&mut self, source: Ipv6Addr) -> usize {
        self.put(
            libc::IPPROTO_IPV6,
            libc::IPV6_PKTINFO,
            libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: source.octets() }, ipi6_ifindex: 0 },
        )
    }

    fn put<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) -> usize {
        let value_len = size_of::<T>() as libc::c_uint;
        // SAFETY: computes a number from a number.
        let (space, len) = unsafe { (libc::CMSG_SPACE(value_len), libc::CMSG_LEN(value_len)) };
        assert!(space as usize <= CONTROL_LEN, "one small message fits");
        let header = self.0.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: the buffer is aligned for a header, `space` bytes of it hold header and value (asserted
        // above), and the value is written unaligned behind the header.
        unsafe {
            (*header).cmsg_len = len as _;
            (*header).cmsg_level = level;
            (*header).cmsg_type = kind;
            libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
        }
        space as usize
    }
}

/// The local address a received datagram was sent to, if the kernel told.
pub(crate) fn destination(header: &libc::msghdr) -> Option<IpAddr> {
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
                return Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr))));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the kernel stores an `in6_pktinfo` under this level and type.
                let info = unsafe { libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>().read_unaligned() };
                return Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)).to_canonical());
            }
            _ => {}
        }
        // SAFETY: `message` came from the same header.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}
