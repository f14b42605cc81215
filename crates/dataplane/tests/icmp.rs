//! ICMP errors about what clients send to peers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::SocketAddr;

use common::{Gateway, Text, cluster, echo, static_user};
use kit::host::{Host, in_own_network, run};
use kit::{AllocateOptions, Deadline, EchoPeer, Event, Part, TurnClient};
use stun::attribute::{DontFragment, Family, Icmp, XorPeerAddress, types};
use stun::{Class, Method, TransactionId, Writer};

/// A port that the kernel gives to nobody, and that nobody here has.
const CLOSED: u16 = 1;

fn text(more: &str) -> Text {
    let text = Text::new();
    let listener = |protocol: &str| {
        let port = text.port;
        let where_to = "address: 127.0.0.1, additional_address: '::1', routes: [loop]";
        format!("{{ name: {protocol}, protocol: {protocol}, {where_to}, port: {port}, {more} }}")
    };
    let listeners = [listener("udp"), listener("tcp")];
    let peers = "[127.0.0.0/8, '::1', 10.0.0.0/8]";
    Text { clusters: vec![cluster("loop", peers)], ..text }.listeners(&listeners)
}

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

/// Sends again and again until an error comes back: the kernel makes only so many of them per second, whoever causes
/// them.
#[track_caller]
fn error(client: &mut TurnClient, mut send: impl FnMut(&mut TurnClient)) -> (SocketAddr, Icmp) {
    let deadline = Deadline::default();
    while deadline.left().is_some() {
        send(client);
        for event in client.settle().unwrap() {
            if let Event::Icmp { peer, icmp } = event {
                return (peer, icmp);
            }
        }
    }
    panic!("no ICMP error arrives");
}

#[test]
fn a_client_is_told_that_nobody_listens_and_loses_nothing_of_what_is_for_others() {
    let gateway = Gateway::start(&text("icmp_errors: true"));
    for client in [TurnClient::udp(gateway.address()), TurnClient::tcp(gateway.address())] {
        let mut client = client.with(static_user());
        let both = AllocateOptions { additional_family: Some(Family::V6), ..AllocateOptions::default() };
        client.allocate_with(&both).unwrap();
        for (ip, kind, code) in [("127.0.0.1", 3, 3), ("::1", 1, 4)] {
            let (live, closed) = (EchoPeer::on(at(ip, 0)), at(ip, CLOSED));
            client.create_permission(closed).unwrap();
            let told = error(&mut client, |client| client.send(closed, b"anybody?"));
            assert_eq!(told, (closed, Icmp { kind, code, data: 0 }));
            for round in 0..50_u8 {
                client.send(closed, b"anybody?");
                client.send(live.address(), &[round]);
                client.send(closed, b"anybody?");
                let heard = loop {
                    match client.recv() {
                        Event::Icmp { peer, .. } => assert_eq!(peer, closed),
                        other => break other,
                    }
                };
                assert_eq!((heard.data(), heard.peer()), (&[round][..], live.address()));
            }
        }
        client.refresh(0).unwrap();
    }
}

#[test]
fn nobody_is_told_anything_unless_it_is_asked_for() {
    let gateway = Gateway::start(&text(""));
    let mut client = gateway.udp();
    client.allocate().unwrap();
    let peer = EchoPeer::start();
    client.channel_bind(0x4000, peer.address()).unwrap();
    for _ in 0..20 {
        client.send(at("127.0.0.1", CLOSED), b"anybody?");
        echo(&mut client, 0x4000, 1);
    }
    assert!(client.settle().unwrap().is_empty());
}

// === A router ===

/// A second machine, which is to lead to 10.8.0.0/16 and does not, and to 10.9.0.0/16 by a link of 1280 bytes only.
fn router(netns: &Part) -> Host {
    let router = Host::start(netns);
    let ip = |arguments: &str| run(netns, &format!("ip {arguments}"));
    ip("link set lo up");
    ip("link add a0 type veth peer name b0");
    ip(&format!("link set b0 netns {}", router.id()));
    ip("addr add 10.7.0.1/24 dev a0");
    ip("link set a0 up");
    ip("route add default via 10.7.0.2");
    router.inside(|| {
        ip("link set lo up");
        ip("addr add 10.7.0.2/24 dev b0");
        ip("link set b0 up");
        ip("link add d0 mtu 1280 type veth peer name d1");
        ip("addr add 10.9.0.1/16 dev d0");
        ip("link set d0 up");
        ip("link set d1 up");
        ip("route add unreachable 10.8.0.0/16");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    });
    router
}

/// A Send indication that must not be fragmented.
fn unfragmented(peer: SocketAddr, len: usize) -> Vec<u8> {
    let mut packet = vec![0; len + 100];
    let mut writer =
        Writer::new(&mut packet, Class::Indication, Method::Send, TransactionId::new([7; 12])).unwrap();
    writer.put(&XorPeerAddress(peer)).unwrap();
    writer.put(&DontFragment).unwrap();
    writer.put_raw(types::DATA, &vec![0; len]).unwrap();
    let len = writer.finish();
    packet.truncate(len);
    packet
}

#[test]
fn a_client_learns_from_routers_on_the_way_what_is_too_long_and_where_there_is_no_way() {
    let Some(netns) = kit::need("netns") else { return };
    let name = "a_client_learns_from_routers_on_the_way_what_is_too_long_and_where_there_is_no_way";
    if !in_own_network(&netns, name) {
        return;
    }
    let _router = router(&netns);
    let gateway = Gateway::start(&text("icmp_errors: true"));
    let mut client = gateway.udp();
    client.allocate().unwrap();
    let (narrow, nowhere) = (at("10.9.0.2", 9), at("10.8.0.2", 9));
    client.create_permissions(&[narrow, nowhere]).unwrap();
    let told = error(&mut client, |client| client.send_raw(&unfragmented(narrow, 1400)));
    assert_eq!(told, (narrow, Icmp { kind: 3, code: 4, data: 1280 }));
    let told = error(&mut client, |client| client.send(nowhere, b"anybody?"));
    assert_eq!(told, (nowhere, Icmp { kind: 3, code: 1, data: 0 }));
}
