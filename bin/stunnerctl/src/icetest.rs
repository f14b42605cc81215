//! `stunnerctl icetest`: does media get through a gateway, and how well?
//!
//! - `objects`: what a test makes in a cluster, and `cluster`: makes it, waits for it, and removes it again;
//! - `gateway`: whether a gateway is ready to be tested;
//! - `echo`: one test, with its numbers;
//! - `report`: what is printed.

mod cluster;
mod echo;
mod gateway;
mod objects;
mod report;

use std::{io, process::ExitCode, time::Duration};

use anyhow::Context;
use logs::Format;
use signals::Signals;
use tokio::time::timeout;
use whip::{IceServer, ice::IceConfig};

use crate::{
    auth,
    cli::{Global, IcetestArguments, Transport},
    world::World,
};
use cluster::Test;
use echo::{Symmetry, Tester};
use report::{Failed, Kept, complain, completed, phase};

/// The exit code after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Where the icetester of this machine is.
const HERE: &str = "127.0.0.1:8089";

/// How long removing may take, after which the objects' names are printed instead.
const CLEANING: Duration = Duration::from_secs(60);

/// Runs the tests: exit code 0 if all passed, 1 if one failed, 130 after Ctrl-C.
pub(crate) fn main(global: &Global, arguments: &IcetestArguments) -> ExitCode {
    let kept = Kept::default();
    match global.log_spec() {
        Some(spec) => drop(logs::init(spec, Format::Text, io::stderr())),
        None => drop(logs::init(report::DETAILS, Format::Text, kept.clone())),
    }
    let run = async { run(global, arguments, &kept).await };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(run).unwrap_or_else(|error| {
            complain(&format!("Error: {error:#}"));
            1
        })),
        Err(error) => {
            complain(&format!("Error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(global: &Global, arguments: &IcetestArguments, kept: &Kept) -> anyhow::Result<u8> {
    let mut signals = Signals::new().context("cannot receive signals")?;
    let world = World::of(global).await;
    // Who names an icetester needs no cluster.
    let cluster = if arguments.icetester_address.is_some() { None } else { world.cluster()? };
    let test = cluster.map(|cluster| Test::new(global, arguments, &world, cluster.clone())).transpose()?;
    let testing = async {
        match &test {
            Some(test) => test.run().await,
            None => test_what_is_there(global, arguments, &world).await,
        }
    };
    let code = tokio::select! {
        () = signals.next() => {
            complain("ICE tester stopped due to user interrupt");
            INTERRUPTED
        }
        tested = timeout(arguments.timeout, testing) => match tested {
            Ok(Ok(())) => 0,
            Ok(Err(failed)) => {
                failed.report(kept);
                1
            }
            Err(_) => {
                complain(&format!("ICE tester timed out after {:?}", arguments.timeout));
                1
            }
        },
    };
    if let Some(test) = &test {
        clean_up(test, &mut signals).await;
    }
    Ok(code)
}

/// Whatever came of the test; a second signal leaves the rest to whoever sent it.
async fn clean_up(test: &Test<'_>, signals: &mut Signals) {
    let problem = tokio::select! {
        () = signals.next() => "interrupted".to_owned(),
        cleaned = timeout(CLEANING, test.clean_up()) => match cleaned {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("not done within {CLEANING:?}"),
        },
    };
    complain(&format!(
        "Cleaning up: {problem}; what is left of {} goes with --force-cleanup",
        test.describe()
    ));
}

/// The gateway that an authentication service knows, with an icetester that somebody has started.
async fn test_what_is_there(
    global: &Global,
    arguments: &IcetestArguments,
    world: &World,
) -> Result<(), Failed> {
    phase("Obtaining ICE server configuration", None);
    let advice = "is the authentication service there (--auth-server-address), and does it know the gateway?";
    let failed = Failed::advising(advice);
    let service = auth::find(world, &arguments.service).await.map_err(&failed)?;
    let config = ice_config(&service, &target(global, arguments)).await.map_err(&failed)?;
    completed();
    let address = arguments.icetester_address.as_deref().unwrap_or(HERE);
    let tester = Tester::at(address);
    for symmetry in [Symmetry::Asymmetric, Symmetry::Symmetric] {
        for transport in transports(arguments) {
            let servers = over(&config, transport)?;
            let theirs = if symmetry == Symmetry::Asymmetric { Vec::new() } else { servers.clone() };
            echo::test(arguments, (symmetry, transport), &tester, servers, &theirs).await?;
        }
    }
    Ok(())
}

fn transports(arguments: &IcetestArguments) -> Vec<Transport> {
    match &arguments.transports[..] {
        [] => vec![Transport::Udp, Transport::Tcp],
        some => some.to_vec(),
    }
}

/// What an authentication service tells applications.
async fn ice_config(service: &auth::Service, target: &str) -> anyhow::Result<IceConfig> {
    serde_json::from_str(&service.ask(target).await?).context("the authentication service answers no JSON")
}

/// Those servers that are reached over a transport.
fn over(config: &IceConfig, transport: Transport) -> Result<Vec<IceServer>, Failed> {
    let found: Vec<_> =
        config.servers.iter().filter_map(|server| server.over(transport.parameter())).collect();
    if found.is_empty() {
        return Err(Failed {
            error: format!("the gateway has no listener for {}", transport.name()),
            advice: "add a listener of that protocol to the Gateway, or name other transports",
        });
    }
    Ok(found)
}

fn target(global: &Global, arguments: &IcetestArguments) -> String {
    let namespace = global.kubernetes.namespace.as_deref().unwrap_or("default");
    match &arguments.gateway {
        Some(gateway) => format!("/ice?service=turn&namespace={namespace}&gateway={gateway}"),
        None => "/ice?service=turn".to_owned(),
    }
}

impl Transport {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Udp => "TURN-UDP",
            Self::Tcp => "TURN-TCP",
        }
    }

    /// As URIs of ICE servers have it.
    const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}
