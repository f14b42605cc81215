//! Watches: one task per kind, which turns what the API server says into changes of the cache.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use gateway::api::{Key, Resource as _, Secret, Type};
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject},
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, DefaultBackoff, Event},
    },
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{cache::Change, metrics::Metrics};

/// Secrets that no GatewayConfig and no listener can name with effect, which there are many and large of.
const SECRETS: &str =
    "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,type!=kubernetes.io/dockerconfigjson";

/// Seconds after which a watch is taken up again, whether it has said anything or not. A connection that nobody is at the
/// other end of any more is noticed by that.
const LONGEST: u32 = 30;

/// Longest pause before a broken watch is tried again: an API server that comes back has been away for longer than anybody
/// wants to go on without changes. Before that, pauses differ from watch to watch, so tries do not come all at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Pauses between tries, each about twice as long as the one before.
#[derive(Default)]
struct Pauses(DefaultBackoff);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(LONGEST_PAUSE))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Follows a kind until nobody listens. A broken watch is taken up again with growing pauses; what was known stays known
/// meanwhile.
pub(crate) async fn follow(
    client: Client,
    of: Type,
    resource: ApiResource,
    changes: mpsc::Sender<Change>,
    metrics: Metrics,
) {
    let api = Api::<DynamicObject>::all_with(client, &resource);
    let mut config = watcher::Config::default().timeout(LONGEST);
    if of == Secret::TYPE {
        config = config.fields(SECRETS);
    }
    let mut events = std::pin::pin!(kube::runtime::watcher(api, config).backoff(Pauses::default()));
    loop {
        let change = match events.try_next().await {
            Ok(Some(event)) => change(of, event),
            Ok(None) => return,
            Err(error) => {
                metrics.interrupted(of.kind);
                tracing::warn!(target: "operator", kind = of.kind, %error, "watch interrupted; trying again");
                continue;
            }
        };
        if changes.send(change).await.is_err() {
            return;
        }
    }
}

fn change(of: Type, event: Event<DynamicObject>) -> Change {
    match event {
        Event::Init => Change::Listing(of),
        Event::InitDone => Change::Listed(of),
        Event::InitApply(object) | Event::Apply(object) => Change::Put(of, value(object)),
        Event::Delete(object) => {
            let metadata = object.metadata;
            Change::Gone(
                of,
                Key::new(metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default()),
            )
        }
    }
}

/// The JSON of an object as it came.
pub(crate) fn value(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}
