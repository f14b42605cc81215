//! Parts a machine may lack: a test asks for what it needs, and is skipped, loudly, where it is missing.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::place;

/// The table that `scripts/parts` installs from.
const TABLE: &str = include_str!("../../parts.txt");

/// A part that is here.
#[derive(Clone, Debug)]
pub struct Part {
    name: String,
    programs: BTreeMap<String, PathBuf>,
}

impl Part {
    /// A command that runs one of the part's programs, named as in `tests/parts.txt`; `python` for a part
    /// that is a Python module.
    #[track_caller]
    pub fn command(&self, program: &str) -> Command {
        let Some(path) = self.programs.get(program) else {
            panic!("part {} has no program {program}", self.name);
        };
        Command::new(path)
    }
}

/// The part `name` of `tests/parts.txt`, or `None` if this machine lacks it; the test should then return.
///
/// A missing part is printed (`SKIPPED name: how to get it`) and, if `STUNNER_SKIPS` names a file, noted
/// there for the count at the end of `make test`. With `CI=true` nothing may be missing: it panics.
#[track_caller]
pub fn need(name: &str) -> Option<Part> {
    let Some(row) = rows().find(|row| row.name == name) else {
        panic!("no part {name:?} in tests/parts.txt");
    };
    let mut programs = BTreeMap::new();
    for check in row.checks.split_whitespace() {
        match passes(check) {
            Some(path) => programs.insert(program_name(check).to_owned(), path),
            None => {
                report_missing(&row, check);
                return None;
            }
        };
    }
    Some(Part { name: name.to_owned(), programs })
}

/// Says that a test was not run because this machine's kernel refuses what the part `name` needs, although all its
/// programs are here. Nobody can install that, so it is neither a failure nor counted as a skip; the reason is printed
/// and, if `STUNNER_EXCUSES` names a file, noted there for the end of `make test`.
pub fn excuse(name: &str, why: &str) {
    drop(io::stderr().write_all(format!("NOT RUN {name}: this machine refuses {why}\n").as_bytes()));
    note("STUNNER_EXCUSES", name, why);
}

struct Row {
    name: &'static str,
    checks: &'static str,
    packages: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('|').map(str::trim);
        let mut column = || columns.next().unwrap_or_else(|| panic!("tests/parts.txt: short line: {line}"));
        Row { name: column(), checks: column(), packages: column() }
    })
}

/// The program that a check stands for, if it holds.
fn passes(check: &str) -> Option<PathBuf> {
    if let Some(module) = check.strip_prefix("python:") {
        let python = place::cache().join("python/bin/python");
        let mut import = Command::new(&python);
        import.args(["-c", &format!("import {module}")]);
        return succeeds(&mut import).then_some(python);
    }
    if let Some(wanted) = check.strip_prefix("go:") {
        let go = on_path("go")?;
        let version = Command::new(&go).args(["env", "GOVERSION"]).output().ok()?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let is_new = numbers(version.trim().trim_start_matches("go")) >= numbers(wanted);
        return is_new.then_some(go);
    }
    if let Some(program) = check.strip_prefix("cargo:") {
        let built = place::cache().join("cargo/bin").join(program);
        return is_file(&built).then_some(built).or_else(|| on_path(program));
    }
    if let Some(path) = check.strip_prefix("cache:") {
        let kept = place::cache().join(path);
        return kept.exists().then_some(kept);
    }
    if check == "netns" {
        let unshare = on_path("unshare")?;
        return succeeds(Command::new(&unshare).args(["--net", "true"])).then_some(unshare);
    }
    if check == "capture" {
        let dumpcap = on_path("dumpcap")?;
        let interfaces = Command::new(&dumpcap).arg("-D").output().ok()?;
        let may = String::from_utf8_lossy(&interfaces.stdout).lines().any(|line| line.contains(". lo"));
        return may.then_some(dumpcap);
    }
    on_path(check)
}

/// The name under which a test asks for what a check found.
fn program_name(check: &str) -> &str {
    match check.split_once(':') {
        Some(("cache", path)) => path.rsplit('/').next().unwrap_or(path),
        Some(("cargo", program)) | Some((program, _)) => program,
        None => check,
    }
}

/// The parts of a version, to be compared in order.
fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Where `program` is. Servers live in folders that are not on every user's path.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let servers = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(servers).map(|folder| folder.join(program)).find(|file| is_file(file))
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}

#[track_caller]
fn report_missing(row: &Row, check: &str) {
    let from_scripts = ["python:", "cargo:", "cache:"].iter().any(|kind| check.starts_with(kind));
    let how = match (row.packages, from_scripts) {
        ("-", true) => format!("no {check}; scripts/parts gets it"),
        ("-", false) => format!("no {check}; not in Debian 12"),
        (packages, false) => format!("no {check}; on Debian: apt-get install {packages}"),
        (packages, true) => format!("no {check}; on Debian: apt-get install {packages}, then scripts/parts"),
    };
    let name = row.name;
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI lacks the part {name}: {how}");

    // Straight to the stream: the test harness swallows what a passing test prints. In one piece: other tests
    // write too.
    drop(io::stderr().write_all(format!("SKIPPED {name}: {how}\n").as_bytes()));
    note("STUNNER_SKIPS", name, &how);
}

/// Appends a line about the test that runs now to the file that the environment variable names, if it does.
fn note(variable: &str, part: &str, text: &str) {
    let Some(file) = std::env::var_os(variable) else { return };
    let line = format!("{}\t{part}\t{text}\n", test_name());
    let file = OpenOptions::new().create(true).append(true).open(file);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| panic!("{variable} cannot be written: {error}"));
}

/// The test that runs now, as `crate::program::test`: cargo names the crate, and programs after themselves and
/// a hash; the harness names threads after tests.
fn test_name() -> String {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    format!("{package}::{program}::{}", std::thread::current().name().unwrap_or("main"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_whole() {
        for row in rows() {
            assert!(
                !row.name.is_empty() && !row.checks.is_empty() && !row.packages.is_empty(),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn a_program_on_the_path_is_found() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-anywhere").is_none());
    }
}
