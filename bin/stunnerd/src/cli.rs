//! The command line.

use std::sync::LazyLock;

use clap::{Args, Parser};

/// What this was built from and when; whoever builds it says so in two variables of the environment.
pub(crate) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("STUNNER_COMMIT").unwrap_or("unknown commit");
    let date = option_env!("STUNNER_BUILD_DATE").unwrap_or("unknown date");
    format!("version {} ({commit}) built on {date}", env!("CARGO_PKG_VERSION"))
});

/// The levels of a run that nobody gave any.
pub(crate) const DEFAULT_LOG: &str = "all:INFO";

/// Where configurations come from unless somebody says otherwise: a discovery server on this machine.
const DEFAULT_ORIGIN: &str = ":13478";

/// Relays WebRTC media between clients and the peers they are allowed to reach.
///
/// With a TURN URI, such as turn://user:password@192.0.2.1:3478?transport=udp, one listener is run that relays to
/// anyone. Otherwise the configuration is loaded from its origin, and followed with --watch.
#[derive(Parser)]
#[command(name = "stunnerd", max_term_width = 100)]
pub(crate) struct Cli {
    /// Where the configuration comes from: a path, file://PATH, http://HOST:PORT of a discovery server, or k8s
    #[arg(short, long, env = "STUNNER_CONFIG_ORIGIN", value_name = "ORIGIN", default_value = "")]
    config: String,

    /// Log levels, such as all:INFO,turn:DEBUG; takes precedence over the configuration's
    #[arg(short, long, value_name = "SPEC", default_value = "")]
    log: String,

    /// How log lines look: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: logs::Format,

    /// Name of this instance, the gateway it serves [default: the STUNNER_NAMESPACE/STUNNER_NAME of the environment]
    #[arg(short, long, value_name = "NAMESPACE/NAME", default_value = "")]
    id: String,

    /// Follow the origin instead of loading the configuration once
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// Worker threads, each with a socket of its own per listener; 0 is one per processor
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) udp_thread_num: usize,

    /// Check the configuration and become ready, but open no socket
    #[arg(short, long)]
    pub(crate) dry_run: bool,

    /// Answer readiness probes with yes even while draining
    #[arg(long)]
    pub(crate) force_ready_status: bool,

    /// Shorthand for -l all:DEBUG
    #[arg(short, long)]
    verbose: bool,

    /// Address of the discovery server, for the origin k8s
    #[arg(long, env = "CDS_SERVER_ADDR", value_name = "ADDRESS", default_value = "")]
    cds_server_address: String,

    /// Namespace of the discovery server, for the origin k8s
    #[arg(long, env = "CDS_SERVER_NAMESPACE", value_name = "NAMESPACE")]
    cds_server_namespace: Option<String>,

    /// Port of the discovery server, for the origin k8s
    #[arg(long, env = "CDS_SERVER_PORT", value_name = "PORT", default_value_t = 13478)]
    cds_server_port: u16,

    #[command(flatten)]
    kubernetes: Kubernetes,

    /// A TURN URI with user name and password
    #[arg(value_name = "TURN-URI")]
    uri: Vec<String>,
}

/// How to connect to a cluster. These are kubectl's flags, accepted for the origin k8s.
#[derive(Args)]
#[command(next_help_heading = "Kubernetes")]
struct Kubernetes {
    /// Configuration file of the cluster's clients
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Context of that file
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Cluster of that file
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// User of that file
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Address of the API server
    #[arg(short, long, value_name = "URL")]
    server: Option<String>,
    /// Bearer token
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// User to act as
    #[arg(long = "as", value_name = "NAME")]
    act_as: Option<String>,
    /// Groups to act as
    #[arg(long, value_name = "NAME")]
    as_group: Vec<String>,
    /// User id to act as
    #[arg(long, value_name = "UID")]
    as_uid: Option<String>,
    /// More about the user to act as
    #[arg(long, value_name = "KEY=VALUE")]
    as_user_extra: Vec<String>,
    /// Certificate authority of the API server
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<String>,
    /// Certificate to identify with
    #[arg(long, value_name = "FILE")]
    client_certificate: Option<String>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    client_key: Option<String>,
    /// Name to expect in the API server's certificate
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// Longest time for one request
    #[arg(long, value_name = "DURATION")]
    request_timeout: Option<String>,
    /// Folder for what was learnt about the API server
    #[arg(long, value_name = "FOLDER")]
    cache_dir: Option<String>,
    /// Ask the API server for uncompressed answers
    #[arg(long)]
    disable_compression: bool,
}

impl Cli {
    /// The TURN URI to run, if that is the mode: exactly one was given.
    pub(crate) fn turn_uri(&self) -> Option<&str> {
        match &self.uri[..] {
            [uri] => Some(uri),
            _ => None,
        }
    }

    /// Where the configuration comes from.
    pub(crate) fn origin(&self) -> String {
        match self.config.as_str() {
            "" => DEFAULT_ORIGIN.to_owned(),
            "k8s" if !self.cds_server_address.is_empty() => {
                format!("http://{}:{}", self.cds_server_address, self.cds_server_port)
            }
            origin => origin.to_owned(),
        }
    }

    /// The levels that were asked for here, which no configuration overrides.
    pub(crate) fn log_spec(&self) -> Option<&str> {
        match (self.log.as_str(), self.verbose) {
            ("", true) => Some("all:DEBUG"),
            ("", false) => None,
            (spec, _) => Some(spec),
        }
    }

    pub(crate) fn log_format(&self) -> logs::Format {
        self.log_format
    }

    /// The name that was given here.
    pub(crate) fn id(&self) -> Option<&str> {
        (!self.id.is_empty()).then_some(self.id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Cli {
        Cli::parse_from(std::iter::once("stunnerd").chain(arguments.iter().copied()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_operators_command_line_and_kubectls_flags_are_understood() {
        let cli = parse(&["-w", "--udp-thread-num=16"]);
        assert_eq!((cli.watch, cli.udp_thread_num, cli.turn_uri()), (true, 16, None));
        parse(&["-n", "ns", "-s", "https://x", "--as", "me", "--insecure-skip-tls-verify", "--token", "t"]);
    }

    #[test]
    fn l_wins_over_v() {
        assert_eq!(parse(&["-v"]).log_spec(), Some("all:DEBUG"));
        assert_eq!(parse(&["-v", "-l", "all:ERROR"]).log_spec(), Some("all:ERROR"));
        assert_eq!(parse(&[]).log_spec(), None);
    }

    #[test]
    fn more_than_one_uri_is_none() {
        assert_eq!(parse(&["turn://a:b@c"]).turn_uri(), Some("turn://a:b@c"));
        assert_eq!(parse(&["turn://a:b@c", "d"]).turn_uri(), None);
    }

    #[test]
    fn the_origin_k8s_with_an_address_is_that_server() {
        assert_eq!(
            parse(&["-c", "k8s", "--cds-server-address", "10.0.0.1"]).origin(),
            "http://10.0.0.1:13478"
        );
        assert_eq!(parse(&["-c", "k8s"]).origin(), "k8s");
        assert_eq!(parse(&["-c", ""]).origin(), ":13478");
    }
}
