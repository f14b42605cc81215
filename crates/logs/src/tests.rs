use std::time::Duration;

use serde_json::Value;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;

use crate::limit::Limiter;
use crate::{BURST, Format, LINES_PER_SECOND, Levels, Memory, clock, subscriber};

fn logged(spec: &str, format: Format, talk: impl FnOnce()) -> String {
    let page = Memory::default();
    let (lines, _) = subscriber(spec, format, page.clone());
    with_default(lines, talk);
    page.text()
}

fn levels(spec: &str) -> Levels {
    let mut levels = Levels::default();
    levels.apply(spec);
    levels
}

#[test]
fn l05_a_spec_names_levels_per_scope_and_order_matters() {
    let table = [
        ("", "turn", LevelFilter::WARN),
        ("all:INFO", "turn", LevelFilter::INFO),
        ("All:debug", "turn", LevelFilter::DEBUG),
        ("all:ERROR,turn:DEBUG", "turn", LevelFilter::DEBUG),
        ("all:ERROR,turn:DEBUG", "cds", LevelFilter::ERROR),
        ("turn:DEBUG,all:ERROR", "turn", LevelFilter::ERROR),
        ("all:DISABLE", "turn", LevelFilter::OFF),
        ("all:INFO, turn:TRACE", "turn", LevelFilter::TRACE),
        ("turn", "turn", LevelFilter::WARN),
        ("turn:LOUD,nonsense,:,", "turn", LevelFilter::WARN),
        ("Turn:TRACE", "turn", LevelFilter::WARN),
        ("turn:TRACE", "turncat", LevelFilter::WARN),
        ("turn:TRACE", "turn::server::allocate", LevelFilter::TRACE),
    ];
    for (spec, target, expected) in table {
        assert_eq!(levels(spec).of(target), expected, "{spec:?} for {target}");
    }
}

#[test]
fn l05_a_later_spec_keeps_what_it_does_not_name() {
    let mut levels = levels("turn:DEBUG");
    levels.apply("cds:TRACE");
    assert_eq!((levels.of("turn"), levels.of("cds")), (LevelFilter::DEBUG, LevelFilter::TRACE));
}

#[test]
fn a_running_program_changes_its_levels() {
    let page = Memory::default();
    let (lines, handle) = subscriber("all:WARN", Format::Text, page.clone());
    with_default(lines, || {
        let talk = |n: u8| tracing::debug!(target: "turn", "line {n}");
        talk(1);
        handle.set("turn:DEBUG");
        talk(2);
        handle.set("all:INFO");
        talk(3);
    });
    assert!(page.text().contains("turn DEBUG: line 2\n"));
    assert_eq!(page.text().lines().count(), 1);
}

#[test]
fn a_text_line_has_time_place_scope_level_message_and_fields() {
    let text = logged("all:INFO", Format::Text, || {
        tracing::warn!(target: "http-server", port = 8088, path = "/ice", why = "not now", empty = "", "no answer");
    });
    let (time, rest) = text.split_once(' ').unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, "99:99:99.999999");
    let (place, rest) = rest.split_once(": ").unwrap();
    assert!(place.starts_with("tests.rs:"), "{place}");
    assert_eq!(rest, "http-server WARNING: no answer port=8088 path=/ice why=\"not now\" empty=\"\"\n");
}

#[test]
fn a_json_line_is_one_object() {
    let text = logged("all:INFO", Format::Json, || {
        tracing::warn!(target: "http-server", port = 8088, ok = true, level = "mine", "say \"hi\"\n");
    });
    let line: Value = serde_json::from_str(&text).unwrap();
    let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
    assert!(time > jiff::Timestamp::UNIX_EPOCH);
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["scope"], "http-server");
    assert_eq!(line["msg"], "say \"hi\"\n");
    assert_eq!((&line["port"], &line["ok"]), (&Value::from(8088), &Value::from(true)));
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn nothing_a_client_says_can_forge_a_line() {
    let text = logged("all:INFO", Format::Text, || {
        let name = "eve\n12:00:00.000000 x.rs:1: auth INFO: all is well\u{1b}[2J";
        tracing::info!(name, "user {name}");
        tracing::info!("word\r\nword");
    });
    assert_eq!(text.lines().count(), 2);
    assert!(!text.contains(['\u{1b}', '\r']));
}

#[test]
fn any_word_but_json_is_text() {
    for (word, expected) in
        [("json", Format::Json), ("text", Format::Text), ("JSON", Format::Text), ("", Format::Text)]
    {
        assert_eq!(word.parse(), Ok(expected), "{word}");
    }
}

#[test]
fn l06_a_flood_is_cut_and_counted_but_details_asked_for_are_not() {
    let start = clock::now();
    let mut limiter = Limiter::new(start);
    let mut admitted = |level, now| limiter.admit(level, now);
    let passed = (0..BURST + 100).filter(|_| admitted(Level::INFO, start).is_some()).count();
    assert_eq!(passed, BURST as usize);
    assert_eq!(admitted(Level::ERROR, start), None);
    assert_eq!(admitted(Level::DEBUG, start), Some(101));
    let later = start + Duration::from_secs(1);
    let passed = (0..LINES_PER_SECOND + 100).filter(|_| admitted(Level::WARN, later).is_some()).count();
    assert_eq!(passed, LINES_PER_SECOND as usize);
}

#[test]
fn l06_what_was_cut_is_said_on_the_next_line() {
    let text = logged("all:DEBUG", Format::Text, || {
        for _ in 0..BURST * 2 {
            tracing::info!("again");
        }
        tracing::debug!("after");
    });
    let last = text.lines().last().unwrap();
    assert!(last.contains("after (suppressed ") && last.ends_with(" log events)"), "{last}");
}
