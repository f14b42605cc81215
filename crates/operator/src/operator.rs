//! The operator from outside: how it is started, and what others may see of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use cds::Store;
use gateway::api::{Gateway, GatewayClass, Resource as _, Type};
use kube::Client;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Settings,
    cache::Change,
    clock,
    kinds::{self, Kinds},
    metrics::Metrics,
    nodes::{self, Nodes, Places},
    watch as watches,
    work::Work,
};

/// How often the API server is asked for kinds that it does not serve yet.
const LOOK_FOR_KINDS: Duration = Duration::from_secs(5);

/// How often the API server is asked whether it is there.
const SEE_SERVER: Duration = Duration::from_secs(10);

/// How long it may not go round before something is wrong.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// Changes that wait to be noted; watches wait when it is full.
const CHANGES: usize = 1024;

/// A kind that the operator cannot do without.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The operator was stopped before the API server served everything that is needed.
    #[error("stopped before the API server was ready")]
    Stopped,
}

/// What the operator lets others see of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Kinds that have not been listed yet.
    pub awaited: BTreeSet<Type>,
    /// Whether configurations are served: everything was seen and rendered once.
    pub is_ready: bool,
}

/// The operator: everything from the watches to the writes.
pub struct Operator {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) leader: watch::Receiver<bool>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) places: watch::Sender<Places>,
    pub(crate) nodes: Nodes,
    pub(crate) metrics: Metrics,
    pub(crate) pulse: watch::Sender<Instant>,
}

/// The operator as its servers see it.
#[derive(Debug, Clone)]
pub struct View {
    pub(crate) state: watch::Receiver<State>,
    pub(crate) nodes: Nodes,
    pub(crate) metrics: Metrics,
    pulse: watch::Receiver<Instant>,
}

impl View {
    /// How long the loop has not gone round, if that is too long.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let idle = self.pulse.borrow().elapsed();
        (idle > LONGEST_PAUSE).then_some(idle)
    }

    /// Follows how far the operator is.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }
}

impl Operator {
    /// An operator that publishes configurations in `store`, and writes as long as `leader` says so.
    pub fn new(client: Client, settings: Settings, store: Store, leader: watch::Receiver<bool>) -> Self {
        Self {
            client,
            settings,
            store,
            leader,
            state: watch::Sender::default(),
            places: watch::Sender::default(),
            nodes: Nodes::default(),
            metrics: Metrics::default(),
            pulse: watch::Sender::new(Instant::now()),
        }
    }

    /// What others may see of it while it runs.
    pub fn view(&self) -> View {
        View {
            state: self.state.subscribe(),
            nodes: self.nodes.clone(),
            metrics: self.metrics.clone(),
            pulse: self.pulse.subscribe(),
        }
    }

    /// Runs until `stop`.
    ///
    /// # Errors
    /// Stopped before it could begin.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StartError> {
        let wanted = kinds::wanted(&self.settings.render);
        let kinds = stop.run_until_cancelled(await_kinds(&self.client, &wanted)).await;
        let kinds = Arc::new(kinds.ok_or(StartError::Stopped)?);
        let version = |of: Type| kinds.get(of.group, of.kind).map(|kind| kind.api_version.clone());
        let gateway_version = version(Gateway::TYPE).unwrap_or_default();
        self.settings.render.ready_condition = kinds::prints_ready(&self.client).await;
        if let Some(class) = kinds.get(GatewayClass::TYPE.group, GatewayClass::TYPE.kind) {
            self.settings.render.supported_features = kinds::has_features(&self.client, class).await;
        }
        let (sender, changes) = mpsc::channel(CHANGES);
        let mut tasks = JoinSet::new();
        tasks.spawn(nodes::follow(self.places.subscribe(), self.nodes.clone(), self.store.clone()));
        tasks.spawn(see_server(self.client.clone(), self.metrics.clone()));
        let followed: Vec<_> = wanted.iter().copied().filter(|of| kinds.has(*of)).collect();
        for of in &followed {
            if let Some(resource) = kinds.get(of.group, of.kind) {
                tasks.spawn(watches::follow(
                    self.client.clone(),
                    *of,
                    resource.clone(),
                    sender.clone(),
                    self.metrics.clone(),
                ));
            }
        }
        let missing: Vec<_> = wanted.into_iter().filter(|of| !kinds.has(*of)).collect();
        let (found, more_kinds) = mpsc::channel(1);
        tasks.spawn(look_for(self.client.clone(), missing, sender, found, self.metrics.clone()));
        let work = Work::new(self, kinds, followed, gateway_version);
        work.run(changes, more_kinds, stop).await;
        Ok(())
    }
}

/// Waits until the API server serves everything that is needed.
async fn await_kinds(client: &Client, wanted: &[Type]) -> Kinds {
    loop {
        match Kinds::find(client, wanted).await {
            Ok(kinds) => {
                let missing = wanted.iter().filter(|of| !kinds.has(**of) && !kinds::is_optional(**of));
                let missing: Vec<_> = missing.map(|of| format!("{}/{}", of.group, of.kind)).collect();
                if missing.is_empty() {
                    return kinds;
                }
                let missing = missing.join(", ");
                tracing::warn!(target: "operator", missing, "the API server lacks kinds; install their CRDs");
            }
            Err(error) => {
                tracing::warn!(target: "operator", %error, "the API server cannot be asked for its kinds");
            }
        }
        tokio::time::sleep(LOOK_FOR_KINDS).await;
    }
}

/// Notes when the API server was last there.
async fn see_server(client: Client, metrics: Metrics) {
    loop {
        let answer = tokio::time::timeout(SEE_SERVER, client.apiserver_version()).await;
        if answer.is_ok_and(|version| version.is_ok()) {
            metrics.server_seen.set(clock::timestamp().as_second());
        }
        tokio::time::sleep(SEE_SERVER).await;
    }
}

/// Looks for kinds that may turn up later, follows them from then on and says so.
async fn look_for(
    client: Client,
    mut missing: Vec<Type>,
    changes: mpsc::Sender<Change>,
    found: mpsc::Sender<Kinds>,
    metrics: Metrics,
) {
    let mut follows = JoinSet::new();
    while !missing.is_empty() {
        tokio::time::sleep(LOOK_FOR_KINDS).await;
        let Ok(kinds) = Kinds::find(&client, &missing).await else { continue };
        let (new, rest) = missing.into_iter().partition::<Vec<_>, _>(|of| kinds.has(*of));
        missing = rest;
        for of in &new {
            if let Some(resource) = kinds.get(of.group, of.kind) {
                tracing::info!(target: "operator", kind = of.kind, group = of.group, "the API server serves it now");
                follows.spawn(watches::follow(
                    client.clone(),
                    *of,
                    resource.clone(),
                    changes.clone(),
                    metrics.clone(),
                ));
            }
        }
        if !new.is_empty() && found.send(kinds).await.is_err() {
            return;
        }
    }
    while follows.join_next().await.is_some() {}
}
