//! The command line.

use std::{net::IpAddr, time::Duration};

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
    /// In a cluster, it makes Gateways, a route and a pod to send to in a namespace of their own, and removes everything
    /// when it ends, however it ends. With --icetester-address, or without a cluster, it makes nothing and tests the
    /// gateway that the authentication service knows.
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
    #[command(flatten)]
    pub(crate) service: AuthService,
}

/// Where the authentication service is.
#[derive(Args)]
#[command(next_help_heading = "Authentication service")]
pub(crate) struct AuthService {
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
    /// An icetester that is there, and that the gateway's routes admit, instead of making one in a cluster
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) icetester_address: Option<String>,
    /// Name of the gateway to test with that icetester, in the namespace of -n; any if left out
    #[arg(long, value_name = "NAME")]
    pub(crate) gateway: Option<String>,
    /// Image of the icetester that is made in the cluster
    #[arg(long, value_name = "IMAGE", default_value = "docker.io/l7mp/icetester:latest")]
    pub(crate) ice_tester_image: String,
    /// How the dataplane of the test hands packets to the kernel: None, XDP, TC or Auto
    #[arg(long, value_name = "MODE", default_value = "None")]
    pub(crate) offload_mode: Offload,
    /// First remove what an icetest that was interrupted has left; never anything else
    #[arg(long)]
    pub(crate) force_cleanup: bool,
    /// Go on if a gateway has another public port than its listener, as with a Service of type NodePort
    #[arg(long)]
    pub(crate) allow_nodeport: bool,
    /// Messages per second; 0 sends as fast as the channel takes them
    #[arg(short = 'r', long, value_name = "NUMBER", default_value_t = 50)]
    pub(crate) packet_rate: u32,
    /// For how long each test sends, such as 5s
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = flags::time)]
    pub(crate) duration: Duration,
    /// How long everything may take, such as 90s or 5m
    #[arg(short, long, value_name = "TIME", default_value = "5m", value_parser = flags::time)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) service: AuthService,
    #[command(flatten)]
    pub(crate) server: flags::Discovery,
}

/// What the dataplane of a test hands packets to the kernel with, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offload {
    None,
    Xdp,
    Tc,
    Auto,
}

impl std::str::FromStr for Offload {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "xdp" => Ok(Self::Xdp),
            "tc" => Ok(Self::Tc),
            "auto" => Ok(Self::Auto),
            _ => Err("write None, XDP, TC or Auto"),
        }
    }
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
    /// What to log, as SCOPE:LEVEL,...; all:WARN if left out
    #[arg(short, long, global = true, value_name = "SPEC")]
    loglevel: Option<String>,
    #[command(flatten)]
    pub(crate) kubernetes: flags::Kubernetes,
}

impl Global {
    /// What somebody has asked for.
    pub(crate) fn log_spec(&self) -> Option<&str> {
        if self.verbose { Some("all:TRACE") } else { self.loglevel.as_deref() }
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
