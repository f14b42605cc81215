use std::{cmp::Ordering, str::FromStr};

use serde_json::Value;

use super::{Error, error, quoted, unquoted};

/// A way through a document: `.field`, `['field','other']`, `[0,2]`, `[-1]`, `[1:5:2]`, `[*]` or `.*`, `..field`, and
/// `[?(@.field == "text")]`. Starts at the current item, or at the document if it begins with `$`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path {
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Fields(Vec<String>),
    Items(Vec<Slice>),
    Children,
    Descendants(Option<String>),
    Filter(Operand, Option<(Comparison, Operand)>),
}

/// `[start:end:step]`, or a single index.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    is_index: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Literal(Value),
    Path(Path),
}

impl Path {
    /// What the path leads to.
    pub(super) fn select<'v>(&self, root: &'v Value, current: &'v Value) -> Result<Vec<&'v Value>, Error> {
        let start = if self.from_root { root } else { current };
        self.steps.iter().try_fold(vec![start], |values, step| {
            let mut results = Vec::new();
            for value in values {
                step.apply(root, value, &mut results)?;
            }
            Ok(results)
        })
    }
}

impl Step {
    fn apply<'v>(
        &self,
        root: &'v Value,
        value: &'v Value,
        results: &mut Vec<&'v Value>,
    ) -> Result<(), Error> {
        match self {
            Self::Field(name) => results.push(field(value, name)?),
            Self::Fields(names) => {
                for name in names {
                    results.push(field(value, name)?);
                }
            }
            Self::Items(slices) => {
                let items = value.as_array().ok_or_else(|| error("not a list", &value.to_string()))?;
                for slice in slices {
                    slice.apply(items, results)?;
                }
            }
            Self::Children => results.extend(children(value)),
            Self::Descendants(name) => descend(value, name.as_deref(), results),
            Self::Filter(left, right) => {
                for item in children(value) {
                    if holds(left, right.as_ref(), root, item) {
                        results.push(item);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Slice {
    fn apply<'v>(self, items: &'v [Value], results: &mut Vec<&'v Value>) -> Result<(), Error> {
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let from_front = |index: i64| if index < 0 { index + length } else { index };
        let item = |index: i64| usize::try_from(index).ok().and_then(|index| items.get(index));
        let start = from_front(self.start.unwrap_or(0));
        if self.is_index {
            let index = self.start.unwrap_or(0);
            results.push(item(start).ok_or_else(|| error("the list has no such item", &index.to_string()))?);
            return Ok(());
        }
        let end = from_front(self.end.unwrap_or(length)).min(length);
        let step = usize::try_from(self.step).unwrap_or(1).max(1);
        results.extend((start.max(0)..end).step_by(step).filter_map(item));
        Ok(())
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> bool {
        let order = match (left, right) {
            (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            _ => (left == right).then_some(Ordering::Equal),
        };
        match self {
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = text.strip_prefix(['$', '@']);
        let mut path = Self { from_root: text.starts_with('$'), steps: Vec::new() };
        let mut rest = match rest {
            Some(rest) => rest,
            None if text.is_empty() => return Err(error("an expression is empty", "{}")),
            None if text.starts_with(['.', '[']) => text,
            None => {
                let (name, rest) = take_name(text);
                path.steps.push(named(name, text)?);
                rest
            }
        };
        while !rest.is_empty() {
            let (step, after) = take_step(rest, text)?;
            path.steps.extend(step);
            rest = after;
        }
        Ok(path)
    }
}

/// The first step of `rest`; a dot at the end is none.
fn take_step<'t>(rest: &'t str, path: &str) -> Result<(Option<Step>, &'t str), Error> {
    if let Some(after) = rest.strip_prefix("..") {
        let (name, after) = take_name(after);
        let name = if name == "*" { None } else { Some(name).filter(|name| !name.is_empty()) };
        return Ok((Some(Step::Descendants(name)), after));
    }
    if rest.starts_with('[') {
        let end = bracket_end(rest).ok_or_else(|| error("a bracket is not closed", path))?;
        return Ok((Some(bracket(rest[1..end].trim(), path)?), &rest[end + 1..]));
    }
    let Some(after) = rest.strip_prefix('.') else { return Err(error("not a path", path)) };
    if after.is_empty() || after.starts_with('[') {
        return Ok((None, after));
    }
    let (name, after) = take_name(after);
    Ok((Some(named(name, path)?), after))
}

fn named(name: String, path: &str) -> Result<Step, Error> {
    match name.as_str() {
        "" => Err(error("a name is missing", path)),
        "*" => Ok(Step::Children),
        _ if name.chars().any(|c| c.is_whitespace() || "(){}=<>!?".contains(c)) => {
            Err(error("not a path", path))
        }
        _ => Ok(Step::Field(name)),
    }
}

/// A name up to the next dot or bracket that is not behind a backslash.
fn take_name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '.' | '[' => return (name, &text[at..]),
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            _ => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket that `text` starts with is closed.
fn bracket_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    unquoted(text).find_map(|(at, c)| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

fn bracket(inside: &str, path: &str) -> Result<Step, Error> {
    if inside == "*" {
        return Ok(Step::Children);
    }
    if let Some(filter) = inside.strip_prefix('?') {
        let filter = filter.trim().strip_prefix('(').and_then(|filter| filter.strip_suffix(')'));
        return parse_filter(filter.ok_or_else(|| error("a filter needs parentheses", path))?);
    }
    if inside.starts_with(['"', '\'']) {
        let mut names = Vec::new();
        let mut rest = inside;
        loop {
            let (name, after) = quoted(rest).ok_or_else(|| error("a quote is not closed", path))?;
            names.push(name);
            match after.trim_start().strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if after.trim().is_empty() => return Ok(Step::Fields(names)),
                None => return Err(error("not a list of names", path)),
            }
        }
    }
    let slices = inside.split(',').map(|slice| parse_slice(slice.trim()));
    slices.collect::<Option<_>>().map(Step::Items).ok_or_else(|| error("not an index", path))
}

fn parse_slice(text: &str) -> Option<Slice> {
    let number = |text: &str| text.trim().parse().ok();
    let optional = |text: &str| if text.trim().is_empty() { Some(None) } else { number(text).map(Some) };
    let mut parts = text.split(':');
    let first = parts.next()?;
    let Some(end) = parts.next() else {
        return Some(Slice { start: Some(number(first)?), end: None, step: 1, is_index: true });
    };
    let step = optional(parts.next().unwrap_or_default())?.unwrap_or(1);
    let is_complete = parts.next().is_none() && step > 0;
    is_complete.then_some(Slice { start: optional(first)?, end: optional(end)?, step, is_index: false })
}

fn parse_filter(text: &str) -> Result<Step, Error> {
    const COMPARISONS: [(&str, Comparison); 6] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let sign_at = |(at, _)| {
        let (sign, comparison) = COMPARISONS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
        Some((&text[..at], *comparison, &text[at + sign.len()..]))
    };
    Ok(match unquoted(text).find_map(sign_at) {
        Some((left, comparison, right)) => Step::Filter(operand(left)?, Some((comparison, operand(right)?))),
        None => Step::Filter(operand(text)?, None),
    })
}

fn operand(text: &str) -> Result<Operand, Error> {
    let text = text.trim();
    if text.starts_with(['@', '$', '.']) {
        return text.parse().map(Operand::Path);
    }
    if text.starts_with(['"', '\'']) {
        return match quoted(text) {
            Some((literal, "")) => Ok(Operand::Literal(Value::from(literal))),
            _ => Err(error("not a quoted text", text)),
        };
    }
    text.parse().map(Operand::Literal).map_err(|_| error("not a value to compare with", text))
}

/// A path to nowhere makes a filter false rather than wrong.
fn holds(left: &Operand, right: Option<&(Comparison, Operand)>, root: &Value, item: &Value) -> bool {
    let value = |operand: &Operand| match operand {
        Operand::Literal(value) => Some(value.clone()),
        Operand::Path(path) => path.select(root, item).ok()?.first().map(|value| (*value).clone()),
    };
    match (value(left), right) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(left), Some((comparison, right))) => {
            value(right).is_some_and(|right| comparison.holds(&left, &right))
        }
    }
}

fn field<'v>(value: &'v Value, name: &str) -> Result<&'v Value, Error> {
    value.get(name).ok_or_else(|| Error(format!("{name} is not found")))
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// All fields of a name at any depth, or everything below if there is no name.
fn descend<'v>(value: &'v Value, name: Option<&str>, results: &mut Vec<&'v Value>) {
    match name {
        Some(name) => results.extend(value.get(name)),
        None => results.extend(children(value)),
    }
    for child in children(value) {
        descend(child, name, results);
    }
}
