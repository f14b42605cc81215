//! Keeps the configurations in step with their origin.

use std::collections::BTreeMap;
use std::sync::Arc;

use cds::{Event, Watch};
use config::Config;
use tokio::sync::watch;

use crate::Configs;
use crate::split::GroupBy;

/// The configurations of all gateways, as they are now and as they change.
#[derive(Debug, Clone)]
pub struct Followed {
    /// The configurations.
    pub configs: watch::Receiver<Arc<Configs>>,
    /// Turns true when all that the origin had when it was first reached has arrived.
    pub synced: watch::Receiver<bool>,
}

/// How to watch: TLS keys of gateways are none of this service's business, and a gateway whose certificate cannot be
/// loaded still has addresses.
pub fn options() -> cds::Options {
    cds::Options { certificates: false, ..cds::Options::default() }
}

/// Collects what a watch tells, on a task of its own that ends with the last receiver.
///
/// A gateway whose deletion is told is gone; so is one that was deleted while there was no connection, as soon as
/// there is one again. What is known stays known as long as there is none.
pub fn follow(news: Watch, group_by: GroupBy) -> Followed {
    let (configs, configs_receiver) = watch::channel(Arc::default());
    let (synced, synced_receiver) = watch::channel(false);
    let collector = Collector { configs, synced, group_by, parts: BTreeMap::new() };
    tokio::spawn(collector.run(news));
    Followed { configs: configs_receiver, synced: synced_receiver }
}

struct Collector {
    configs: watch::Sender<Arc<Configs>>,
    synced: watch::Sender<bool>,
    group_by: GroupBy,
    /// Under which names a configuration of the origin is kept.
    parts: BTreeMap<String, Vec<String>>,
}

impl Collector {
    async fn run(mut self, mut news: Watch) {
        loop {
            let event = tokio::select! {
                event = news.next() => event,
                () = self.configs.closed() => return,
            };
            match event {
                Some(Event::Config(config)) if config.is_deleted() => self.delete(&config.admin.name),
                Some(Event::Config(config)) => self.insert(*config),
                Some(Event::Deleted(name)) => self.delete(&name),
                Some(Event::Synced) => {
                    self.synced.send_replace(true);
                }
                None => return,
            }
        }
    }

    fn insert(&mut self, config: Config) {
        let name = config.admin.name.clone();
        tracing::info!(target: "authd", name, listeners = config.listeners.len(), "configuration taken over");
        let parts = self.group_by.apply(config);
        let names = parts.iter().map(|part| part.admin.name.clone()).collect();
        let former = self.parts.insert(name, names).unwrap_or_default();
        self.change(&former, parts);
    }

    fn delete(&mut self, name: &str) {
        let Some(former) = self.parts.remove(name) else { return };
        tracing::info!(target: "authd", name, "gateway is gone");
        self.change(&former, Vec::new());
    }

    /// In one step, so that nobody sees a gateway missing that only changes.
    fn change(&self, former: &[String], parts: Vec<Config>) {
        self.configs.send_modify(|configs| {
            let configs = Arc::make_mut(configs);
            for name in former {
                configs.remove(name);
            }
            configs.extend(parts.into_iter().map(|part| (part.admin.name.clone(), part)));
        });
    }
}
