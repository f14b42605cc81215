//! Long-term credentials as RFC 8489 has extended them: a choice of algorithms that cannot be tampered with, names as
//! hashes, and two sets of credentials while one replaces the other.

use stun::attribute::{PasswordAlgorithm, SecurityFeatures, types};
use turn::credentials::{Authority, ephemeral_password, ephemeral_username};

use crate::support::*;

const CHALLENGE: &str = "alice <- Allocate 401: nonce, realm, algorithms";
const REFUSED: &str = "refused alice: Allocate for WrongCredentials";

#[test]
fn client_that_chooses_sha256_is_answered_in_kind() {
    let mut world = World::new();
    let ask = allocate().signed_with(PasswordAlgorithm::SHA256);
    assert_eq!(world.ask("alice", ask), ["open relay 1 for listener 1, V4, any port"]);
    let lines = world.opens(1, 50_001);
    assert!(lines[1].ends_with("signed with SHA-256"), "{lines:?}");
    let ask = refresh(600).signed_with(PasswordAlgorithm::SHA256);
    assert_eq!(world.ask("alice", ask), ["alice <- Refresh ok: lifetime 600, signed with SHA-256"]);
    let ask = permit(&["10.0.0.1"]).signed_with(PasswordAlgorithm::SHA256);
    assert_eq!(world.ask("alice", ask)[1], "alice <- CreatePermission 403: signed with SHA-256");
}

#[test]
fn client_may_choose_md5_and_the_newer_integrity() {
    let mut world = World::new();
    world.allocate("alice");
    let ask = refresh(600).signed_with(PasswordAlgorithm::MD5);
    assert_eq!(world.ask("alice", ask), ["alice <- Refresh ok: lifetime 600, signed with SHA-256 and MD5"]);
    assert_eq!(world.ask("alice", refresh(600)), ["alice <- Refresh ok: lifetime 600, signed"]);
}

/// RFC 8489 section 9.2.4: both attributes or none, the list as it was sent, the choice one of it.
#[test]
fn weakness_choice_that_was_tampered_with_is_a_bad_request() {
    let expected = ["refused alice: Allocate for WrongAlgorithm", "alice <- Allocate 400"];
    let mut world = World::new();
    let sha256 = || allocate().signed_with(PasswordAlgorithm::SHA256);
    let unknown = PasswordAlgorithm::new(9, &[]).unwrap();
    let with_parameters = PasswordAlgorithm::new(2, &[1, 2, 3, 4]).unwrap();
    let reduced = || allocate().with_raw(types::PASSWORD_ALGORITHMS, &[0, 1, 0, 0]);
    let reversed = || allocate().with_raw(types::PASSWORD_ALGORITHMS, &[0, 1, 0, 0, 0, 2, 0, 0]);
    for ask in [
        sha256().without(types::PASSWORD_ALGORITHMS),
        sha256().without(types::PASSWORD_ALGORITHM),
        allocate().signed_with(unknown),
        allocate().signed_with(with_parameters),
        reduced().with_raw(types::PASSWORD_ALGORITHM, &[0, 1, 0, 0]),
        reversed().with_raw(types::PASSWORD_ALGORITHM, &[0, 1, 0, 0]),
        reversed().with_raw(types::PASSWORD_ALGORITHM, &[0, 2, 0]),
    ] {
        assert_eq!(world.ask("alice", ask), expected);
    }
}

/// Whoever takes the features out of a nonce on its way to the client makes a nonce of it that was never sent.
#[test]
fn weakness_features_cannot_be_taken_out_of_a_nonce() {
    let mut world = World::new();
    world.greet("alice");
    let nonce = String::from_utf8(world.nonce_of("alice")).unwrap();
    let features = SecurityFeatures { password_algorithms: true, username_anonymity: true };
    assert!(nonce.starts_with("obMatJos2AAAD"), "{nonce}");
    assert_eq!(stun::attribute::Nonce::new(&nonce).unwrap().security_features(), Some(features));
    for weakened in [nonce.replace("AAAD", "AAAA"), nonce.replace("AAAD", "AAAC"), nonce[13..].to_owned()] {
        world.set_nonce("alice", weakened.as_bytes());
        assert_eq!(
            world.ask("alice", allocate()),
            ["alice <- Allocate 438: nonce, realm, algorithms"],
            "{weakened}"
        );
    }
}

#[test]
fn name_can_be_said_as_a_hash_where_names_are_static() {
    let mut world = World::new();
    world.allocate("alice");
    let ask = refresh(600).anonymous().signed_with(PasswordAlgorithm::SHA256);
    assert_eq!(world.ask("alice", ask), ["alice <- Refresh ok: lifetime 600, signed with SHA-256"]);
    assert_eq!(world.ask("alice", refresh(600).anonymous()), ["alice <- Refresh ok: lifetime 600, signed"]);
    world.signs_as("alice", "somebody", PASS);
    world.closes("alice");
    assert_eq!(world.ask("alice", allocate().anonymous()), [REFUSED, CHALLENGE]);
}

#[test]
fn hash_of_an_ephemeral_name_is_nobody_s_and_the_nonce_says_so() {
    let mut world = World::new();
    world.rules.listener_mut(1).authority = Authority::ephemeral(realm(), "secret");
    world.greet("alice");
    let nonce = String::from_utf8(world.nonce_of("alice")).unwrap();
    assert!(nonce.starts_with("obMatJos2AAAB"), "{nonce}");
    let name = ephemeral_username(NOON + 60, None);
    world.signs_as("alice", &name, &ephemeral_password("secret", &name));
    assert_eq!(world.ask("alice", allocate().anonymous()), [REFUSED, CHALLENGE]);
    let ask = allocate().signed_with(PasswordAlgorithm::SHA256);
    assert_eq!(world.ask("alice", ask), ["open relay 1 for listener 1, V4, any port"]);
}

/// Rotation: the new credentials are accepted before clients have them, and the old ones for as long as they do.
#[test]
fn former_credentials_are_accepted_beside_the_new_ones_until_they_are_taken_out() {
    let static_pair = Authority::fixed(realm(), USER, "new").or_fixed("former", "old");
    let secrets = Authority::ephemeral(realm(), "new").or_ephemeral("old");
    let name = ephemeral_username(NOON + 60, Some("a"));
    let minted = |secret| ephemeral_password(secret, &name);
    let accounts: [(Authority, [(&str, String); 2]); 2] = [
        (static_pair, [(USER, "new".to_owned()), ("former", "old".to_owned())]),
        (secrets, [(&name, minted("new")), (&name, minted("old"))]),
    ];
    for (authority, accounts) in accounts {
        let mut world = World::new();
        world.rules.listener_mut(1).authority = authority;
        for (username, password) in &accounts {
            world.signs_as("alice", username, password);
            let lines = world.ask("alice", allocate());
            assert!(lines[0].starts_with("open relay"), "{lines:?}");
            world.closes("alice");
        }
        world.signs_as("alice", accounts[0].0, "neither");
        assert_eq!(world.ask("alice", allocate()), [REFUSED, CHALLENGE]);
    }
}

#[test]
fn a_name_of_one_pair_with_the_password_of_the_other_is_refused() {
    let mut world = World::new();
    world.rules.listener_mut(1).authority = Authority::fixed(realm(), USER, "new").or_fixed("former", "old");
    for (username, password) in [(USER, "old"), ("former", "new")] {
        world.signs_as("alice", username, password);
        assert_eq!(world.ask("alice", allocate()), [REFUSED, CHALLENGE], "{username}");
    }
}
