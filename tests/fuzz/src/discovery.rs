//! Texts as what a discovery server sends, and as the names a client asks it for.

use cds::{License, Scope};
use config::Config;

use crate::{path_of, yaml};

/// The first byte chooses what the rest is: a frame of a watch, a list, a licence, or an id.
pub fn discovery(bytes: &[u8]) -> u64 {
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    let Ok(text) = str::from_utf8(rest) else { return 1 };
    match first % 4 {
        0 => yaml::read(Config::parse_without_certificates(text, &|_| None), &|_| None),
        1 => list(text),
        2 => path_of(&serde_json::from_str::<License>(text).is_ok()),
        _ => scope(text),
    }
}

/// A list of configurations: each is read on its own.
fn list(text: &str) -> u64 {
    let Ok(items) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return 2 };
    let paths = items
        .iter()
        .take(4)
        .map(|item| yaml::read(Config::parse_without_certificates(&item.to_string(), &|_| None), &|_| None));
    path_of(&paths.collect::<Vec<_>>())
}

/// An id names a gateway or is refused.
fn scope(text: &str) -> u64 {
    match text.parse::<Scope>() {
        Ok(scope) => {
            assert!(scope.contains(text), "{text:?} does not contain itself");
            3
        }
        Err(error) => path_of(&error.to_string().len().min(40)),
    }
}
