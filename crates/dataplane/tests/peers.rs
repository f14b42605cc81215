//! Whom clients may reach: clusters, routes, ports.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Gateway, Text, await_that, code, echo, get, scrape};
use kit::{EchoPeer, TurnClient};

fn allocated(gateway: &Gateway) -> TurnClient {
    let mut client = gateway.udp();
    client.allocate().unwrap();
    client
}

#[test]
fn p01_a_peer_is_admitted_by_address_list_prefix_or_any_route() {
    for clusters in [
        &[("a", "[127.0.0.1]")][..],
        &[("a", "[10.0.0.1, 127.0.0.1, 10.0.0.2]")],
        &[("a", "[127.0.0.0/8]")],
        &[("a", "[10.0.0.1]"), ("b", "[127.0.0.1]")],
        &[("a", "type: STATIC, protocol: UDP, endpoints: [127.0.0.1]")],
    ] {
        let gateway = Gateway::start(&Text::new().clusters(clusters));
        let peer = EchoPeer::start();
        let mut client = allocated(&gateway);
        client.channel_bind(0x4000, peer.address()).unwrap();
        echo(&mut client, 0x4000, 2);
    }
}

#[test]
fn p02_a_peer_outside_every_routed_cluster_is_refused_at_permission_time() {
    let elsewhere = &[("a", "[10.0.0.1, 10.0.0.2]"), ("b", "[10.1.0.0/16]")];
    let gateway = Gateway::start(&Text::new().clusters(elsewhere));
    let peer = EchoPeer::start();
    let mut client = allocated(&gateway);
    assert_eq!(code(client.create_permission(peer.address())), 403);
    assert_eq!(code(client.channel_bind(0x4000, peer.address())), 403);
    client.send(peer.address(), b"let me in");
    client.send_channel(0x4000, b"let me in");
    assert!(client.settle().unwrap().is_empty());
    assert!(peer.sources().is_empty());
}

#[test]
fn p02_a_wildcard_does_not_admit_loopback() {
    let gateway = Gateway::start(&Text::new().clusters(&[("a", "[0.0.0.0/0]")]));
    let peer = EchoPeer::start();
    let mut client = allocated(&gateway);
    assert_eq!(code(client.create_permission(peer.address())), 403);
    assert!(client.create_permission("192.0.2.77:5".parse().unwrap()).is_ok(), "somebody else's address");
}

#[test]
fn p03_a_domain_admits_what_it_resolves_to_on_any_port() {
    let domain = "type: STRICT_DNS, endpoints: [localhost]";
    let gateway = Gateway::start(&Text::new().clusters(&[("a", domain)]));
    let peer = EchoPeer::start();
    let mut client = allocated(&gateway);
    // The name is looked up in the background.
    let deadline = kit::Deadline::default();
    while client.channel_bind(0x4000, peer.address()).is_err() {
        assert!(deadline.left().is_some(), "localhost is never resolved");
    }
    echo(&mut client, 0x4000, 2);
    assert_eq!(code(client.create_permission("127.0.0.9:5".parse().unwrap())), 403);
}

#[test]
fn p03_an_unknown_domain_admits_nobody() {
    let domain = "type: STRICT_DNS, endpoints: [no-such-name.invalid]";
    let gateway = Gateway::start(&Text::new().clusters(&[("a", domain)]));
    assert_eq!(code(allocated(&gateway).create_permission("127.0.0.1:5".parse().unwrap())), 403);
}

