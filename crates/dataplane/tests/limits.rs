//! What an operator may restrict: ports of relays, what one client may have, and where clients are sent instead.

mod common;

use std::net::SocketAddr;

use common::{Gateway, Text, code, echo, listener};
use kit::{AllocateOptions, EchoPeer, TurnClient};

fn text(more_of_listener: &str, admin: &str) -> Text {
    let mut text = Text::new().admin(&format!("healthcheck_endpoint: '', {admin}"));
    let plain = listener("udp", "TURN-UDP", text.port, "[loop]");
    text.listeners = vec![plain.replacen('{', &format!("{{ {more_of_listener} "), 1)];
    text
}

fn peer(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], 9))
}

#[test]
fn relays_have_ports_of_the_range_and_no_more_than_there_are() {
    let first = kit::free_port();
    let range = format!("relay_ports: {first}-{first},");
    let gateway = Gateway::start(&text(&range, ""));
    let mut client = gateway.udp();
    assert_eq!(client.allocate().unwrap().relayed.port(), first);
    let echo_peer = EchoPeer::start();
    client.channel_bind(0x4000, echo_peer.address()).unwrap();
    echo(&mut client, 0x4000, 3);
    assert_eq!(code(gateway.udp().allocate()), 508);
    // Another range is for those who come from now on, and restarts nothing.
    let mut without = text("", "");
    without.port = gateway.port;
    without.listeners = vec![listener("udp", "TURN-UDP", gateway.port, "[loop]")];
    assert!(gateway.apply(&without).restarted.is_empty());
    assert_ne!(gateway.udp().allocate().unwrap().relayed.port(), first);
    echo(&mut client, 0x4000, 3);
}

#[test]
fn a_pair_of_ports_stays_within_the_range() {
    let first = kit::free_port().min(60_000);
    let range = first..=first + 9;
    let text = text(&format!("relay_ports: {}-{},", range.start(), range.end()), "");
    let gateway = Gateway::start(&text);
    let mut client = gateway.udp();
    let options = AllocateOptions { even_port: Some(true), ..AllocateOptions::default() };
    let port = client.allocate_with(&options).unwrap().relayed.port();
    assert!(port.is_multiple_of(2) && range.contains(&port) && range.contains(&(port + 1)), "{port}");
}

#[test]
fn permissions_and_channels_by_one_client_are_as_many_as_configured() {
    let gateway = Gateway::start(&text("", "limits: { permissions: 2, channels: 1 }"));
    let mut client = gateway.udp();
    client.allocate().unwrap();
    client.channel_bind(0x4000, peer(1)).unwrap();
    assert_eq!(code(client.channel_bind(0x4001, peer(2))), 508);
    client.create_permission(peer(2)).unwrap();
    assert_eq!(code(client.create_permission(peer(3))), 508);
    client.create_permission(peer(1)).unwrap();
}

#[test]
fn allocations_of_one_address_are_as_many_as_configured() {
    let gateway = Gateway::start(&text("", "limits: { allocations_per_address: 2 }"));
    let from = |last: u8| {
        let local = SocketAddr::from(([127, 0, 0, last], 0));
        TurnClient::udp_from(local, gateway.address()).with(common::static_user())
    };
    let mut clients = [from(1), from(1), from(1), from(2)];
    let [one, two, three, other] = &mut clients;
    one.allocate().unwrap();
    two.allocate().unwrap();
    assert_eq!(code(three.allocate()), 486);
    other.allocate().unwrap();
    one.refresh(0).unwrap();
    three.allocate().unwrap();
}

#[test]
fn clients_are_sent_to_the_alternate_server() {
    let gateway = Gateway::start(&text("alternate_server: '192.0.2.9:3478',", ""));
    let mut client = gateway.udp();
    assert_eq!(code(client.allocate()), 300);
    assert_eq!(client.binding().unwrap(), client.local());
}
