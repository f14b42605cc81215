//! Where listeners and relays are: families, bound addresses, advertised addresses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::{Gateway, Text, cluster, code, echo, static_user};
use kit::{AllocateOptions, EchoPeer, Request, TurnClient};
use stun::Method;
use stun::attribute::{Family, Lifetime, RequestedAddressFamily};

/// A UDP and a TCP listener with this relay address, and whatever else is given.
fn text(address: &str, more: &str) -> Text {
    let text = Text::new();
    let listener = |name: &str| {
        let protocol = name.to_uppercase();
        let port = text.port;
        format!(
            "{{ name: {name}, protocol: {protocol}, address: '{address}', port: {port}, routes: [loop] {more} }}"
        )
    };
    let listeners = [listener("udp"), listener("tcp")];
    Text { clusters: vec![cluster("loop", "[127.0.0.0/8, '::1']")], ..text }.listeners(&listeners)
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

#[test]
fn clients_of_both_families_are_served_and_told_their_address() {
    let gateway = Gateway::start(&text("127.0.0.1", ""));
    for ip in ["127.0.0.1", "::1", "127.0.0.5"] {
        let server = at(ip, gateway.port);
        for mut client in [TurnClient::udp(server), TurnClient::tcp(server)] {
            assert_eq!(client.binding().unwrap(), client.local(), "{ip}");
        }
        let mut client = TurnClient::udp(server).with(static_user());
        let peer = EchoPeer::start();
        assert_eq!(client.allocate().unwrap().relayed.ip(), at("127.0.0.1", 0).ip());
        client.channel_bind(0x4000, peer.address()).unwrap();
        echo(&mut client, 0x4000, 3);
    }
}

#[test]
fn an_ipv6_relay_reaches_ipv6_peers() {
    let gateway = Gateway::start(&text("::1", ""));
    let peer = EchoPeer::on(at("::1", 0));
    let wish = AllocateOptions { family: Some(Family::V6), ..AllocateOptions::default() };
    for ip in ["127.0.0.1", "::1"] {
        let server = at(ip, gateway.port);
        for client in [TurnClient::udp(server), TurnClient::tcp(server)] {
            let mut client = client.with(static_user());
            let relayed = client.allocate_with(&wish).unwrap().relayed;
            assert_eq!(relayed.ip(), at("::1", 0).ip());
            client.channel_bind(0x4000, peer.address()).unwrap();
            echo(&mut client, 0x4000, 3);
            assert_eq!(peer.sources().last(), Some(&relayed));
            // An indication carries an address that is longer.
            client.create_permission(peer.address()).unwrap();
            client.send(peer.address(), b"in an indication");
            assert_eq!(client.recv().data(), b"in an indication");
        }
    }
}

#[test]
fn a_family_that_is_not_advertised_is_refused() {
    let gateway = Gateway::start(&text("127.0.0.1", ""));
    let wish = AllocateOptions { family: Some(Family::V6), ..AllocateOptions::default() };
    assert_eq!(code(gateway.udp().allocate_with(&wish)), 440);
}

#[test]
fn without_an_address_relays_are_advertised_by_one_of_this_machine() {
    for address in ["", "0.0.0.0"] {
        let gateway = Gateway::start(&text(address, ""));
        let relayed = gateway.udp().allocate().unwrap().relayed.ip();
        assert!(!relayed.is_unspecified());
        assert_eq!(relayed, dataplane::outward_address());
    }
}

#[test]
fn sockets_bind_the_address_they_are_told_to() {
    let gateway = Gateway::start(&text("127.0.0.2", ", bind_address: 127.0.0.2"));
    let peer = EchoPeer::start();
    let server = at("127.0.0.2", gateway.port);
    for client in [TurnClient::udp(server), TurnClient::tcp(server)] {
        let mut client = client.with(static_user());
        let relayed = client.allocate().unwrap().relayed;
        client.channel_bind(0x4000, peer.address()).unwrap();
        echo(&mut client, 0x4000, 3);
        assert_eq!(peer.sources().last(), Some(&relayed), "the relay has that address, too");
    }
    assert!(std::net::TcpStream::connect(gateway.address()).is_err());
    let mut elsewhere = TurnClient::udp(gateway.address());
    elsewhere.set_patience(Duration::from_millis(100));
    assert!(elsewhere.binding().is_err());
}

#[test]
fn listeners_of_one_port_may_bind_different_addresses() {
    let text = Text::new();
    let listener = |name: &str, ip: &str| {
        format!("{{ name: {name}, address: {ip}, bind_address: {ip}, port: {}, routes: [loop] }}", text.port)
    };
    let listeners = [listener("one", "127.0.0.1"), listener("two", "127.0.0.2")];
    let gateway = Gateway::start(&text.clone().listeners(&listeners));
    for ip in ["127.0.0.1", "127.0.0.2"] {
        let mut client = TurnClient::udp(at(ip, gateway.port)).with(static_user());
        assert_eq!(client.allocate().unwrap().relayed.ip(), ip.parse::<IpAddr>().unwrap());
    }
}

const BOTH: &str = ", additional_address: '::1'";

fn both_families() -> AllocateOptions {
    AllocateOptions { additional_family: Some(Family::V6), ..AllocateOptions::default() }
}

/// A client with two relayed addresses, and what they are.
fn allocate_both(client: TurnClient) -> (TurnClient, [SocketAddr; 2]) {
    let mut client = client.with(static_user());
    let allocation = client.allocate_with(&both_families()).unwrap();
    let relayed = [allocation.relayed, allocation.second.unwrap()];
    assert_eq!(relayed.map(|address| address.ip()), [at("127.0.0.1", 0).ip(), at("::1", 0).ip()]);
    (client, relayed)
}

#[test]
fn a_client_with_both_families_reaches_peers_of_both_from_the_relay_of_each() {
    let gateway = Gateway::start(&text("127.0.0.1", BOTH));
    for client in [TurnClient::udp(gateway.address()), TurnClient::tcp(gateway.address())] {
        let peers = [EchoPeer::start(), EchoPeer::on(at("::1", 0))];
        let (mut client, relayed) = allocate_both(client);
        gateway.await_allocations(2);
        for (peer, channel) in peers.iter().zip([0x4000, 0x4001]) {
            client.channel_bind(channel, peer.address()).unwrap();
            echo(&mut client, channel, 3);
            client.send(peer.address(), b"by indication");
            assert_eq!(client.recv().data(), b"by indication");
        }
        for (peer, relayed) in peers.iter().zip(relayed) {
            assert_eq!(peer.sources(), [relayed; 4]);
        }
        // One family ends, and the other goes on; over TCP, on the same connection.
        let delete = Request::new(Method::Refresh).with(Lifetime(0)).with(RequestedAddressFamily(Family::V4));
        client.request(&delete).unwrap();
        gateway.await_allocations(1);
        assert_eq!(code(client.channel_bind(0x4002, peers[0].address())), 443);
        echo(&mut client, 0x4001, 3);
        assert_eq!(peers[1].sources(), [relayed[1]; 7]);
        client.refresh(0).unwrap();
        gateway.await_allocations(0);
    }
}

#[test]
fn clients_with_both_families_reach_each_other_on_both_with_the_short_cut_and_without() {
    for headless_short_cut in [true, false] {
        for workers in [1, 3] {
            let options = dataplane::Options { workers, headless_short_cut, ..dataplane::Options::default() };
            let gateway = Gateway::with_options(&text("127.0.0.1", BOTH), options);
            let server = gateway.address();
            let (mut alice, alices) = allocate_both(TurnClient::udp(server));
            let (mut bob, bobs) = allocate_both(TurnClient::tcp(server));
            for (at, channel) in [0x4000, 0x4001].into_iter().enumerate() {
                alice.channel_bind(channel, bobs[at]).unwrap();
                bob.create_permission(alices[at]).unwrap();
                alice.send_channel(channel, b"to bob");
                let heard = bob.recv();
                assert_eq!((heard.data(), heard.peer()), (&b"to bob"[..], alices[at]));
                bob.send(alices[at], b"to alice");
                let heard = alice.recv();
                assert_eq!((heard.data(), heard.peer()), (&b"to alice"[..], bobs[at]));
            }
        }
    }
}

#[test]
fn a_family_without_a_port_leaves_the_client_with_the_other() {
    let text = text("127.0.0.1", BOTH);
    let gateway = Gateway::start(&text);
    let udp = |more: &str| {
        let port = text.port;
        let listener =
            format!("name: udp, protocol: udp, address: 127.0.0.1, bind_address: 127.0.0.1, port: {port}");
        text.clone().listeners(&[format!("{{ {listener}, routes: [loop] {more} }}")])
    };
    // The only port of the range is somebody else's in IPv6, and in IPv4 in all likelihood nobody's.
    let attempt = |_| {
        let held = std::net::UdpSocket::bind(at("::1", 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        gateway.apply(&udp(&format!("{BOTH}, relay_ports: {port}-{port}")));
        let allocation = gateway.udp().allocate_with(&both_families()).ok()?;
        assert_eq!((allocation.relayed, allocation.second), (at("127.0.0.1", port), None));
        Some(())
    };
    (0..20).find_map(attempt).unwrap();

    // A listener with one address has one family to give.
    gateway.apply(&udp(""));
    let allocation = gateway.udp().allocate_with(&both_families()).unwrap();
    assert_eq!((allocation.relayed.ip(), allocation.second), (at("127.0.0.1", 0).ip(), None));
}
