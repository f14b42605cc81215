//! Everything that is not packets: the state of the process, the thread of its HTTP servers and resolver, and
//! the orders to the workers.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use config::Config;
use net::Waker;
use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use turn::addr::ListenerId;
use turn::nonce::NonceKey;
use turn::server::Settings;

use crate::Options;
use crate::admin::{self, Source};
use crate::apply::{ApplyError, Prepared, Report, Running};
use crate::explain::{Explanation, Question};
use crate::listener::ListenerSocket;
use crate::metrics::{self, Metrics};
use crate::neighbours::Neighbours;
use crate::plan::{Plan, Roles, Wanted};
use crate::quota::Quota;
use crate::refusal::{Addresses, RefusalLog};
use crate::reserve::Reserve;
use crate::resolve::{Domains, System};
use crate::shard::{Converge, Order, Setup, Shard};
use crate::status::{Lately, Phase, Status};
use crate::stream::Timeouts;
use crate::view::View;

/// Files that are not clients' or relays': event queues, logs, HTTP connections, listeners.
const RESERVED_FILES: u64 = 256;

/// The thread of the asynchronous parts.
#[derive(Debug)]
pub(crate) struct Control {
    runtime: Handle,
    end: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let end = CancellationToken::new();
        let ended = end.clone();
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || runtime.block_on(ended.cancelled()))?;
        Ok(Self { runtime: handle, end, thread: Some(thread) })
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn stop(&mut self) {
        self.end.cancel();
        if let Some(thread) = self.thread.take() {
            // It runs nothing that panics, and there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// What the threads of a dataplane have in common. Packets never come near it.
pub(crate) struct Shared {
    options: Options,
    runtime: Handle,
    workers: Vec<Worker>,
    /// Held from the first look at a new configuration to the end of what it replaces: one at a time.
    applying: Mutex<()>,
    running: Mutex<Running>,
    domains: Domains<System>,
    metrics: Arc<Metrics>,
    quota: Arc<Quota>,
    refusals: Arc<RefusalLog>,
    configured: AtomicBool,
}

/// A running worker; it ends with the reason why it could not go on.
pub(crate) type WorkerThread = JoinHandle<io::Result<()>>;

/// The way to a worker.
struct Worker {
    orders: Sender<Order>,
    waker: Waker,
}

impl Worker {
    fn order(&self, order: Order) -> Result<(), ApplyError> {
        self.orders.send(order).map_err(|_| ApplyError::WorkerDied)?;
        self.waker.wake();
        Ok(())
    }
}

impl Shared {
    /// Starts the workers.
    pub(crate) fn start(options: Options, runtime: &Handle) -> io::Result<(Arc<Self>, Vec<WorkerThread>)> {
        let processors = net::limit::processors()?;
        let available = thread::available_parallelism()?.get();
        let count = if options.workers == 0 { available } else { options.workers };
        let files = net::limit::raise_open_files()?.saturating_sub(RESERVED_FILES);
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let metrics = Arc::new(Metrics::new(count));
        let quota = Arc::new(Quota::new(files));
        let refusals = Arc::new(RefusalLog::default());
        let reserve = Arc::new(Reserve::default());
        let takes_short_cut = options.headless_short_cut;
        let neighbours = (count > 1).then(|| Arc::new(Neighbours::new(count)));
        let mut seeds = system_rng()?;
        let nonce_key = NonceKey::generate(&mut seeds);
        let others = Arc::new(OnceLock::new());
        let mut cookie_secret = [0; 32];
        seeds.fill_bytes(&mut cookie_secret);
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count {
            let (sender, orders) = mpsc::channel();
            let shard = Shard::new(Setup {
                index,
                orders,
                view: Arc::new(View::empty(Arc::clone(&quota))),
                metrics: Arc::clone(&metrics),
                refusals: Arc::clone(&refusals),
                reserve: Arc::clone(&reserve),
                takes_short_cut,
                others: Arc::clone(&others),
                settings: Settings {
                    member: u8::try_from(index).unwrap_or(u8::MAX),
                    members: u8::try_from(count).unwrap_or(u8::MAX),
                    is_observed: takes_short_cut && neighbours.is_some(),
                    ..Settings::new(nonce_key.clone())
                },
                neighbours: neighbours.clone(),
                rng: ChaCha12Rng::from_rng(&mut seeds),
                cookie_secret,
                timeouts: Timeouts {
                    first_message: options.first_message_timeout,
                    idle: options.idle_timeout,
                },
            })?;
            workers.push(Worker { orders: sender, waker: shard.waker() });
            // One worker on each processor of this machine stays where its caches are. Fewer leave the
            // choice to the scheduler, which knows who else is there.
            let processor = (count > 1 && count == processors.len()).then(|| processors[index]);
            threads.push(spawn(index, shard, processor)?);
        }
        let ways = workers.iter().map(|worker: &Worker| (worker.orders.clone(), worker.waker.clone()));
        // Nobody else sets it.
        let _ = others.set(ways.collect());
        let shared = Arc::new_cyclic(|shared: &Weak<Self>| {
            let shared = Weak::clone(shared);
            let changed = move || shared.upgrade().into_iter().for_each(|shared| shared.republish());
            Self {
                options,
                runtime: runtime.clone(),
                workers,
                applying: Mutex::default(),
                running: Mutex::default(),
                domains: Domains::new(
                    System::default(),
                    runtime.clone(),
                    Arc::clone(&metrics.lookups),
                    changed,
                ),
                metrics,
                quota,
                refusals,
                configured: AtomicBool::new(false),
            }
        });
        Ok((shared, threads))
    }

    pub(crate) fn apply(self: &Arc<Self>, configs: &BTreeMap<String, Config>) -> Result<Report, ApplyError> {
        let _one_at_a_time = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.put_in_force(configs);
        let problems: Vec<_> = match &result {
            Ok(Report { refused, .. }) => {
                refused.iter().map(|(gateway, problem)| (Some(gateway.clone()), problem.clone())).collect()
            }
            Err(ApplyError::Invalid { gateway, problem }) => vec![(Some(gateway.clone()), problem.clone())],
            Err(error) => vec![(None, error.to_string())],
        };
        self.metrics.configuration(problems.is_empty(), crate::clock::now().unix);
        self.running().problems = problems;
        result
    }

    fn put_in_force(self: &Arc<Self>, configs: &BTreeMap<String, Config>) -> Result<Report, ApplyError> {
        let mut running = self.running();
        let (wanted, refused) = Wanted::check(configs, &running.wanted)?;
        let zero = wanted.gateways.values().all(|gateway| gateway.config.is_bootstrap());
        let plan = Plan::between(&running.wanted, &wanted);
        let report = Report { restarted: plan.restarted.clone(), refused };
        let retired = if self.options.dry_run {
            running.commit(&plan, wanted, BTreeMap::new(), &self.metrics)?;
            Vec::new()
        } else {
            self.carry_out(&mut running, &plan, wanted)?
        };
        if !zero {
            self.configured.store(true, Ordering::Release);
        }
        self.log(&running, &report);
        drop(running);
        retired.into_iter().for_each(admin::Server::close);
        Ok(report)
    }

    /// Returns the HTTP servers that are to be closed.
    fn carry_out(
        self: &Arc<Self>,
        running: &mut Running,
        plan: &Plan,
        wanted: Wanted,
    ) -> Result<Vec<admin::Server>, ApplyError> {
        let mut prepared = running.prepare(plan, &wanted, self.workers.len())?;
        let servers = self.start_servers(&mut prepared, &wanted)?;
        // From here on nothing fails.
        let opened = prepared.take_opened();
        let close = running.commit(plan, wanted, opened, &self.metrics)?;
        self.domains.set(running.wanted.domains());
        self.converge(running, prepared.sockets, &close)?;
        let retired = plan.retire.iter().filter_map(|bind| running.servers.remove(bind)).collect();
        running.servers.extend(servers);
        for (bind, roles) in running.roles() {
            if let Some(server) = running.servers.get(bind) {
                server.set_roles(roles.clone());
            }
        }
        Ok(retired)
    }

    fn start_servers(
        self: &Arc<Self>,
        prepared: &mut Prepared,
        wanted: &Wanted,
    ) -> Result<Vec<(crate::endpoint::Bind, admin::Server)>, ApplyError> {
        let start = |(bind, listener)| {
            let roles = wanted.endpoints.get(&bind).cloned().unwrap_or_default();
            let server = admin::Server::start(listener, roles, Arc::downgrade(self), &self.runtime)
                .map_err(|source| ApplyError::Serve { address: bind.to_string(), source })?;
            Ok((bind, server))
        };
        prepared.servers.drain(..).map(start).collect()
    }

    /// Tells every worker and waits until all of them have done it.
    fn converge(
        &self,
        running: &Running,
        sockets: Vec<Vec<ListenerSocket>>,
        close: &[ListenerId],
    ) -> Result<(), ApplyError> {
        let view = Arc::new(self.view(running));
        let (done, all_done) = mpsc::channel();
        for (worker, open) in self.workers.iter().zip(sockets) {
            let converge =
                Converge { view: Arc::clone(&view), open, close: close.to_vec(), done: Some(done.clone()) };
            worker.order(Order::Converge(converge))?;
        }
        drop(done);
        for _ in &self.workers {
            all_done.recv().map_err(|_| ApplyError::WorkerDied)?;
        }
        Ok(())
    }

    /// Tells the workers that domains have other addresses.
    fn republish(&self) {
        let running = self.running();
        let view = Arc::new(self.view(&running));
        for worker in &self.workers {
            let converge =
                Converge { view: Arc::clone(&view), open: Vec::new(), close: Vec::new(), done: None };
            // A worker that died has been noticed elsewhere.
            let _ = worker.order(Order::Converge(converge));
        }
    }

    fn view(&self, running: &Running) -> View {
        let resolved = |domain: &str| -> Vec<IpAddr> { self.domains.addresses(domain) };
        running.view(&self.quota, &resolved)
    }

    fn log(&self, running: &Running, report: &Report) {
        let (listeners, clusters) = (
            running.wanted.listeners.len(),
            running.wanted.gateways.values().map(|gateway| gateway.config.clusters.len()).sum::<usize>(),
        );
        let restarted = match &report.restarted[..] {
            [] => String::new(),
            some => format!(", restarted: [{}]", some.join("], [")),
        };
        tracing::info!(
            target: "reconciler",
            "configuration in force: {listeners} listeners, {clusters} clusters{restarted}"
        );
        for (gateway, problem) in &report.refused {
            tracing::error!(
                target: "reconciler",
                "could not reconcile new configuration of gateway {gateway:?} (what ran of it runs on): {problem}"
            );
        }
        for (key, listener) in &running.wanted.listeners {
            if let Some(weakness) = listener.security.weakness() {
                tracing::warn!(target: "reconciler", "listener {:?} of gateway {:?}: {weakness}", key.name, key.gateway);
            }
        }
    }

    /// The state of some gateways.
    pub(crate) fn status_of(&self, is_shown: &dyn Fn(&str) -> bool, addresses: Addresses) -> Status {
        let running = self.running();
        let shown = running.wanted.gateways.iter().filter(|(name, _)| is_shown(name));
        // Nobody else would tell about a gateway that has never run.
        let concerns_them = |of: &Option<String>| {
            of.as_deref().is_none_or(|name| is_shown(name) || !running.wanted.gateways.contains_key(name))
        };
        let problems =
            running.problems.iter().filter(|(of, _)| concerns_them(of)).map(|(of, problem)| match of {
                Some(gateway) => format!("gateway {gateway:?}: {problem}"),
                None => problem.clone(),
            });
        let lately = Lately {
            problems: problems.collect(),
            refusals: self.refusals.recent(is_shown, None, addresses),
        };
        Status::of(shown.map(|(_, gateway)| &gateway.config), lately, self.allocations(), self.phase())
    }

    fn phase(&self) -> Phase {
        if self.quota.is_draining() {
            Phase::Terminating
        } else if self.is_ready() {
            Phase::Ready
        } else {
            Phase::NotReady
        }
    }

    pub(crate) fn allocations(&self) -> usize {
        self.metrics.allocations()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.configured.load(Ordering::Acquire) && !self.quota.is_draining()
    }

    pub(crate) fn drain(&self) {
        self.quota.drain();
    }

    pub(crate) fn stop(&self) {
        self.running().servers.clear();
        self.domains.set([]);
        for worker in &self.workers {
            // A worker that died needs no order.
            let _ = worker.order(Order::Stop);
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Shared {
    fn ready(&self) -> bool {
        self.is_ready() || self.options.force_ready && self.configured.load(Ordering::Acquire)
    }

    fn status(&self, named: Option<&str>, in_full: bool, roles: &Roles) -> Option<String> {
        let addresses = if in_full { Addresses::Full } else { Addresses::Networks };
        let status = match named {
            Some(name) if roles.health.contains(name) => {
                self.status_of(&|gateway| gateway == name, addresses)
            }
            Some(_) => return None,
            None => self.status_of(&|gateway| roles.health.contains(gateway), addresses),
        };
        serde_json::to_string(&status).ok()
    }

    fn explain(&self, question: &Question, roles: &Roles) -> Option<String> {
        let answer = {
            let running = self.running();
            let gateways = running.wanted.gateways.iter().filter(|(name, _)| roles.health.contains(*name));
            let view = question.peer.map(|_| self.view(&running));
            let is_shown = |name: &str| roles.health.contains(name);
            let in_full = question.in_full || question.client.is_some();
            let addresses = if in_full { Addresses::Full } else { Addresses::Peers };
            let refusals = self.refusals.recent(&is_shown, question.client, addresses);
            Explanation::of(
                question,
                gateways.map(|(name, gateway)| (name, &gateway.config)),
                view.as_ref(),
                refusals,
            )
        };
        serde_json::to_string(&answer).ok()
    }

    fn metrics(&self) -> String {
        metrics::encode(&self.metrics).unwrap_or_default()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

fn spawn(index: usize, shard: Shard, processor: Option<usize>) -> io::Result<WorkerThread> {
    thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
        if let Some(processor) = processor {
            // Where it runs is a matter of speed only.
            let _ = net::limit::pin_to(processor);
        }
        let end = shard.run();
        if let Err(error) = &end {
            tracing::error!(target: "stunner", "worker {index} ends: {error}");
        }
        end
    })
}

/// A generator seeded by the operating system, to seed the workers' from.
fn system_rng() -> io::Result<ChaCha12Rng> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(ChaCha12Rng::from_seed(seed))
}
