//! Where listeners and relays are: families, bound addresses, advertised addresses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::{Gateway, Text, cluster, code, echo, static_user};
use kit::{AllocateOptions, EchoPeer, TurnClient};
use stun::attribute::Family;

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
