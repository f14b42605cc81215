//! The addresses of this machine.
#![expect(unsafe_code, reason = "getifaddrs returns a linked list in C memory")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Every address of every interface that is up, loopback included.
///
/// # Errors
/// Whatever the kernel answers.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    let list = List::get()?;
    let mut found = Vec::new();
    let mut entry = list.0;
    while !entry.is_null() {
        // SAFETY: not null, so it is an element of the list, which lives until `list` is dropped.
        let interface = unsafe { &*entry };
        if interface.ifa_flags & libc::IFF_UP as libc::c_uint != 0
            // SAFETY: `ifa_addr` is null or points to an address of the family it names.
            && let Some(ip) = unsafe { ip_of(interface.ifa_addr) }
        {
            found.push(ip);
        }
        entry = interface.ifa_next;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The address this machine would use towards the rest of the world, if it has a route there.
///
/// Nothing is sent: connecting a UDP socket only asks the routing table.
pub fn outward(ipv6: bool) -> Option<IpAddr> {
    // Documentation ranges (RFC 5737, RFC 3849): routed like any other, and nobody lives there.
    let (from, to): (SocketAddr, SocketAddr) = if ipv6 {
        ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into())
    } else {
        ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(198, 51, 100, 1), 9).into())
    };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

struct List(*mut libc::ifaddrs);

impl List {
    fn get() -> io::Result<Self> {
        let mut head = std::ptr::null_mut();
        // SAFETY: the kernel's library writes one pointer to where it is told.
        if unsafe { libc::getifaddrs(&raw mut head) } == 0 {
            Ok(Self(head))
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the pointer came from getifaddrs and is freed once.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// # Safety
/// `addr` must be null or point to a socket address as large as its family demands.
unsafe fn ip_of(addr: *const libc::sockaddr) -> Option<IpAddr> {
    if addr.is_null() {
        return None;
    }
    // SAFETY: not null, so at least the family can be read.
    let family = libc::c_int::from(unsafe { (*addr).sa_family });
    match family {
        libc::AF_INET => {
            // SAFETY: the family says that this is a `sockaddr_in`.
            let v4 = unsafe { addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that this is a `sockaddr_in6`.
            let v6 = unsafe { addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_the_addresses() {
        assert!(addresses().unwrap().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn the_outward_address_is_one_of_ours() {
        if let Some(ip) = outward(false) {
            assert!(addresses().unwrap().contains(&ip));
        }
    }
}
