//! What the operator counts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Counters and gauges, shared by all parts of the operator.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Arc<Mutex<Registry>>,
    pub(crate) renders: Counter,
    pub(crate) render_time: Histogram,
    pub(crate) writes: Family<Operation, Counter>,
    pub(crate) write_time: Histogram,
    pub(crate) events: Family<Event, Counter>,
    pub(crate) generation: Gauge,
    pub(crate) queue: Gauge,
    pub(crate) failing: Gauge,
    pub(crate) leading: Gauge,
    pub(crate) watchers: Gauge,
    pub(crate) stale: Gauge,
    pub(crate) watch_errors: Family<Kind, Counter>,
    pub(crate) server_seen: Gauge,
    pub(crate) active: Family<Loop, Gauge>,
}

/// One kind of write.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Operation {
    /// `spec` or `status`.
    pub(crate) scope: &'static str,
    /// Kind of object.
    pub(crate) kind: &'static str,
    /// `attempt`, `created`, `updated`, `none`, `deleted`, `outdated`, `error`, `retry`.
    pub(crate) operation: &'static str,
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Event {
    /// `passed` if it led to a rendering, `throttled` if it joined one.
    pub(crate) result: &'static str,
}

/// A kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    /// The kind.
    pub(crate) kind: &'static str,
}

/// A part of the operator that goes round.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Loop {
    /// Its name.
    pub(crate) name: &'static str,
}

const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

impl Default for Metrics {
    fn default() -> Self {
        let histogram = || Histogram::new(BUCKETS);
        let metrics = Self {
            registry: Arc::default(),
            renders: Counter::default(),
            render_time: histogram(),
            writes: Family::default(),
            write_time: histogram(),
            events: Family::default(),
            generation: Gauge::default(),
            queue: Gauge::default(),
            failing: Gauge::default(),
            leading: Gauge::default(),
            watchers: Gauge::default(),
            stale: Gauge::default(),
            watch_errors: Family::default(),
            server_seen: Gauge::default(),
            active: Family::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let all = registry.sub_registry_with_prefix("stunner_gateway_operator");
        all.register("render", "Renderings", self.renders.clone());
        all.register("render_time_seconds", "Time a rendering takes", self.render_time.clone());
        all.register(
            "resource_operations",
            "Writes to the API server by what came of them",
            self.writes.clone(),
        );
        all.register("update_time_seconds", "Time a write takes", self.write_time.clone());
        all.register("reconcile_events", "Changes that matter to rendering", self.events.clone());
        all.register("generation", "Number of the last rendering", self.generation.clone());
        all.register("queue_length", "Writes under way or waiting to be", self.queue.clone());
        all.register("failing_writes", "Writes that failed and will be tried again", self.failing.clone());
        all.register("leader", "Whether this replica writes", self.leading.clone());
        all.register("discovery_watchers", "Connections that follow configurations", self.watchers.clone());
        all.register(
            "stale_gateways",
            "Gateways whose last good configuration stays in force because what they need is missing or invalid",
            self.stale.clone(),
        );
        all.register("watch_errors", "Interruptions of watches of the API server", self.watch_errors.clone());
        all.register(
            "api_server_last_seen_timestamp_seconds",
            "When the API server last answered; what is known may be older than now by the time since",
            self.server_seen.clone(),
        );
        all.register(
            "loop_last_active_timestamp_seconds",
            "When each loop last went round",
            self.active.clone(),
        );
    }

    /// All of them in the text format.
    pub(crate) fn text(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }

    /// The loop of that name has gone round.
    pub(crate) fn beat(&self, name: &'static str, unix_seconds: i64) {
        self.active.get_or_create(&Loop { name }).set(unix_seconds);
    }

    /// A watch of the kind was interrupted.
    pub(crate) fn interrupted(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn rendered(&self, took: Duration) {
        self.renders.inc();
        self.generation.inc();
        self.render_time.observe(took.as_secs_f64());
    }
}
