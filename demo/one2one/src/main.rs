//! The one-to-one call application as a program of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Context as _;
use one2one::cli::Cli;
use signals::Signals;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::from_args(std::env::args_os());
    logs::init(&cli.log, cli.log_format, std::io::stdout());
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let mut signals = Signals::new().context("cannot receive signals")?;
    let shutdown = async move {
        signals.next().await;
        tracing::info!("stopping");
    };
    one2one::serve(cli.settings()?, shutdown).await?;
    Ok(())
}
