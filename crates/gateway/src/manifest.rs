//! Objects in YAML files: from files and directories to a [`Snapshot`], and back.
//!
//! A file holds any number of documents; a document holds an object or a `List` of them. Whatever cannot be read is
//! reported and left out, the rest stays.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::{
    Snapshot,
    api::{ObjectRef, Type, from_value},
    names,
    snapshot::{Stored, Visitor},
};

mod document;
mod unknown;

use document::Document;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifests {
    /// The objects.
    pub snapshot: Snapshot,
    /// What could not be read, in the order of files and lines.
    pub errors: Vec<ManifestError>,
    /// What was read and has no effect: fields that do not exist, most likely because they are misspelt.
    pub warnings: Vec<ManifestError>,
    /// Kinds that were found and have no effect on what is rendered, for instance `apps/v1 Deployment`.
    pub skipped: BTreeSet<String>,
    /// The files read, in order; to be watched for changes.
    pub files: Vec<PathBuf>,
}

/// Why a file or a part of it could not be read. Prints as `FILE:LINE: reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// The file.
    pub file: PathBuf,
    /// Line in the file, counted from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong and, where it is not obvious, what to do about it.
    pub reason: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.reason)
    }
}

impl std::error::Error for ManifestError {}

/// Reads YAML files, and of directories the files whose names end in `.yaml`, `.yml` or `.json`, in the order of their
/// names and without directories below.
pub fn load<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Manifests {
    let mut reader = Reader::default();
    for path in paths {
        reader.path(path.as_ref());
    }
    reader.manifests
}

/// Reads one YAML text; `file` is what errors call it.
pub fn parse(file: impl Into<PathBuf>, text: &str) -> Manifests {
    let mut reader = Reader::default();
    reader.text(&file.into(), text);
    reader.manifests
}

/// All objects of a snapshot as YAML documents.
pub fn to_yaml(snapshot: &Snapshot) -> String {
    documents(&snapshot.to_values())
}

/// JSON values as YAML documents.
pub fn documents(values: &[Value]) -> String {
    let options = serde_saphyr::ser_options! { compact_list_indent: true };
    let document = |value| serde_saphyr::to_string_with_options(value, options.clone()).unwrap_or_default();
    values.iter().map(document).collect::<Vec<_>>().join("---\n")
}

#[derive(Default)]
struct Reader {
    manifests: Manifests,
    /// Where each object was found.
    origins: BTreeMap<ObjectRef, (PathBuf, usize)>,
}

impl Reader {
    fn path(&mut self, path: &Path) {
        if path.is_dir() {
            match directory(path) {
                Ok(files) => files.iter().for_each(|file| self.file(file)),
                Err(error) => self.error(path, None, error.to_string()),
            }
        } else {
            self.file(path);
        }
    }

    fn file(&mut self, file: &Path) {
        self.manifests.files.push(file.to_owned());
        match fs::read_to_string(file) {
            Ok(text) => self.text(file, &text),
            Err(error) => self.error(file, None, error.to_string()),
        }
    }

    fn text(&mut self, file: &Path, text: &str) {
        for document in document::split(text) {
            match document.value() {
                Ok(Value::Null) => {}
                Ok(value) => self.document(file, &document, value),
                Err((line, reason)) => self.error(file, Some(line), reason),
            }
        }
    }

    fn document(&mut self, file: &Path, document: &Document<'_>, value: Value) {
        let list = value.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
        match (list, value.get("items")) {
            (Some(item_kind), Some(Value::Array(items))) => {
                let lines = item_lines(document);
                let api_version = value.get("apiVersion").cloned();
                for (at, item) in items.iter().enumerate() {
                    let mut item = item.clone();
                    if let (false, Some(fields)) = (item_kind.is_empty(), item.as_object_mut()) {
                        fields.entry("kind").or_insert_with(|| item_kind.into());
                        fields.entry("apiVersion").or_insert_with(|| api_version.clone().unwrap_or_default());
                    }
                    self.object(file, lines.get(at).copied().unwrap_or(document.line), None, item);
                }
            }
            _ => self.object(file, document.line, Some(document), value),
        }
    }

