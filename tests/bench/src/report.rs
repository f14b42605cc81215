//! What was measured, as a table for people and as JSON for programs.

mod targets;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::case::{Case, Work};
use crate::measure::{Anatomy, CALLS, Figure, Sample};
use crate::server::Subject;
use crate::stats::Summary;

/// All rounds of all cases.
#[derive(Debug, Default)]
pub struct Report {
    entries: Vec<Entry>,
}

/// The rounds of one case: what each server did in each of them.
#[derive(Debug)]
struct Entry {
    case: Case,
    rounds: Vec<BTreeMap<Subject, Sample>>,
}

/// A line of the table.
#[derive(Debug, Serialize)]
pub struct Row<'r> {
    /// The case.
    pub case: &'r str,
    /// The server.
    pub subject: Subject,
    /// Every figure over all rounds.
    pub figures: BTreeMap<Figure, Summary>,
    /// The cost of a packet as a multiple of that of each other server, within rounds.
    pub multiples: BTreeMap<Subject, Summary>,
}

impl Report {
    /// Adds a round of a case.
    pub fn add(&mut self, case: &Case, round: BTreeMap<Subject, Sample>) {
        match self.entries.iter_mut().find(|entry| entry.case == *case) {
            Some(entry) => entry.rounds.push(round),
            None => self.entries.push(Entry { case: case.clone(), rounds: vec![round] }),
        }
    }

    /// The lines of the table.
    pub fn rows(&self) -> Vec<Row<'_>> {
        self.entries.iter().flat_map(Entry::rows).collect()
    }

    /// The table in Markdown, a part for each kind of work.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for kind in Kind::ALL {
            let entries: Vec<&Entry> =
                self.entries.iter().filter(|entry| Kind::of(&entry.case) == kind).collect();
            if !entries.is_empty() {
                let rows = entries.into_iter().flat_map(Entry::rows).collect::<Vec<_>>();
                // Writing to a string cannot fail.
                let _ = write!(text, "### {}\n\n{}\n", kind.title(), table(kind, &rows));
            }
        }
        text
    }

    /// The lines of the table as JSON.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(&self.rows())
    }
}

impl Entry {
    fn rows(&self) -> Vec<Row<'_>> {
        let subjects =
            Subject::ALL.into_iter().filter(|one| self.rounds.iter().any(|round| round.contains_key(one)));
        subjects.map(|subject| self.row(subject)).collect()
    }

    fn row(&self, subject: Subject) -> Row<'_> {
        let samples = || self.rounds.iter().filter_map(|round| round.get(&subject));
        let names = samples().flat_map(|sample| sample.keys().copied());
        let figures = names
            .filter_map(|name| {
                Some((name, Summary::of(samples().filter_map(|sample| sample.get(&name).copied()))?))
            })
            .collect();
        let multiples = Subject::ALL
            .into_iter()
            .filter_map(|other| {
                let cost = |round: &BTreeMap<Subject, Sample>, of| {
                    Some(round.get(&of)?.get(&Figure::CpuPerPacket)? + 0.0)
                };
                let ratios =
                    self.rounds.iter().filter_map(|round| Some(cost(round, subject)? / cost(round, other)?));
                Some((other, Summary::of(ratios)?))
            })
            .collect();
        Row { case: &self.case.name, subject, figures, multiples }
    }
}

