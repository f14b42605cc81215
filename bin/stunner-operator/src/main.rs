//! `stunner-operator`: the gateway operator.
#![forbid(unsafe_code)]

mod arguments;
mod cluster;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use operator::{Operator, lease, serve};

use arguments::Arguments;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flags::print_pages::<Arguments>();
    let arguments = Arguments::parse();
    logs::init(&arguments.log_spec(), arguments.log_format(), std::io::stdout());
    tracing::info!(target: "operator", "starting stunner-operator, {}", *flags::VERSION);
    // Each watcher of configurations holds a connection.
    if let Err(error) = net::limit::raise_open_files() {
        tracing::warn!(target: "operator", %error, "the limit of open files stays as low as it is");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.context("cannot start").and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(target: "operator", "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until a signal says that it is enough.
async fn run(arguments: &Arguments) -> Result<()> {
    let settings = arguments.settings()?;
    let stop = signals::stop_on_signal().context("cannot receive signals")?;
    let client = cluster::client(arguments.kubeconfig.as_deref()).await?;
    let listeners =
        serve::Listeners::bind(arguments.discovery()?, arguments.probes()?, arguments.metrics()?).await?;
    let security = arguments.security(&client)?;
    let election = match arguments.lease_namespace()? {
        Some(namespace) => lease::hold(client.clone(), lease::Settings::new(namespace), stop.clone()),
        None => lease::always(),
    };
    let store = cds::Store::new();
    let operator = Operator::new(client, settings, store.clone(), election.leader);
    let served = tokio::spawn(listeners.serve(store, operator.view(), security, stop.clone()));
    operator.run(stop).await?;
    election.ended.await.context("the lease is lost")?;
    served.await.context("a server failed")?;
    tracing::info!(target: "operator", "stopped");
    Ok(())
}
