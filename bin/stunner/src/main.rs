//! `stunner`: a WebRTC media gateway on one machine, from Gateway API YAML.
//!
//! The renderer, the dataplane, config discovery and the authentication service, which are programs of their own on a
//! cluster, run here in one process and are joined by values instead of by a network.
#![forbid(unsafe_code)]

mod address;
mod convert;
mod demo;
mod gateway_process;
mod page;
mod ports;
mod table;
mod terminal;
mod up;
mod watch;
mod web;
mod world;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A WebRTC media gateway, configured with the Kubernetes Gateway API, on this machine.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the Gateways of YAML files, and follow the files as they change.
    Up(up::Options),
    /// Run the tutorial: two Gateways and a video call application to try them with.
    Demo(demo::Options),
    /// Print a coturn configuration as Gateway API YAML, and name what it cannot carry.
    Convert(convert::Options),
    /// Print a completion script.
    Completion {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    flags::print_pages::<Arguments>();
    let command = Arguments::parse().command;
    // The first choice is the only one; nothing has chosen before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Command::Up(options) => up::run(options).await,
                Command::Demo(options) => demo::run(options).await,
                Command::Convert(options) => convert::run(&options),
                Command::Completion { shell } => {
                    let (mut command, mut out) = (Arguments::command(), std::io::stdout());
                    clap_complete::generate(shell, &mut command, "stunner", &mut out);
                    Ok(ExitCode::SUCCESS)
                }
            }
        })
    });
    result.unwrap_or_else(|error| {
        terminal::report(&format!("stunner: {error:#}"));
        ExitCode::FAILURE
    })
}
