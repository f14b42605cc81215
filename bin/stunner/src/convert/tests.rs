use std::path::Path;

use gateway::manifest;

use super::options::{Conversion, Fate, Names};
use super::ranges::{Range, Ranges};

fn names() -> Names {
    Names { name: "coturn".into(), namespace: "media".into() }
}

/// The YAML of a configuration, after it was read back without a problem.
#[track_caller]
fn converted(text: &str) -> String {
    let yaml = Conversion::read(text).to_yaml(&names());
    let read = manifest::parse("converted.yaml", &yaml);
    assert!(
        read.errors.is_empty() && read.warnings.is_empty() && read.skipped.is_empty(),
        "{read:?} in:\n{yaml}"
    );
    yaml
}

/// Compares with a file beside the tests; `BLESS=1` writes it.
#[track_caller]
fn golden(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/convert");
    let input = std::fs::read_to_string(folder.join(format!("{name}.conf"))).unwrap();
    let (expected, found) = (folder.join(format!("{name}.yaml")), converted(&input));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(expected, found).unwrap();
    } else {
        assert_eq!(found, std::fs::read_to_string(expected).unwrap());
    }
}

#[test]
fn a_server_for_webrtc() {
    golden("webrtc");
}

#[test]
fn a_server_with_everything_that_has_no_place() {
    golden("everything");
}

#[test]
fn nothing_at_all() {
    golden("empty");
}

#[test]
fn every_option_of_debian_s_example_is_known() {
    let Some(_) = kit::need("coturn") else { return };
    let text = std::fs::read_to_string("/etc/turnserver.conf").unwrap();
    let mut count = 0;
    for line in text.lines() {
        // Options begin right after the mark of the comment, prose after a space.
        let line = line.strip_prefix('#').unwrap_or(line);
        let Some(option) = line.split(['=', ' ']).next().filter(|option| is_option(option)) else { continue };
        let words = line.split_whitespace().count();
        if line.contains('=') || words == 1 {
            count += 1;
            let fate = Conversion::default().take(option, "1");
            let is_known =
                !matches!(&fate, Fate::LeftOut(why) if why.contains("not an option that is known"));
            assert!(is_known, "{option}: {line}");
        }
    }
    assert!(count > 80, "{count} options found");
}

fn is_option(word: &str) -> bool {
    let mut characters = word.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn left(allowed: &[&str], denied: &[&str]) -> Vec<String> {
    let mut ranges = Ranges::everything();
    for range in denied {
        ranges.remove(Range::parse(range).unwrap());
    }
    for range in allowed {
        ranges.add(Range::parse(range).unwrap());
    }
    ranges.prefixes()
}

#[test]
fn everything_but_some_ranges_is_a_list_of_prefixes() {
    assert_eq!(left(&[], &[]), ["0.0.0.0/0", "::/0"]);
    assert_eq!(left(&[], &["128.0.0.0/1", "::/0"]), ["0.0.0.0/1"]);
    assert_eq!(
        left(&[], &["0.0.0.0-255.255.255.255", "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
        ["::/128"]
    );
    let none = ["0.0.0.0/0", "::/0"];
    assert_eq!(left(&["10.0.0.1"], &none), ["10.0.0.1/32"]);
    assert_eq!(
        left(&["10.0.0.1-10.0.0.6"], &none),
        ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]
    );
    assert_eq!(left(&["10.0.0.0/25", "10.0.0.128/25", "10.0.0.7"], &none), ["10.0.0.0/24"]);
    assert_eq!(left(&["2001:db8::/32"], &none), ["2001:db8::/32"]);
    assert_eq!(
        left(&[], &["10.0.0.0/8", "::/0"]),
        [
            "0.0.0.0/5",
            "8.0.0.0/7",
            "11.0.0.0/8",
            "12.0.0.0/6",
            "16.0.0.0/4",
            "32.0.0.0/3",
            "64.0.0.0/2",
            "128.0.0.0/1"
        ]
    );
    for text in ["", "10.0.0.1-", "10.0.0.2-10.0.0.1", "10.0.0.0/33", "10.0.0.1-::1", "host"] {
        assert_eq!(Range::parse(text), None, "{text}");
    }
}

#[test]
fn texts_that_look_like_something_else_are_quoted() {
    for (realm, expected) in [("example.org", "example.org"), ("no", "\"no\""), ("1:2 #", "\"1:2 #\"")] {
        let yaml = converted(&format!("realm={realm}\nuser=a:b"));
        assert!(yaml.contains(&format!("realm: {expected}\n")), "{yaml}");
    }
}

#[test]
fn the_help_fits_80_columns() {
    assert_eq!(flags::too_wide::<crate::Arguments>(), [""; 0]);
}
