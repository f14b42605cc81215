//! How many instructions each kernel takes, and whether it takes more than it used to.
//!
//! Callgrind counts while the program is inside one function, which repeats the kernel. Unlike times, the counts are
//! the same on a busy machine. Valgrind's processor has no instructions for hashes, so what signs or verifies
//! counts many more than a real one would execute.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::cli::say;
use crate::kernels;

/// What is to be counted.
#[derive(Debug, Args)]
pub struct Settings {
    /// Count only kernels whose names contain one of these words
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Make what is counted now the baseline
    #[arg(long, env = "BLESS", value_parser = clap::builder::FalseyValueParser::new())]
    bless: bool,
}

/// Repetitions that are counted.
const TIMES: u64 = 1000;
/// The function in which callgrind counts, below.
const COUNTED: &str = "--toggle-collect=*instructions::counted*";
/// Percent of change that is no change: hash tables are laid out anew in every process.
const TOLERANCE: f64 = 3.0;

/// Counts the instructions of every kernel and compares them with the baseline.
///
/// # Errors
/// Valgrind is missing or fails, or some kernel takes more than it used to.
pub fn compare(settings: &Settings) -> io::Result<()> {
    let mut baseline = read_baseline()?;
    let mut slower = Vec::new();
    say(&format!("| {:<22} | {:>10} | {:>10} | {:>8} |", "kernel", "before", "now", "change"))?;
    say(&format!("|{:-<24}|{:->11}:|{:->11}:|{:->9}:|", "", "", "", ""))?;
    for kernel in kernels::ALL {
        if !settings.only.is_empty() && !settings.only.iter().any(|word| kernel.name.contains(word.as_str()))
        {
            continue;
        }
        let now = count(kernel.name)?;
        let before = baseline.insert(kernel.name.to_owned(), now);
        let change = before.map(|before| (now / before - 1.0) * 100.0);
        let [before, percent] =
            [before.map(|before| format!("{before:.0}")), change.map(|change| format!("{change:+.1} %"))]
                .map(Option::unwrap_or_default);
        say(&format!("| {:<22} | {before:>10} | {now:>10.0} | {percent:>8} |", kernel.name))?;
        slower.extend(change.filter(|change| *change > TOLERANCE).map(|_| kernel.name));
    }
    if settings.bless {
        return write_baseline(&baseline);
    }
    if slower.is_empty() {
        return Ok(());
    }
    let names = slower.join(", ");
    Err(io::Error::other(format!("more instructions than in the baseline: {names}; BLESS=1 accepts them")))
}

/// Repeats a kernel; what callgrind watches.
///
/// # Errors
/// There is no such kernel.
pub fn repeat(name: &str, times: u64) -> io::Result<()> {
    let kernel = kernels::ALL.iter().find(|kernel| kernel.name == name);
    let kernel = kernel.ok_or_else(|| io::Error::other(format!("there is no kernel {name}")))?;
    counted(&mut kernel.prepare(), times);
    Ok(())
}

#[inline(never)]
fn counted(once: &mut dyn FnMut(), times: u64) {
    (0..times).for_each(|_| once());
}

/// Instructions of one repetition.
fn count(kernel: &str) -> io::Result<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", COUNTED]);
    command.arg(std::env::current_exe()?).args(["repeat", kernel, &TIMES.to_string()]);
    let missing = |error| io::Error::other(format!("valgrind: {error}; on Debian: apt-get install valgrind"));
    let output = command.output().map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected =
        text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<f64>().ok());
    match collected {
        Some(count) if output.status.success() && count > 0.0 => Ok(count / TIMES as f64),
        _ => Err(io::Error::other(format!("valgrind failed on {kernel}:\n{text}"))),
    }
}

fn baseline_path() -> PathBuf {
    kit::workspace().join("tests/bench/instructions.txt")
}

fn read_baseline() -> io::Result<BTreeMap<String, f64>> {
    let text = match fs::read_to_string(baseline_path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text?,
    };
    let read = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    };
    Ok(text.lines().filter_map(read).collect())
}

/// In the order of the kernels.
fn write_baseline(counts: &BTreeMap<String, f64>) -> io::Result<()> {
    let lines = kernels::ALL
        .iter()
        .filter_map(|kernel| Some(format!("{} {:.0}\n", kernel.name, counts.get(kernel.name)?)));
    fs::write(baseline_path(), lines.collect::<String>())
}
