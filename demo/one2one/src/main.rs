//! The one-to-one call application as a program of its own.
#![forbid(unsafe_code)]

#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Context as _;
use one2one::cli::Cli;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::from_args(std::env::args_os());
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&cli.log);
    let level = filter.as_ref().err().map(|error| format!("--log: {error}"));
    tracing_subscriber::fmt().with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("info"))).init();
    if let Some(problem) = level {
        anyhow::bail!(problem);
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping");
    };
    one2one::serve(cli.settings()?, shutdown).await?;
    Ok(())
}
