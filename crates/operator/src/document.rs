//! The JSON of an object as text.

use std::fmt;

use serde_json::Value;

/// Takes a tenth of the room of a value, and is read now and then only.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Box<str>);

impl Document {
    /// The text of a value.
    pub fn of(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    /// The value again.
    pub fn read(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }
}

/// Leaves the contents out: those of ConfigMaps are credentials.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of JSON", self.0.len())
    }
}
