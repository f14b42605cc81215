use super::{Authority, EphemeralUsername, Realm, ephemeral_password, ephemeral_username};

fn parsed(username: &str) -> Option<(u64, &str)> {
    EphemeralUsername::parse(username).map(|name| (name.expiry, name.user))
}

#[test]
fn a02_ephemeral_username_has_its_expiry_in_any_part() {
    assert_eq!(parsed("1700000000"), Some((1_700_000_000, "1700000000")));
    assert_eq!(parsed("1700000000:alice"), Some((1_700_000_000, "alice")));
    assert_eq!(parsed("alice:1700000000"), Some((1_700_000_000, "alice:1700000000")));
    assert_eq!(parsed("alice:1700000000:x"), Some((1_700_000_000, "alice:1700000000:x")));
    assert_eq!(parsed("1700000000:alice:x"), Some((1_700_000_000, "1700000000:alice:x")));
}

#[test]
fn first_number_is_the_expiry_even_if_it_was_meant_as_a_user() {
    assert_eq!(parsed("42:1700000000"), Some((42, "1700000000")));
    assert_eq!(parsed("+17:a"), Some((17, "a")));
}

#[test]
fn ephemeral_username_without_a_user_is_its_own_user() {
    assert_eq!(parsed("1700000000:"), Some((1_700_000_000, "1700000000:")));
    assert_eq!(parsed(":1700000000"), Some((1_700_000_000, ":1700000000")));
}

#[test]
fn username_without_a_positive_number_is_no_ephemeral_one() {
    for name in ["", "alice", "a:b:c", "0", "0:alice", "-5:alice", "17.5", "99999999999999999999", "0x10"] {
        assert_eq!(parsed(name), None, "{name}");
    }
}

#[test]
fn ephemeral_username_is_good_up_to_and_in_its_last_second() {
    let name = EphemeralUsername::parse("1700000000").unwrap();
    assert!(!name.is_expired(1_699_999_999));
    assert!(!name.is_expired(1_700_000_000));
    assert!(name.is_expired(1_700_000_001));
}

#[test]
fn minted_password_is_the_one_other_implementations_mint() {
    // echo -n 1700000000:alice | openssl dgst -sha1 -hmac my-secret -binary | base64
    assert_eq!(ephemeral_password("my-secret", "1700000000:alice"), "Hy+EZpFYuyuenScIuAy15mxeJ9c=");
    assert_eq!(ephemeral_username(1_700_000_000, Some("alice")), "1700000000:alice");
    assert_eq!(ephemeral_username(1_700_000_000, None), "1700000000");
}

#[test]
fn realm_that_fits_no_attribute_is_refused() {
    for character in ["r", "\u{10ffff}"] {
        assert!(Realm::new(&character.repeat(127)).is_ok());
        assert!(Realm::new(&character.repeat(128)).is_err());
    }
}

#[test]
fn authority_shows_no_secret() {
    let realm = Realm::new("example.org").unwrap();
    for authority in
        [Authority::fixed(realm.clone(), "user-name", "hush-hush"), Authority::ephemeral(realm, "hush-hush")]
    {
        let shown = format!("{authority:?}");
        assert!(shown.contains("<SECRET>") && shown.contains("example.org"), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("user-name"), "{shown}");
    }
}
