//! The custom resource definitions of `deploy/crds` are the ones that the code has. `BLESS=1` writes them.

use std::{fs, path::PathBuf};

use gateway::{crd, manifest};

#[test]
fn the_definitions_in_the_repository_are_those_of_the_code() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/crds"));
    for definition in crd::all() {
        let name = definition["metadata"]["name"].as_str().unwrap();
        let (plural, group) = name.split_once('.').unwrap();
        let file = folder.join(format!("{group}_{plural}.yaml"));
        let text = format!("---\n{}", manifest::documents(std::slice::from_ref(&definition)));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&file, &text).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == text, "{} is not what crd::all() says: make crds", file.display());
    }
}