    fn object(&mut self, file: &Path, line: usize, document: Option<&Document<'_>>, value: Value) {
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return self.error(
                file,
                Some(line),
                "not an object of Kubernetes: no apiVersion or no kind".to_owned(),
            );
        };
        match type_of(api_version, kind) {
            Ok(Some(of)) => {
                if INERT.contains(&kind) {
                    self.manifests.skipped.insert(format!("{api_version} {kind}"));
                }
                let store = Store { reader: self, file, line, document, value };
                Snapshot::dispatch(of, store);
            }
            Ok(None) => {
                self.manifests.skipped.insert(format!("{api_version} {kind}"));
            }
            Err(reason) => self.error(file, Some(line), reason),
        }
    }

    fn error(&mut self, file: &Path, line: Option<usize>, reason: String) {
        self.manifests.errors.push(ManifestError { file: file.to_owned(), line, reason });
    }
}

/// Kinds that tell the renderer what exists already and do nothing else.
const INERT: [&str; 3] = ["Deployment", "DaemonSet", "ConfigMap"];

/// Reads an object of a kind and puts it into the snapshot.
struct Store<'r> {
    reader: &'r mut Reader,
    file: &'r Path,
    line: usize,
    document: Option<&'r Document<'r>>,
    value: Value,
}

impl Visitor for Store<'_> {
    type Output = ();

    fn visit<R: Stored>(self) {
        let mut object = match from_value::<R>(self.value.clone()) {
            Ok(object) => object,
            Err(error) => {
                let found = self.document.and_then(Document::error_in::<R>);
                let (line, reason) = found.unwrap_or_else(|| (self.line, error.to_string()));
                return self.reader.error(self.file, Some(line), format!("{}: {reason}", R::TYPE.kind));
            }
        };
        let metadata = object.metadata_mut();
        match (R::TYPE.namespaced, metadata.namespace.is_empty()) {
            (true, true) => "default".clone_into(&mut metadata.namespace),
            (false, false) => metadata.namespace.clear(),
            (true, false) | (false, true) => {}
        }
        if let Err(reason) = names::check(&metadata.name, &metadata.namespace) {
            return self.reader.error(self.file, Some(self.line), format!("{}: {reason}", R::TYPE.kind));
        }
        let reference = ObjectRef::of(&object);
        if let Some((file, line)) = self.reader.origins.get(&reference) {
            let reason = format!(
                "{reference} is here for the second time; the one of {}:{line} stays",
                file.display()
            );
            return self.reader.error(self.file, Some(self.line), reason);
        }
        for field in unknown::fields(&self.value, &object) {
            let key = field.rsplit('.').next().unwrap_or_default();
            let line = self.document.and_then(|document| document.line_of_key(key)).unwrap_or(self.line);
            let reason = format!("{reference}: there is no field {field}; it has no effect");
            let warning = ManifestError { file: self.file.to_owned(), line: Some(line), reason };
            self.reader.manifests.warnings.push(warning);
        }
        self.reader.origins.insert(reference, (self.file.to_owned(), self.line));
        self.reader.manifests.snapshot.insert(object);
    }
}

/// The kind, `None` if it means nothing to us.
fn type_of(api_version: &str, kind: &str) -> Result<Option<Type>, String> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let Some(of) = Snapshot::TYPES.iter().find(|of| of.group == group && of.kind == kind) else {
        return Ok(None);
    };
    if of.versions.contains(&version) {
        Ok(Some(*of))
    } else {
        let known = of.versions.join(", ");
        Err(format!("{kind} of {group} has no version {version:?}; use {known}"))
    }
}

/// The line on which each item of a list begins.
fn item_lines(document: &Document<'_>) -> Vec<usize> {
    #[derive(Deserialize)]
    struct Lines {
        items: Vec<Spanned<serde::de::IgnoredAny>>,
    }

    let lines = document.read::<Lines>().map(|lines| lines.items).unwrap_or_default();
    lines.iter().map(|item| document.line_of(item.referenced)).collect()
}

fn directory(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = file
            .extension()
            .is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known));
        if manifest && !hidden && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
