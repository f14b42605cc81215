//! Addresses: every client and every peer has an IP address of its own, all on loopback.
//!
//! A server cannot tell them from machines of their own. One socket bound to the wildcard serves all clients, and
//! one all peers, so that the load costs few system calls. The number of a client is in its address: nobody,
//! least of all the bare forwarder, needs a table.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Clients and peers are numbered from 0 to this, exclusively.
pub const MOST: usize = 1 << 20;

const CLIENTS: u32 = u32::from_be_bytes([127, 16, 0, 0]);
const PEERS: u32 = u32::from_be_bytes([127, 32, 0, 0]);
const STRANGERS: u32 = u32::from_be_bytes([127, 64, 0, 0]);

/// The address of a client.
pub fn client(number: usize) -> IpAddr {
    Ipv4Addr::from(CLIENTS + number as u32).into()
}

/// The address of a peer.
pub fn peer(number: usize) -> IpAddr {
    Ipv4Addr::from(PEERS + number as u32).into()
}

/// The address of somebody who is neither.
pub fn stranger(number: usize) -> IpAddr {
    Ipv4Addr::from(STRANGERS + number as u32).into()
}

/// The number of the client, peer or stranger at an address.
pub fn number(ip: IpAddr) -> usize {
    match ip {
        IpAddr::V4(v4) => u32::from(v4) as usize % MOST,
        IpAddr::V6(_) => 0,
    }
}

/// Whether a client, not a peer, is at an address.
pub fn is_client(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if u32::from(v4) / MOST as u32 == CLIENTS / MOST as u32)
}

/// Whether a stranger is at an address.
pub fn is_stranger(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if u32::from(v4) / MOST as u32 == STRANGERS / MOST as u32)
}

/// Where servers listen.
pub fn server(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_who_is_there() {
        for number in [0, 1, 255, 256, 65_536, MOST - 1] {
            assert_eq!(super::number(client(number)), number);
            assert_eq!(super::number(peer(number)), number);
            assert!(is_client(client(number)) && !is_client(peer(number)));
            assert!(client(number).is_loopback() && peer(number).is_loopback());
            let stranger = stranger(number);
            assert_eq!(super::number(stranger), number);
            assert!(stranger.is_loopback() && is_stranger(stranger));
            assert!(!is_client(stranger) && !is_stranger(client(number)) && !is_stranger(peer(number)));
        }
    }
}
