//! `stunnerctl` looks after a gateway: what it is configured to do, and what its discovery server knows.

#![forbid(unsafe_code)]

mod auth;
mod cli;
mod configs;
mod explain;
mod format;
mod icetest;
mod jsonpath;
mod license;
mod pods;
mod running_config;
mod status;
mod summary;
mod world;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

fn main() -> ExitCode {
    flags::print_pages::<Cli>();
    let cli = Cli::parse();
    if let Command::Icetest(arguments) = &cli.command {
        return icetest::main(&cli.global, arguments);
    }
    logs::init(cli.global.log_spec().unwrap_or("all:WARN"), logs::Format::Text, io::stderr());
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "Error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let global = &cli.global;
    match cli.command {
        Command::Config(arguments) => wait(configs::run(global, &arguments)),
        Command::Status(arguments) => wait(status::run(global, &arguments)),
        Command::Auth(arguments) => wait(auth::run(global, &arguments)),
        Command::RunningConfig(arguments) => wait(running_config::run(global, &arguments)),
        Command::License(arguments) => wait(license::run(global, &arguments)),
        Command::Explain(arguments) => wait(explain::run(global, &arguments)),
        Command::Icetest(_) => Ok(()),
        Command::Version => Ok(writeln!(io::stdout(), "{}", *flags::VERSION)?),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "stunnerctl", &mut io::stdout());
            Ok(())
        }
    }
}

fn wait(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

/// `stunnerctl ... | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
