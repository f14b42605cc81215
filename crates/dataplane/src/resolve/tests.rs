use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;

/// Gives prepared answers, then waits for ever.
#[derive(Clone, Default)]
struct Script(Arc<Mutex<VecDeque<Result<Answer, String>>>>);

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Answer, String>>) -> Self {
        Self(Arc::new(Mutex::new(answers.into_iter().collect())))
    }
}

impl Lookup for Script {
    async fn lookup(&self, _: String) -> Result<Answer, String> {
        let next = self.0.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn answer(addresses: &[&str], seconds: u64) -> Result<Answer, String> {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Ok(Answer { addresses, lifetime: Duration::from_secs(seconds) })
}

struct Fixture {
    domains: Domains<Script>,
    changes: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

impl Fixture {
    fn new(script: Script) -> Self {
        let changes = Arc::new(AtomicUsize::new(0));
        let changed = Arc::new(Notify::new());
        let (count, notify) = (Arc::clone(&changes), Arc::clone(&changed));
        let domains = Domains::new(script, Handle::current(), Arc::default(), move || {
            count.fetch_add(1, Ordering::Relaxed);
            notify.notify_one();
        });
        Self { domains, changes, changed }
    }

    fn addresses(&self, domain: &str) -> Vec<String> {
        self.domains.addresses(domain).iter().map(ToString::to_string).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_asked_for_anew_when_its_time_is_over() {
    let fixture = Fixture::new(Script::new([answer(&["10.0.0.1"], 7), answer(&["10.0.0.2"], 7)]));
    assert!(fixture.addresses("media.example.org").is_empty());
    fixture.domains.set(["media.example.org"]);
    fixture.changed.notified().await;
    assert_eq!(fixture.addresses("Media.Example.Org."), ["10.0.0.1"]);
    let asked = tokio::time::Instant::now();
    fixture.changed.notified().await;
    assert_eq!(asked.elapsed().as_secs(), 7);
    assert_eq!(fixture.addresses("media.example.org"), ["10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_last_answer_and_is_retried() {
    let fixture = Fixture::new(Script::new([
        answer(&["10.0.0.1"], 1),
        Err("no such luck".to_owned()),
        answer(&["10.0.0.2"], 1),
    ]));
    fixture.domains.set(["a"]);
    fixture.changed.notified().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(fixture.addresses("a"), ["10.0.0.1"], "after the failure");
    fixture.changed.notified().await;
    assert_eq!(fixture.addresses("a"), ["10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_answer_in_another_order_is_no_news() {
    let fixture = Fixture::new(Script::new([
        answer(&["10.0.0.1", "10.0.0.2"], 1),
        answer(&["10.0.0.2", "10.0.0.1"], 1),
        answer(&["10.0.0.3"], 1),
    ]));
    fixture.domains.set(["a"]);
    fixture.changed.notified().await;
    fixture.changed.notified().await;
    assert_eq!(fixture.addresses("a"), ["10.0.0.3"]);
    assert_eq!(fixture.changes.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_domain_nobody_lists_is_forgotten_and_the_others_are_left_alone() {
    let fixture = Fixture::new(Script::new([answer(&["10.0.0.1"], 1), answer(&["10.0.0.1"], 1)]));
    fixture.domains.set(["a", "b"]);
    fixture.changed.notified().await;
    fixture.changed.notified().await;
    fixture.domains.set(["A."]);
    assert_eq!(fixture.addresses("a"), ["10.0.0.1"]);
    assert!(fixture.addresses("b").is_empty());
}

#[tokio::test]
async fn this_machine_knows_localhost() {
    let answer = System::default().lookup("localhost".to_owned()).await.unwrap();
    assert!(answer.addresses.iter().all(IpAddr::is_loopback), "{answer:?}");
    assert!(!answer.addresses.is_empty());
}
