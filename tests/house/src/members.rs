//! Our crates, as their manifests describe them (`cargo metadata`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::tree::{cargo, root};

/// One of our crates.
#[derive(Debug)]
pub struct Member {
    /// The folder of its manifest, from the workspace's root, such as `crates/stun`.
    pub folder: String,
    /// The sentence of its manifest.
    pub description: String,
    /// The root file of its library and of each program, from the workspace's root.
    pub roots: Vec<String>,
    /// What its manifest names.
    pub dependencies: Vec<Dependency>,
}

/// A dependency in a manifest.
#[derive(Debug)]
pub struct Dependency {
    /// The package's name, whatever it is called here.
    pub name: String,
    /// What it is needed for.
    pub kind: Kind,
}

/// What a dependency is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To run, or to build what runs.
    Run,
    /// By tests only.
    Test,
}

/// The members of the workspace by name.
pub fn members() -> BTreeMap<String, Member> {
    let printed = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&printed).expect("cargo metadata prints JSON");
    list(&metadata["packages"])
        .map(|package| (text(&package["name"]).to_owned(), Member::read(package)))
        .collect()
}

impl Member {
    fn read(package: &Value) -> Self {
        let manifest = from_root(&package["manifest_path"]);
        let is_shipped =
            |target: &&Value| list(&target["kind"]).map(text).any(|kind| kind == "lib" || kind == "bin");
        Self {
            folder: manifest.trim_end_matches("/Cargo.toml").to_owned(),
            description: package["description"].as_str().unwrap_or_default().to_owned(),
            roots: list(&package["targets"])
                .filter(is_shipped)
                .map(|target| from_root(&target["src_path"]))
                .collect(),
            dependencies: list(&package["dependencies"]).map(Dependency::read).collect(),
        }
    }

    /// The names of what its manifest names for `kind`.
    pub fn uses(&self, kind: Kind) -> BTreeSet<&str> {
        self.dependencies.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect()
    }

    /// Whether it belongs to the tests wing, which ships nothing.
    pub fn is_test(&self) -> bool {
        self.folder.starts_with("tests/")
    }
}

impl Dependency {
    fn read(dependency: &Value) -> Self {
        let kind = if dependency["kind"].as_str() == Some("dev") { Kind::Test } else { Kind::Run };
        Self { name: text(&dependency["name"]).to_owned(), kind }
    }
}

fn from_root(path: &Value) -> String {
    let path = PathBuf::from(text(path));
    path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[track_caller]
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("cargo metadata: {value} is no text"))
}
