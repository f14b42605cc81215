//! What pages claim about the code: a table that names a test or a file must not outlive it.

use house::Files;

/// Pages whose tables end in a column that proves each row.
const PROVED: [&str; 3] = ["docs/standards.md", "docs/security.md", "docs/criteria.md"];

/// The page of the criteria that the dataplane is accepted by, and of the weaknesses of the original.
const CRITERIA: &str = "docs/criteria.md";

/// How many criteria there are of each letter, counted from 01.
const NUMBERED: [(&str, usize); 8] =
    [("C", 11), ("F", 3), ("D", 13), ("A", 6), ("P", 7), ("R", 11), ("L", 7), ("T", 1)];

/// How many weaknesses of the original are listed, from `W-01` on.
const WEAKNESSES: usize = 34;

/// The steps of the tutorial, and the troubles that its page knows, counted from 1.
const TUTORIAL: [(&str, usize); 2] = [("T", 25), ("D", 7)];

/// How a row may begin its last cell when no test proves it, each followed by the reason.
const WITHOUT_TEST: [&str; 4] = ["deviates: ", "not built yet: ", "by construction: ", "for the operator: "];

/// A test that a page names as `path::test_name`.
struct Named<'p> {
    path: &'p str,
    test: &'p str,
}

/// The tests among the code spans of some Markdown.
fn tests(text: &str) -> impl Iterator<Item = Named<'_>> {
    code(text).filter_map(|span| {
        let (path, test) = span.split_once(".rs::")?;
        Some(Named { path: &span[..path.len() + 3], test })
    })
}

fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The text of a file that a page names from the root, or from `crates/`.
fn source<'f>(files: &'f Files, path: &str) -> Option<&'f str> {
    let in_crates = format!("crates/{path}");
    files.iter().find(|(known, _)| *known == path || *known == in_crates).map(|(_, text)| text)
}

/// The rows of all tables of a page, with the number of their line; neither heads nor the lines below them.
fn rows(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &str| line.starts_with('|') && !line.starts_with("|---");
    let is_head = move |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
    text.lines()
        .enumerate()
        .filter(move |(at, line)| is_row(line) && !is_head(*at))
        .map(|(at, line)| (at + 1, line.trim_matches('|').split(" | ").map(str::trim).collect()))
}

/// Whether a file defines a test of this name: a function under a test attribute, or an entry of a macro that
/// makes one.
fn defines(source: &str, test: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let line = line.trim_start_matches("async ");
        let is_function = line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(test));
        let is_test = |above: &&str| above.starts_with("#[test]") || above.starts_with("#[tokio::test");
        let attributes = lines[..at].iter().rev().take_while(|above| above.starts_with(['#', '/']));
        match is_function {
            Some(rest) => rest.starts_with('(') && attributes.copied().any(|above| is_test(&above)),
            None => line == test && source.contains("#[test]"),
        }
    })
}

#[test]
fn tests_that_pages_name_exist() {
    let files = Files::load();
    for (page, text) in files.ending(".md") {
        for Named { path, test } in tests(text) {
            let source =
                source(&files, path).unwrap_or_else(|| panic!("{page} names {path}, which is not there"));
            assert!(defines(source, test), "{page} names the test {test}, which {path} does not have");
        }
    }
}

#[test]
fn files_that_the_tables_name_exist() {
    let files = Files::load();
    for page in PROVED {
        let is_file = |span: &&str| span.contains('/') && span.ends_with(".rs");
        for path in code(files.text(page)).filter(is_file) {
            assert!(source(&files, path).is_some(), "{page} names {path}, which is not there");
        }
    }
}

#[test]
fn every_row_is_proved_or_gives_its_reason() {
    let files = Files::load();
    for page in PROVED {
        let text = files.text(page);
        let columns = rows(text).map(|(_, cells)| cells.len()).max();
        for (line, cells) in rows(text) {
            let proof = cells.last().copied().unwrap_or_default();
            let reason = WITHOUT_TEST.iter().find_map(|start| proof.strip_prefix(start));
            let is_proved = tests(proof).next().is_some() || reason.is_some_and(|reason| reason.len() > 20);
            assert!(is_proved, "{page}:{line} names neither a test nor a reason: {proof:?}");
            assert_eq!(Some(cells.len()), columns, "{page}:{line} has another number of cells");
        }
    }
}

#[test]
fn every_criterion_has_a_test_that_carries_its_number() {
    let files = Files::load();
    for (letter, count) in NUMBERED {
        for number in 1..=count {
            let named = format!("{letter}{number:02}");
            let proof = proof_of(files.text(CRITERIA), &named);
            let carried = format!("_{}_", named.to_lowercase());
            let carries = |test: &str| format!("_{test}").contains(&carried);
            assert!(tests(&proof).any(|Named { test, .. }| carries(test)), "no test of {named} says so");
        }
    }
}

#[test]
fn every_weakness_of_the_original_has_its_row() {
    let files = Files::load();
    for number in 1..=WEAKNESSES {
        assert!(!proof_of(files.text(CRITERIA), &format!("W-{number:02}")).is_empty());
    }
}

#[test]
fn every_step_of_the_tutorial_has_its_row() {
    let files = Files::load();
    for (letter, count) in TUTORIAL {
        for number in 1..=count {
            assert!(!proof_of(files.text(CRITERIA), &format!("tutorial {letter}{number}")).is_empty());
        }
    }
}

/// The last cell of the one row that begins with a number.
fn proof_of(page: &str, named: &str) -> String {
    let of: Vec<_> = rows(page).filter(|(_, cells)| cells.first() == Some(&named)).collect();
    let [(_, cells)] = &of[..] else { panic!("{} rows of {CRITERIA} begin with {named}", of.len()) };
    cells.last().copied().unwrap_or_default().to_owned()
}

#[test]
fn tests_are_found_where_they_are_and_nowhere_else() {
    let source = "#[test]\nfn one() {}\nfn two() {}\n    /// Why.\n    #[test]\n    fn three(x in 0..1) {}\n\
                  #[tokio::test(flavor = \"multi_thread\")]\nasync fn four() {}\ncases! {\n    five\n}\n";
    for test in ["one", "three", "four", "five"] {
        assert!(defines(source, test), "{test}");
    }
    for test in ["two", "on", "ones", "fiv"] {
        assert!(!defines(source, test), "{test}");
    }
}
