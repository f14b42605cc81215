//! `stunner-auth`: hands out ICE servers and TURN credentials over HTTP.
#![forbid(unsafe_code)]

mod arguments;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use auth::{server, watch};
use cds::Scope;
use cds::serve::{Limits, serve};
use clap::Parser as _;
use tokio::net::TcpListener;

use arguments::{Arguments, UNSPECIFIED};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections at a time: few applications ask, so many connections are no good sign.
const CONNECTIONS: usize = 1024;

fn main() -> ExitCode {
    flags::print_pages::<Arguments>();
    let arguments = Arguments::parse();
    logs::init(arguments.log.spec().unwrap_or("all:INFO"), arguments.log.log_format, std::io::stdout());
    tracing::info!(target: "authd", "starting stunner-auth, {}", *flags::VERSION);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime.context("cannot start").and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(target: "authd", "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs until a signal says that it is enough.
async fn run(arguments: &Arguments) -> Result<()> {
    let origin = arguments.origin()?;
    let news = cds::watch(&origin, Scope::All, arguments.options())?;
    let followed = watch::follow(news, arguments.group_by(&origin));
    let settings = arguments.settings(followed.synced);
    let stop = signals::stop_on_signal().context("cannot receive signals")?;
    let listener = listen(arguments.bind, arguments.port).await?;
    tracing::info!(target: "authd", address = %listener.local_addr()?, %origin, "listening");
    let limits = Limits { connections: CONNECTIONS, ..Limits::default() };
    serve(listener, server::router(followed.configs, settings), limits, stop).await;
    tracing::info!(target: "authd", "stopped");
    Ok(())
}

async fn listen(address: IpAddr, port: u16) -> Result<TcpListener> {
    let bind = |address| TcpListener::bind(SocketAddr::new(address, port));
    let listener = match bind(address).await {
        // A machine without IPv6 has no address for all interfaces but this one.
        Err(_) if address == UNSPECIFIED => bind(IpAddr::from([0, 0, 0, 0])).await,
        bound => bound,
    };
    listener.with_context(|| format!("cannot listen on port {port} of {address} (--port, --bind)"))
}
