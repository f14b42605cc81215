//! Templates in kubectl's dialect of JSONPath: text with `{expressions}`.
//!
//! An expression is a path (`{.listeners[0].name}`, see [`Path`]), a quoted text (`{"\n"}`), or one of the two ends of
//! a loop (`{range .listeners[*]}`, `{end}`). A template without braces is a single path, and paths may leave out the
//! leading dot.

mod path;
#[cfg(test)]
mod tests;

use std::{mem, str::FromStr};

use serde_json::Value;

use path::Path;

/// A template, ready to be filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
}

/// What is wrong with a template, or with filling it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error(String);

#[derive(Debug, Clone, PartialEq)]
enum Segment {
    Text(String),
    Path(Path),
    Range { items: Path, body: Vec<Self> },
}

impl Template {
    /// The template filled in from a document.
    ///
    /// Results of one expression follow each other directly, and `<none>` stands for no result. Texts appear without
    /// quotes, lists and maps as JSON. A field that is not there is an error.
    pub(crate) fn render(&self, document: &Value) -> Result<String, Error> {
        let mut out = String::new();
        render(&self.segments, document, document, &mut out)?;
        Ok(out)
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.contains('{') {
            return Ok(Self { segments: vec![Segment::Path(text.trim().parse()?)] });
        }
        let mut segments = Vec::new();
        let mut open_ranges: Vec<(Path, Vec<Segment>)> = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            push_text(&mut segments, &rest[..start]);
            let end =
                expression_end(&rest[start..]).ok_or_else(|| error("a brace is not closed", rest))? + start;
            let expression = rest[start + 1..end].trim();
            rest = &rest[end + 1..];
            if let Some(items) = expression.strip_prefix("range ") {
                open_ranges.push((items.trim().parse()?, mem::take(&mut segments)));
            } else if expression == "end" {
                let (items, before) =
                    open_ranges.pop().ok_or_else(|| error("there is no range to end", text))?;
                let body = mem::replace(&mut segments, before);
                segments.push(Segment::Range { items, body });
            } else if expression.starts_with(['"', '\'']) {
                let (literal, rest) =
                    quoted(expression).ok_or_else(|| error("a quote is not closed", expression))?;
                if !rest.is_empty() {
                    return Err(error("something follows a quoted text", expression));
                }
                push_text(&mut segments, &literal);
            } else {
                segments.push(Segment::Path(expression.parse()?));
            }
        }
        push_text(&mut segments, rest);
        if open_ranges.is_empty() { Ok(Self { segments }) } else { Err(error("a range is not ended", text)) }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

fn render(segments: &[Segment], root: &Value, current: &Value, out: &mut String) -> Result<(), Error> {
    for segment in segments {
        match segment {
            Segment::Text(text) => out.push_str(text),
            Segment::Path(path) => {
                let results = path.select(root, current)?;
                if results.is_empty() {
                    out.push_str("<none>");
                }
                for result in results {
                    match result {
                        Value::String(text) => out.push_str(text),
                        other => out.push_str(&other.to_string()),
                    }
                }
            }
            Segment::Range { items, body } => {
                for item in items.select(root, current)? {
                    render(body, root, item, out)?;
                }
            }
        }
    }
    Ok(())
}

fn push_text(segments: &mut Vec<Segment>, text: &str) {
    if !text.is_empty() {
        segments.push(Segment::Text(text.to_owned()));
    }
}

/// Where the brace that `text` starts with is closed.
fn expression_end(text: &str) -> Option<usize> {
    unquoted(text).find(|(_, c)| *c == '}').map(|(at, _)| at)
}

/// The characters with their places, without what is in quotes or behind a backslash.
fn unquoted(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut is_escaped = false;
    text.char_indices().filter(move |(_, c)| {
        match (quote, *c) {
            _ if is_escaped => is_escaped = false,
            (_, '\\') => is_escaped = true,
            (Some(open), c) => quote = Some(open).filter(|open| *open != c),
            (None, '"' | '\'') => quote = Some(*c),
            (None, _) => return true,
        }
        false
    })
}

/// The text between the quote that `text` starts with and its partner, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, open) = chars.next()?;
    let mut literal = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == open => return Some((literal, &text[at + c.len_utf8()..])),
            '\\' => literal.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            _ => literal.push(c),
        }
    }
    None
}

fn error(problem: &str, place: &str) -> Error {
    Error(format!("{problem}: {place}"))
}
