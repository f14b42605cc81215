//! Long-term credentials, RFC 8489 section 9.2, in the three kinds a listener can have.

use stun::attribute::{Lifetime, types};
use stun::{Class, Method};
use turn::credentials::{Authority, ephemeral_password, ephemeral_username};

use crate::support::*;

const SECRET: &str = "my-secret";

fn ephemeral() -> World {
    let mut world = World::new();
    world.rules.listener_mut(1).authority = Authority::ephemeral(realm(), SECRET);
    world
}

fn signs_as(world: &mut World, name: &str, username: &str) {
    world.signs_as(name, username, &ephemeral_password(SECRET, username));
}

#[test]
fn request_without_integrity_is_challenged() {
    let mut world = World::new();
    for method in [
        Method::Allocate,
        Method::Refresh,
        Method::CreatePermission,
        Method::ChannelBind,
        Method::Connect,
        Method::ConnectionBind,
    ] {
        let lines = world.ask("alice", Ask::new(Class::Request, method));
        assert_eq!(lines, [format!("alice <- {method:?} 401: nonce, realm, algorithms")]);
    }
}

#[test]
fn request_with_integrity_but_without_its_credentials_is_a_bad_one() {
    let mut world = World::new();
    for missing in [types::USERNAME, types::REALM, types::NONCE] {
        assert_eq!(world.ask("alice", refresh(600).without(missing)), ["alice <- Refresh 400"]);
    }
}

/// RFC 8489 section 14.3: fewer than 509 bytes are sent, and as many as RFC 5389 allowed are read.
#[test]
fn longest_username_there_is_can_be_a_user() {
    let mut world = World::new();
    for len in [508, 509, 763] {
        let name = "u".repeat(len);
        world.rules.listener_mut(1).authority = Authority::fixed(realm(), &name, PASS);
        world.signs_as("alice", &name, PASS);
        let lines = world.ask("alice", allocate());
        assert!(lines[0].starts_with("open relay"), "{len}: {lines:?}");
        world.closes("alice");
    }
    world.signs_as("alice", &"u".repeat(764), PASS);
    assert_eq!(world.ask("alice", allocate()), ["alice <- Allocate 400"]);
}

/// Whatever attribute protects a request, it needs credentials to go with it.
#[test]
fn request_with_only_the_newer_integrity_needs_its_credentials_too() {
    let mut world = World::new();
    let key = stun::Key::long_term(USER, REALM, PASS);
    let mut buffer = [0; 256];
    let id = stun::TransactionId::new([7; 12]);
    let mut writer = stun::Writer::new(&mut buffer, Class::Request, Method::Allocate, id).unwrap();
    writer.put_raw(types::USERNAME, USER.as_bytes()).unwrap();
    let len = writer.finish_with_integrity_sha256(&key).unwrap();
    world.packet("alice", &allocate().unsigned().transaction(7));
    assert_eq!(world.sends("alice", &buffer[..len]), ["alice <- Allocate 400"]);
}

#[test]
fn right_credentials_are_accepted_and_answers_are_signed() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.ask("alice", refresh(600)), ["alice <- Refresh ok: lifetime 600, signed"]);
}

#[test]
fn wrong_password_is_challenged_again_and_logged() {
    let mut world = World::new();
    world.signs_as("alice", USER, "wrong");
    let expected =
        ["refused alice: Allocate for WrongCredentials", "alice <- Allocate 401: nonce, realm, algorithms"];
    assert_eq!(world.ask("alice", allocate()), expected);
    assert_eq!(world.ask("alice", allocate()), expected);
    world.signs_as("alice", USER, PASS);
    assert_eq!(world.ask("alice", allocate()), ["open relay 1 for listener 1, V4, any port"]);
}

