//! The store: who is told what, and that nobody waits for anybody.

use std::collections::BTreeMap;

use cds::{
    Scope, Store,
    store::{Change, Subscription},
};

use crate::common::{config, gateway};

/// Ids with their realms, which are nothing for a gateway that is gone.
fn realms(changes: &[Change]) -> Vec<(&str, Option<&str>)> {
    changes
        .iter()
        .map(|change| (change.id.as_str(), change.config.as_ref().map(|config| config.auth.realm.as_str())))
        .collect()
}

/// What is there to read right now.
fn pending(subscription: &mut Subscription) -> Vec<Change> {
    use futures_util::FutureExt;
    subscription.next().now_or_never().unwrap_or_default()
}

#[test]
fn a_set_is_compared_with_what_is_there() {
    let store = Store::new();
    let mut all = store.subscribe(Scope::All, None);
    let set = |realms: &[(&str, &str)]| {
        store.set(
            realms
                .iter()
                .map(|(id, realm)| ((*id).to_owned(), config(id, realm)))
                .collect::<BTreeMap<_, _>>(),
        );
    };
    set(&[("a/x", "1"), ("a/y", "1"), ("no-slash", "1"), ("too/many/slashes", "1")]);
    assert_eq!(realms(&pending(&mut all)), [("a/x", Some("1")), ("a/y", Some("1"))]);
    set(&[("a/x", "1"), ("a/y", "1")]);
    assert!(pending(&mut all).is_empty());
    set(&[("a/y", "2"), ("b/z", "1")]);
    assert_eq!(realms(&pending(&mut all)), [("a/x", None), ("a/y", Some("2")), ("b/z", Some("1"))]);
    assert!(store.get("a/x").is_none());
    assert_eq!(store.list(&Scope::Namespace("a".into())).len(), 1);
}

#[test]
fn a_slow_subscriber_reads_the_latest_state_once() {
    let store = Store::new();
    let mut slow = store.subscribe(Scope::All, None);
    let mut single = store.subscribe(gateway("a/x"), None);
    for realm in 0..1000 {
        store.insert("a/x", config("a/x", &realm.to_string()));
        store.insert("a/y", config("a/y", &realm.to_string()));
        store.remove("a/y");
    }
    assert_eq!(realms(&pending(&mut slow)), [("a/x", Some("999")), ("a/y", None)]);
    assert_eq!(realms(&pending(&mut single)), [("a/x", Some("999"))]);
    assert!(pending(&mut slow).is_empty() && pending(&mut single).is_empty());
}

#[test]
fn a_late_subscriber_reads_what_there_is() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    store.insert("a/y", config("a/y", "1"));
    store.remove("a/y");
    let mut late = store.subscribe(Scope::All, None);
    assert_eq!(realms(&pending(&mut late)), [("a/x", Some("1"))]);
    store.insert("a/x", config("a/x", "2"));
    assert_eq!(realms(&pending(&mut late)), [("a/x", Some("2"))]);
}

#[test]
fn d10_a_new_node_address_concerns_that_node_only() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    store.insert("b/y", config("b/y", "1"));
    let mut here = store.subscribe(gateway("a/x"), Some("n1".into()));
    let mut elsewhere = store.subscribe(gateway("a/x"), Some("n2".into()));
    let mut nowhere = store.subscribe(gateway("a/x"), None);
    for subscription in [&mut here, &mut elsewhere, &mut nowhere] {
        assert_eq!(realms(&pending(subscription)), [("a/x", Some("1"))]);
    }
    store.touch_node("n1");
    assert_eq!(realms(&pending(&mut here)), [("a/x", Some("1"))]);
    assert!(pending(&mut here).is_empty());
    assert!(pending(&mut elsewhere).is_empty() && pending(&mut nowhere).is_empty());
}

#[tokio::test]
async fn waiting_ends_with_a_change() {
    let store = Store::new();
    let mut subscription = store.subscribe(gateway("a/x"), None);
    let waiting = tokio::spawn(async move { subscription.next().await });
    tokio::task::yield_now().await;
    store.insert("b/y", config("b/y", "1"));
    store.insert("a/x", config("a/x", "1"));
    assert_eq!(realms(&waiting.await.unwrap()), [("a/x", Some("1"))]);
}
