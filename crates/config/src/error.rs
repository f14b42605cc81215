use std::fmt;

/// Why a configuration was refused: where, what is wrong with which value, and what to do about it.
///
/// Prints on one line, for instance
/// `listeners[1].port: invalid port: 70000; give a number from 1 to 65535`. Secrets are never part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    field: String,
    problem: String,
    remedy: String,
}

impl Error {
    pub(crate) fn new(
        field: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// Path of the offending field from the root of the document, for instance `clusters[0].endpoints[2]`; empty when
    /// the document as a whole is at fault.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong, with the value that is.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What would be accepted instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    pub(crate) fn within(mut self, parent: &str) -> Self {
        self.field = match (parent, self.field.as_str()) {
            ("", _) => self.field,
            (parent, "") => parent.to_owned(),
            (parent, field) if field.starts_with('[') => format!("{parent}{field}"),
            (parent, field) => format!("{parent}.{field}"),
        };
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
