//! What the files of the repository look like.

use std::path::{Component, Path, PathBuf};

use house::{Files, members, root};
use toml::{Table, Value};

/// The longest file that is still read in one go.
const LONGEST_FILE: usize = 700;
const LONGEST_MAIN: usize = 80;

/// Where blocks of unsafe code may be, each with its reason: around system calls, and in allocators that count
/// (those in `tests/no_alloc.rs` of crates that the kit stands on).
const UNSAFE: &[&str] = &["crates/net/src/", "tests/kit/src/allocations.rs"];

fn may_be_unsafe(path: &str) -> bool {
    UNSAFE.iter().any(|place| path.starts_with(place)) || path.ends_with("/tests/no_alloc.rs")
}

fn sources(files: &Files) -> impl Iterator<Item = (&str, &str)> {
    files.ending(".rs").filter(|(path, _)| !is_test(path))
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/")
        || path.starts_with("tests/")
        || path.ends_with("tests.rs")
        || path.contains("/benches/")
}

#[test]
fn every_crate_root_forbids_unsafe_code() {
    let files = Files::load();
    for (name, member) in members() {
        let may = UNSAFE.iter().any(|place| place.starts_with(&format!("{}/src/", member.folder)));
        for crate_root in &member.roots {
            let text = files.text(crate_root);
            let forbids = text.contains("#![forbid(unsafe_code)]");
            assert!(may || forbids || !has_code(text), "{name}: {crate_root} lacks #![forbid(unsafe_code)]");
        }
    }
}

/// Whether there is more than a place where code will be.
fn has_code(text: &str) -> bool {
    let code = text.lines().filter(|line| !line.starts_with("//") && !line.trim().is_empty());
    code.filter(|line| *line != "fn main() {}").count() > 0
}

#[test]
fn unsafe_blocks_stand_where_they_may_and_say_why() {
    for (path, text) in Files::load().ending(".rs") {
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !(code.contains(concat!("unsafe", " {")) || code.starts_with(concat!("unsafe", " impl"))) {
                continue;
            }
            assert!(may_be_unsafe(path), "{path}:{}: unsafe", number + 1);
            let reason = lines[..number].iter().rev().take(12).any(|above| above.starts_with("// SAFETY:"));
            assert!(reason, "{path}:{}: no `// SAFETY:` above", number + 1);
        }
    }
}

#[test]
fn every_crate_says_what_it_is() {
    let files = Files::load();
    for (name, member) in members() {
        assert!(member.description.len() > 10, "{name} has no description");
        for crate_root in &member.roots {
            let text = files.text(crate_root);
            let docs: usize = text.lines().take_while(|line| line.starts_with("//!")).map(str::len).sum();
            assert!(docs > 40 || !has_code(text), "{crate_root} does not begin by saying what it is");
        }
    }
}

#[test]
fn every_crate_takes_the_workspace_s_lints_and_edition() {
    let files = Files::load();
    for (name, member) in members() {
        let manifest: Table = files.text(&format!("{}/Cargo.toml", member.folder)).parse().unwrap();
        let inherits =
            |value: Option<&Value>| value.and_then(|v| v.get("workspace")?.as_bool()) == Some(true);
        assert!(inherits(manifest.get("lints")), "{name}: [lints] workspace = true");
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(inherits(manifest["package"].get(key)), "{name}: {key}.workspace = true");
        }
    }
}

#[test]
fn programs_are_thin() {
    let files = Files::load();
    for (_, member) in members().into_iter().filter(|(_, member)| member.folder.starts_with("bin/")) {
        let main = format!("{}/src/main.rs", member.folder);
        let length = files.text(&main).lines().count();
        assert!(length <= LONGEST_MAIN, "{main} has {length} lines: the code belongs in a crate");
    }
}

#[test]
fn files_can_be_read_in_one_go() {
    let files = Files::load();
    for (path, text) in sources(&files) {
        let length = text.lines().count();
        assert!(length <= LONGEST_FILE, "{path} has {length} lines");
    }
}

#[test]
fn lint_exceptions_have_a_reason() {
    for (path, text) in Files::load().ending(".rs") {
        for kind in [concat!("[", "expect("), concat!("[", "allow(")] {
            for (start, _) in text.match_indices(kind) {
                let attribute = text[start..].split(")]").next().unwrap_or_default();
                assert!(attribute.contains("reason = "), "{path}: no reason: {attribute}");
            }
        }
    }
}

#[test]
fn lint_exceptions_of_what_ships_are_expected() {
    let files = Files::load();
    for (path, text) in sources(&files) {
        // One that is not needed any more is then a warning. Modules that test programs share cannot say so.
        assert!(!text.contains(concat!("[", "allow(")), "{path}: use #[expect(.., reason = \"..\")]");
    }
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
    ];
    for (path, text) in Files::load().iter() {
        for mark in marks {
            assert!(!text.contains(mark), "{path} says {mark}");
        }
    }
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let places = [
        concat!("/tmp", "/wt"),
        concat!("/tmp", "/plan"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/."),
        concat!("/ho", "me/"),
    ];
    for (path, text) in Files::load().iter() {
        for place in places {
            assert!(!text.contains(place), "{path} names {place}");
        }
    }
}

#[test]
fn the_changelog_has_a_place_for_the_next_entry() {
    assert!(Files::load().text("CHANGELOG.md").contains("\n## Unreleased\n"));
}

#[test]
fn links_between_pages_lead_somewhere() {
    for (path, text) in Files::load().ending(".md") {
        for target in links(text).filter(|target| !target.contains("://") && !target.starts_with(['#', '<']))
        {
            let file = target.split('#').next().unwrap_or_default();
            let base = Path::new(path).parent().unwrap_or(Path::new(""));
            let place = if let Some(absolute) = file.strip_prefix('/') {
                PathBuf::from(absolute)
            } else {
                base.join(file)
            };
            let stays = !place.components().any(|part| part == Component::RootDir);
            assert!(stays && root().join(&place).exists(), "{path} links to {target}, which is not there");
        }
    }
}

/// The targets of a page's inline links, outside code.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1));
    targets.filter_map(|rest| rest.split([')', ' ']).next()).filter(|target| !target.is_empty())
}
