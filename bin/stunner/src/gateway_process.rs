//! What a cluster spreads over several programs, joined in this process: files, renderer, dataplane, discovery and
//! authentication service.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use config::Config;
use dataplane::{ApplyError, Dataplane};
use signals::Signals;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinSet, block_in_place},
    time,
};
use tokio_util::sync::CancellationToken;

use crate::{
    address,
    page::View,
    ports::{self, Transport},
    table,
    terminal::{print, report},
    watch::Watch,
    web,
    world::{Source, State, World},
};

/// Where this machine is and where the services listen.
#[derive(Debug, clap::Args)]
pub(crate) struct Machine {
    /// Address that clients are told to connect to, unless their Gateway's `spec.addresses` says otherwise
    /// [default: the address of the default route's interface]
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// IP address where relayed addresses live, as peers see them [default: that of --address]
    #[arg(long, value_name = "IP")]
    relay_address: Option<IpAddr>,
    /// Address of the config discovery service
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:13478")]
    discovery_address: SocketAddr,
    /// Address of the authentication service
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8088")]
    auth_address: SocketAddr,
    /// Address of the status page, and of /live, /ready and /status
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8086")]
    status_address: SocketAddr,
    /// Worker threads that handle packets; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
    /// Send packets between two clients of this process through both their relay sockets
    #[arg(long)]
    no_short_cut: bool,
    /// Set by programs, not by users: the port of all Gateways, whatever the files say.
    #[arg(skip)]
    pub gateway_port: Option<u16>,
    #[command(flatten)]
    log: flags::Log,
}

impl Machine {
    /// What to type into a browser on this machine; names in other machines' browsers are their users' business.
    pub(crate) fn page_host(&self) -> String {
        self.address.clone().unwrap_or_else(|| "localhost".to_owned())
    }

    /// The files as this machine sees them.
    ///
    /// # Errors
    /// `--address` is a host name and there is no `--relay-address`.
    pub(crate) fn world(&self, source: Source) -> Result<World> {
        let public = self.address.clone().unwrap_or_else(|| address::of_default_route().to_string());
        let Some(relay) = self.relay_address.or_else(|| public.parse().ok()) else {
            bail!("--address {public:?} is a host name; give an IP address with --relay-address too");
        };
        Ok(World::new(source, public, relay).on_port(self.gateway_port))
    }
}

/// How often the end of the last allocation is looked for.
const DRAIN_POLL: Duration = Duration::from_millis(200);

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Calls end with the process.
    AtOnce,
    /// No new allocations; the process ends with the last one, or with a second signal.
    AfterCalls,
}