#[test]
fn weakness_unknown_user_and_wrong_password_get_the_same_bytes() {
    for authority in [
        Authority::fixed(realm(), USER, PASS),
        Authority::ephemeral(realm(), SECRET),
        Authority::nobody(realm()),
    ] {
        let mut world = World::new();
        world.rules.listener_mut(1).authority = authority;
        let mut replies = Vec::new();
        let good_name = ephemeral_username(NOON + 60, None);
        for (username, password) in [
            (USER, "wrong"),
            ("nobody", PASS),
            ("", ""),
            (&"u".repeat(500), PASS),
            (&good_name, "wrong"),
            ("1:expired", &ephemeral_password(SECRET, "1:expired")),
        ] {
            world.signs_as("alice", username, password);
            let expected = [
                "refused alice: Allocate for WrongCredentials",
                "alice <- Allocate 401: nonce, realm, algorithms",
            ];
            assert_eq!(world.ask("alice", allocate().transaction(7)), expected, "{username}");
            replies.push(world.replies[0].to_vec());
        }
        assert!(replies.windows(2).all(|pair| pair[0] == pair[1]), "{replies:?}");
    }
}

#[test]
fn realm_of_the_listener_is_the_one_that_counts() {
    let mut world = World::new();
    let other = turn::credentials::Realm::new("elsewhere.example").unwrap();
    world.greet("alice");
    world.rules.listener_mut(1).authority = Authority::fixed(other, USER, PASS);
    let packet = world.packet("alice", &allocate());
    let client = world.client("alice");
    let _ = world.server.handle_client(client, &packet, &world.rules, world.now);
    let rejected = world.server.counters().rejects(turn::server::RejectReason::WrongCredentials);
    assert_eq!(rejected, 1);
}

#[test]
fn nonce_expires_after_an_hour_and_a_fresh_one_comes_with_the_news() {
    let mut world = World::new();
    world.allocate("alice");
    assert_eq!(world.ask("alice", refresh(3600)), ["alice <- Refresh ok: lifetime 3600, signed"]);
    world.wait(seconds(3599));
    assert_eq!(world.ask("alice", refresh(3600)), ["alice <- Refresh ok: lifetime 3600, signed"]);
    world.wait(seconds(1));
    assert_eq!(world.ask("alice", refresh(3600)), ["alice <- Refresh 438: nonce, realm, algorithms"]);
    assert_eq!(world.ask("alice", refresh(3600)), ["alice <- Refresh ok: lifetime 3600, signed"]);
}

#[test]
fn weakness_nonce_of_another_client_is_stale() {
    let mut world = World::new();
    world.greet("alice");
    let nonce = world.nonce_of("alice");
    world.set_nonce("bob", &nonce);
    assert_eq!(world.ask("bob", allocate()), ["bob <- Allocate 438: nonce, realm, algorithms"]);
    assert_eq!(world.ask("bob", allocate()), ["open relay 1 for listener 1, V4, any port"]);
}

#[test]
fn invented_nonce_is_stale() {
    let mut world = World::new();
    for nonce in [&b""[..], b"x", &[b'A'; 22], &[0xff; 22], &[b'n'; 700]] {
        world.set_nonce("alice", nonce);
        assert_eq!(world.ask("alice", allocate()), ["alice <- Allocate 438: nonce, realm, algorithms"]);
    }
}

#[test]
fn weakness_attributes_after_the_integrity_are_invisible() {
    let mut world = World::new();
    world.allocate("alice");
    let ask = request(Method::Refresh).transaction(9).unprotected(Lifetime(0));
    assert_eq!(world.ask("alice", ask), ["alice <- Refresh ok: lifetime 600, signed"]);
    let ask = permit(&[]).transaction(10).unprotected(stun::attribute::XorPeerAddress(addr("192.0.2.7:0")));
    let expected =
        ["refused alice: CreatePermission for MissingAttribute", "alice <- CreatePermission 400: signed"];
    assert_eq!(world.ask("alice", ask), expected);
}

#[test]
fn altered_request_is_refused() {
    let mut world = World::new();
    world.allocate("alice");
    let mut packet = world.packet("alice", &refresh(600));
    packet[27] ^= 1;
    let expected =
        ["refused alice: Refresh for WrongCredentials", "alice <- Refresh 401: nonce, realm, algorithms"];
    assert_eq!(world.sends("alice", &packet), expected);
}

#[test]
fn unknown_attributes_are_told_only_to_those_who_are_known() {
    let mut world = World::new();
    let ask = || allocate().with_raw(0x7777, b"x");
    assert_eq!(world.ask("alice", ask().unsigned()), ["alice <- Allocate 401: nonce, realm, algorithms"]);
    let expected =
        ["refused alice: Allocate for UnknownAttribute", "alice <- Allocate 420: unknown 0x7777, signed"];
    assert_eq!(world.ask("alice", ask()), expected);
}

