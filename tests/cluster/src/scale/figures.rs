use std::{fmt::Display, fs, time::Duration};

/// Prints one figure.
#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
pub(super) fn say(what: &str, figure: impl Display) {
    println!("{what:<64} {figure}");
}

/// Prints the head of a part.
#[expect(clippy::print_stdout, reason = "what a benchmark is for")]
pub(super) fn head(text: &str) {
    println!("\n{text}");
}

pub(super) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Median, 99th percentile and most of some times.
pub(super) fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| {
        times.get(((times.len() - 1) as f64 * share).round() as usize).copied().unwrap_or_default()
    };
    if times.is_empty() {
        return "none".to_owned();
    }
    format!("p50 {}, p99 {}, max {}", millis(at(0.5)), millis(at(0.99)), millis(at(1.0)))
}

/// Resident memory of a process now, in MiB.
pub(super) fn memory(process: u32) -> f64 {
    field(process, "VmRSS:")
}

/// The most it ever was, in MiB.
pub(super) fn most_memory(process: u32) -> f64 {
    field(process, "VmHWM:")
}

fn field(process: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let kib: f64 = line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or_default();
    kib / 1024.0
}

/// Processor time of a process, in ticks of 10 ms.
pub(super) fn processor(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name, which may have spaces, user and system time are the 12th and 13th field.
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
