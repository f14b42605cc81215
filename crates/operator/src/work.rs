//! The loop: changes in, one rendering per debounce period, writes and configurations out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use gateway::{
    Extent, Incremental, Rendered, Snapshot,
    api::{Gateway, Key, ObjectRef, Type},
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Operator, State,
    backoff::Backoffs,
    cache::{Cache, Change, Effect},
    clock,
    event::Events,
    kinds::Kinds,
    metrics, nodes,
    plan::{Done, Memory, Part, Situation, Targets, Write, plan},
    unplanned::{self, Cause, Unplanned},
    write::{Outcome, WriteError, Writer, Written},
};

/// How often the loop goes round if there is nothing to do.
const PULSE: Duration = Duration::from_secs(5);

/// How long the deletions at the end may take.
const FINALIZE: Duration = Duration::from_secs(8);

/// Changes noted at a time, before anything else is looked at.
const BATCH: usize = 256;

/// Everything the loop works with.
pub(crate) struct Work {
    operator: Operator,
    writer: Writer,
    kinds: Arc<Kinds>,
    gateway_version: String,
    cache: Cache,
    rendering: Incremental,
    /// What has changed since the last rendering.
    changed: BTreeSet<ObjectRef>,
    memory: Memory,
    backoffs: Backoffs,
    /// Writes, and what has led to them.
    under_way: BTreeMap<(ObjectRef, Part), UnderWay>,
    writes: JoinSet<Outcome>,
    /// Identities of the objects that were written.
    made: BTreeSet<String>,
    events: Events,
    unplanned: Unplanned,
    is_rendered: bool,
    render_at: Option<Instant>,
    plan_at: Option<Instant>,
}

impl Work {
    pub(crate) fn new(
        operator: Operator,
        kinds: Arc<Kinds>,
        followed: Vec<Type>,
        gateway_version: String,
    ) -> Self {
        Self {
            writer: Writer::new(operator.client.clone(), Arc::clone(&kinds)),
            kinds,
            cache: Cache::new(followed),
            rendering: Incremental::default(),
            changed: BTreeSet::new(),
            memory: Memory::new(),
            backoffs: Backoffs::default(),
            under_way: BTreeMap::new(),
            writes: JoinSet::new(),
            made: BTreeSet::new(),
            events: Events::new(operator.client.clone(), &operator.settings.render.controller_name),
            unplanned: Unplanned::default(),
            is_rendered: false,
            render_at: None,
            plan_at: None,
            gateway_version,
            operator,
        }
    }

