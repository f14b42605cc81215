//! `stunnerd`, the dataplane daemon: takes a configuration from a file, a discovery server or a TURN URI, runs it,
//! follows its changes, and drains when asked to end.

#![forbid(unsafe_code)]

mod certificate;
mod cli;
mod daemon;
mod identity;

use std::process::ExitCode;

use clap::Parser as _;

use cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flags::print_pages::<Cli>();
    let cli = Cli::parse();
    // The first choice is the only one; nothing has chosen before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let lines = logs::init(cli.log_spec().unwrap_or(cli::DEFAULT_LOG), cli.log_format(), std::io::stdout());
    tracing::info!(target: "stunnerd", "starting stunnerd, {}", *flags::VERSION);
    let end = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(daemon::run(&cli, &lines)));
    match end {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(target: "stunnerd", "{error:#}");
            ExitCode::FAILURE
        }
    }
}
