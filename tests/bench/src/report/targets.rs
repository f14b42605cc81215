//! What the project wants to reach, and what was measured.

use super::{Report, aligned};
use crate::measure::Figure;
use crate::server::Subject;
use crate::stats::Summary;

/// A figure that is not to be missed.
struct Target {
    work: &'static str,
    what: What,
    bound: Bound,
}

/// What is looked at.
enum What {
    /// A figure of this project.
    Of(Cell),
    /// A figure as a multiple of another one of the same round.
    Ratio(Cell, Cell),
}

/// Case, server, figure.
type Cell = (&'static str, Subject, Figure);

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

use Bound::{AtLeast, AtMost};
use Figure::{
    BytesPerAllocation, CpuPerAllocation, CpuPerPacket, CpuPerPacketAmongIdle, Median, PacketsPerSecond,
};
use Subject::{Bare, Coturn, Stunnerd};
use What::{Of, Ratio};

const ALL: [Target; 14] = [
    packet("echo, 172 B single, × bare", "echo-udp-single-172-w1", Bare, 1.15),
    packet("echo, bursts of 10 × 1200 B, × bare", "echo-udp-burst-1200-w1", Bare, 1.35),
    packet("headless, 172 B single, × bare", "headless-udp-single-172-w1", Bare, 1.15),
    packet("headless, bursts of 10 × 1200 B, × bare", "headless-udp-burst-1200-w1", Bare, 1.35),
    packet("TCP client to UDP peer, 1200 B bursts, × coturn", "up-tcp-burst-1200-w1", Coturn, 0.7),
    packet("TCP client to UDP peer, 1200 B single, × coturn", "up-tcp-single-1200-w1", Coturn, 0.7),
    packet("TCP client, echo, 1200 B single, × coturn", "echo-tcp-single-1200-w1", Coturn, 0.7),
    Target {
        work: "headless, one packet in flight, p50, × bare",
        what: Ratio(("latency-headless-udp", Stunnerd, Median), ("latency-headless-udp", Bare, Median)),
        bound: AtMost(1.1),
    },
    Target {
        work: "CPU of a client that comes and goes, × coturn",
        what: Ratio(("churn-udp", Stunnerd, CpuPerAllocation), ("churn-udp", Coturn, CpuPerAllocation)),
        bound: AtMost(40.0 / 120.0),
    },
    Target {
        work: "the same, µs", what: Of(("churn-udp", Stunnerd, CpuPerAllocation)), bound: AtMost(40.0)
    },
    Target {
        work: "bytes for each of 20 000 idle allocations",
        what: Of(("idle-udp", Stunnerd, BytesPerAllocation)),
        bound: AtMost(4096.0),
    },
    Target {
        work: "CPU per packet among them, × without them",
        what: Ratio(("idle-udp", Stunnerd, CpuPerPacketAmongIdle), ("idle-udp", Stunnerd, CpuPerPacket)),
        bound: AtMost(1.05),
    },
    scale("packets of 2 workers, echo, 172 B single, × 1", "scale-single-172-w2", "scale-single-172-w1"),
    scale(
        "packets of 2 workers, echo, bursts of 10 × 1200 B, × 1",
        "scale-burst-1200-w2",
        "scale-burst-1200-w1",
    ),
];

const fn packet(work: &'static str, case: &'static str, yardstick: Subject, bound: f64) -> Target {
    let what = Ratio((case, Stunnerd, CpuPerPacket), (case, yardstick, CpuPerPacket));
    Target { work, what, bound: AtMost(bound) }
}

const fn scale(work: &'static str, two: &'static str, one: &'static str) -> Target {
    let what = Ratio((two, Stunnerd, PacketsPerSecond), (one, Stunnerd, PacketsPerSecond));
    Target { work, what, bound: AtLeast(1.7) }
}

impl Report {
    /// The targets that these measurements say something about, in Markdown; empty if there are none.
    pub fn targets(&self) -> String {
        let mut lines =
            vec![["target", "", "bound", "measured", "spread", "reached"].map(str::to_owned).to_vec()];
        for target in &ALL {
            let Some(measured) = self.look_at(&target.what) else { continue };
            let (sign, bound, reached) = match target.bound {
                AtMost(bound) => ("≤", bound, measured.median <= bound),
                AtLeast(bound) => ("≥", bound, measured.median >= bound),
            };
            let number =
                |value: f64| if bound < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") };
            let spread = format!("{} to {}", number(measured.low), number(measured.high));
            let reached = if reached { "yes" } else { "no" };
            let cells = [target.work, sign, &number(bound), &number(measured.median), &spread, reached];
            lines.push(cells.map(str::to_owned).to_vec());
        }
        if lines.len() > 1 { format!("### Targets\n\n{}\n", aligned(&lines)) } else { String::new() }
    }

    fn look_at(&self, what: &What) -> Option<Summary> {
        match *what {
            Of(cell) => Summary::of(self.values(cell)?.into_iter().flatten()),
            Ratio(above, below) => {
                let rounds = self.values(above)?.into_iter().zip(self.values(below)?);
                Summary::of(rounds.filter_map(|(above, below)| Some(above? / below?)))
            }
        }
    }

    /// A figure in every round.
    fn values(&self, (case, subject, figure): Cell) -> Option<Vec<Option<f64>>> {
        let entry = self.entries.iter().find(|entry| entry.case.name == case)?;
        Some(entry.rounds.iter().map(|round| round.get(&subject)?.get(&figure).copied()).collect())
    }
}
