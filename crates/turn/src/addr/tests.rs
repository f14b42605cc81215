use std::net::{IpAddr, SocketAddr};

use super::{Client, ListenerId, PeerAddr, RelayId, canonical_peer_ip};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn ipv4_mapped_peer_is_the_ipv4_peer() {
    assert_eq!(canonical_peer_ip(ip("::ffff:192.0.2.7")), Ok(ip("192.0.2.7")));
    assert_eq!(PeerAddr::new(addr("[::ffff:192.0.2.7]:9")), PeerAddr::new(addr("192.0.2.7:9")));
}

#[test]
fn weakness_every_other_spelling_of_an_ipv4_peer_is_refused() {
    let spellings = [
        "::192.0.2.7",
        "::ffff:0:192.0.2.7",
        "64:ff9b::192.0.2.7",
        "64:ff9b:1::192.0.2.7",
        "64:ff9b:1:ffff::192.0.2.7",
        "2002:c000:207::",
        "2002:c000:207::1",
        "2001:0:c000:207::",
        "2001::3fff:fdf8",
        "fe80::5efe:192.0.2.7",
        "2001:db8::5efe:192.0.2.7",
        "2001:db8::200:5efe:192.0.2.7",
    ];
    for spelling in spellings {
        assert!(canonical_peer_ip(ip(spelling)).is_err(), "{spelling}");
    }
}

#[test]
fn weakness_unspecified_multicast_and_broadcast_are_nobody() {
    for nobody in ["0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "224.0.0.1", "255.255.255.255", "ff02::1"] {
        assert!(canonical_peer_ip(ip(nobody)).is_err(), "{nobody}");
    }
}

#[test]
fn loopback_and_ordinary_hosts_are_left_to_the_routes() {
    for host in ["127.0.0.1", "::1", "169.254.1.1", "10.0.0.1", "2001:db8::1", "2606:4700::1", "fd00::1"] {
        assert_eq!(canonical_peer_ip(ip(host)), Ok(ip(host)), "{host}");
    }
}

#[test]
fn client_of_a_dual_stack_socket_is_an_ipv4_client() {
    let mapped = Client::new(ListenerId(1), addr("[::ffff:192.0.2.7]:5000"), addr("[::ffff:192.0.2.1]:3478"));
    assert_eq!(mapped, Client::new(ListenerId(1), addr("192.0.2.7:5000"), addr("192.0.2.1:3478")));
}

#[test]
fn relay_id_survives_the_poll_token() {
    let relay = RelayId::new(7, u32::MAX);
    assert_eq!(RelayId::from_u64(relay.to_u64()), relay);
}
