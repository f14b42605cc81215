//! User names: the only text of a visitor that other visitors get to see in sentences.

use std::borrow::Borrow;
use std::fmt;

/// The longest name, in characters.
pub const MAX_NAME: usize = 64;

/// A registered user's name: trimmed, 1 to [`MAX_NAME`] characters, free of control characters and of the
/// invisible ones that reorder or hide text around them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName(String);

impl UserName {
    /// Checks and trims `text`.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong; its text is meant for the visitor.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let name = text.trim();
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.chars().count() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        if name.chars().any(|c| c.is_control() || is_invisible(c)) {
            return Err(NameError::Unprintable);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after trimming, or there was no name at all.
    #[error("empty user name")]
    Empty,
    /// More than [`MAX_NAME`] characters.
    #[error("user name is longer than 64 characters")]
    TooLong,
    /// Control characters, zero-width characters or text direction overrides.
    #[error("user name contains unprintable characters")]
    Unprintable,
    /// A number, list or object instead of text.
    #[error("user name must be text")]
    NotText,
}

/// Characters that are no control characters to Unicode and still let one name pass for another.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}'   // zero-width and direction marks
        | '\u{2028}'..='\u{202e}'   // line separators, direction embeddings and overrides
        | '\u{2060}'..='\u{206f}'   // joiners, isolates
        | '\u{e0000}'..='\u{e007f}' // tags
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w5_names_are_trimmed_bounded_and_printable() {
        assert_eq!(UserName::new("  Ada Lovelace ").unwrap().as_str(), "Ada Lovelace");
        assert_eq!(UserName::new("constructor").unwrap().as_str(), "constructor");
        assert_eq!(UserName::new("Zoë 👋").unwrap().as_str(), "Zoë 👋");
        assert_eq!(UserName::new(&"é".repeat(64)).unwrap().as_str().chars().count(), 64);
        for (text, error) in [
            ("", NameError::Empty),
            (" \t\n", NameError::Empty),
            ("a\u{0}b", NameError::Unprintable),
            ("a\nb", NameError::Unprintable),
            ("a\u{7f}b", NameError::Unprintable),
            ("evil\u{202e}txt", NameError::Unprintable),
            ("a\u{200b}b", NameError::Unprintable),
        ] {
            assert_eq!(UserName::new(text), Err(error), "{text:?}");
        }
        assert_eq!(UserName::new(&"x".repeat(65)), Err(NameError::TooLong));
    }
}