#[test]
fn p04_packets_to_a_port_in_range_are_relayed_and_counted() {
    let peer = EchoPeer::start();
    let port = peer.address().port();
    for range in [format!("<{port}-{port}>"), format!("<{}-{}>", port - 1, port.saturating_add(1))] {
        let metrics = common::address(kit::free_port());
        let text = Text::new()
            .clusters(&[("a", &format!("['127.0.0.1:{range}']"))])
            .admin(&format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}/metrics'"));
        let gateway = Gateway::start(&text);
        let mut client = allocated(&gateway);
        client.create_permission(peer.address()).unwrap();
        for number in 0..500_u32 {
            client.send(peer.address(), &number.to_be_bytes());
            assert_eq!(client.recv().data(), number.to_be_bytes());
        }
        let series = scrape(metrics, "/metrics");
        let packets_and_bytes = |object: &str, name: &str| {
            ["rx", "tx"].map(|direction| {
                let labels = format!(r#"{{name="{name}",direction="{direction}"}}"#);
                (
                    series[&format!("stunner_{object}_packets_total{labels}")],
                    series[&format!("stunner_{object}_bytes_total{labels}")],
                )
            })
        };
        assert_eq!(packets_and_bytes("cluster", "a"), [(500.0, 2000.0), (500.0, 2000.0)]);
        for (packets, bytes) in packets_and_bytes("listener", "udp") {
            assert!(packets > 500.0 && bytes > 20_000.0);
        }
        for family in ["stunner_listener_packets_total", "stunner_cluster_packets_total"] {
            assert_eq!(series.keys().filter(|name| name.starts_with(family)).count(), 2, "{family}");
        }
        let sockets = gateway.dataplane.workers() as f64;
        assert_eq!(series[r#"stunner_listener_connections{name="udp"}"#], sockets);
        assert_eq!(series[r#"stunner_listener_connections_total{name="udp"}"#], sockets);
        assert_eq!(series["stunner_allocations_active"], 1.0);
    }
}

#[test]
fn p05_packets_to_a_port_out_of_range_disappear() {
    let peer = EchoPeer::start();
    let other = if peer.address().port() == 5 { 6 } else { 5 };
    let metrics = common::address(kit::free_port());
    let text = Text::new()
        .clusters(&[("a", &format!("['127.0.0.1:<{other}-{other}>']"))])
        .admin(&format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}/metrics'"));
    let gateway = Gateway::start(&text);
    let mut client = allocated(&gateway);
    client.create_permission(peer.address()).unwrap();
    for batch in 0..10_u8 {
        for _ in 0..60 {
            client.send(peer.address(), &[batch]);
        }
        // Lets the server catch up, so that the kernel has no reason to lose any.
        assert!(client.settle().unwrap().is_empty());
    }
    let series = scrape(metrics, "/metrics");
    assert!(series[r#"stunner_listener_packets_total{name="udp",direction="rx"}"#] > 500.0);
    assert!(series[r#"stunner_listener_packets_total{name="udp",direction="tx"}"#] < 50.0);
    assert!(!series.keys().any(|name| name.starts_with("stunner_cluster")));
    assert_eq!(series[r#"stunner_packets_dropped_total{reason="peer_refused"}"#], 600.0);
    assert!(peer.sources().is_empty());
}

#[test]
fn p06_a_tcp_cluster_admits_no_udp_packet_and_the_first_route_counts() {
    let peer = EchoPeer::start();
    let metrics = common::address(kit::free_port());
    let admin = format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'");
    let tcp = ("a", "protocol: TCP, endpoints: [127.0.0.1]");
    let text = Text::new().clusters(&[tcp]).admin(&admin);
    let gateway = Gateway::start(&text);
    let mut client = allocated(&gateway);
    client.create_permission(peer.address()).unwrap();
    client.send(peer.address(), b"over UDP");
    assert!(client.settle().unwrap().is_empty());
    assert!(peer.sources().is_empty());

    let both = [tcp, ("b", "[127.0.0.1]"), ("c", "[127.0.0.0/8]")];
    let text = Text { port: text.port, ..Text::new() }.clusters(&both).admin(&admin);
    assert!(gateway.apply(&text).restarted.is_empty());
    client.send(peer.address(), b"over UDP");
    assert_eq!(client.recv().data(), b"over UDP");
    let (_, _, body) = get(metrics, "/").unwrap();
    assert!(body.contains(r#"stunner_cluster_packets_total{name="b",direction="tx"} 1"#), "{body}");
    assert!(!body.contains(r#"name="c""#));
}

#[test]
fn p07_a_relay_socket_hears_admitted_ports_only() {
    let (admitted, other) = (EchoPeer::start(), EchoPeer::start());
    let port = admitted.address().port();
    let gateway = Gateway::start(&Text::new().clusters(&[("a", &format!("['127.0.0.1:<{port}-{port}>']"))]));
    let mut client = gateway.udp();
    let relayed = client.allocate().unwrap().relayed;
    client.create_permission(admitted.address()).unwrap();
    client.send(other.address(), b"out");
    // The permission is for the address, yet a packet from its other port goes nowhere.
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.send_to(b"in", relayed).unwrap();
    client.send(admitted.address(), b"fine");
    assert_eq!(client.recv().data(), b"fine");
    assert!(client.settle().unwrap().is_empty());
    assert!(other.sources().is_empty());
}

#[test]
fn two_clients_of_one_gateway_talk_through_their_relays() {
    let gateway = Gateway::with_workers(&Text::new(), 2);
    let (mut alice, mut bob) = (gateway.udp(), gateway.tcp());
    let (a, b) = (alice.allocate().unwrap().relayed, bob.allocate().unwrap().relayed);
    alice.channel_bind(0x4000, b).unwrap();
    bob.channel_bind(0x4001, a).unwrap();
    for number in 0..100_u32 {
        alice.send_channel(0x4000, &number.to_be_bytes());
        assert_eq!(bob.recv().data(), number.to_be_bytes());
        bob.send_channel(0x4001, &number.to_be_bytes());
        let answer = alice.recv();
        assert_eq!((answer.data(), answer.peer()), (&number.to_be_bytes()[..], b));
    }
}

#[test]
fn datagrams_of_every_size_pass_whole() {
    let gateway = Gateway::start(&Text::new());
    let peer = EchoPeer::start();
    for mut client in [gateway.udp(), gateway.tcp()] {
        client.allocate().unwrap();
        client.channel_bind(0x4000, peer.address()).unwrap();
        client.create_permission(peer.address()).unwrap();
        for len in [0, 1, 2, 3, 4, 5, 1199, 1472, 1600, 4000, 9000, 60_000] {
            let data: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
            client.send_channel(0x4000, &data);
            assert_eq!(client.recv().data(), data, "{len}");
        }
    }
    await_that("every allocation ends with its client or lives on", || gateway.dataplane.allocations() <= 2);
}
