//! Where things are: the workspace, its cache, its programs, a folder to throw away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The folder of the workspace's `Cargo.toml`.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where `make test` keeps what it built or fetched for the tests; ignored by git.
pub fn cache() -> PathBuf {
    workspace().join(".cache")
}

/// What the names of our temporary folders begin with; the id of the process that made them follows.
const PREFIX: &str = "stunner-test-";

/// An empty folder that is removed when the value is dropped.
pub fn temp_dir() -> TempDir {
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder for temporary files")
}

/// Removes the temporary folders of processes that are gone: who is killed cannot tidy up.
pub fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        let owner = owner.and_then(|(id, _)| id.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // Somebody else may be doing the same.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

/// The program `name` of this workspace, in the profile the tests were built in.
///
/// `make test` builds all programs first and names their folder in `STUNNER_BIN_DIR`; without it the program
/// is built here, so that `cargo test -p ...` alone never runs an old one.
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("STUNNER_BIN_DIR") {
        let program = PathBuf::from(folder).join(name);
        assert!(program.is_file(), "STUNNER_BIN_DIR has no {name}: {}", program.display());
        return program;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(workspace()).args(["build", "--quiet", "--locked", "--bin", name, "--package", name]);
    let folder = profile_folder();
    if folder.ends_with("release") {
        build.arg("--release");
    }
    let built = build.output().expect("cargo runs");
    assert!(built.status.success(), "cannot build {name}:\n{}", String::from_utf8_lossy(&built.stderr));
    folder.join(name)
}

/// `target/<profile>`: two floors above the test program, which is in `deps/`.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the test program has a path");
    test.parent()
        .and_then(Path::parent)
        .expect("test programs are built in target/<profile>/deps")
        .to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_swept_and_those_of_the_living_are_not() {
        let mut gone = Command::new("true").spawn().expect("a process");
        gone.wait().expect("it ends");
        let left = std::env::temp_dir().join(format!("{PREFIX}{}-left", gone.id()));
        fs::create_dir_all(left.join("within")).expect("a folder");
        let ours = temp_dir();
        sweep();
        assert!(!left.exists());
        assert!(ours.path().exists());
    }
}
