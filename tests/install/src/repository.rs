use std::{fs, path::PathBuf};

/// The text of a file, named from the root of the repository.
#[track_caller]
pub fn read(path: &str) -> String {
    fs::read_to_string(kit::workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The YAML files of a folder, named from the root of the repository, and of its folders, in order.
pub fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![kit::workspace().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Compares a file that is kept in the repository with what it has to be; with `BLESS` set, writes it.
#[track_caller]
pub fn bless(path: &str, wanted: &str) {
    let file = kit::workspace().join(path);
    if std::env::var_os("BLESS").is_some() {
        let folder = file.parent().expect("a file is in a folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&file, wanted))
            .expect("the repository can be written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == wanted, "{path} is not what it is made from: make manifests");
}
