//! What may come in from outside, by the lists of `deny.toml`.

use house::{Files, licence, packages, root};
use toml::{Table, Value};

fn deny() -> Table {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("the workspace has a deny.toml");
    text.parse().expect("deny.toml is TOML")
}

/// The names in a list whose entries are either a name or a table with a `crate`.
fn names(list: &Value) -> Vec<&str> {
    let entries = list.as_array().into_iter().flatten();
    entries.filter_map(|entry| entry.as_str().or_else(|| entry.get("crate")?.as_str())).collect()
}

#[test]
fn every_licence_is_on_the_list() {
    let deny = deny();
    let general = names(&deny["licenses"]["allow"]);
    let exceptions = deny["licenses"]["exceptions"].as_array().unwrap();
    for package in packages(&["--workspace"]) {
        let own = exceptions.iter().find(|entry| entry["crate"].as_str() == Some(&package.name));
        let own = own.map(|entry| names(&entry["allow"])).unwrap_or_default();
        let allowed = |licence: &str| general.contains(&licence) || own.contains(&licence);
        assert!(
            licence::is_met(&package.licence, &allowed),
            "{} is under {:?}",
            package.name,
            package.licence
        );
    }
}

#[test]
fn every_exception_is_needed() {
    let deny = deny();
    let all = packages(&["--workspace"]);
    for name in names(&deny["licenses"]["exceptions"]) {
        assert!(all.iter().any(|package| package.name == name), "nobody brings {name} any more");
    }
}

#[test]
fn no_banned_package_is_brought() {
    let deny = deny();
    let banned = names(&deny["bans"]["deny"]);
    for package in packages(&["--workspace"]) {
        assert!(!banned.contains(&package.name.as_str()), "{} is banned in deny.toml", package.name);
    }
}

#[test]
fn packages_come_from_the_registry_or_from_here() {
    for package in packages(&["--workspace"]) {
        let from_elsewhere = package.version.contains("://") && !package.is_ours();
        assert!(!from_elsewhere, "{} comes from {}", package.name, package.version);
    }
}

#[test]
fn versions_are_chosen_in_one_place() {
    for (path, text) in Files::load().ending("/Cargo.toml") {
        let manifest: Table = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(section) = manifest.get(section).and_then(Value::as_table) else { continue };
            for (name, wanted) in section {
                let inherits = wanted.get("workspace").and_then(Value::as_bool) == Some(true);
                assert!(inherits, "{path}: {name} should say `workspace = true`");
            }
        }
    }
}
