//! Who holds a port: the difference between "address in use" and an answer.

use std::{fmt, fs, io, net::SocketAddr, path::Path};

/// A transport whose ports are a name space of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// The process that listens on a port, as far as this user may see it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub pid: u32,
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.command, self.pid)
    }
}

/// Explains why `address` could not be bound and how to choose another one with `remedy`.
pub(crate) fn explain(
    what: &str,
    transport: Transport,
    address: SocketAddr,
    error: &io::Error,
    remedy: &str,
) -> String {
    let name = match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
    };
    if error.kind() != io::ErrorKind::AddrInUse {
        return format!("{what}: cannot listen on {name} {address}: {error}; {remedy}");
    }
    let by = holder(transport, address.port())
        .map_or_else(|| "by another process".to_owned(), |holder| format!("by {holder}"));
    format!("{what}: {name} port {} is taken {by}; {remedy}", address.port())
}

/// Finds the process that listens on `port`, by way of `/proc`. Sockets of other users are not seen without root.
pub(crate) fn holder(transport: Transport, port: u16) -> Option<Holder> {
    let tables: [&str; 2] = match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let inode = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, transport, port))?;
    let link = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        owns(&process.path(), &link).then(|| Holder { pid, command: command(&process.path()) })
    })
}

/// Columns of `/proc/net/{tcp,udp}`: number, local address:port in hexadecimal, remote address:port, state, ..., inode.
fn listening_inode(table: &str, transport: Transport, port: u16) -> Option<u64> {
    const TCP_LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let local = columns.get(1)?.rsplit_once(':')?.1;
        let matches = u16::from_str_radix(local, 16).ok()? == port
            && (transport == Transport::Udp || *columns.get(3)? == TCP_LISTEN);
        matches.then(|| columns.get(9)?.parse().ok()).flatten()
    })
}

fn owns(process: &Path, link: &str) -> bool {
    fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == link))
}

fn command(process: &Path) -> String {
    fs::read_to_string(process.join("comm")).map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn names_the_process_that_listens() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (transport, port) in [
            (Transport::Tcp, tcp.local_addr().unwrap().port()),
            (Transport::Udp, udp.local_addr().unwrap().port()),
        ] {
            assert_eq!(holder(transport, port).unwrap().pid, std::process::id());
        }
    }

    #[test]
    fn a_connection_is_not_a_listener() {
        let table = "  sl  local_address rem_address   st\n\
                     0: 0100007F:0D96 0100007F:1F90 01 00000000:00000000 00:00000000 00000000 0 0 77 1\n\
                     1: 0100007F:0D96 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 78 1\n";
        assert_eq!(listening_inode(table, Transport::Tcp, 3478), Some(78));
        assert_eq!(listening_inode(table, Transport::Tcp, 3479), None);
    }

    #[test]
    fn an_explanation_names_port_holder_and_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = TcpListener::bind(address).unwrap_err();
        let text = explain("discovery", Transport::Tcp, address, &error, "choose another with --x");
        assert!(
            text.contains(&address.port().to_string()) && text.contains("choose another with --x"),
            "{text}"
        );
        assert!(text.contains(&std::process::id().to_string()), "{text}");
    }
}
