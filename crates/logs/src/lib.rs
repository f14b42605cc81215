//! The log lines of every program in this house.
//!
//! A line belongs to a *scope*: the first path segment of its `tracing` target, so `turn::server::allocate` logs
//! under `turn`, and a target given by hand (`target: "cds-client"`) is a scope as it stands. What is printed is
//! chosen by a spec such as `all:INFO,turn:DEBUG` ([`Levels`]), which may change while the program runs
//! ([`Handle::set`]). A disabled line costs one cached comparison: levels are decided per call site, not per event.
//!
//! What does not live here: which spec a program starts with, and redaction, which is the business of types.
//!
//! ```
//! let (lines, logs) = logs::subscriber("all:INFO", logs::Format::Text, std::io::sink());
//! let _guard = tracing::subscriber::set_default(lines);
//! tracing::info!(target: "http-server", port = 8088, "listening");
//! logs.set("http-server:DEBUG");
//! ```
#![forbid(unsafe_code)]

mod clock;
mod limit;
mod line;
mod memory;
mod spec;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{Event, Metadata, Subscriber, level_filters::LevelFilter, subscriber::Interest};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry, reload};

pub use limit::{BURST, LINES_PER_SECOND};
pub use line::Format;
pub use memory::Memory;
pub use spec::Levels;

use limit::Limiter;

/// Sends every line of this process to `output`, from now on.
///
/// The first call of a process wins; a later one changes nothing and returns a handle that is not connected.
pub fn init(spec: &str, format: Format, output: impl Write + Send + 'static) -> Handle {
    let (lines, handle) = subscriber(spec, format, output);
    let _ = tracing::subscriber::set_global_default(lines);
    handle
}

/// What [`init`] installs, as a value: for tests that read what was logged.
pub fn subscriber(
    spec: &str,
    format: Format,
    output: impl Write + Send + 'static,
) -> (impl Subscriber + Send + Sync, Handle) {
    let mut levels = Levels::default();
    levels.apply(spec);
    let (filter, reload) = reload::Layer::new(levels);
    let lines = Lines { format, limiter: Mutex::new(Limiter::new(clock::now())), output: Mutex::new(output) };
    (Registry::default().with(lines.with_filter(filter)), Handle { reload })
}

/// Changes the levels of a running program.
#[derive(Clone)]
pub struct Handle {
    reload: reload::Handle<Levels, Registry>,
}

impl Handle {
    /// Applies a spec on top of what is in force. Scopes set earlier keep their level until an `all:` item.
    pub fn set(&self, spec: &str) {
        let _ = self.reload.modify(|levels| levels.apply(spec));
    }
}

/// Levels are a property of the call site, so the answer is cached there until the next [`Handle::set`].
impl<S> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        *metadata.level() <= self.of(metadata.target())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= self.of(metadata.target()) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.highest())
    }
}

/// Writes one line per event. Spans are not printed: a line stands for itself.
struct Lines<W> {
    format: Format,
    limiter: Mutex<Limiter>,
    output: Mutex<W>,
}

impl<S: Subscriber, W: Write + Send + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let Some(suppressed) = lock(&self.limiter).admit(level, clock::now()) else { return };
        // No lock is held while values print themselves: they may log, too.
        let line = self.format.line(event, &clock::local(), suppressed);
        let mut output = lock(&self.output);
        // A reader that went away is no reason to stop serving.
        let _ = output.write_all(line.as_bytes()).and_then(|()| output.flush());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