    pub(crate) async fn run(
        mut self,
        mut changes: mpsc::Receiver<Change>,
        mut more_kinds: mpsc::Receiver<Kinds>,
        stop: CancellationToken,
    ) {
        let mut batch = Vec::new();
        let mut pulse = tokio::time::interval(PULSE);
        self.tell();
        loop {
            self.operator.pulse.send_replace(Instant::now());
            self.operator.metrics.beat("operator", clock::timestamp().as_second());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = changes.recv_many(&mut batch, BATCH) => self.note(batch.drain(..)),
                Some(outcome) = self.writes.join_next() => self.settle(outcome),
                Some(kinds) = more_kinds.recv() => self.learn(kinds),
                () = at(self.render_at) => self.render(),
                () = at(self.plan_at.into_iter().chain(self.backoffs.next()).min()) => self.write(),
                _ = pulse.tick() => {}
                changed = self.operator.leader.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.lead();
                }
            }
        }
        // What was sent is better known to have arrived.
        while let Some(outcome) = self.writes.join_next().await {
            self.settle(outcome);
        }
        if self.operator.settings.finalize && self.is_rendered && *self.operator.leader.borrow() {
            let finished = tokio::time::timeout(FINALIZE, self.finalize()).await;
            tracing::info!(target: "operator", whole = finished.is_ok(), "deleted what was created");
        }
    }

    /// Says in the statuses that the operator is gone, and deletes what it created.
    async fn finalize(&mut self) {
        let rendered = gateway::finalize(self.cache.snapshot(), &self.operator.settings.render);
        loop {
            let planned = self.plan(&rendered, Targets::All);
            if planned.is_empty() {
                return;
            }
            for write in planned {
                self.writes.spawn(self.writer.clone().execute(write));
            }
            while let Some(outcome) = self.writes.join_next().await {
                self.settle(outcome);
            }
        }
    }

    fn settle(&mut self, outcome: Result<Outcome, JoinError>) {
        if let Ok(outcome) = outcome {
            self.finish(outcome);
        }
    }

    fn plan(&self, rendered: &Rendered, targets: Targets<'_, Cause>) -> Vec<Write> {
        plan(Situation {
            cache: &self.cache,
            rendered,
            memory: &self.memory,
            failures: &self.backoffs.failures(),
            made: &self.made,
            controller: &self.operator.settings.render.controller_name,
            gateway_version: &self.gateway_version,
            now: &clock::now(),
            targets,
        })
    }

    fn note(&mut self, changes: impl Iterator<Item = Change>) {
        let was_complete = self.cache.awaited().is_empty();
        for change in changes {
            for effect in self.cache.apply(change) {
                self.consider(effect);
            }
        }
        if !self.is_rendered && self.cache.awaited().is_empty() {
            self.render_at.get_or_insert_with(Instant::now);
        }
        if !was_complete {
            self.tell();
        }
    }

    fn consider(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Written(target) => {
                let cause = target.to_string().into();
                self.look_at(target, &cause);
            }
            Effect::Render(target) => {
                tracing::debug!(target: "operator", %target, "changed");
                if self.cache.awaited().is_empty() {
                    let debounce = self.operator.settings.debounce;
                    let result = if self.render_at.is_some() { "throttled" } else { "passed" };
                    self.operator.metrics.events.get_or_create(&metrics::Event { result }).inc();
                    self.render_at.get_or_insert_with(|| Instant::now() + debounce);
                }
                self.changed.insert(target);
            }
            Effect::Unreadable(target, reason) => {
                tracing::warn!(target: "operator", %target, reason, "cannot be read; what was known of it stays");
            }
        }
    }

    /// Has what is missing of an object written, after whatever else is ready to be noted.
    fn look_at(&mut self, target: ObjectRef, cause: &Cause) {
        self.unplanned.add(target, cause);
        self.plan_at.get_or_insert_with(Instant::now);
    }

    /// The same for the Gateway, whose status tells what could not be written for it.
    fn look_at_gateway(&mut self, gateway: Option<Key>, cause: &Cause) {
        if let Some(key) = gateway {
            self.look_at(ObjectRef::to::<Gateway>(key), cause);
        }
    }

    /// The same for all there is.
    fn look_at_all(&mut self, cause: &str) {
        self.unplanned.add_all(&cause.into());
        self.plan_at.get_or_insert_with(Instant::now);
    }

    /// Begins to write, or ends it at once: whoever leads now must not be overtaken by what is still under way.
    fn lead(&mut self) {
        if !*self.operator.leader.borrow() {
            self.writes = JoinSet::new();
            self.under_way.clear();
            self.backoffs = Backoffs::default();
            self.gauge();
        }
        self.look_at_all("the lease");
    }

    fn tell(&self) {
        let state = State { awaited: self.cache.awaited().clone(), is_ready: self.is_rendered };
        self.operator.state.send_if_modified(|known| {
            let is_news = *known != state;
            *known = state;
            is_news
        });
    }

    fn learn(&mut self, more: Kinds) {
        let mut kinds = (*self.kinds).clone();
        kinds.add(more);
        self.kinds = Arc::new(kinds);
        self.writer.set_kinds(Arc::clone(&self.kinds));
        self.look_at_all("a kind that is new");
    }

    fn render(&mut self) {
        self.render_at = None;
        let begun = Instant::now();
        let changed = std::mem::take(&mut self.changed);
        let extent = self.rendering.update(self.cache.snapshot(), &self.operator.settings.render, &changed);
        self.operator.metrics.rendered(begun.elapsed());
        if extent == Extent::Everything {
            self.operator.places.send_replace(nodes::places(self.cache.snapshot()));
        }
        self.publish(&extent);
        let cause = unplanned::cause(&changed);
        match extent {
            Extent::Everything => self.unplanned.add_all(&cause),
            Extent::Part(touched) => {
                touched.objects().chain(changed).for_each(|one| self.unplanned.add(one, &cause));
            }
        }
        let rendered = self.rendering.rendered();
        self.operator.metrics.stale.set(i64::try_from(rendered.stale.len()).unwrap_or(i64::MAX));
        for problem in &self.rendering.news().problems {
            tracing::warn!(target: "operator", "{problem}");
        }
        self.warn_of_stale();
        if !std::mem::replace(&mut self.is_rendered, true) {
            let gateways = self.rendering.rendered().gateways.len();
            self.tell();
            tracing::info!(target: "operator", gateways, "rendered for the first time");
        }
        self.plan_at.get_or_insert_with(Instant::now);
    }

    /// Serves the configurations that may have changed.
    fn publish(&self, extent: &Extent) {
        let (store, configs) = (&self.operator.store, &self.rendering.rendered().configs);
        match extent {
            Extent::Everything => store.set(configs.clone()),
            Extent::Part(touched) => store.update(touched.gateways.iter().map(|gateway| {
                let id = gateway.to_string();
                let config = configs.get(&id).cloned();
                (id, config)
            })),
        }
    }

    /// Tells of Gateways that have just become stale.
    fn warn_of_stale(&self) {
        if !*self.operator.leader.borrow() {
            return;
        }
        for key in &self.rendering.news().stale {
            let gateway = self.cache.snapshot().gateways.get(key);
            if let (Some(gateway), Some(problem)) = (gateway, self.rendering.rendered().stale.get(key)) {
                let text = format!("{problem}. What was rendered before stays in force");
                self.events.warn(gateway, &self.gateway_version, "NotRendered", text);
            }
        }
    }

    /// Starts the writes that are missing and neither under way nor to be tried again later.
    fn write(&mut self) {
        self.plan_at = None;
        if !self.is_rendered || !*self.operator.leader.borrow() {
            return;
        }
        if self.under_way.is_empty() {
            self.cache.rest();
        }
        let now = Instant::now();
        for target in self.backoffs.wake(now) {
            self.unplanned.add(target, &"another attempt".into());
        }
        let unplanned = std::mem::take(&mut self.unplanned);
        let planned = self.plan(self.rendering.rendered(), unplanned.targets());
        let parts = planned.iter().map(|write| (write.target.clone(), write.what.part())).collect();
        for gateway in self.backoffs.keep_only(unplanned.targets(), &parts) {
            self.look_at_gateway(Some(gateway), &"nothing to write any more".into());
        }
        self.forget(unplanned.targets());
        for write in planned {
            let part = (write.target.clone(), write.what.part());
            let is_busy =
                self.under_way.contains_key(&part) || self.backoffs.holds(&part, write.fingerprint, now);
            if !is_busy {
                self.count(&write, "attempt");
                let version = self.cache.version(&write.target).map(str::to_owned);
                self.under_way.insert(part, UnderWay { cause: unplanned.cause(&write.target), version });
                self.writes.spawn(self.writer.clone().execute(write));
            }
        }
        self.gauge();
    }

    /// Forgets what was written of objects that are gone.
    fn forget(&mut self, targets: Targets<'_, Cause>) {
        let cache = &self.cache;
        match targets {
            Targets::All => {
                self.memory.retain(|(target, _), _| cache.version(target).is_some());
                let live = cache.identities();
                self.made.retain(|uid| live.contains(uid.as_str()));
            }
            Targets::Some(targets) => {
                for target in targets.keys().filter(|target| cache.version(target).is_none()) {
                    for part in [Part::Object, Part::Strays, Part::Status] {
                        self.memory.remove(&(target.clone(), part));
                    }
                }
            }
        }
    }

    fn count(&self, write: &Write, operation: &'static str) {
        let scope = if write.what.part() == Part::Status { "status" } else { "spec" };
        let operation = metrics::Operation { scope, kind: write.target.kind, operation };
        self.operator.metrics.writes.get_or_create(&operation).inc();
    }

    fn gauge(&self) {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let metrics = &self.operator.metrics;
        metrics.queue.set(count(self.under_way.len()));
        metrics.failing.set(count(self.backoffs.len()));
        metrics.leading.set(i64::from(*self.operator.leader.borrow()));
    }

    fn finish(&mut self, outcome: Outcome) {
        let Outcome { write, result, took } = outcome;
        self.operator.metrics.write_time.observe(took.as_secs_f64());
        let part = (write.target.clone(), write.what.part());
        let UnderWay { cause, version } = self.under_way.remove(&part).unwrap_or_default();
        self.look_at(write.target.clone(), &cause);
        match result {
            Ok(written) => {
                if self.backoffs.succeeded(&part) {
                    self.look_at_gateway(write.gateway.clone(), &cause);
                }
                self.remember(&write, part, written, &cause, version.as_deref());
            }
            Err(WriteError::Outdated) => {
                self.count(&write, "outdated");
                tracing::debug!(target: "operator", target = %write.target, "changed meanwhile; looking again");
                self.backoffs.postpone(part, write.fingerprint, Instant::now());
            }
            Err(error) => {
                self.count(&write, "error");
                tracing::warn!(target: "operator", object = %write.target, %cause, %error, "cannot be written; trying again");
                let message = format!("{} cannot be written: {error}", write.target);
                let gateway = write.gateway.as_ref().and_then(|key| self.cache.snapshot().gateways.get(key));
                if let Some(gateway) = gateway {
                    self.events.warn(gateway, &self.gateway_version, "NotWritten", message.clone());
                }
                self.backoffs.failed(part, &write, message, Instant::now());
                self.look_at_gateway(write.gateway, &cause);
            }
        }
    }

    fn remember(
        &mut self,
        write: &Write,
        part: (ObjectRef, Part),
        written: Written,
        cause: &Cause,
        before: Option<&str>,
    ) {
        let of = Snapshot::TYPES.iter().find(|of| (of.group, of.kind) == (part.0.group, part.0.kind));
        match (written, of) {
            (Written::Object(object), Some(of)) => {
                let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
                let is_same = before == Some(version.as_str());
                self.count(write, if is_same { "none" } else { write.what.operation() });
                if !is_same {
                    let gateway = write.gateway.as_ref().map(Key::to_string);
                    tracing::info!(target: "operator", object = %write.target, gateway, %cause, "{}", write.what.verb());
                }
                if part.1 == Part::Object {
                    self.made.extend(object["metadata"]["uid"].as_str().map(str::to_owned));
                }
                self.memory.insert(part, Done { fingerprint: write.fingerprint, version });
                let effect = self.cache.answer(*of, object);
                self.consider(effect);
            }
            (Written::Gone, _) => {
                self.count(write, "deleted");
                if part.1 == Part::Object {
                    tracing::info!(target: "operator", object = %write.target, %cause, "deleted");
                }
                // Until the watch says so, it looks as if it were still there.
                let version = self.cache.version(&write.target).unwrap_or_default().to_owned();
                self.memory.insert(part, Done { fingerprint: write.fingerprint, version });
            }
            (Written::Object(_), None) => {}
        }
    }
}

/// A write that was sent.
#[derive(Debug, Default)]
struct UnderWay {
    /// What has led to it.
    cause: Cause,
    /// Version of the object then: the watch may know the next one before the answer is here.
    version: Option<String>,
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
