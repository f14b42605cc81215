//! From the command line to the end of the process.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cds::{Event, Origin, Scope, Watch};
use config::Config;
use config::uri::TurnUri;
use dataplane::{Dataplane, Options};
use signals::Signals;
use tokio::time::interval;

use crate::cli::Cli;
use crate::{certificate, identity};

/// How often the workers are looked at, and while draining, the allocations.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until asked to end. An error means that there never was anything to run.
pub(crate) async fn run(cli: &Cli, logs: &logs::Handle) -> anyhow::Result<ExitCode> {
    // First: a signal during start-up is not lost.
    let signals = Signals::new()?;
    let options = Options {
        workers: cli.udp_thread_num,
        force_ready: cli.force_ready_status,
        dry_run: cli.dry_run,
        headless_short_cut: !cli.no_short_cut,
        ..Options::default()
    };
    let daemon = Daemon {
        dataplane: Dataplane::start(options).context("cannot start the workers")?,
        id: identity::id(cli.id(), &|name| std::env::var(name).ok()),
        // Levels from the command line stay for the whole run.
        logs: cli.log_spec().is_none().then_some(logs),
    };
    tracing::info!(target: "stunnerd", "id {:?}, {} workers", daemon.id, daemon.dataplane.workers());
    let watch = daemon.configure(cli).await?;
    daemon.serve(signals, watch).await
}

struct Daemon<'l> {
    dataplane: Dataplane,
    id: String,
    logs: Option<&'l logs::Handle>,
}

impl Daemon<'_> {
    /// Applies the first configuration, and returns what brings the next ones.
    async fn configure(&self, cli: &Cli) -> anyhow::Result<Option<Watch>> {
        if let Some(uri) = cli.turn_uri() {
            self.reconcile(&from_uri(uri)?);
            return Ok(None);
        }
        let origin: Origin = cli.origin()?.parse().context("cannot watch the configuration")?;
        let scope = self.scope(&origin)?;
        let node = std::env::var("STUNNER_NODENAME").ok().filter(|node| !node.is_empty());
        // A terminating gateway must not cut its live sessions off.
        let options =
            cds::Options { node, suppress_deletions: true, access: cli.access(), ..cds::Options::default() };
        if !cli.watch {
            let loaded = cds::load(&origin, &scope, &options).await;
            let loaded = loaded.with_context(|| format!("cannot load the configuration from {origin}"))?;
            loaded.iter().for_each(|config| self.reconcile(config));
            return Ok(None);
        }
        // Live, but not ready, until there is something to serve.
        self.reconcile(&Config::zero(&self.id));
        let watch = cds::watch(&origin, scope, options);
        Ok(Some(watch.with_context(|| format!("cannot watch the configuration from {origin}"))?))
    }

    /// The one gateway of this process. A file has only one anyway, whatever it is called.
    fn scope(&self, origin: &Origin) -> anyhow::Result<Scope> {
        match (self.id.parse(), origin) {
            (Ok(scope), _) => Ok(scope),
            (Err(_), Origin::File(_)) => Ok(Scope::All),
            (Err(error), _) => Err(error.into()),
        }
    }

    fn reconcile(&self, config: &Config) {
        if let Err(error) = self.dataplane.apply(&[(self.id.clone(), config.clone())].into()) {
            tracing::error!(
                target: "stunnerd",
                "could not reconcile new configuration (running configuration unchanged): {error}"
            );
        }
        if let Some(logs) = self.logs {
            logs.set(&config.admin.loglevel);
        }
    }

    /// Follows the configuration until a signal comes, then drains.
    async fn serve(self, mut signals: Signals, mut watch: Option<Watch>) -> anyhow::Result<ExitCode> {
        let mut look = interval(LOOK);
        loop {
            tokio::select! {
                event = next(&mut watch) => match event {
                    Event::Config(config) => self.reconcile(&config),
                    Event::Deleted(_) | Event::Synced => {}
                },
                () = signals.next() => break,
                _ = look.tick() => self.look()?,
            }
        }
        // From here on no configuration is taken.
        drop(watch);
        self.dataplane.drain();
        let active = self.dataplane.allocations();
        tracing::info!(target: "stunnerd", "draining, {active} allocations are in use; a second signal ends them");
        while self.dataplane.allocations() > 0 {
            tokio::select! {
                () = signals.next() => {
                    let active = self.dataplane.allocations();
                    tracing::warn!(target: "stunnerd", "ending at once, {active} allocations are cut off");
                    return Ok(ExitCode::FAILURE);
                }
                _ = look.tick() => self.look()?,
            }
        }
        tracing::info!(target: "stunnerd", "drained");
        Ok(ExitCode::SUCCESS)
    }

    /// A process with a dead worker serves a part of its clients: better none, and a new process.
    fn look(&self) -> anyhow::Result<()> {
        if !self.dataplane.healthy() {
            bail!("a worker has died");
        }
        Ok(())
    }
}

/// The next event of a watch; without a watch, never.
async fn next(watch: &mut Option<Watch>) -> Event {
    if let Some(events) = watch
        && let Some(event) = events.next().await
    {
        return event;
    }
    std::future::pending().await
}

/// One listener for the URI's credentials that relays to anyone. On a loopback address, which is for trying things
/// out, anyone includes this machine.
fn from_uri(text: &str) -> anyhow::Result<Config> {
    let uri: TurnUri = text.parse()?;
    let certificate = uri.protocol.is_secure().then(|| certificate::self_signed(&uri.host)).transpose()?;
    let mut config = uri.to_config(certificate)?;
    let loopback = config
        .listeners
        .iter()
        .any(|listener| listener.relay_address().is_ok_and(|address| address.to_canonical().is_loopback()));
    if loopback {
        for cluster in &mut config.clusters {
            cluster.endpoints.extend(["127.0.0.0/8".to_owned(), "::1".to_owned()]);
        }
    }
    Ok(config)
}
