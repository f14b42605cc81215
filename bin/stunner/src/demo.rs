//! `stunner demo`: the tutorial on this machine.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Result, anyhow};
use one2one::{Application, Listen, StartError};
use tokio_util::sync::CancellationToken;

use crate::{
    gateway_process::{GatewayProcess, Machine, Stop},
    ports::{self, Transport},
    terminal::print,
    world::Source,
};

/// The tutorial's manifest: where it is in the repository, and as it was when the program was built.
const MANIFEST: &str = "docs/examples/direct-one2one-call/direct-one2one-call-stunner.yaml";
const MANIFEST_TEXT: &str =
    include_str!("../../../docs/examples/direct-one2one-call/direct-one2one-call-stunner.yaml");

/// Options of `stunner demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// YAML file or directory to run instead of the tutorial's; may be given several times
    #[arg(short, long = "filename", value_name = "FILE|DIR")]
    filename: Vec<PathBuf>,
    /// Port of the call application
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    app_port: u16,
    /// Port of all Gateways, whatever the YAML says
    #[arg(long, value_name = "PORT")]
    gateway_port: Option<u16>,
    #[command(flatten)]
    machine: Machine,
}

/// Runs until a signal.
pub(crate) async fn run(options: Options) -> Result<ExitCode> {
    let Options { filename, app_port, gateway_port, mut machine } = options;
    machine.gateway_port = gateway_port;
    let host = machine.page_host();
    let link = ("call application", format!("https://{host}:{app_port}/"));
    let gateway = GatewayProcess::start(&machine, source(filename), vec![link]).await?;
    let mut settings = one2one::Settings::new(
        Listen::Everywhere(app_port),
        gateway.auth.ip().to_string(),
        gateway.auth.port(),
    );
    settings.host = host;
    let application = Application::bind(settings).await.map_err(|error| explain(error, app_port))?;
    print(&what_next(&application.url(), &gateway));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(application.run(stop.clone().cancelled_owned()));
    gateway.run(Stop::AtOnce).await;
    stop.cancel();
    serving.await?;
    Ok(ExitCode::SUCCESS)
}

fn explain(error: StartError, port: u16) -> anyhow::Error {
    match error {
        StartError::Listen(_, error) => {
            let address = (Ipv4Addr::UNSPECIFIED, port).into();
            let remedy = "choose another port with --app-port";
            anyhow!(ports::explain("call application", Transport::Tcp, address, &error, remedy))
        }
        other @ StartError::Tls(_) => other.into(),
    }
}

fn what_next(application: &str, gateway: &GatewayProcess) -> String {
    let (status, auth) = (gateway.status, gateway.auth);
    format!(
        "
Ready. To make a call:

  1. Open {application} in a browser and accept the certificate, which was made for this run.
  2. Type a name, press Register. Do the same with another name in a second window.
  3. Type the other name as Peer, press Call, and accept in the other window.

While you talk:

  status page            http://{status}/
  what clients are told  curl 'http://{auth}/ice?service=turn'
  what runs              cmd/stunnerctl/stunnerctl running-config stunner/stunnerd-config
  change something       copy {MANIFEST},
                         start again with -f COPY, and edit COPY during a call

Ctrl-C stops everything.
"
    )
}

fn source(files: Vec<PathBuf>) -> Source {
    if !files.is_empty() {
        Source::Files(files)
    } else if Path::new(MANIFEST).exists() {
        Source::Files(vec![MANIFEST.into()])
    } else {
        Source::BuiltIn { name: "the built-in manifest", text: MANIFEST_TEXT }
    }
}
