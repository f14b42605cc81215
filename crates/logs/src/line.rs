//! One event as one line, in words or as a JSON object.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use jiff::Zoned;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::spec::scope;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `12:00:01.000123 server.rs:42: http-server INFO: listening port=8088`, in local time.
    #[default]
    Text,
    /// An object with `time` (RFC 3339), `level`, `scope`, `msg`, then the fields of the event.
    Json,
}

/// `json` is JSON, every other word is text: a misspelt flag must not keep a program from starting.
impl FromStr for Format {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Infallible> {
        Ok(if word == "json" { Self::Json } else { Self::Text })
    }
}

impl Format {
    /// The line of `event`, its end included.
    pub(crate) fn line(self, event: &Event<'_>, at: &Zoned, suppressed: u64) -> String {
        let mut said = Said::default();
        event.record(&mut said);
        if suppressed > 0 {
            let _ = write!(said.message, " (suppressed {suppressed} log events)");
        }
        let mut line = match self {
            Self::Text => text(event, at, &said),
            Self::Json => json(event, at, said),
        };
        line.push('\n');
        line
    }
}

fn text(event: &Event<'_>, at: &Zoned, said: &Said) -> String {
    let metadata = event.metadata();
    let file = metadata.file().and_then(|path| path.rsplit('/').next()).unwrap_or("?");
    let level = if *metadata.level() == Level::WARN { "WARNING" } else { metadata.level().as_str() };
    let mut line = format!(
        "{} {file}:{}: {} {level}: ",
        at.strftime("%H:%M:%S.%6f"),
        metadata.line().unwrap_or(0),
        scope(metadata.target()),
    );
    push_on_one_line(&mut line, &said.message);
    for (name, value) in &said.fields {
        let _ = write!(line, " {name}=");
        match value {
            Value::String(words) if words.is_empty() || words.contains([' ', '"', '=']) => {
                let _ = write!(line, "{words:?}");
            }
            Value::String(word) => push_on_one_line(&mut line, word),
            other => {
                let _ = write!(line, "{other}");
            }
        }
    }
    line
}

fn json(event: &Event<'_>, at: &Zoned, said: Said) -> String {
    let metadata = event.metadata();
    let mut object = Map::new();
    object.insert("time".into(), at.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string().into());
    object.insert("level".into(), metadata.level().as_str().into());
    object.insert("scope".into(), scope(metadata.target()).into());
    object.insert("msg".into(), said.message.into());
    for (name, value) in said.fields {
        object.entry(name).or_insert(value);
    }
    Value::Object(object).to_string()
}

/// What a client said must not look like a line of ours.
fn push_on_one_line(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

/// The message and the fields of an event, in the order in which they were given.
#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Said {
    fn field(&mut self, field: &Field, value: impl Into<Value>) {
        self.fields.push((field.name(), value.into()));
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.field(field, format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.field(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, value);
    }
}
