//! `stunner up`: the Gateways of YAML files, on this machine.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use config::{Config, Secret};

use crate::{
    gateway_process::{GatewayProcess, Machine, Stop, lines},
    table,
    terminal::{print, report},
    world::{Source, State},
};

/// Options of `stunner up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// YAML file, or directory of such files; may be given several times
    #[arg(short, long = "filename", value_name = "FILE|DIR", required = true)]
    filename: Vec<PathBuf>,
    /// Print what would run and what is wrong with it, and exit: 0 if nothing is, else 1
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Runs until a signal; with `--dry-run`, says what it would run.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let source = Source::Files(options.filename);
    if options.dry_run {
        return dry_run(&options.machine, source);
    }
    let gateway = GatewayProcess::start(&options.machine, source, Vec::new()).await?;
    print(&gateway.services());
    gateway.run(Stop::AfterCalls).await;
    Ok(ExitCode::SUCCESS)
}

fn dry_run(machine: &Machine, source: Source) -> Result<ExitCode> {
    let world = machine.world(source)?;
    let state = match world.read(&State::default()) {
        Ok(state) => state,
        Err(errors) => {
            report(&lines(&errors));
            return Ok(ExitCode::FAILURE);
        }
    };
    print(&table::render(&state.overview));
    for config in state.rendered.configs.values() {
        print(&format!("---\n{}", without_secrets(config).to_yaml()));
    }
    let problems = state.problems();
    report(&lines(&problems));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A dry run ends up in terminals, tickets and build logs.
fn without_secrets(config: &Config) -> Config {
    let mut config = config.clone();
    let credentials = &mut config.auth.credentials;
    let secrets = [
        &mut credentials.username,
        &mut credentials.password,
        &mut credentials.secret,
        &mut credentials.previous_username,
        &mut credentials.previous_password,
        &mut credentials.previous_secret,
    ];
    for secret in secrets.into_iter().flatten() {
        *secret = Secret::new("<SECRET>");
    }
    for listener in config.listeners.iter_mut().filter(|listener| !listener.key.is_empty()) {
        listener.key = Secret::new("<SECRET>");
    }
    config
}
