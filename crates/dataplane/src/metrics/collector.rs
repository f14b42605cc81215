//! The counters as Prometheus text. Series appear with their first use, so that none begins at zero.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use turn::server::{DropReason, RejectReason};

use super::{Direction, HandshakeEnd, Meter, Metrics, Outcomes, Tally, Traffic, WorkerStats, process};

/// Everything there is to scrape, in version 0.0.4 of the text format.
pub(crate) fn encode(metrics: &Arc<Metrics>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Sums(Arc::clone(metrics))));
    registry.register_collector(Box::new(process::Process));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(classic(&text))
}

/// OpenMetrics names a family of counters without the suffix of its series, so the gauge
/// `stunner_listener_connections` and the counter `stunner_listener_connections_total` would be one family.
/// In the older format they are two.
fn classic(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let of_counter = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let describes_counter = of_counter(line)
            || line.starts_with("# HELP ") && lines.peek().is_some_and(|next| of_counter(next));
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            [hash, keyword, name, rest] if describes_counter => {
                classic.extend([hash, " ", keyword, " ", name, "_total ", rest]);
            }
            _ if line == "# EOF" => continue,
            _ => classic.push_str(line),
        }
        classic.push('\n');
    }
    classic
}

#[derive(Debug)]
struct Sums(Arc<Metrics>);

impl Collector for Sums {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = &self.0;
        gauge(
            &mut encoder,
            "stunner_allocations_active",
            "Allocations in use",
            i64::try_from(metrics.allocations()).unwrap_or(i64::MAX),
        )?;
        let listeners = metrics.listeners.all();
        let clusters = metrics.clusters.all();
        connections(&mut encoder, &listeners)?;
        handshakes(&mut encoder, &listeners)?;
        traffic(
            &mut encoder,
            "stunner_listener_packets",
            "Packets received from and sent to clients",
            &listeners,
            |direction| &direction.packets,
        )?;
        traffic(
            &mut encoder,
            "stunner_listener_bytes",
            "Bytes received from and sent to clients, with STUN and TURN overhead",
            &listeners,
            |direction| &direction.bytes,
        )?;
        traffic(
            &mut encoder,
            "stunner_cluster_packets",
            "Packets received from and sent to peers",
            &clusters,
            |direction| &direction.packets,
        )?;
        traffic(
            &mut encoder,
            "stunner_cluster_bytes",
            "Payload bytes received from and sent to peers",
            &clusters,
            |direction| &direction.bytes,
        )?;
        losses(&mut encoder, metrics)?;
        control(&mut encoder, metrics)
    }
}

type Named = (String, Arc<Meter>);

fn connections(encoder: &mut DescriptorEncoder<'_>, listeners: &[Named]) -> fmt::Result {
    let used: Vec<_> = listeners
        .iter()
        .map(|(name, meter)| (name, meter.sum(|t| &t.opened), meter.sum(|t| &t.closed)))
        .filter(|(_, opened, _)| *opened > 0)
        .collect();
    if used.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(
        "stunner_listener_connections",
        "Open connections, or sockets of a UDP listener",
        None,
        MetricType::Gauge,
    )?;
    for (name, opened, closed) in &used {
        let labels = [("name", name.as_str())];
        family.encode_family(&labels)?.encode_gauge(&opened.wrapping_sub(*closed).cast_signed())?;
    }
    // The gauge and the counter differ by the suffix that counters get.
    let mut family = encoder.encode_descriptor(
        "stunner_listener_connections",
        "Connections accepted, or sockets opened by a UDP listener",
        None,
        MetricType::Counter,
    )?;
    for (name, opened, _) in &used {
        count(&mut family, &[("name", name.as_str())], *opened)?;
    }
    Ok(())
}

fn handshakes(encoder: &mut DescriptorEncoder<'_>, listeners: &[Named]) -> fmt::Result {
    let mut series = listeners
        .iter()
        .flat_map(|(name, meter)| {
            HandshakeEnd::ALL.map(|outcome| (name, outcome, meter.sum(|t| &t.handshakes[outcome as usize])))
        })
        .filter(|(_, _, sum)| *sum > 0)
        .peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(
        "stunner_listener_handshakes",
        "TLS and DTLS handshakes that ended",
        None,
        MetricType::Counter,
    )?;
    for (name, outcome, sum) in series {
        count(&mut family, &[("name", name.as_str()), ("outcome", &label(&outcome))], sum)?;
    }
    Ok(())
}

