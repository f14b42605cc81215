//! What our crates bring with them (`cargo tree`, which knows features exactly; `cargo metadata` does not).

use std::collections::BTreeSet;

use crate::tree::cargo;

/// A package of somebody's dependencies, ours included.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version and, unless it is from the registry, where it comes from.
    pub version: String,
    /// The licence expression of its manifest, empty if it names none.
    pub licence: String,
}

/// Every package that a selection of our crates brings on the platform we ship on, such as
/// `["-p", "stun", "-e", "normal,build"]` for what runs in `stun`.
pub fn packages(selection: &[&str]) -> BTreeSet<Package> {
    let mut arguments = vec!["tree", "--locked", "--target", "x86_64-unknown-linux-gnu"];
    arguments.extend(["--prefix", "none", "--format", "{p}|{l}"]);
    arguments.extend(selection);
    cargo(&arguments).lines().filter(|line| !line.is_empty()).map(Package::read).collect()
}

impl Package {
    #[track_caller]
    fn read(line: &str) -> Self {
        let parts = line.split_once('|').and_then(|(package, licence)| {
            let (name, version) = package.split_once(' ')?;
            // A package that was printed before is marked with a star.
            let licence = licence.trim_end_matches(" (*)");
            Some([name, version.trim_end_matches(" (proc-macro)"), licence].map(str::to_owned))
        });
        let Some([name, version, licence]) = parts else { panic!("cargo tree printed {line:?}") };
        Self { name, version, licence }
    }

    /// Whether it is one of ours: it comes from a folder.
    pub fn is_ours(&self) -> bool {
        self.version.contains(" (/")
    }
}
