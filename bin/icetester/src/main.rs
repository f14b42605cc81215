//! `icetester` answers WebRTC offers over WHIP and sends back what comes on their channels.
#![forbid(unsafe_code)]

mod arguments;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use tokio::net::TcpListener;
use whip::server::Server;

use arguments::Arguments;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flags::print_pages::<Arguments>();
    let arguments = Arguments::parse();
    logs::init(arguments.log.spec().unwrap_or("all:WARN"), arguments.log.log_format, std::io::stdout());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.context("cannot start").and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "icetester: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal says that it is enough.
async fn run(arguments: &Arguments) -> Result<()> {
    let stop = signals::stop_on_signal().context("cannot receive signals")?;
    let server = Server::new(arguments.settings()?);
    let addr = arguments.addr;
    let listener = TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {addr}"))?;
    let _ = writeln!(std::io::stdout(), "icetester listening on {}", listener.local_addr()?);
    Ok(server.serve(listener, stop).await?)
}
