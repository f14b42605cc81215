//! How a NAT behaves, RFC 5780.

use std::net::SocketAddr;

use stun::Message;
use stun::attribute::{
    ChangeRequest, MappedAddress, OtherAddress, Padding, ResponseOrigin, ResponsePort, XorMappedAddress,
};
use stun::attribute::{ErrorCode, types};
use stun::{Class, Method, TransactionId, Writer};
use turn::addr::{Client, ListenerId};
use turn::server::{Discovery, DropReason, Output, Verdict};

use crate::support::*;

const IPS: [&str; 2] = ["203.0.113.1", "203.0.113.2"];
const PORTS: [u16; 2] = [3478, 3479];
const REMOTE: &str = "198.51.100.1:5000";

fn at(ip: usize, port: usize) -> SocketAddr {
    SocketAddr::new(IPS[ip].parse().unwrap(), PORTS[port])
}

fn world() -> World {
    let mut world = World::new();
    world.rules.listener_mut(1).discovery = Some(Discovery { first: at(0, 0), second: at(1, 1) });
    world
}

fn packet(method: Method, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut packet = vec![0; 70_000];
    let mut writer = Writer::new(&mut packet, Class::Request, method, TransactionId::new([1; 12])).unwrap();
    write(&mut writer);
    let len = writer.finish();
    packet.truncate(len);
    packet
}

/// What comes back from a request to one of our addresses: where to, from where, and the bytes.
fn ask(world: &mut World, local: SocketAddr, packet: &[u8]) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
    let client = Client::new(ListenerId(1), addr(REMOTE), local);
    match world.server.handle_client(client, packet, &world.rules, world.now) {
        Verdict::Control => {}
        Verdict::Dropped(_) => return None,
        other => panic!("{other:?}"),
    }
    let Some(Output::Send { client, message }) = world.server.poll_output() else { panic!("no answer") };
    assert!(world.server.poll_output().is_none());
    Some((client.remote(), client.local(), message.to_vec()))
}

fn code(answer: Option<(SocketAddr, SocketAddr, Vec<u8>)>) -> u16 {
    let (.., bytes) = answer.unwrap();
    Message::parse(&bytes).unwrap().get::<ErrorCode<'_>>().unwrap().unwrap().code()
}

#[test]
fn answer_leaves_from_the_address_and_the_port_that_are_asked_for_and_names_the_others() {
    let mut world = world();
    for (ip, port) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for (address, change_port) in [(false, false), (false, true), (true, false), (true, true)] {
            let asked = packet(Method::Binding, |writer| {
                writer.put(&ChangeRequest { address, port: change_port }).unwrap();
            });
            let (to, from, bytes) = ask(&mut world, at(ip, port), &asked).unwrap();
            let origin = at(ip ^ usize::from(address), port ^ usize::from(change_port));
            assert_eq!((to, from), (addr(REMOTE), origin));
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(message.get().unwrap(), Some(ResponseOrigin(origin)));
            assert_eq!(message.get().unwrap(), Some(OtherAddress(at(ip ^ 1, port ^ 1))));
            assert_eq!(message.get().unwrap(), Some(XorMappedAddress(addr(REMOTE))));
            assert_eq!(message.get().unwrap(), Some(MappedAddress(addr(REMOTE))));
        }
    }
}

#[test]
fn question_without_attributes_is_answered_from_where_it_came_to() {
    let (to, from, bytes) = ask(&mut world(), at(0, 0), &packet(Method::Binding, |_| {})).unwrap();
    assert_eq!((to, from, bytes.len()), (addr(REMOTE), at(0, 0), 20 + 4 * 12));
}

#[test]
fn answer_goes_to_the_response_port_of_the_address_that_asked() {
    let asked = packet(Method::Binding, |writer| {
        writer.put(&ResponsePort(7777)).unwrap();
    });
    let (to, from, bytes) = ask(&mut world(), at(0, 0), &asked).unwrap();
    assert_eq!((to, from), (addr("198.51.100.1:7777"), at(0, 0)));
    let mapped = Message::parse(&bytes).unwrap().get().unwrap();
    assert_eq!(mapped, Some(XorMappedAddress(addr(REMOTE))), "as it was seen");
    let nowhere = packet(Method::Binding, |writer| {
        writer.put(&ResponsePort(0)).unwrap();
    });
    assert_eq!(code(ask(&mut world(), at(0, 0), &nowhere)), 400);
}

#[test]
fn weakness_padding_is_answered_with_no_more_than_came_and_never_to_another_port() {
    for (asked, answered) in [(0, 0), (4, 4), (700, 700), (1500, 1500), (1504, 1500), (60_000, 1500)] {
        let asked = packet(Method::Binding, |writer| {
            writer.put(&Padding(&vec![7; asked])).unwrap();
        });
        let (_, _, bytes) = ask(&mut world(), at(0, 0), &asked).unwrap();
        let Padding(padding) = Message::parse(&bytes).unwrap().get().unwrap().unwrap();
        assert_eq!(padding.len(), answered);
        assert!(bytes.len() <= asked.len() + 4 * 12);
    }
    let asked = packet(Method::Binding, |writer| {
        writer.put(&Padding(&[7; 1500])).unwrap();
        writer.put(&ResponsePort(53)).unwrap();
    });
    assert_eq!(code(ask(&mut world(), at(0, 0), &asked)), 400);
}

#[test]
fn weakness_answers_to_an_address_that_may_be_forged_are_few() {
    let mut world = world();
    let asked = packet(Method::Binding, |writer| {
        writer.put(&ResponsePort(53)).unwrap();
    });
    let answers = (0..5000).filter(|_| ask(&mut world, at(0, 0), &asked).is_some()).count();
    assert_eq!(answers, 1000, "two seconds' worth");
    assert_eq!(world.dropped(DropReason::ReplyBudget), 4000);
}

#[test]
fn other_port_serves_nothing_else() {
    let mut world = world();
    for method in [Method::Allocate, Method::Refresh, Method::ChannelBind] {
        assert_eq!(ask(&mut world, at(0, 1), &packet(method, |_| {})), None);
        assert_eq!(code(ask(&mut world, at(0, 0), &packet(method, |_| {}))), 401);
    }
    assert_eq!(world.dropped(DropReason::UnknownMethod), 3);
}

#[test]
fn where_nothing_is_offered_the_attributes_are_unknown() {
    let change = packet(Method::Binding, |writer| {
        writer.put(&ChangeRequest { address: true, port: true }).unwrap();
    });
    assert_eq!(code(ask(&mut World::new(), at(0, 0), &change)), 420);
    // An address of this machine that is neither of the two.
    let elsewhere = SocketAddr::new("203.0.113.3".parse().unwrap(), PORTS[0]);
    assert_eq!(code(ask(&mut world(), elsewhere, &change)), 420);
    let (_, from, bytes) = ask(&mut world(), elsewhere, &packet(Method::Binding, |_| {})).unwrap();
    assert_eq!((from, bytes.len()), (elsewhere, 32));
    // And other attributes are as unknown as ever.
    let odd = packet(Method::Binding, |writer| {
        writer.put_raw(0x7777, b"odd").unwrap();
    });
    let (_, _, bytes) = ask(&mut world(), at(0, 0), &odd).unwrap();
    assert_eq!(Message::parse(&bytes).unwrap().raw(types::UNKNOWN_ATTRIBUTES), Some(&[0x77, 0x77][..]));
}