#[test]
fn a02_every_form_of_ephemeral_username_is_accepted() {
    let expiry = NOON + 60;
    for username in [
        expiry.to_string(),
        format!("{expiry}:alice"),
        format!("alice:{expiry}"),
        format!("alice:{expiry}:x"),
    ] {
        let mut world = ephemeral();
        signs_as(&mut world, "alice", &username);
        let lines = world.ask("alice", allocate());
        assert_eq!(lines, ["open relay 1 for listener 1, V4, any port"], "{username}");
        world.opens(1, 50_000);
        assert_eq!(world.ask("alice", refresh(60)), ["alice <- Refresh ok: lifetime 60, signed"]);
    }
}

#[test]
fn ephemeral_username_is_accepted_up_to_its_last_second() {
    let mut world = ephemeral();
    signs_as(&mut world, "alice", &format!("{}:alice", NOON + 60));
    world.greet("alice");
    world.wait(seconds(60));
    assert_eq!(world.ask("alice", allocate()), ["open relay 1 for listener 1, V4, any port"]);
    world.opens(1, 50_000);
    world.wait(seconds(1));
    let expected =
        ["refused alice: Refresh for WrongCredentials", "alice <- Refresh 401: nonce, realm, algorithms"];
    assert_eq!(world.ask("alice", refresh(60)), expected);
}

#[test]
fn renewed_ephemeral_username_of_the_same_user_owns_the_allocation() {
    let mut world = ephemeral();
    signs_as(&mut world, "alice", &format!("{}:alice", NOON + 60));
    world.allocate("alice");
    signs_as(&mut world, "alice", &format!("{}:alice", NOON + 600));
    assert_eq!(world.ask("alice", refresh(60)), ["alice <- Refresh ok: lifetime 60, signed"]);
    signs_as(&mut world, "alice", &format!("{}:bob", NOON + 600));
    let expected = ["refused alice: Refresh for WrongUser", "alice <- Refresh 441: signed"];
    assert_eq!(world.ask("alice", refresh(60)), expected);
}

#[test]
fn ephemeral_username_of_any_other_form_owns_only_as_a_whole() {
    for form in ["{}", "alice:{}", "alice:{}:x"] {
        let mut world = ephemeral();
        let name = |expiry: u64| form.replace("{}", &expiry.to_string());
        signs_as(&mut world, "alice", &name(NOON + 60));
        world.allocate("alice");
        signs_as(&mut world, "alice", &name(NOON + 61));
        let expected = ["refused alice: Refresh for WrongUser", "alice <- Refresh 441: signed"];
        assert_eq!(world.ask("alice", refresh(60)), expected, "{form}");
    }
}

#[test]
fn a03_where_nobody_has_credentials_nobody_allocates() {
    let mut world = World::new();
    world.rules.listener_mut(1).authority = Authority::nobody(realm());
    assert_eq!(
        world.ask("alice", allocate().unsigned()),
        ["alice <- Allocate 401: nonce, realm, algorithms"]
    );
    let expected =
        ["refused alice: Allocate for WrongCredentials", "alice <- Allocate 401: nonce, realm, algorithms"];
    assert_eq!(world.ask("alice", allocate()), expected);
    world.signs_as("alice", "", "");
    assert_eq!(world.ask("alice", allocate()), expected);
}

#[test]
fn unsupported_method_is_refused_to_those_who_are_known() {
    let mut world = World::new();
    let expected = ["refused alice: Connect for NoAllocation", "alice <- Connect 437: signed"];
    assert_eq!(world.ask("alice", request(Method::Connect)), expected);
    let expected =
        ["refused alice: ConnectionBind for UnsupportedMethod", "alice <- ConnectionBind 400: signed"];
    assert_eq!(world.ask("alice", request(Method::ConnectionBind)), expected);
    world.allocate("alice");
    let expected = ["refused alice: Connect for UnsupportedMethod", "alice <- Connect 400: signed"];
    assert_eq!(world.ask("alice", request(Method::Connect)), expected);
}
