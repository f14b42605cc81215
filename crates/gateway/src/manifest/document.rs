use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::{Location, options::DuplicateKeyPolicy};

use crate::api::Resource;

/// Longest document that is looked at, in bytes.
const MAX_LENGTH: usize = 16 << 20;

/// One document of a YAML text.
pub(super) struct Document<'t> {
    text: &'t str,
    /// Line of the text on which the document begins, counted from 1.
    pub(super) line: usize,
}

impl Document<'_> {
    /// The document as a value, or line and reason why it is none.
    pub(super) fn value(&self) -> Result<Value, (usize, String)> {
        if self.text.len() > MAX_LENGTH {
            return Err((self.line, format!("the document has more than {MAX_LENGTH} bytes")));
        }
        self.read().map_err(|error| self.explain(&error))
    }

    /// The document as a `T`.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, serde_saphyr::Error> {
        let options = serde_saphyr::options! {
            duplicate_keys: DuplicateKeyPolicy::Error,
            // Snippets would show secrets.
            with_snippet: false,
        };
        serde_saphyr::from_str_with_options(self.text, options)
    }

    /// Line and reason why the document is no `R`. Reading a value first and the object from that treats null as the API
    /// server does, but forgets lines; so what failed that way is read again, directly.
    pub(super) fn error_in<R: Resource>(&self) -> Option<(usize, String)> {
        self.read::<R>().err().map(|error| self.explain(&error))
    }

    /// Line of the whole text.
    pub(super) fn line_of(&self, location: Location) -> usize {
        self.line + usize::try_from(location.line()).unwrap_or_default().saturating_sub(1)
    }

    /// The first line that begins with a key, which is the right one as long as the key is there once.
    pub(super) fn line_of_key(&self, key: &str) -> Option<usize> {
        let is_key = |line: &str| {
            let line = line.trim_start().trim_start_matches("- ");
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
        };
        self.text.lines().position(is_key).map(|at| self.line + at)
    }

    fn explain(&self, error: &serde_saphyr::Error) -> (usize, String) {
        let line = error.location().map_or(self.line, |location| self.line_of(location));
        let reason = match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("{key:?} is here for the second time")
            }
            error => error.to_string(),
        };
        // What follows counts lines from the beginning of the document, which is of no help to anybody.
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
        (line, reason.to_owned())
    }
}

/// Cuts a text at the lines that separate documents (`---`). Documents without content come out as null.
pub(super) fn split(text: &str) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    for (at, line) in text.split_inclusive('\n').enumerate() {
        offset += line.len();
        if is_separator(line) {
            documents.push(Document { text: &text[start..offset - line.len()], line: first_line });
            (start, first_line) = (offset, at + 2);
        }
    }
    documents.push(Document { text: &text[start..], line: first_line });
    documents
}

/// Content on the line of the separator is legal YAML that nobody writes in manifests; it is left to the parser.
fn is_separator(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| {
        let rest = rest.trim();
        rest.is_empty() || rest.starts_with('#')
    })
}