/// What a part of the table is about.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Relay,
    Scale,
    Latency,
    Churn,
    Idle,
    Overload,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Relay, Self::Scale, Self::Latency, Self::Churn, Self::Idle, Self::Overload];

    fn of(case: &Case) -> Self {
        match case.work {
            Work::Relay { .. } => Self::Relay,
            Work::Scale { .. } => Self::Scale,
            Work::Latency(_) => Self::Latency,
            Work::Churn { .. } => Self::Churn,
            Work::Idle { .. } => Self::Idle,
            Work::Overload { .. } => Self::Overload,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Relay => "Relayed packets",
            Self::Scale => "Another processor",
            Self::Latency => "One packet in flight",
            Self::Churn => "Clients that come and go",
            Self::Idle => "Idle allocations",
            Self::Overload => "Twice the packets that can be relayed",
        }
    }

    fn figures(self) -> &'static [Figure] {
        match self {
            Self::Relay => &[
                Figure::CpuPerPacket,
                Figure::PacketsPerSecond,
                Figure::Median,
                Figure::Percentile99,
                Figure::Loss,
                Figure::ServerBusy,
            ],
            Self::Scale => {
                &[Figure::PacketsPerSecond, Figure::CpuPerPacket, Figure::Loss, Figure::ServerBusy]
            }
            Self::Latency => &[Figure::Median, Figure::Percentile99, Figure::CpuPerPacket],
            Self::Churn => &[
                Figure::CpuPerAllocation,
                Figure::AllocationsPerSecond,
                Figure::Median,
                Figure::Percentile99,
                Figure::ServerBusy,
            ],
            Self::Idle => &[
                Figure::Allocations,
                Figure::BytesPerAllocation,
                Figure::CpuPerPacket,
                Figure::CpuPerPacketAmongIdle,
            ],
            Self::Overload => &[
                Figure::PacketsPerSecond,
                Figure::Offered,
                Figure::Allocated,
                Figure::Refreshed,
                Figure::Median,
                Figure::Percentile99,
                Figure::MemoryGrowth,
            ],
        }
    }

    /// The servers that a packet's cost is compared with.
    fn yardsticks(self) -> &'static [Subject] {
        match self {
            Self::Relay => &[Subject::Bare, Subject::Coturn],
            Self::Scale | Self::Latency | Self::Churn | Self::Idle | Self::Overload => &[],
        }
    }
}

impl Figure {
    fn title(self) -> &'static str {
        match self {
            Self::CpuPerPacket => "CPU/packet µs",
            Self::CpuPerPacketAmongIdle => "among idle µs",
            Self::CpuPerAllocation => "CPU/allocation µs",
            Self::Allocations => "allocations",
            Self::BytesPerAllocation => "bytes/allocation",
            Self::PacketsPerSecond => "packets/s",
            Self::AllocationsPerSecond => "allocations/s",
            Self::Median => "p50 µs",
            Self::Percentile99 => "p99 µs",
            Self::Loss => "lost %",
            Self::Offered => "offered ×",
            Self::Allocated => "allocated %",
            Self::Refreshed => "refreshed %",
            Self::MemoryGrowth => "grown MB",
            Self::ServerBusy => "busy %",
            Self::LoadBusy => "load busy %",
            Self::DelivererBusy => "ksoftirqd busy %",
        }
    }

    fn decimals(self) -> usize {
        match self {
            Self::CpuPerPacket | Self::CpuPerPacketAmongIdle | Self::Loss | Self::Offered => 2,
            Self::CpuPerAllocation | Self::Median | Self::Percentile99 | Self::MemoryGrowth => 1,
            Self::Allocated | Self::Refreshed => 1,
            Self::Allocations
            | Self::BytesPerAllocation
            | Self::PacketsPerSecond
            | Self::AllocationsPerSecond => 0,
            Self::ServerBusy | Self::LoadBusy | Self::DelivererBusy => 0,
        }
    }

    /// Whether the table says how far the rounds differ. Only where figures are compared.
    fn has_spread(self) -> bool {
        matches!(self, Self::CpuPerPacket | Self::CpuPerPacketAmongIdle | Self::CpuPerAllocation)
    }
}

/// What packets are made of, in Markdown.
pub fn anatomies(lines: &[(&Case, Subject, Anatomy)]) -> String {
    let seen = |index: usize| {
        lines.iter().any(|(.., anatomy)| anatomy.calls.get(index).is_some_and(|calls| *calls > 0.001))
    };
    let calls: Vec<usize> = (0..CALLS.len()).filter(|index| seen(*index)).collect();
    let mut rows =
        vec![["case", "server", "CPU µs", "in kernel %", "instructions"].map(str::to_owned).to_vec()];
    rows[0].extend(calls.iter().map(|index| CALLS[*index].to_owned()));
    rows[0].push("all calls".to_owned());
    for (case, subject, anatomy) in lines {
        let mut row = vec![case.name.clone(), subject.name().to_owned()];
        row.push(format!("{:.2}", anatomy.cpu));
        row.push(format!("{:.0}", anatomy.kernel));
        row.push(anatomy.instructions.map_or_else(String::new, |count| format!("{count:.0}")));
        let count =
            |index: usize| anatomy.calls.get(index).map_or_else(String::new, |calls| format!("{calls:.2}"));
        row.extend(calls.iter().map(|index| count(*index)));
        row.push(count(CALLS.len()));
        rows.push(row);
    }
    aligned(&rows)
}

