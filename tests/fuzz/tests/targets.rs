//! A short run of every target, the same each time: the corpus, what was found before, and some thousand changes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use fuzz::{TARGETS, runner, target};

#[track_caller]
fn holds(name: &str, inputs: u64) {
    let report = runner::run(&target(name).unwrap(), 1, |tried| tried < inputs).unwrap();
    assert_eq!(report.broken, None, "after {} inputs", report.tried);
    assert!(report.paths > 10, "the corpus of {name} leads nowhere: {report:?}");
}

#[test]
fn codec_keeps_its_promises() {
    holds("codec", 20_000);
}

#[test]
fn framing_keeps_its_promises() {
    holds("framing", 3_000);
}

#[test]
fn dtls_keeps_its_promises() {
    holds("dtls", 1_000);
}

#[test]
fn dtls_client_keeps_its_promises() {
    holds("dtls-client", 1_000);
}

#[test]
fn server_keeps_its_promises() {
    holds("server", 2_000);
}

#[test]
fn yaml_keeps_its_promises() {
    holds("yaml", 3_000);
}

#[test]
fn discovery_keeps_its_promises() {
    holds("discovery", 3_000);
}

#[test]
fn every_target_has_a_corpus() {
    for target in TARGETS {
        assert!(target.corpus().read_dir().unwrap().count() > 0, "{}", target.name);
    }
}
