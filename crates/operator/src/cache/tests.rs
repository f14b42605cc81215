use gateway::api::{Gateway, Key, ObjectRef, Resource as _, Service};
use serde_json::{Value, json};

use super::{Cache, Change, Effect};

fn service(name: &str, version: u64, label: &str) -> Value {
    json!({"metadata": {
        "name": name, "namespace": "n", "uid": name, "resourceVersion": version.to_string(), "labels": {"l": label},
    }})
}

fn put(cache: &mut Cache, object: Value) -> Effect {
    cache.apply(Change::Put(Service::TYPE, object)).remove(0)
}

fn reference(name: &str) -> ObjectRef {
    ObjectRef::to::<Service>(Key::new("n", name))
}

#[test]
fn w01_what_has_not_been_listed_is_awaited() {
    let mut cache = Cache::new([Service::TYPE, Gateway::TYPE]);
    cache.apply(Change::Listing(Service::TYPE));
    put(&mut cache, service("a", 1, "x"));
    assert_eq!(cache.awaited().len(), 2);
    cache.apply(Change::Listed(Service::TYPE));
    assert_eq!(cache.awaited().iter().map(|of| of.kind).collect::<Vec<_>>(), ["Gateway"]);
    cache.apply(Change::Listed(Gateway::TYPE));
    assert!(cache.awaited().is_empty());
}

#[test]
fn a_second_list_tells_what_is_gone_only_when_it_ends() {
    let mut cache = Cache::new([]);
    put(&mut cache, service("a", 1, "x"));
    put(&mut cache, service("b", 2, "x"));
    assert_eq!(cache.apply(Change::Listing(Service::TYPE)), []);
    assert_eq!(put(&mut cache, service("b", 2, "x")), Effect::Nothing);
    assert_eq!(cache.snapshot().services.len(), 2);
    assert_eq!(cache.apply(Change::Listed(Service::TYPE)), [Effect::Render(reference("a"))]);
    assert_eq!(cache.snapshot().services.len(), 1);
}

#[test]
fn w06_what_the_renderer_does_not_read_renders_nothing() {
    let mut cache = Cache::new([]);
    assert_eq!(put(&mut cache, service("a", 1, "x")), Effect::Render(reference("a")));
    let mut same = service("a", 2, "x");
    same["metadata"]["managedFields"] = json!([{}]);
    assert_eq!(put(&mut cache, same), Effect::Written(reference("a")));
    assert_eq!(put(&mut cache, service("a", 3, "y")), Effect::Render(reference("a")));
}

#[test]
fn what_was_just_written_is_not_forgotten_for_what_the_watch_says_late() {
    let mut cache = Cache::new([]);
    put(&mut cache, service("a", 9, "new"));
    assert_eq!(put(&mut cache, service("a", 8, "old")), Effect::Nothing);
    assert_eq!(cache.version(&reference("a")), Some("9"));
}

#[test]
fn an_object_that_cannot_be_read_leaves_the_one_before() {
    let mut cache = Cache::new([]);
    put(&mut cache, service("a", 1, "x"));
    let mut bad = service("a", 2, "x");
    bad["spec"] = json!({"ports": "none"});
    assert!(matches!(put(&mut cache, bad), Effect::Unreadable(..)));
    assert!(cache.snapshot().services.contains_key(&Key::new("n", "a")));
}

#[test]
fn a_late_answer_does_not_bring_back_what_is_gone() {
    let mut cache = Cache::new([]);
    put(&mut cache, service("a", 1, "x"));
    cache.apply(Change::Gone(Service::TYPE, Key::new("n", "a")));
    assert_eq!(cache.answer(Service::TYPE, service("a", 2, "x")), Effect::Nothing);
    assert!(cache.snapshot().services.is_empty());
    // The watch is believed, and so are answers to what was sent later.
    assert_eq!(put(&mut cache, service("a", 4, "x")), Effect::Render(reference("a")));
    assert_eq!(cache.answer(Service::TYPE, service("a", 5, "y")), Effect::Render(reference("a")));
    cache.apply(Change::Gone(Service::TYPE, Key::new("n", "a")));
    cache.rest();
    assert_eq!(cache.answer(Service::TYPE, service("a", 7, "x")), Effect::Render(reference("a")));
}
