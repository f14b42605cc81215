//! The counting that `make test` and CI end with: a wrong sum there would hide everything else.

use std::process::Command;

use house::root;

fn totals(log: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("log");
    std::fs::write(&file, log).expect("a file");
    let counted = Command::new(root().join("scripts/totals")).arg(&file).output().expect("bash runs");
    String::from_utf8(counted.stdout).expect("numbers").trim().to_owned()
}

const GOOD: &str = "     Running unittests src/lib.rs (target/debug/deps/a-1)
test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.16s
";
const BAD: &str = "     Running tests/b.rs (target/debug/deps/b-1)
test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.16s
";
const CRASHED: &str = "     Running tests/c.rs (target/debug/deps/c-1)
running 2 tests
error: test failed, to rerun pass `-p c --test c`
";
const DOCS: &str = "   Doc-tests a
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.16s
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.16s
";

#[test]
fn the_results_of_all_test_programs_are_added_up() {
    assert_eq!(totals(&[GOOD, BAD].concat()), "10 2 1");
}

#[test]
fn a_test_program_that_ends_without_a_result_is_a_failure() {
    assert_eq!(totals(&[GOOD, CRASHED, BAD].concat()), "10 3 1");
    assert_eq!(totals(&[GOOD, CRASHED].concat()), "7 1 1");
}

#[test]
fn two_results_of_one_program_hide_no_crash_of_another() {
    assert_eq!(totals(&[CRASHED, DOCS].concat()), "3 1 0");
}

#[test]
fn an_empty_log_counts_nothing() {
    assert_eq!(totals(""), "0 0 0");
}
