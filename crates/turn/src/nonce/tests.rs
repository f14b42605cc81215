use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use stun::attribute::SecurityFeatures;

use super::{NONCE_LEN, NonceKey, Nonces};
use crate::addr::{Client, ListenerId};

const NOON: u64 = 1_800_000_000;
const FEATURES: SecurityFeatures = SecurityFeatures { password_algorithms: true, username_anonymity: true };

fn nonces(seed: u64) -> Nonces {
    Nonces::new(NonceKey::generate(&mut ChaCha20Rng::seed_from_u64(seed)))
}

fn client(remote: &str) -> Client {
    Client::new(ListenerId(1), remote.parse().unwrap(), "192.0.2.1:3478".parse().unwrap())
}

#[test]
fn nonce_is_good_for_an_hour_and_no_longer() {
    let (mut nonces, client) = (nonces(1), client("198.51.100.1:5000"));
    for offset in [0, 1, 1800, 3599] {
        let nonce = nonces.mint(&client, FEATURES, NOON + offset);
        for age in [0, 1, 1800, 3599] {
            assert!(
                nonces.verify(nonce.as_str().as_bytes(), &client, NOON + offset + age),
                "made +{offset}, age {age}"
            );
        }
        assert!(!nonces.verify(nonce.as_str().as_bytes(), &client, NOON + offset + 3600));
    }
}

#[test]
fn nonce_from_the_future_is_stale_unless_the_clock_only_slipped() {
    let (mut nonces, client) = (nonces(1), client("198.51.100.1:5000"));
    let nonce = nonces.mint(&client, FEATURES, NOON);
    assert!(nonces.verify(nonce.as_str().as_bytes(), &client, NOON - 60));
    assert!(!nonces.verify(nonce.as_str().as_bytes(), &client, NOON - 61));
}

#[test]
fn weakness_nonce_is_of_no_use_at_another_address() {
    let mut nonces = nonces(1);
    let nonce = nonces.mint(&client("198.51.100.1:5000"), FEATURES, NOON);
    assert!(!nonces.verify(nonce.as_str().as_bytes(), &client("198.51.100.2:5000"), NOON));
    assert!(!nonces.verify(nonce.as_str().as_bytes(), &client("198.51.100.1:5001"), NOON));
    assert!(!nonces.verify(nonce.as_str().as_bytes(), &client("[2001:db8::1]:5000"), NOON));
}

#[test]
fn nonce_is_of_no_use_at_another_address_even_where_the_port_may_be_another() {
    let mut nonces = nonces(1);
    let nonce = nonces.mint(&client("198.51.100.1:5000"), FEATURES, NOON);
    let other = nonces.mint(&client("198.51.100.1:5001"), FEATURES, NOON);
    assert_ne!(nonce.as_str(), other.as_str(), "two ports never get the same one");
    let bytes = nonce.as_str().as_bytes();
    assert!(nonces.verify_for_any_port(bytes, &client("198.51.100.1:5001"), NOON));
    assert!(!nonces.verify_for_any_port(bytes, &client("198.51.100.2:5000"), NOON));
    assert!(!nonces.verify_for_any_port(bytes, &client("198.51.100.1:5001"), NOON + 3600));
    // The port cannot be exchanged either.
    let split = nonce.as_str().len() - 18;
    let forged =
        [&bytes[..split], &other.as_str().as_bytes()[split..split + 4], &bytes[split + 4..]].concat();
    assert!(!nonces.verify_for_any_port(&forged, &client("198.51.100.1:5001"), NOON));
}

#[test]
fn nonce_is_known_to_whoever_has_the_key_and_to_nobody_else() {
    let client = client("198.51.100.1:5000");
    let nonce = nonces(1).mint(&client, FEATURES, NOON);
    assert!(nonces(1).verify(nonce.as_str().as_bytes(), &client, NOON));
    assert!(!nonces(2).verify(nonce.as_str().as_bytes(), &client, NOON));
}

#[test]
fn altered_nonce_is_refused() {
    let (mut nonces, client) = (nonces(1), client("198.51.100.1:5000"));
    let nonce = nonces.mint(&client, FEATURES, NOON);
    for at in 0..NONCE_LEN {
        let mut altered = nonce;
        altered.0[at] = if altered.0[at] == b'A' { b'B' } else { b'A' };
        assert!(!nonces.verify(altered.as_str().as_bytes(), &client, NOON), "character {at}");
    }
    for wrong in [&b""[..], b"short", &[0xff; NONCE_LEN], &[b'A'; NONCE_LEN + 1], &[b'A'; 700]] {
        assert!(!nonces.verify(wrong, &client, NOON));
    }
}

#[test]
fn weakness_nonce_with_other_features_is_one_the_server_has_not_sent() {
    let (mut nonces, client) = (nonces(1), client("198.51.100.1:5000"));
    let nonce = nonces.mint(&client, FEATURES, NOON);
    assert!(nonce.as_str().starts_with("obMatJos2AAAD"), "{}", nonce.as_str());
    let fewer = [
        SecurityFeatures { password_algorithms: false, ..FEATURES },
        SecurityFeatures { username_anonymity: false, ..FEATURES },
        SecurityFeatures::default(),
    ];
    for features in fewer {
        let weakened = nonce.as_str().replace("AAAD", str::from_utf8(&features.to_base64()).unwrap());
        assert!(!nonces.verify(weakened.as_bytes(), &client, NOON), "{features:?}");
    }
    assert!(!nonces.verify(&nonce.as_str().as_bytes()[13..], &client, NOON));
}
