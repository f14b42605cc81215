//! Configurations to documents.

use serde_json::{Value, json};

use crate::{Config, yaml};

/// JSON with the keys in the order of the fields. `<`, `>`, `&` and the two line separators of JavaScript are escaped,
/// which the original's encoder does, too: documents can be compared as text.
pub(crate) fn json(config: &Config) -> String {
    escaped(&to_value(config))
}

/// YAML with sorted keys on all levels.
pub(crate) fn yaml(config: &Config) -> String {
    yaml::print(&to_value(config))
}

pub(crate) fn zero_json(id: &str) -> String {
    let zero = Config::zero(id);
    escaped(&json!({
        "version": zero.version,
        "admin": { "name": zero.admin.name },
        "auth": zero.auth,
    }))
}

/// Nothing in a configuration can fail to serialise: all keys are texts and all numbers integers.
fn to_value(config: &Config) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

fn escaped(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            _ => text.push(c),
        }
    }
    text
}
