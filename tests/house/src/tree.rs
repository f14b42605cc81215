//! The files that belong to the repository.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The folder of the workspace's `Cargo.toml`, without detours.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.join("../..").canonicalize().expect("the workspace is where it was built")
    });
    &ROOT
}

/// What cargo prints when asked so.
#[track_caller]
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    output(Command::new(program).args(arguments))
}

#[track_caller]
fn output(command: &mut Command) -> String {
    let done = command.current_dir(root()).output().expect("the program is on the path");
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("the program prints UTF-8")
}

/// The text files of the repository by path from its root: what git knows, or would after an `add`.
#[derive(Debug)]
pub struct Files(BTreeMap<String, String>);

impl Files {
    /// Reads them all; a file that is not UTF-8 is not text.
    pub fn load() -> Self {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let names = output(Command::new("git").args(list));
        let read = |name: &str| Some((name.to_owned(), fs::read_to_string(root().join(name)).ok()?));
        Self(names.split_terminator('\0').filter_map(read).collect())
    }

    /// Path and text of every file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Path and text of every file whose path ends so.
    pub fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(move |(path, _)| path.ends_with(end))
    }

    /// The text of one file.
    #[track_caller]
    pub fn text(&self, path: &str) -> &str {
        self.0.get(path).unwrap_or_else(|| panic!("the repository has no text file {path}"))
    }
}
