//! Configurations to documents.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::Config;

/// JSON with the keys in the order of the fields. `<`, `>`, `&` and the two line separators of JavaScript are escaped,
/// which the original's encoder does, too: documents can be compared as text.
pub(crate) fn json(config: &Config) -> String {
    let mut text = String::new();
    for c in to_value(config).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => text.push(c),
        }
    }
    text
}

/// YAML with sorted keys on all levels.
pub(crate) fn yaml(config: &Config) -> String {
    crate::yaml::print(&Sorted::from(to_value(config)))
}

/// Nothing in a configuration can fail to serialise: all keys are texts and all numbers integers.
fn to_value(config: &Config) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sorted {
    Scalar(Value),
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

impl From<Value> for Sorted {
    fn from(value: Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(entries) => {
                Self::Map(entries.into_iter().map(|(key, value)| (key, value.into())).collect())
            }
            scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                Self::Scalar(scalar)
            }
        }
    }
}
