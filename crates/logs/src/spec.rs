//! Level specs: `scope:LEVEL[,scope:LEVEL...]`.

use std::collections::BTreeMap;

use tracing::level_filters::LevelFilter;

/// The level in force for each scope.
///
/// Scopes match exactly and by case. `all` (in any case) sets the default and forgets every scope named before it,
/// so order matters: `all:ERROR,turn:DEBUG` shows the details of `turn`, `turn:DEBUG,all:ERROR` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    default: LevelFilter,
    scopes: BTreeMap<String, LevelFilter>,
}

/// Warnings and errors only, until a spec says otherwise.
impl Default for Levels {
    fn default() -> Self {
        Self { default: LevelFilter::WARN, scopes: BTreeMap::new() }
    }
}

impl Levels {
    /// Applies `spec` on top of what is set. A spec is never refused: items without a colon or with an unknown level
    /// are skipped. Levels are `DISABLE`, `ERROR`, `WARN`, `INFO`, `DEBUG` and `TRACE`, in any case.
    pub fn apply(&mut self, spec: &str) {
        for (scope, level) in spec.split(',').filter_map(item) {
            if scope.eq_ignore_ascii_case("all") {
                self.default = level;
                self.scopes.clear();
            } else {
                self.scopes.insert(scope.to_owned(), level);
            }
        }
    }

    /// The level in force for lines of a `tracing` target.
    pub fn of(&self, target: &str) -> LevelFilter {
        self.scopes.get(scope(target)).copied().unwrap_or(self.default)
    }

    /// The most talkative level of any scope.
    pub(crate) fn highest(&self) -> LevelFilter {
        self.scopes.values().copied().fold(self.default, LevelFilter::max)
    }
}

/// The scope a `tracing` target logs under: its first path segment.
pub(crate) fn scope(target: &str) -> &str {
    target.split_once("::").map_or(target, |(crate_name, _)| crate_name)
}

fn item(text: &str) -> Option<(&str, LevelFilter)> {
    let (scope, level) = text.split_once(':')?;
    Some((scope.trim(), level_named(level.trim())?))
}

fn level_named(name: &str) -> Option<LevelFilter> {
    const NAMES: [(&str, LevelFilter); 6] = [
        ("DISABLE", LevelFilter::OFF),
        ("ERROR", LevelFilter::ERROR),
        ("WARN", LevelFilter::WARN),
        ("INFO", LevelFilter::INFO),
        ("DEBUG", LevelFilter::DEBUG),
        ("TRACE", LevelFilter::TRACE),
    ];
    NAMES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, level)| level)
}
