//! Environment variables inside configuration text: `$NAME` and `${NAME}`.

use std::borrow::Cow;

/// Where the values of variables come from. The process environment is
/// `&|name| std::env::var(name).ok()`; nothing at all is [`empty`].
pub type Lookup<'f> = &'f dyn Fn(&str) -> Option<String>;

/// An environment without variables.
pub fn empty(_: &str) -> Option<String> {
    None
}

/// Replaces `$NAME` and `${NAME}` by the variable's value, or by nothing if it is not set.
///
/// A name is a run of letters, digits and underscores, or a single one of ``*#$@!?-`` or digit. A `$` that starts
/// nothing of that kind stays; `${}` and an unterminated `${` disappear. The rules are those of the shells' simple
/// expansion as the original has them, down to these corners.
pub fn expand<'t>(text: &'t str, env: Lookup<'_>) -> Cow<'t, str> {
    if !text.contains('$') {
        return Cow::Borrowed(text);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (reference, length) = reference(rest);
        match reference {
            Reference::Variable(name) => expanded.push_str(&value(name, env)),
            Reference::Malformed => {}
            Reference::None => expanded.push('$'),
        }
        rest = &rest[length..];
    }
    expanded.push_str(rest);
    Cow::Owned(expanded)
}

enum Reference<'t> {
    Variable(&'t str),
    Malformed,
    None,
}

/// What stands behind a `$`, and how many bytes of it there are.
fn reference(text: &str) -> (Reference<'_>, usize) {
    let Some(braced) = text.strip_prefix('{') else {
        let name = name(text);
        let reference = if name.is_empty() { Reference::None } else { Reference::Variable(name) };
        return (reference, name.len());
    };
    match braced.find('}') {
        Some(0) => (Reference::Malformed, "{}".len()),
        Some(end) => (Reference::Variable(&braced[..end]), end + "{}".len()),
        None => (Reference::Malformed, "{".len()),
    }
}

fn name(text: &str) -> &str {
    let is_special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
    let end = match text.chars().next() {
        Some(first) if is_special(first) => 1,
        _ => text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len()),
    };
    &text[..end]
}

/// `STUNNER_PORT` always has a number: its own, else that of `STUNNER_PUBLIC_PORT`, else the default port.
fn value(name: &str, env: Lookup<'_>) -> String {
    let own = env(name);
    if name != "STUNNER_PORT" {
        return own.unwrap_or_default();
    }
    let number = |text: &String| text.parse::<i64>().is_ok();
    own.filter(number)
        .or_else(|| env("STUNNER_PUBLIC_PORT").filter(number))
        .unwrap_or_else(|| crate::DEFAULT_PORT.to_string())
}
