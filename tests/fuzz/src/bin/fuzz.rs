//! `fuzz SECONDS [TARGET]...`: looks for inputs that break a promise, each target for so long, and keeps them.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it finds is for whoever started it")]

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use fuzz::{TARGETS, Target, runner, target};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
    let names: Vec<String> = arguments.collect();
    let chosen: Option<Vec<Target>> = match names[..] {
        [] => Some(TARGETS.to_vec()),
        _ => names.iter().map(|name| target(name)).collect(),
    };
    let (Some(seconds), Some(chosen)) = (seconds, chosen) else {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("usage: fuzz SECONDS [TARGET]...; targets: {}", names.join(", "));
        return ExitCode::from(2);
    };
    let results = chosen.iter().map(|target| search(target, Duration::from_secs(seconds)));
    if results.fold(true, |fine, result| fine & result) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether nothing was found.
#[expect(clippy::disallowed_methods, reason = "a search in wall-clock time, with another seed each time")]
fn search(target: &Target, time: Duration) -> bool {
    let seed = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let begin = Instant::now();
    let name = target.name;
    match runner::run(target, seed, |_| begin.elapsed() < time) {
        Ok(report) => {
            let seconds = begin.elapsed().as_secs();
            println!("{name}: {} inputs, {} ways through, {seconds} s", report.tried, report.paths);
            let Some(input) = report.broken else { return true };
            match runner::keep(target, &input) {
                Ok(path) => println!("{name}: BROKEN by {} ({} bytes)", path.display(), input.len()),
                Err(error) => println!("{name}: BROKEN by {input:02x?}, which cannot be kept: {error}"),
            }
        }
        Err(error) => println!("{name}: {error}"),
    }
    false
}
