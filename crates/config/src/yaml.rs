//! Documents to values and back. The only place that knows the YAML library.

use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

/// Longest document that is looked at, in bytes: a configuration with ten thousand endpoints is a tenth of it.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;

/// A YAML (or JSON) value before it is known what it is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    /// A number in decimal.
    Number(String),
    Text(String),
    List(Vec<Self>),
    /// Entries in the order given.
    Map(Vec<(String, Self)>),
}

impl Node {
    /// What to call the value in a message to a human.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// Reads one document.
///
/// Limits on nesting, number of values and expansion of aliases hold, so that no text of acceptable length takes
/// unreasonable time or memory. JSON, which is what travels between processes, is read as such: YAML has it that some
/// control characters cannot occur, JSON has not.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    if text.len() > MAX_DOCUMENT {
        return Err(format!("the document has {} bytes, more than {MAX_DOCUMENT}", text.len()));
    }
    if text.starts_with('{')
        && let Ok(node) = serde_json::from_str(text)
    {
        return Ok(node);
    }
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: false,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

/// Writes a value as one document: keys sorted, list items flush with their key, no quotes where none are needed.
pub fn print(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(entries) if !entries.is_empty() => print_entries(&mut out, entries, 0, false),
        other => print_inline(&mut out, other),
    }
    out
}

/// The first entry of a map inside a list stands behind the dash.
fn print_entries(
    out: &mut String,
    entries: &serde_json::Map<String, Value>,
    indent: usize,
    after_dash: bool,
) {
    let sorted: BTreeMap<&String, &Value> = entries.iter().collect();
    for (at, (key, value)) in sorted.into_iter().enumerate() {
        if at > 0 || !after_dash {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&scalar(key));
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                out.push_str(":\n");
                print_entries(out, entries, indent + 2, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push_str(":\n");
                print_items(out, items, indent);
            }
            other => {
                out.push_str(": ");
                print_inline(out, other);
            }
        }
    }
}

fn print_items(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        out.push_str(&" ".repeat(indent));
        out.push_str("- ");
        match item {
            Value::Object(entries) if !entries.is_empty() => print_entries(out, entries, indent + 2, true),
            other => print_inline(out, other),
        }
    }
}

/// A value on the rest of the line. Lists directly inside lists do not occur and come out as JSON, which is YAML, too.
fn print_inline(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => out.push_str(&scalar(text)),
        other => out.push_str(&other.to_string()),
    }
    out.push('\n');
}

fn scalar(text: &str) -> Cow<'_, str> {
    if is_number_like(text)
        || text
            .chars()
            .any(|c| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    {
        return Cow::Owned(double_quoted(text));
    }
    let plain = |text: &str| Node::Map(vec![("k".to_owned(), Node::Text(text.to_owned()))]);
    match parse(&format!("k: {text}")) {
        Ok(node) if node == plain(text) => Cow::Borrowed(text),
        Ok(_) | Err(_) => Cow::Owned(format!("'{}'", text.replace('\'', "''"))),
    }
}

fn double_quoted(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.chars().fold(String::with_capacity(quoted.len()), |mut out, c| {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
        out
    })
}

/// Whether some reader of YAML may take the text for a number or a time. Addresses are safe from that.
fn is_number_like(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && text.chars().all(|c| c.is_ascii_hexdigit() || "xoTZ_:+-. ".contains(c))
        && text.parse::<IpAddr>().is_err()
}
