//! The command line.

use clap::Parser;

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

    /// Name of this instance, the gateway it serves [default: the STUNNER_NAMESPACE/STUNNER_NAME of the environment]
    #[arg(short, long, value_name = "NAMESPACE/NAME", default_value = "")]
    id: String,

    /// Follow the origin instead of loading the configuration once
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// Worker threads, each with a socket of its own per listener; 0 is one per processor
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub(crate) udp_thread_num: usize,

    /// Send packets between two clients of this process through both their relay sockets
    #[arg(long)]
    pub(crate) no_short_cut: bool,

    /// Check the configuration and become ready, but open no socket
    #[arg(short, long)]
    pub(crate) dry_run: bool,

    /// Answer readiness probes with yes even while draining
    #[arg(long)]
    pub(crate) force_ready_status: bool,

    /// A TURN URI with user name and password
    #[arg(value_name = "TURN-URI")]
    uri: Vec<String>,

    #[command(flatten)]
    discovery: flags::Discovery,

    #[command(flatten)]
    log: flags::Log,

    #[command(flatten)]
    kubernetes: flags::Kubernetes,
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
    ///
    /// # Errors
    /// It comes from a discovery server of the cluster, and there is no cluster.
    pub(crate) fn origin(&self) -> Result<String, flags::NoServer> {
        match self.config.as_str() {
            "" => Ok(DEFAULT_ORIGIN.to_owned()),
            "k8s" => self.discovery.origin(),
            origin => Ok(origin.to_owned()),
        }
    }

    /// The token and the authorities for a discovery server.
    pub(crate) fn access(&self) -> cds::Access {
        let flags = &self.discovery;
        cds::Access::new(flags.token_file(), flags.authority(), flags.tls_server_name())
    }

    /// The levels that were asked for here, which no configuration overrides.
    pub(crate) fn log_spec(&self) -> Option<&str> {
        self.log.spec()
    }

    pub(crate) fn log_format(&self) -> logs::Format {
        self.log.log_format
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
    fn the_help_fits_80_columns() {
        assert_eq!(flags::too_wide::<Cli>(), [""; 0]);
    }

    #[test]
    fn the_operators_command_line_and_kubectls_flags_are_understood() {
        let cli = parse(&["-w", "--udp-thread-num=16"]);
        assert_eq!((cli.watch, cli.udp_thread_num, cli.turn_uri()), (true, 16, None));
        assert!(!cli.no_short_cut);
        assert!(parse(&["--no-short-cut"]).no_short_cut);
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
        let origin = |arguments: &[&str]| parse(arguments).origin().unwrap();
        assert_eq!(origin(&["-c", "k8s", "--cds-server-address", "10.0.0.1"]), "http://10.0.0.1:13478");
        assert_eq!(origin(&["-c", ""]), ":13478");
    }
}
