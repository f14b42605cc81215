//! The command line.

use std::{path::PathBuf, sync::LazyLock};

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{format::Format, running_config::ConfigName};

/// What this was built from and when; whoever builds it says so in two variables of the environment.
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("STUNNER_COMMIT").unwrap_or("unknown commit");
    let date = option_env!("STUNNER_BUILD_DATE").unwrap_or("unknown date");
    format!("version {} ({commit}) built on {date}", env!("CARGO_PKG_VERSION"))
});

/// Looks after a gateway.
#[derive(Parser)]
#[command(name = "stunnerctl", version = VERSION.as_str(), max_term_width = 100, arg_required_else_help = true)]
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
    /// Print credentials and listeners of one configuration
    ///
    /// NAMESPACE/stunnerd-config stands for all gateways of a namespace.
    RunningConfig(RunningConfigArguments),
    /// Print what the discovery server says about its licence
    #[command(alias = "license-status")]
    License(LicenseArguments),
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
    pub(crate) server: ServerArguments,
}

#[derive(Args)]
pub(crate) struct RunningConfigArguments {
    /// Which configuration
    #[arg(value_name = "NAMESPACE/NAME")]
    pub(crate) name: ConfigName,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

#[derive(Args)]
pub(crate) struct LicenseArguments {
    #[arg(hide = true)]
    pub(crate) ignored: Vec<String>,
    #[command(flatten)]
    pub(crate) server: ServerArguments,
}

/// Where the discovery server is. What is not given here may be in the environment.
#[derive(Args)]
#[command(next_help_heading = "Discovery server")]
pub(crate) struct ServerArguments {
    /// HOST or HOST:PORT of the discovery server [env: CDS_SERVER_ADDR]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) cds_server_address: Option<String>,
    /// Namespace to look for the discovery server in [env: CDS_SERVER_NAMESPACE]
    #[arg(long, value_name = "NAME")]
    pub(crate) cds_server_namespace: Option<String>,
    /// Port of the discovery server [env: CDS_SERVER_PORT] [default: 13478]
    #[arg(long, value_name = "PORT")]
    pub(crate) cds_server_port: Option<u16>,
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
    pub(crate) kubernetes: Kubernetes,
}

impl Global {
    pub(crate) fn log_spec(&self) -> &str {
        if self.verbose { "all:TRACE" } else { &self.loglevel }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.kubernetes.namespace.as_deref().unwrap_or("default")
    }
}

/// How to reach a cluster, as for kubectl.
#[derive(Args)]
#[command(next_help_heading = "Kubernetes")]
pub(crate) struct Kubernetes {
    /// Namespace of the gateways
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Where the access to clusters is written down [env: KUBECONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of that file
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Cluster of that file
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// User of that file
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub(crate) user: Option<String>,
    /// URL of the API server
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    pub(crate) server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) token: Option<String>,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "NAME", hide_short_help = true)]
    pub(crate) as_user: Option<String>,
    /// Id of the user to act as
    #[arg(long, global = true, value_name = "ID", hide_short_help = true)]
    pub(crate) as_uid: Option<String>,
    /// Group to act as a member of
    #[arg(long, global = true, value_name = "NAME", action = ArgAction::Append, hide_short_help = true)]
    pub(crate) as_group: Vec<String>,
    /// Authority that the API server's certificate comes from
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Certificate to show the API server
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) client_certificate: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) client_key: Option<PathBuf>,
    /// Take any certificate of the API server
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// Name that the API server's certificate has to be for
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub(crate) tls_server_name: Option<String>,
    /// Longest time for one request
    #[arg(long, global = true, value_name = "TIME", hide_short_help = true)]
    pub(crate) request_timeout: Option<String>,
    /// Has no effect
    #[arg(long, global = true, value_name = "FOLDER", hide_short_help = true)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Has no effect
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) disable_compression: bool,
}

#[test]
fn the_command_line_is_consistent() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}
