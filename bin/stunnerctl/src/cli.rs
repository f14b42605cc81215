//! The command line.

use std::net::IpAddr;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{format::Format, running_config::ConfigName};

/// Looks after a gateway.
#[derive(Parser)]
#[command(name = "stunnerctl", version = flags::VERSION.as_str(), max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print or watch the configurations of gateways
    #[command(alias = "stunner-config")]
    Config(ConfigArguments),
    /// Print what dataplanes are doing
    #[command(alias = "dataplane-status")]
    Status(StatusArguments),
    /// Ask the authentication service for ICE servers or TURN credentials
    #[command(alias = "get-credential")]
    Auth(AuthArguments),
    /// Print credentials and listeners of one configuration
    ///
    /// NAMESPACE/stunnerd-config is the ConfigMap of that name, or stands for all gateways of a namespace.
    RunningConfig(RunningConfigArguments),
    /// Print what the discovery server says about its licence
    #[command(alias = "license-status")]
    License(LicenseArguments),
    /// Ask dataplanes which listener, route and cluster decide about a peer, and why clients were refused
    Explain(ExplainArguments),
    /// Send data channel messages through a gateway, and tell what got lost and how long it took
    ///
    /// Needs an icetester and an authentication service that can be reached from here.
    Icetest(IcetestArguments),
    /// Print version and origin of this program
    Version,
    /// Print a script that completes commands in a shell
    Completion {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Args)]
pub(crate) struct ConfigArguments {
    /// Name of the gateway, or NAMESPACE/NAME; all of the namespace if left out
    pub(crate) gateway: Option<String>,
    /// Go on with printing whenever a configuration changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Ask for the configuration as this node gets it
    #[arg(long, value_name = "NAME", requires = "gateway", conflicts_with = "all_namespaces")]
    pub(crate) node: Option<String>,
    #[command(flatten)]
    pub(crate) server: flags::Discovery,
}

#[derive(Args)]
pub(crate) struct RunningConfigArguments {
    /// Which configuration
    #[arg(value_name = "NAMESPACE/NAME")]
    pub(crate) name: ConfigName,
    #[command(flatten)]
    pub(crate) server: flags::Discovery,
}

/// Which dataplanes to ask.
#[derive(Args)]
pub(crate) struct Dataplanes {
    /// Name of the gateway, or NAMESPACE/NAME; all of the namespace if left out
    pub(crate) gateway: Option<String>,
    /// Name of one of the gateway's pods
    #[arg(long, value_name = "NAME", requires = "gateway")]
    pub(crate) pod_name: Option<String>,
    /// The pods' health port
    #[arg(long, value_name = "PORT", default_value_t = 8086)]
    pub(crate) pod_port: u16,
}

#[derive(Args)]
pub(crate) struct StatusArguments {
    /// Address of a dataplane's health port, instead of looking for pods in a cluster
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) pod_address: Option<String>,
    #[command(flatten)]
    pub(crate) dataplanes: Dataplanes,
}

#[derive(Args)]
pub(crate) struct AuthArguments {
    /// Name of the gateway, or NAMESPACE/NAME; any if left out
    pub(crate) gateway: Option<String>,
    /// Ask for a TURN credential instead of ICE servers
    #[arg(long)]
    pub(crate) auth_turn_credential: bool,
    /// User to ask for, if credentials are ephemeral
    #[arg(short, long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// How long credentials are to be good for, if they are ephemeral
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u32>,
    /// What the configuration is to say about candidates: all or relay
    #[arg(long, value_name = "POLICY")]
    pub(crate) ice_transport_policy: Option<String>,
    /// Address of the authentication service, instead of looking for its pod in a cluster
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) auth_server_address: Option<String>,
    /// Namespace to look for the authentication service in, instead of all
    #[arg(long, value_name = "NAME")]
    pub(crate) auth_service_namespace: Option<String>,
    /// Port of the authentication service
    #[arg(long, value_name = "PORT", default_value_t = 8088)]
    pub(crate) auth_service_port: u16,
}

#[derive(Args)]
pub(crate) struct ExplainArguments {
    /// Address of a dataplane's health port, instead of looking for pods in a cluster
    #[arg(long, alias = "pod-address", value_name = "HOST:PORT")]
    pub(crate) admin: Option<String>,
    #[command(flatten)]
    pub(crate) dataplanes: Dataplanes,
    /// May clients reach this peer?
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub(crate) peer: Option<String>,
    /// Only refusals of clients at this address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) client: Option<IpAddr>,
    /// Show the addresses of clients in full
    #[arg(long)]
    pub(crate) addresses: bool,
}

#[derive(Args)]
pub(crate) struct LicenseArguments {
    #[arg(hide = true)]
    pub(crate) ignored: Vec<String>,
    #[command(flatten)]
    pub(crate) server: flags::Discovery,
}

#[derive(Args)]
pub(crate) struct IcetestArguments {
    /// Transports to the gateway: udp, tcp, turn-udp or turn-tcp; udp and tcp if left out
    #[arg(value_name = "TRANSPORT")]
    pub(crate) transports: Vec<Transport>,
    /// Name of the gateway in the namespace of -n; any if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: Option<String>,
    /// The icetester, which the gateway's routes have to admit
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8089")]
    pub(crate) icetester_address: String,
    /// The authentication service
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8088")]
    pub(crate) auth_server_address: String,
    /// Messages per second; 0 sends as fast as the channel takes them
    #[arg(short = 'r', long, value_name = "NUMBER", default_value_t = 50)]
    pub(crate) packet_rate: u32,
    /// For how many seconds each test sends
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub(crate) duration: u32,
    /// For how many seconds everything may take
    #[arg(short, long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) timeout: u32,
}

/// A transport to the gateway, in any case and with or without `turn-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl std::str::FromStr for Transport {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().trim_start_matches("turn-") {
            "udp" => Ok(Self::Udp),
            "tcp" => Ok(Self::Tcp),
            _ => Err("write udp, tcp, turn-udp or turn-tcp"),
        }
    }
}

#[derive(Args)]
pub(crate) struct Global {
    /// Look at all namespaces
    #[arg(short, long, global = true)]
    pub(crate) all_namespaces: bool,
    /// How to print: summary, yaml, json, jsonpath=TEMPLATE, or anything else for a line without secrets
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "summary")]
    pub(crate) output: Format,
    /// Log everything
    #[arg(short, long, global = true)]
    verbose: bool,
    /// What to log, as SCOPE:LEVEL,...
    #[arg(short, long, global = true, value_name = "SPEC", default_value = "all:WARN")]
    loglevel: String,
    #[command(flatten)]
    pub(crate) kubernetes: flags::Kubernetes,
}

impl Global {
    pub(crate) fn log_spec(&self) -> &str {
        if self.verbose { "all:TRACE" } else { &self.loglevel }
    }
}

#[test]
fn the_command_line_is_consistent() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn the_help_fits_80_columns() {
    assert_eq!(flags::too_wide::<Cli>(), [""; 0]);
}
