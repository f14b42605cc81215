//! The command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use config::uri::TurnUri;

/// Connects local sockets, or standard input and output, to a peer behind a TURN server.
///
/// Every client gets an allocation of its own on the server, and what it sends goes to the peer in UDP datagrams:
/// each datagram of a client is one, and so is what is read from a stream at once.
#[derive(Debug, Parser)]
#[command(name = "turncat", version = flags::VERSION.as_str(), max_term_width = 100)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Where clients are: udp://HOST:PORT, tcp://HOST:PORT, unix:///PATH, unixgram:///PATH, or - for standard
    /// input and output
    pub(crate) client: Client,
    /// The TURN server: turn://USER:PASSWORD@HOST:PORT?transport=udp|tcp|tls|dtls, turn://SECRET@HOST for minted
    /// credentials, or k8s://NAMESPACE/GATEWAY:LISTENER
    #[arg(id = "turn_server", value_name = "SERVER")]
    pub(crate) server: Server,
    /// Whom to talk to: udp://HOST:PORT
    pub(crate) peer: Peer,

    /// Accept any certificate of the server
    #[arg(short, long)]
    pub(crate) insecure: bool,
    /// Name to ask for, and to expect in the server's certificate
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,
    /// How long to wait for answers after the end of the input, such as 500ms or 2s
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = flags::time)]
    pub(crate) linger: Duration,
    /// How long a client that sends datagrams may be silent before its allocation is given back
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = flags::time)]
    pub(crate) idle: Duration,
    /// For how long to try to get a new allocation for a client whose allocation is lost; 0s closes its connection
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = flags::time)]
    pub(crate) reconnect: Duration,
    /// Print what went through to standard error this often, and at the end
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1s", require_equals = true)]
    #[arg(value_parser = flags::time)]
    pub(crate) statistics: Option<Duration>,

    #[command(flatten)]
    log: flags::Log,
    #[command(flatten)]
    pub(crate) discovery: flags::Discovery,
    #[command(flatten)]
    pub(crate) kubernetes: flags::Kubernetes,
}

const EXAMPLES: &str = "\
Examples:
  turncat - turn://user:pass@192.0.2.1 udp://10.0.0.1:5000
  turncat udp://127.0.0.1:5000 k8s://media/edge:udp udp://10.0.0.1:5000
  turncat tcp://127.0.0.1:5000 'turns://user:pass@turn.example.org?transport=tcp' udp://10.0.0.1:5000";

impl Cli {
    /// The command line, or the exit code after help or a complaint about it.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            let is_complaint = error.use_stderr();
            let _ = error.print();
            if is_complaint { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        })
    }

    /// `-v` beats `-l`.
    pub(crate) fn log_spec(&self) -> &str {
        if self.log.verbose { "all:DEBUG" } else { self.log.spec().unwrap_or("all:WARN") }
    }

    pub(crate) fn log_format(&self) -> logs::Format {
        self.log.log_format
    }
}

/// Tells the person who started the program.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Where clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Standard,
    Udp(String),
    Tcp(String),
    Unix(PathBuf),
    Unixgram(PathBuf),
}

impl FromStr for Client {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = "write udp://HOST:PORT, tcp://HOST:PORT, unix:///PATH, unixgram:///PATH or -";
        if text == "-" {
            return Ok(Self::Standard);
        }
        let (scheme, rest) = text.split_once("://").ok_or(problem)?;
        match scheme {
            "file" => Ok(Self::Standard),
            "udp" | "udp4" | "udp6" | "ip" | "ip4" | "ip6" => host_port(rest).map(Self::Udp),
            "tcp" | "tcp4" | "tcp6" => host_port(rest).map(Self::Tcp),
            "unix" | "unixpacket" | "unixgram" if rest.is_empty() => Err("the path is missing".into()),
            "unix" | "unixpacket" => Ok(Self::Unix(rest.into())),
            "unixgram" => Ok(Self::Unixgram(rest.into())),
            _ => Err(format!("unknown client protocol {scheme:?}; {problem}")),
        }
    }
}

/// Which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Uri(TurnUri),
    Gateway(Gateway),
}

/// A listener of a gateway, to be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// Empty for the namespace of the command line.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) listener: String,
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("k8s", rest)) => gateway(rest).map(Self::Gateway).ok_or_else(|| {
                "cannot parse STUNner K8s URI; write k8s://NAMESPACE/GATEWAY:LISTENER".to_owned()
            }),
            _ => text.parse().map(Self::Uri).map_err(|error: config::Error| error.to_string()),
        }
    }
}

fn gateway(text: &str) -> Option<Gateway> {
    let (namespace, rest) = text.split_once('/')?;
    let (name, listener) = rest.split_once(':')?;
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let is_whole = is_name(namespace) && [name, listener].iter().all(|it| !it.is_empty() && is_name(it));
    is_whole.then(|| Gateway { namespace: namespace.into(), name: name.into(), listener: listener.into() })
}

/// Whom to talk to, as `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) String);

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (_, rest) = text.split_once("://").ok_or("write udp://HOST:PORT")?;
        host_port(rest).map(Self)
    }
}

fn host_port(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing: write HOST:PORT")?;
    if host.is_empty() || host.contains(':') != (host.starts_with('[') && host.ends_with(']')) {
        return Err("write HOST:PORT, an IPv6 address in brackets".into());
    }
    port.parse::<u16>().map_err(|_| format!("{port:?} is no port"))?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
