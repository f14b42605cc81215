//! Binding, RFC 8489 section 7.

use stun::attribute::types;
use stun::{Class, Method};

use crate::support::*;

#[test]
fn binding_tells_the_client_its_address() {
    let mut world = World::new();
    assert_eq!(world.ask("alice", binding()), ["alice <- Binding ok: mapped 198.51.100.1:5000"]);
    world.meet("carol", 1, "[2001:db8::c]:5000");
    assert_eq!(world.ask("carol", binding()), ["carol <- Binding ok: mapped [2001:db8::c]:5000"]);
}

#[test]
fn binding_of_a_dual_stack_socket_tells_the_ipv4_address() {
    let mut world = World::new();
    world.meet("carol", 1, "[::ffff:198.51.100.9]:5000");
    assert_eq!(world.ask("carol", binding()), ["carol <- Binding ok: mapped 198.51.100.9:5000"]);
}

#[test]
fn weakness_binding_answer_is_as_small_as_it_can_be() {
    let mut world = World::new();
    let asked = world.packet("alice", &binding());
    world.sends("alice", &asked);
    assert_eq!((asked.len(), world.replies[0].len()), (20, 32));
}

#[test]
fn binding_with_a_fingerprint_is_answered_with_one() {
    let mut world = World::new();
    let lines = world.ask("alice", binding().fingerprint());
    assert_eq!(lines, ["alice <- Binding ok: mapped 198.51.100.1:5000, fingerprint"]);
}

#[test]
fn message_with_a_wrong_fingerprint_is_dropped() {
    let mut world = World::new();
    let mut packet = world.packet("alice", &binding().fingerprint());
    *packet.last_mut().unwrap() ^= 1;
    assert_eq!(world.sends("alice", &packet), ["drop WrongFingerprint"]);
}

#[test]
fn binding_with_attributes_nobody_may_ignore_is_refused_by_their_names() {
    let mut world = World::new();
    let ask = binding().with_raw(0x0003, &[0; 4]).with_raw(0x7777, b"x").with_raw(0x8777, b"y");
    assert_eq!(world.ask("alice", ask), ["alice <- Binding 420: unknown 0x0003 0x7777"]);
}

/// RFC 8489 section 6.3: what need not be understood, and what is understood but has no business here.
#[test]
fn attributes_that_can_be_ignored_are_ignored() {
    let mut world = World::new();
    let strange = |ask: Ask| {
        ask.with_raw(0x8777, b"odd")
            .with_raw(types::SOFTWARE, b"a client")
            .with_raw(types::XOR_MAPPED_ADDRESS, b"broken")
            .with_raw(types::ERROR_CODE, &[0, 0, 4, 0])
            .with_raw(types::DATA, b"")
    };
    let mapped = ["alice <- Binding ok: mapped 198.51.100.1:5000"];
    assert_eq!(world.ask("alice", strange(binding())), mapped);
    assert_eq!(world.ask("alice", strange(allocate())), ["open relay 1 for listener 1, V4, any port"]);
    world.opens(1, 50_001);
    let lines = world.ask("alice", strange(refresh(60)));
    assert_eq!(lines, ["alice <- Refresh ok: lifetime 60, signed"]);
    let lines = world.ask("alice", strange(permit(&["192.0.2.7"])));
    assert_eq!(lines, ["alice <- CreatePermission ok: signed"]);
    let lines = world.ask("alice", strange(bind(0x4000, "192.0.2.7:9")));
    assert_eq!(lines, ["alice <- ChannelBind ok: signed"]);
}

#[test]
fn a03_binding_is_answered_where_nobody_has_credentials() {
    let mut world = World::new();
    world.rules.listener_mut(1).authority = turn::credentials::Authority::nobody(realm());
    assert_eq!(world.ask("alice", binding()), ["alice <- Binding ok: mapped 198.51.100.1:5000"]);
}

#[test]
fn binding_needs_no_credentials_and_minds_none() {
    let mut world = World::new();
    world.signs_as("alice", "nobody", "wrong");
    let ask = request(Method::Binding);
    assert_eq!(world.ask("alice", ask), ["alice <- Binding ok: mapped 198.51.100.1:5000"]);
}

#[test]
fn listener_that_is_gone_answers_nothing() {
    let mut world = World::new();
    world.rules.listeners.remove(&1);
    assert_eq!(world.ask("alice", binding()), ["drop UnknownListener"]);
}

#[test]
fn what_no_client_sends_is_dropped_in_silence() {
    let mut world = World::new();
    for (class, method) in [
        (Class::Indication, Method::Binding),
        (Class::Indication, Method::Data),
        (Class::Indication, Method::Allocate),
        (Class::Success, Method::Binding),
        (Class::Error, Method::Allocate),
    ] {
        assert_eq!(world.ask("alice", Ask::new(class, method)), ["drop Unexpected"], "{class:?} {method:?}");
    }
    for method in [Method::Send, Method::Data, Method::ConnectionAttempt, Method::Other(0x0fe)] {
        assert_eq!(
            world.ask("alice", Ask::new(Class::Request, method)),
            ["drop UnknownMethod"],
            "{method:?}"
        );
    }
    assert_eq!(world.sends("alice", b""), ["drop NotTurn"]);
    assert_eq!(world.sends("alice", &[22, 254, 253, 0]), ["drop NotTurn"]);
    assert_eq!(world.sends("alice", &[0x80, 0x60, 1, 2]), ["drop NotTurn"]);
    assert_eq!(world.sends("alice", &[0, 1, 0, 0]), ["drop Malformed"]);
    assert_eq!(world.sends("alice", &[0x40, 0, 0, 9, 1]), ["drop Malformed"]);
}
