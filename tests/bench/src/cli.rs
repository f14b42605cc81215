//! The command line.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::case::{self, Case};
use crate::flood::Kind;
use crate::measure::flood::{self, Outcome};
use crate::measure::{Bench, Times};
use crate::report::{self, Report};
use crate::server::{LISTENS, Subject};
use crate::wires::Transport;
use crate::{forward, instructions, machine};

/// Measures this project's server, coturn and a bare forwarder against each other and prints a table
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forward packets without knowing TURN; what the table calls the bare forwarder
    Forward(forward::Settings),
    /// Count the instructions of the inner parts and compare them with the baseline in the repository
    Instructions(instructions::Settings),
    /// Flood servers from 100 000 addresses while calls go on, beside the same flood at the bare forwarder
    Flood(FloodRun),
    /// Repeat an inner part, to be watched by another program
    #[command(hide = true)]
    Repeat {
        /// Its name
        kernel: String,
        /// How often
        times: u64,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// Print the names of the cases and end
    #[arg(long)]
    list: bool,
    /// Measure only the cases whose names contain one of these words
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Measure only these servers
    #[arg(long, value_enum, value_delimiter = ',')]
    servers: Vec<Subject>,
    /// Measure the most telling cases in less than two minutes
    #[arg(long)]
    quick: bool,
    /// How often each case is measured [default: 5, or 3 with --quick]
    #[arg(long)]
    rounds: Option<usize>,
    /// Milliseconds of each measurement [default: 500, or 300 with --quick]
    #[arg(long)]
    window: Option<u64>,
    /// Also write all figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Instead of measuring, take apart what a packet costs: time in the kernel, system calls (with perf, as root),
    /// instructions (with valgrind)
    #[arg(long)]
    anatomy: bool,
    /// Run the servers with this command, such as "strace -c -f"
    #[arg(long, value_delimiter = ' ')]
    with: Vec<String>,
}

#[derive(Debug, Args)]
struct FloodRun {
    /// Packets a second
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// Files that servers may open: every allocation holds one, and some hold some back for connections.
const FILES: usize = 1 << 16;

impl Cli {
    /// Does what the command line says.
    ///
    /// # Errors
    /// Nothing can be measured, or nothing written.
    pub fn run(self) -> io::Result<()> {
        match self.command {
            Some(Command::Forward(settings)) => {
                forward::run(settings, |address| say(&format!("{LISTENS}{address}")))
            }
            Some(Command::Instructions(settings)) => instructions::compare(&settings),
            Some(Command::Flood(flood)) => flood.run(),
            Some(Command::Repeat { kernel, times }) => instructions::repeat(&kernel, times),
            None if self.run.list => {
                case::all().iter().try_for_each(|case| say(&format!("{}{}", case.name, mark(case))))
            }
            None => self.run.measure(),
        }
    }
}

fn mark(case: &Case) -> &'static str {
    if case.quick { " (quick)" } else { "" }
}

impl FloodRun {
    fn run(&self) -> io::Result<()> {
        use Transport::{Dtls, Tls, Udp};
        say(&format!("{}; {} s each\n", machine::describe(), self.seconds))?;
        say(
            "| server | calls on | flood | sent/s | lost before, % | lost, % | resident, kB | grown, kB | bytes in | bytes out | answered more than asked | most bytes out for one in |",
        )?;
        say("|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for kind in [Kind::Udp, Kind::Dtls] {
            for (subject, calls) in [
                (Subject::Bare, Udp),
                (Subject::Stunnerd, Udp),
                (Subject::Stunnerd, Tls),
                (Subject::Stunnerd, Dtls),
            ] {
                // What arrives at a port of TCP's is nobody's, so the listener beside it is flooded.
                let kind = if kind == Kind::Udp && calls != Udp { continue } else { kind };
                let window = Duration::from_secs(self.seconds);
                let plan = flood::Plan { subject, calls, kind, rate: self.rate, window };
                let Outcome { lost, resident, rate, sum } = flood::measure(plan)?;
                let grown = (resident[1] as i64 - resident[0] as i64) / 1024;
                say(&format!(
                    "| {} | {} | {kind:?} | {rate:.0} | {:.3} | {:.3} | {} | {grown} | {} | {} | {} | {:.2} |",
                    subject.name(),
                    calls.name(),
                    lost[0],
                    lost[1],
                    resident[0] / 1024,
                    sum.bytes,
                    sum.answered,
                    sum.too_many,
                    sum.amplification,
                ))?;
            }
        }
        Ok(())
    }
}

impl Run {
    fn measure(&self) -> io::Result<()> {
        let cases = case::select(&self.only, self.quick);
        let subjects = self.subjects()?;
        let rounds = self.rounds.unwrap_or(if self.quick { 3 } else { 5 });
        let window = self.window.unwrap_or(if self.quick { 300 } else { 500 });
        let times =
            Times { warm_up: Duration::from_millis(window / 4), window: Duration::from_millis(window) };
        let bench = Bench { times, wrapper: self.with.clone() };
        machine::allow_files(FILES);
        if self.anatomy {
            return self.dissect(&bench, &cases, &subjects);
        }
        say(&format!("{}; {rounds} rounds of {window} ms\n", machine::describe()))?;
        let mut report = Report::default();
        for (number, case) in cases.iter().enumerate() {
            warn(&format!("{} of {}: {}", number + 1, cases.len(), case.name))?;
            for _ in 0..rounds {
                report.add(case, self.round(&bench, case, &subjects)?);
            }
        }
        if let Some(path) = &self.json {
            fs::write(path, report.json()?)?;
        }
        say(&report.markdown())?;
        say(&report.targets())
    }

    fn dissect(&self, bench: &Bench, cases: &[Case], subjects: &[Subject]) -> io::Result<()> {
        let mut lines = Vec::new();
        for case in cases {
            for &subject in subjects.iter().filter(|subject| Bench::applies(case, **subject)) {
                match bench.dissect(case, subject) {
                    Ok(Some(anatomy)) => lines.push((case, subject, anatomy)),
                    Ok(None) => {}
                    Err(error) => warn(&format!("{}: {}: {error}", case.name, subject.name()))?,
                }
            }
        }
        say(&report::anatomies(&lines))
    }

    /// One measurement of each server, right after each other.
    fn round(
        &self,
        bench: &Bench,
        case: &Case,
        subjects: &[Subject],
    ) -> io::Result<BTreeMap<Subject, crate::measure::Sample>> {
        let mut round = BTreeMap::new();
        for &subject in subjects.iter().filter(|subject| Bench::applies(case, **subject)) {
            match bench.measure(case, subject) {
                Ok(sample) => drop(round.insert(subject, sample)),
                Err(error) => warn(&format!("{}: {}: {error}", case.name, subject.name()))?,
            }
        }
        Ok(round)
    }

    /// The servers that are there.
    fn subjects(&self) -> io::Result<Vec<Subject>> {
        let mut subjects = Vec::new();
        for subject in Subject::ALL {
            if !self.servers.is_empty() && !self.servers.contains(&subject) {
                continue;
            }
            match subject.missing() {
                None => subjects.push(subject),
                Some(remedy) => warn(&format!("SKIPPED {}: {remedy}", subject.name()))?,
            }
        }
        Ok(subjects)
    }
}

pub(crate) fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn warn(line: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{line}")
}
