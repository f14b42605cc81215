//! Domain names of clusters, resolved in the background for as long as somebody lists them.
//!
//! An answer is good for its time to live (within bounds); then it is asked for anew. A failure keeps the last
//! answer, since peers that were there a moment ago are the best guess there is.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::net::NetError;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::metrics::Outcomes;

/// Asking more often than this is rude even where the time to live is shorter.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Peers move: an answer is checked at least this often, whatever its time to live.
const MAX_INTERVAL: Duration = Duration::from_secs(30);
/// After a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Addresses of a domain, and for how long they are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) lifetime: Duration,
}

/// Something that knows addresses.
pub(crate) trait Lookup: Clone + Send + Sync + 'static {
    /// Asks once.
    fn lookup(&self, domain: String) -> impl Future<Output = Result<Answer, String>> + Send;
}

/// The domains in use, with their latest addresses.
pub(crate) struct Domains<L> {
    lookup: L,
    runtime: Handle,
    known: Arc<Mutex<Known>>,
    lookups: Arc<Outcomes>,
    changed: Arc<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Known {
    addresses: BTreeMap<String, Vec<IpAddr>>,
    tasks: BTreeMap<String, AbortHandle>,
}

impl<L: Lookup> Domains<L> {
    /// Nothing to resolve yet. `changed` is called, on `runtime`, whenever a domain has other addresses.
    pub(crate) fn new(
        lookup: L,
        runtime: Handle,
        lookups: Arc<Outcomes>,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { lookup, runtime, known: Arc::default(), lookups, changed: Arc::new(changed) }
    }

    /// The addresses of a domain as of now; none before the first success.
    pub(crate) fn addresses(&self, domain: &str) -> Vec<IpAddr> {
        lock(&self.known).addresses.get(&canonical(domain)).cloned().unwrap_or_default()
    }

    /// From now on these domains are resolved and no others. Those that stay keep their addresses.
    pub(crate) fn set<'d>(&self, domains: impl IntoIterator<Item = &'d str>) {
        let wanted: BTreeSet<String> = domains.into_iter().map(canonical).collect();
        let mut known = lock(&self.known);
        known.tasks.retain(|domain, task| {
            let stays = wanted.contains(domain);
            if !stays {
                task.abort();
            }
            stays
        });
        known.addresses.retain(|domain, _| wanted.contains(domain));
        for domain in wanted {
            known.tasks.entry(domain).or_insert_with_key(|domain| {
                let task = follow(
                    self.lookup.clone(),
                    domain.clone(),
                    Arc::clone(&self.known),
                    Arc::clone(&self.lookups),
                    Arc::clone(&self.changed),
                );
                self.runtime.spawn(task).abort_handle()
            });
        }
    }
}

impl<L> Drop for Domains<L> {
    fn drop(&mut self) {
        lock(&self.known).tasks.values().for_each(AbortHandle::abort);
    }
}

/// Asks about one domain until aborted.
async fn follow(
    lookup: impl Lookup,
    domain: String,
    known: Arc<Mutex<Known>>,
    lookups: Arc<Outcomes>,
    changed: Arc<dyn Fn() + Send + Sync>,
) {
    let mut failing = false;
    loop {
        let answer = lookup.lookup(domain.clone()).await;
        lookups.count(answer.is_ok());
        let pause = match answer {
            Ok(mut answer) => {
                failing = false;
                answer.addresses.sort_unstable();
                answer.addresses.dedup();
                if store(&known, &domain, answer.addresses) {
                    changed();
                }
                answer.lifetime.clamp(MIN_INTERVAL, MAX_INTERVAL)
            }
            Err(error) => {
                if !failing {
                    failing = true;
                    tracing::warn!(target: "dns-resolver", "cannot resolve {domain:?}: {error}");
                }
                RETRY_INTERVAL
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Whether that is news.
fn store(known: &Mutex<Known>, domain: &str, addresses: Vec<IpAddr>) -> bool {
    let mut known = lock(known);
    // The domain may have been given up while it was looked up.
    if !known.tasks.contains_key(domain) || known.addresses.get(domain) == Some(&addresses) {
        return false;
    }
    tracing::debug!(target: "dns-resolver", "{domain:?} has {} addresses", addresses.len());
    known.addresses.insert(domain.to_owned(), addresses);
    true
}

/// Names are compared without case, and with or without the root's dot.
pub(crate) fn canonical(domain: &str) -> String {
    domain.trim_end_matches('.').to_ascii_lowercase()
}

fn lock(known: &Mutex<Known>) -> std::sync::MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The resolver of this machine's configuration, read when it is first needed.
#[derive(Clone, Default)]
pub(crate) struct System(Arc<tokio::sync::OnceCell<TokioResolver>>);

impl Lookup for System {
    async fn lookup(&self, domain: String) -> Result<Answer, String> {
        let resolver = self
            .0
            .get_or_try_init(|| async { system_resolver() })
            .await
            .map_err(|error| error.to_string())?;
        let found = resolver.lookup_ip(domain.as_str()).await.map_err(|error| error.to_string())?;
        let now = crate::clock::now().mono;
        Ok(Answer {
            addresses: found.iter().map(|address| address.to_canonical()).collect(),
            lifetime: found.valid_until().saturating_duration_since(now),
        })
    }
}

fn system_resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    // Peers of both families count, not those of the family that answers first.
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    builder.build()
}

#[cfg(test)]
mod tests;