fn table(kind: Kind, rows: &[Row<'_>]) -> String {
    let mut lines = vec![vec!["case".to_owned(), "server".to_owned()]];
    lines[0].extend(kind.figures().iter().map(|figure| figure.title().to_owned()));
    lines[0].extend(kind.yardsticks().iter().map(|other| format!("× {}", other.name())));
    for row in rows {
        let mut line = vec![row.case.to_owned(), row.subject.name().to_owned()];
        line.extend(kind.figures().iter().map(|figure| cell(*figure, row.figures.get(figure))));
        line.extend(kind.yardsticks().iter().map(|other| {
            row.multiples.get(other).map_or_else(String::new, |multiple| format!("{:.2}", multiple.median))
        }));
        lines.push(line);
    }
    aligned(&lines)
}

fn cell(figure: Figure, summary: Option<&Summary>) -> String {
    let Some(summary) = summary else { return String::new() };
    let median = format!("{:.*}", figure.decimals(), summary.median);
    if figure.has_spread() { format!("{median} ±{:.0}%", summary.spread_percent()) } else { median }
}

/// Cells in columns, text to the left and numbers to the right, so that the source can be read, too.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = if column < 2 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let _ = if column < 2 {
                    write!(text, "|{:-<1$}", "", width + 2)
                } else {
                    write!(text, "|{:-<1$}:", "", width + 1)
                };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case;

    fn report() -> Report {
        let case = &case::select(&["echo-udp-single-172-w1".to_owned()], false)[0];
        let mut report = Report::default();
        for slower in [1.0, 2.0, 3.0] {
            let sample =
                |cost: f64| Sample::from([(Figure::CpuPerPacket, cost * slower), (Figure::Loss, 0.0)]);
            report.add(case, BTreeMap::from([(Subject::Bare, sample(2.0)), (Subject::Coturn, sample(5.0))]));
        }
        report
    }

    #[test]
    fn multiples_are_taken_within_rounds() {
        let report = report();
        let rows = report.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].figures[&Figure::CpuPerPacket].median, 10.0);
        let multiple = rows[1].multiples[&Subject::Bare];
        assert_eq!((multiple.low, multiple.median, multiple.high), (2.5, 2.5, 2.5));
    }

    #[test]
    fn the_table_is_markdown() {
        let text = report().markdown();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(lines.len(), 4, "{text}");
        let columns = lines[0].matches('|').count();
        assert!(lines.iter().all(|line| line.matches('|').count() == columns), "{text}");
        assert!(lines[3].contains("| coturn "), "{text}");
        assert!(lines[3].contains("2.50"), "{text}");
    }

    #[test]
    fn targets_are_told_as_far_as_they_were_measured() {
        let case = &case::select(&["echo-udp-single-172-w1".to_owned()], false)[0];
        let mut report = report();
        assert_eq!(report.targets(), "");
        let sample = |cost| Sample::from([(Figure::CpuPerPacket, cost)]);
        report.add(case, BTreeMap::from([(Subject::Bare, sample(2.0)), (Subject::Stunnerd, sample(2.2))]));
        let text = report.targets();
        assert_eq!(text.lines().filter(|line| line.starts_with('|')).count(), 3, "{text}");
        assert!(text.contains("1.10") && text.contains(" yes |"), "{text}");
    }

    #[test]
    fn json_has_every_row() {
        let json: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!(json.as_array().unwrap().len(), 2);
        assert_eq!(json[1]["subject"], "coturn");
        assert_eq!(json[1]["figures"]["cpu_per_packet"]["median"], 10.0);
    }
}
