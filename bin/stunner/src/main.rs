//! `stunner`: a WebRTC media gateway on one machine, from Gateway API YAML.
//!
//! The renderer, the dataplane, config discovery and the authentication service, which are programs of their own on a
//! cluster, run here in one process and are joined by values instead of by a network.
#![forbid(unsafe_code)]

mod address;
mod demo;
mod gateway_process;
mod page;
mod ports;
mod table;
mod up;
mod watch;
mod web;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match command {
                Command::Up(options) => up::run(options).await,
                Command::Demo(options) => demo::run(options).await,
            }
        })
    });
    result.unwrap_or_else(|error| {
        report(&format!("stunner: {error:#}"));
        ExitCode::FAILURE
    })
}

/// What the user has to know, beside the log.
#[expect(clippy::print_stderr, reason = "this is what standard error is for")]
pub(crate) fn report(text: &str) {
    eprintln!("{}", text.trim_end());
}

/// What the user asked for.
#[expect(clippy::print_stdout, reason = "this is what standard output is for")]
pub(crate) fn print(text: &str) {
    println!("{}", text.trim_end());
}
