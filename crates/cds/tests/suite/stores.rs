//! The store: who is told what, and that nobody waits for anybody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use cds::{
    Scope, Store,
    store::{Change, Subscription},
};
use futures_util::FutureExt as _;

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
    std::iter::from_fn(|| subscription.next().now_or_never()).collect()
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
    assert_eq!(realms(&[waiting.await.unwrap()]), [("a/x", Some("1"))]);
}

#[test]
fn a_change_wakes_those_whom_it_concerns() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let store = Store::new();
    let scopes = [Scope::All, Scope::Namespace("a".into()), gateway("a/x"), gateway("a/y"), gateway("b/x")];
    let mut subscriptions = scopes.map(|scope| store.subscribe(scope, None));
    let counts: Vec<Arc<Count>> = subscriptions.iter().map(|_| Arc::default()).collect();
    let mut waiting: Vec<_> =
        subscriptions.iter_mut().map(|subscription| Box::pin(subscription.next())).collect();
    for (one, count) in waiting.iter_mut().zip(&counts) {
        let waker = Waker::from(Arc::clone(count));
        assert!(one.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    store.insert("a/x", config("a/x", "1"));
    let woken: Vec<_> = counts.iter().map(|count| count.0.load(Ordering::SeqCst)).collect();
    assert_eq!(woken, [1, 1, 1, 0, 0]);
}

#[test]
fn a_slow_subscriber_holds_one_change_and_no_more() {
    const GATEWAYS: usize = 50;
    let store = Store::new();
    let id = |at: usize| format!("a/x{at}");
    let fill = |realm: &str| {
        store.update((0..GATEWAYS).map(|at| (id(at), Some(config(&id(at), realm)))));
        (0..GATEWAYS).map(|at| Arc::downgrade(&store.get(&id(at)).unwrap())).collect::<Vec<_>>()
    };
    let mut slow = store.subscribe(Scope::All, None);
    let first = fill("1");
    let read = slow.next().now_or_never().unwrap();
    let second = fill("2");
    assert_eq!(first.iter().filter(|config| config.strong_count() > 0).count(), 1, "the one that was read");
    drop(read);
    assert!(first.iter().all(|config| config.strong_count() == 0));
    let realms: Vec<_> = pending(&mut slow).iter().map(|change| change.config.clone().unwrap()).collect();
    assert!(realms.len() == GATEWAYS && realms.iter().all(|config| config.auth.realm == "2"));
    drop(realms);
    assert!(second.iter().all(|config| config.strong_count() == 1), "the store's own");
}

#[test]
fn everybody_is_told_who_is_gone_and_nobody_twice() {
    let store = Store::new();
    store.insert("a/x", config("a/x", "1"));
    store.insert("b/y", config("b/y", "1"));
    let mut all = store.subscribe(Scope::All, None);
    let mut namespace = store.subscribe(Scope::Namespace("a".into()), None);
    let mut single = store.subscribe(gateway("a/x"), Some("n".into()));
    let mut other = store.subscribe(gateway("b/y"), None);
    store.remove("a/x");
    // Those whom it does not concern neither hear of it nor keep others from hearing.
    store.touch_node("n");
    store.insert("b/y", config("b/y", "2"));
    store.insert("b/y", config("b/y", "3"));
    assert_eq!(realms(&pending(&mut other)), [("b/y", Some("3"))]);
    assert_eq!(realms(&pending(&mut all)), [("a/x", None), ("b/y", Some("3"))]);
    assert_eq!(realms(&pending(&mut namespace)), [("a/x", None)]);
    assert_eq!(realms(&pending(&mut single)), [("a/x", None)]);
    store.insert("a/x", config("a/x", "2"));
    for subscription in [&mut all, &mut namespace, &mut single] {
        assert_eq!(realms(&pending(subscription)), [("a/x", Some("2"))]);
    }
    store.remove("a/x");
    store.touch_node("n");
    store.insert("b/y", config("b/y", "4"));
    assert_eq!(realms(&pending(&mut single)), [("a/x", None)]);
    store.touch_node("n");
    assert_eq!(realms(&pending(&mut single)), []);
    assert_eq!(realms(&pending(&mut namespace)), [("a/x", None)]);
    assert_eq!(realms(&pending(&mut all)), [("a/x", None), ("b/y", Some("4"))]);
    assert_eq!(store.watchers(), 4);
    drop((all, namespace, single, other));
    assert_eq!(store.watchers(), 0);
}
