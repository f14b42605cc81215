//! What requests leave in the log.

use crate::support::{Delivery, SECRET, Service, ephemeral, fixed};

/// The log of a service with both gateways that answers these requests, and all that it answered.
async fn logged(spec: &str, targets: &[&str]) -> (String, String) {
    let page = logs::Memory::default();
    let (lines, _handle) = logs::subscriber(spec, logs::Format::Text, page.clone());
    let _guard = tracing::subscriber::set_default(lines);
    let service = Service::with(Delivery::Injected, &[fixed(), ephemeral()]).await;
    let mut answers = String::new();
    for target in targets {
        answers += &service.get(target).await.body;
    }
    (page.text(), answers)
}

const TARGETS: [&str; 6] = [
    "/ice?username=alice&key=topsecret&namespace=testnamespace&ttl=60",
    "/?service=turn&username=alice&key=topsecret",
    "/ice?ttl=never&username=alice&key=topsecret",
    "/ice?username=alice%00&key=topsecret",
    "/ice?namespace=nowhere&username=alice",
    "/elsewhere?username=alice",
];

#[tokio::test]
async fn a_request_is_one_line_without_credentials() {
    let (log, answers) = logged("all:INFO", &TARGETS).await;
    let lines: Vec<_> =
        log.lines().filter_map(|line| line.split_once("http-server INFO: ")).map(|(_, l)| l).collect();
    assert_eq!(
        lines,
        [
            "GET /ice 200 listeners=testnamespace/* ttl=60 servers=2 urls=6",
            "GET / 200 listeners=* ttl=86400 servers=1 urls=4",
            "GET /ice 400: Invalid format for parameter ttl: must be a whole number of seconds",
            "GET /ice 400: Invalid format for parameter username: control characters are not allowed",
            "GET /ice 404: could not generate ICE config: no valid listener found",
        ]
    );
    assert!(answers.contains("pass1") && answers.contains(":alice"));
}

#[tokio::test]
async fn no_level_shows_credentials_and_only_debug_shows_users() {
    let (log, answers) = logged("all:TRACE", &TARGETS).await;
    let minted = answers.split('"').filter(|text| text.ends_with('=') && text.len() == 28);
    let secrets: Vec<_> = minted.chain(["user1", "pass1", SECRET, "topsecret"]).collect();
    assert_eq!(secrets.len(), 6, "two passwords were minted: {answers}");
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let talkative = log.lines().filter(|line| line.contains("alice"));
    assert!(
        talkative.clone().count() > 0 && talkative.clone().all(|line| line.contains(" DEBUG: ")),
        "{log}"
    );
}

#[tokio::test]
async fn what_is_wrong_with_gateways_is_told_when_it_is_news() {
    let page = logs::Memory::default();
    let (lines, _handle) = logs::subscriber("all:WARN", logs::Format::Text, page.clone());
    let _guard = tracing::subscriber::set_default(lines);
    let service = Service::with(Delivery::Injected, &[fixed()]).await;
    let told = |about: &str| page.text().matches(about).count();
    let [known, new] = ["tls", "tls-2"]
        .map(|name| format!("listener testnamespace/dummygateway/{name} has no public address yet"));
    for _ in 0..3 {
        service.get("/ice").await;
    }
    assert_eq!((told(&known), told(&new)), (1, 0));
    service.set(&[fixed(), ephemeral()]).await;
    service.get("/ice").await;
    assert_eq!((told(&known), told(&new)), (1, 1));
    service.set(&[]).await;
    service.get("/ice").await;
    service.set(&[fixed()]).await;
    service.get("/ice").await;
    assert_eq!((told(&known), told(&new)), (2, 1));
}

#[test]
fn answers_do_not_show_their_secrets_when_debugged() {
    let minted = auth::credentials::mint(&ephemeral().auth, "alice", 7).unwrap().unwrap();
    let shown = format!("{minted:?} {:?}", ephemeral().auth);
    assert!(!shown.contains(SECRET) && !shown.contains("alice") && !shown.contains('='), "{shown}");
}