fn traffic(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    meters: &[Named],
    tally: fn(&Direction) -> &Tally,
) -> fmt::Result {
    type Part = (&'static str, fn(&Traffic) -> &Direction);
    const PARTS: [Part; 2] = [("rx", |traffic| &traffic.rx), ("tx", |traffic| &traffic.tx)];
    let mut series = meters
        .iter()
        .flat_map(|(name, meter)| {
            PARTS.map(|(label, part)| (name, label, meter.sum(|traffic| tally(part(traffic)))))
        })
        .filter(|(_, _, sum)| *sum > 0)
        .peekable();
    if series.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (name, direction, sum) in series {
        count(&mut family, &[("name", name.as_str()), ("direction", direction)], sum)?;
    }
    Ok(())
}

/// Packets that went nowhere, and requests that were refused, by reason.
fn losses(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let sum = |tally: &dyn Fn(&WorkerStats) -> u64| metrics.workers.iter().map(tally).sum::<u64>();
    let mut dropped: Vec<(String, u64)> = DropReason::ALL
        .iter()
        .enumerate()
        .map(|(at, reason)| (label(reason), sum(&|stats| stats.dropped[at].get())))
        .collect();
    dropped.extend([
        ("send_buffer_full".to_owned(), sum(&|stats| stats.send_buffer_full.get())),
        ("not_sendable".to_owned(), sum(&|stats| stats.not_sendable.get())),
        ("slow_reader".to_owned(), sum(&|stats| stats.slow_reader.get())),
        ("mailbox_full".to_owned(), sum(&|stats| stats.mailbox_full.get())),
        ("truncated".to_owned(), sum(&|stats| stats.truncated.get())),
        ("stray_record".to_owned(), sum(&|stats| stats.stray_record.get())),
    ]);
    by(encoder, "reason", "stunner_packets_dropped", "Packets that went nowhere", &dropped)?;
    let refused: Vec<(String, u64)> = RejectReason::ALL
        .iter()
        .enumerate()
        .map(|(at, reason)| (label(reason), sum(&|stats| stats.refused[at].get())))
        .collect();
    by(encoder, "reason", "stunner_requests_refused", "TURN requests that were refused", &refused)
}

/// Configurations and domain names.
fn control(encoder: &mut DescriptorEncoder<'_>, metrics: &Metrics) -> fmt::Result {
    let outcomes = |names: [&str; 2], outcomes: &Outcomes| {
        names.into_iter().map(str::to_owned).zip(outcomes.get()).collect::<Vec<_>>()
    };
    let configurations = outcomes(["applied", "refused"], &metrics.configurations);
    by(encoder, "result", "stunner_configurations", "Configurations received", &configurations)?;
    let configured_at = metrics.configured_at.load(Ordering::Relaxed);
    if configured_at > 0 {
        gauge(
            encoder,
            "stunner_configuration_applied_timestamp_seconds",
            "When the configuration in force was applied, in seconds since 1970",
            i64::try_from(configured_at).unwrap_or(i64::MAX),
        )?;
    }
    let lookups = outcomes(["answered", "failed"], &metrics.lookups);
    by(encoder, "result", "stunner_dns_lookups", "Look-ups of the domain names of clusters", &lookups)
}

fn by(
    encoder: &mut DescriptorEncoder<'_>,
    label: &str,
    name: &str,
    help: &str,
    series: &[(String, u64)],
) -> fmt::Result {
    if series.iter().all(|(_, sum)| *sum == 0) {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, sum) in series.iter().filter(|(_, sum)| *sum > 0) {
        count(&mut family, &[(label, value.as_str())], *sum)?;
    }
    Ok(())
}

/// `NoPermission` as `no_permission`.
pub(crate) fn label(reason: &impl fmt::Debug) -> String {
    let mut label = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_ascii_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.push(letter.to_ascii_lowercase());
    }
    label
}

pub(super) fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
}

fn count(family: &mut MetricEncoder<'_>, labels: &impl EncodeLabelSet, sum: u64) -> fmt::Result {
    family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&sum, None)
}
