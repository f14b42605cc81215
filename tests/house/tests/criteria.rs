//! The operator's contract is a numbered list. Every number has a test, or its row on the page says why it has none.

use std::collections::{BTreeMap, BTreeSet};

use house::Files;

const PAGE: &str = "docs/operator.md";

/// The letters of the contract, and how far each counts.
const NUMBERS: [(char, u32); 8] =
    [('M', 33), ('G', 10), ('Z', 2), ('L', 13), ('R', 21), ('O', 7), ('C', 6), ('W', 32)];

/// Where the tests are that carry them.
const PLACES: [&str; 5] =
    ["tests/cluster/", "crates/operator/", "crates/gateway/", "crates/cds/", "bin/stunner-operator/"];

type Number = (char, u32);

fn all() -> BTreeSet<Number> {
    NUMBERS.iter().flat_map(|(letter, last)| (1..=*last).map(|number| (*letter, number))).collect()
}

/// `M7` or `m07`.
fn number(text: &str) -> Option<Number> {
    let letter = text.chars().next()?.to_ascii_uppercase();
    let number = text.get(1..)?.parse().ok()?;
    all().contains(&(letter, number)).then_some((letter, number))
}

/// The numbers that the name of a test begins with or has between its words: `m01_to_m06_...` are six.
fn carried(name: &str) -> BTreeSet<Number> {
    let words: Vec<&str> = name.split('_').collect();
    let mut found = BTreeSet::new();
    for (at, word) in words.iter().enumerate() {
        let Some((letter, first)) = number(word).filter(|_| word.len() == 3) else { continue };
        let last = match words.get(at + 1..at + 3) {
            Some(["to", last]) => number(last).map_or(first, |(_, last)| last),
            _ => first,
        };
        found.extend((first..=last).map(|number| (letter, number)));
    }
    found
}

/// The numbers of a first cell: `M7-M14`, `M15, M17`.
fn listed(cell: &str) -> BTreeSet<Number> {
    let mut found = BTreeSet::new();
    for part in cell.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Some((letter, first)), Some((_, last))) = (number(first), number(last)) {
            found.extend((first..=last).map(|number| (letter, number)));
        }
    }
    found
}

/// Names of tests, and of the directories that are tests of the renderer.
fn names(files: &Files) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, text) in
        files.ending(".rs").filter(|(path, _)| PLACES.iter().any(|place| path.starts_with(place)))
    {
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        for pair in lines.windows(2) {
            let is_test = pair[0].starts_with("#[test]") || pair[0].starts_with("#[tokio::test");
            let name = pair[1].trim_start_matches("async ").strip_prefix("fn ");
            names.extend(name.filter(|_| is_test).and_then(|rest| rest.split('(').next()).map(str::to_owned));
        }
        if path.ends_with("gateway/tests/golden.rs") {
            names.extend(
                lines
                    .iter()
                    .filter(|line| number(line.split('_').next().unwrap_or_default()).is_some())
                    .map(|line| (*line).to_owned()),
            );
        }
    }
    names
}

#[test]
fn every_number_of_the_operators_contract_has_a_row_and_a_test() {
    let files = Files::load();
    let tested: BTreeSet<Number> = names(&files).iter().flat_map(|name| carried(name)).collect();
    let mut rows: BTreeMap<Number, &str> = BTreeMap::new();
    for line in files.text(PAGE).lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').splitn(2, " | ").map(str::trim).collect();
        let [first, rest] = cells[..] else { continue };
        rows.extend(listed(first).into_iter().map(|number| (number, rest)));
    }
    for number in all() {
        let (letter, at) = number;
        let row = rows.get(&number);
        assert!(row.is_some(), "{PAGE} has no row for {letter}{at}");
        // Weaknesses may be proved by a test of something else, or be impossible.
        let is_explained = letter == 'W' && row.is_some_and(|row| row.contains(".rs::") || row.len() > 20);
        assert!(tested.contains(&number) || is_explained, "no test has {letter}{at} in its name");
    }
}

#[test]
fn numbers_are_read_as_people_write_them() {
    assert_eq!(listed("M7-M9, R1"), [('M', 7), ('M', 8), ('M', 9), ('R', 1)].into());
    assert_eq!(carried("m07_to_m09_and_c03_the_address"), [('M', 7), ('M', 8), ('M', 9), ('C', 3)].into());
    assert_eq!(carried("a_condition_of_w1_is_none"), [].into());
    assert_eq!(number("M34"), None);
}