/// A gateway that runs.
pub(crate) struct GatewayProcess {
    world: World,
    watch: Watch,
    state: State,
    dataplane: Arc<Dataplane>,
    store: cds::Store,
    configs: watch::Sender<Arc<BTreeMap<String, Config>>>,
    view: Arc<watch::Sender<View>>,
    stop: CancellationToken,
    services: JoinSet<()>,
    links: Vec<(&'static str, String)>,
    signals: Signals,
    /// Where the authentication service listens.
    pub auth: SocketAddr,
    /// Where the status page is.
    pub status: SocketAddr,
}

impl GatewayProcess {
    /// Takes all addresses, reads the files and starts serving.
    ///
    /// # Errors
    /// An address is taken, the files cannot be used or watched, or signals cannot be received. Nothing runs then.
    pub(crate) async fn start(
        machine: &Machine,
        source: Source,
        links: Vec<(&'static str, String)>,
    ) -> Result<Self> {
        // First: a signal during start-up is not lost.
        let signals = Signals::new()?;
        logs::init(machine.log.spec().unwrap_or("all:INFO"), machine.log.log_format, std::io::stderr());
        let world = machine.world(source)?;
        // Before the first look, or a change between the two would go unseen.
        let watch = Watch::new(world.files())?;
        let state = world.read(&State::default()).map_err(|errors| anyhow::anyhow!(lines(&errors)))?;
        let discovery = listen("config discovery", machine.discovery_address, "--discovery-address").await?;
        let auth = listen("authentication service", machine.auth_address, "--auth-address").await?;
        let status = listen("status page", machine.status_address, "--status-address").await?;
        let options = dataplane::Options {
            workers: machine.workers,
            headless_short_cut: !machine.no_short_cut,
            ..dataplane::Options::default()
        };
        let dataplane = Dataplane::start(options).context("cannot start the dataplane")?;
        let (configs, configs_seen) = watch::channel(Arc::default());
        let (view, view_seen) = watch::channel(View::default());
        let mut process = Self {
            world,
            watch,
            state: State::default(),
            dataplane: Arc::new(dataplane),
            store: cds::Store::new(),
            configs,
            view: Arc::new(view),
            stop: CancellationToken::new(),
            services: JoinSet::new(),
            links: Vec::new(),
            signals,
            auth: auth.local_addr()?,
            status: status.local_addr()?,
        };
        process.apply(state).map_err(|error| anyhow::anyhow!(error))?;
        let links = process.own_links(discovery.local_addr()?, links);
        process.links = links.clone();
        process.view.send_modify(|view| view.links = links);
        process.serve(discovery, cds::server::router(process.store.clone()));
        process.serve(auth, auth::server::router(configs_seen, auth::server::Settings::default()));
        process.serve(status, web::router(Arc::clone(&process.dataplane), view_seen));
        Ok(process)
    }

    /// What is served where, a line each.
    pub(crate) fn services(&self) -> String {
        let status = ("status page", format!("http://{}/", self.status));
        let all = std::iter::once(&status).chain(&self.links);
        all.map(|(name, url)| format!("{name}: {url}\n")).collect()
    }

    fn own_links(
        &self,
        discovery: SocketAddr,
        more: Vec<(&'static str, String)>,
    ) -> Vec<(&'static str, String)> {
        let own = [
            ("authentication service", format!("http://{}/ice?service=turn", self.auth)),
            ("config discovery", format!("http://{discovery}/api/v1/configs")),
        ];
        more.into_iter().chain(own).collect()
    }

    fn serve(&mut self, listener: TcpListener, router: axum::Router) {
        let stop = self.stop.clone();
        self.services.spawn(async move {
            if let Err(error) = cds::server::serve(listener, router, stop).await {
                tracing::error!(%error, "cannot serve");
            }
        });
    }

    /// Follows the files until the process is told to stop, then lets calls end.
    pub(crate) async fn run(mut self, stop: Stop) {
        loop {
            tokio::select! {
                () = self.watch.changed() => self.reload(),
                () = self.signals.next() => break,
            }
        }
        if stop == Stop::AfterCalls {
            self.drain().await;
        }
        self.stop.cancel();
        while self.services.join_next().await.is_some() {}
    }

    async fn drain(&mut self) {
        self.dataplane.drain();
        let left = self.dataplane.allocations();
        if left > 0 {
            report(&format!("waiting for {left} allocations to end; interrupt again to stop at once"));
        }
        let dataplane = Arc::clone(&self.dataplane);
        let drained = async {
            while dataplane.allocations() > 0 {
                time::sleep(DRAIN_POLL).await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = self.signals.next() => {}
        }
    }

    fn reload(&mut self) {
        let state = match self.world.read(&self.state) {
            Ok(state) => state,
            Err(errors) => {
                report(&format!("{}\nnothing was changed; what worked goes on", lines(&errors)));
                self.view
                    .send_modify(|view| view.problems = errors.iter().map(ToString::to_string).collect());
                return;
            }
        };
        if state == self.state && self.view.borrow().problems == self.state.problems() {
            return;
        }
        if let Err(error) = self.apply(state) {
            report(&format!("{error}\nnothing was changed; what worked goes on"));
            self.view.send_modify(|view| view.problems = vec![error]);
        }
    }

    /// Makes a state the one in force, or says why it cannot be.
    fn apply(&mut self, mut state: State) -> Result<(), String> {
        let wanted = self.world.for_dataplane(&state).map_err(|error| error.to_string())?;
        let applied =
            block_in_place(|| self.dataplane.apply(&wanted)).map_err(|error| explain(&error, &wanted))?;
        state.keep_refused(&self.state, &applied.refused);
        self.store.set(state.rendered.configs.clone());
        self.configs.send_replace(Arc::new(state.rendered.configs.clone()));
        self.view.send_modify(|view| {
            view.overview = state.overview.clone();
            view.problems = state.problems();
        });
        let new_kinds: Vec<_> = state.skipped.difference(&self.state.skipped).map(String::as_str).collect();
        if !new_kinds.is_empty() {
            report(&format!("not needed on one machine, skipped: {}", new_kinds.join(", ")));
        }
        if state.overview != self.state.overview {
            print(&table::render(&state.overview));
        }
        let known = self.state.problems();
        state
            .problems()
            .iter()
            .filter(|problem| !known.contains(problem))
            .for_each(|problem| report(problem));
        self.state = state;
        Ok(())
    }
}

/// What cannot be applied, and if a port is taken, by whom.
fn explain(error: &ApplyError, configs: &BTreeMap<String, Config>) -> String {
    let ApplyError::Listen { listener, source, .. } = error else { return error.to_string() };
    let mut listeners = configs.values().flat_map(|config| &config.listeners);
    let Some(found) = listeners.find(|candidate| candidate.name == *listener) else {
        return error.to_string();
    };
    let transport = if found.protocol.is_datagram() { Transport::Udp } else { Transport::Tcp };
    let address = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), found.port);
    let remedy = "choose another port in the Gateway's listener, or with --gateway-port in the demo";
    ports::explain(&format!("listener {listener}"), transport, address, source, remedy)
}

/// One per line.
pub(crate) fn lines<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Takes an address, or says who has it and which option chooses another.
pub(crate) async fn listen(what: &str, address: SocketAddr, option: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = format!("choose another address with {option}");
        anyhow::anyhow!(ports::explain(what, Transport::Tcp, address, &error, &remedy))
    })
}
