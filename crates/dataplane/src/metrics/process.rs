//! The customary `process_*` metrics, from `/proc/self`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::collector::gauge;

/// Ticks per second in `/proc`, part of the kernel's interface whatever its own clock does.
const USER_HZ: f64 = 100.0;

#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(seconds) = cpu_seconds() {
            encoder
                .encode_descriptor(
                    "process_cpu_seconds",
                    "User and system processor time",
                    None,
                    MetricType::Counter,
                )?
                .encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        for (name, help, key) in [
            ("process_resident_memory_bytes", "Resident memory", "VmRSS:"),
            ("process_virtual_memory_bytes", "Virtual memory", "VmSize:"),
        ] {
            if let Some(kibibytes) = field(&status, key) {
                gauge(&mut encoder, name, help, kibibytes.saturating_mul(1024))?;
            }
        }
        if let Some(threads) = field(&status, "Threads:") {
            gauge(&mut encoder, "process_threads", "Threads", threads)?;
        }
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            gauge(
                &mut encoder,
                "process_open_fds",
                "Open files",
                i64::try_from(files.count()).unwrap_or(i64::MAX),
            )?;
        }
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        if let Some(limit) = field(&limits, "Max open files") {
            gauge(&mut encoder, "process_max_fds", "Most open files", limit)?;
        }
        Ok(())
    }
}

/// The first number behind a key at the start of a line.
fn field(text: &str, key: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields are counted behind the name, which is in parentheses and may contain anything.
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / USER_HZ)
}
