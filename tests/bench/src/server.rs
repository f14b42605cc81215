//! The servers under test, each a process of its own.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kit::{Deadline, Process};
use stun::{Class, Method, TransactionId, Writer};
use tempfile::TempDir;

use crate::load::Mode;
use crate::machine::{Account, deliverer};
use crate::place;
use crate::session::Login;
use crate::wires::{Transport, Wires, answers_hellos};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// The bare forwarder: one receive and one send, through one socket.
    Bare,
    /// The bare forwarder with a socket for each client, as TURN demands.
    Sockets,
    /// This project's `stunnerd`.
    Stunnerd,
    /// The same without the short cut between two of its clients.
    #[value(name = "long-way")]
    LongWay,
    /// coturn's `turnserver`.
    Coturn,
}

/// How a server is to be started.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How clients are connected.
    pub transport: Transport,
    /// Which way packets go, and how many clients there are: for the bare forwarder, which learns nothing.
    pub mode: Mode,
    /// How many clients have a socket of their own in the bare forwarder.
    pub clients: usize,
    /// Threads that relay packets.
    pub workers: usize,
    /// The processors it may use; all if there are none.
    pub processors: Vec<usize>,
    /// What to run it with, such as `valgrind`.
    pub wrapper: Vec<String>,
    /// Also listen on DTLS, to be flooded.
    pub is_flooded: bool,
}

/// A server that listens. Dropped, it is killed by its id.
pub struct Server {
    process: Process,
    /// Where clients find it.
    pub address: SocketAddr,
    /// Where it listens on DTLS, to be flooded.
    pub flooded: Option<SocketAddr>,
    /// The kernel's account of it.
    pub account: Account,
    /// The kernel's threads that deliver packets on the processors it has for itself.
    pub deliverers: Vec<Account>,
    _configuration: TempDir,
}

/// The program `stunnerd`, if it is built.
pub fn stunnerd() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join("stunnerd");
    beside.is_file().then_some(beside)
}

impl Subject {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Bare, Self::Sockets, Self::Stunnerd, Self::LongWay, Self::Coturn];

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare forwarder",
            Self::Sockets => "bare, sockets",
            Self::Stunnerd => "stunnerd",
            Self::LongWay => "stunnerd, long way",
            Self::Coturn => "coturn",
        }
    }

    /// How to get it, if it is not here.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Bare | Self::Sockets => None,
            Self::Stunnerd | Self::LongWay => {
                stunnerd().is_none().then_some("cargo build --release -p stunnerd")
            }
            Self::Coturn => (!is_on_path("turnserver")).then_some("on Debian: apt-get install coturn"),
        }
    }

    /// Whether it speaks TURN.
    pub fn is_turn(self) -> bool {
        matches!(self, Self::Stunnerd | Self::LongWay | Self::Coturn)
    }

    /// Whether it can do this at all: the bare forwarders know UDP only, sockets for each client mean nothing
    /// between clients, and there is a long way between clients alone.
    pub fn can(self, transport: Transport, mode: Mode) -> bool {
        match self {
            Self::Bare => transport == Transport::Udp,
            Self::Sockets => transport == Transport::Udp && mode != Mode::Headless,
            Self::LongWay => mode == Mode::Headless,
            Self::Stunnerd | Self::Coturn => true,
        }
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// It is not built or installed, or does not start.
    pub fn start(self, setting: &Setting, wires: &Wires) -> io::Result<Server> {
        let port = kit::free_port();
        let configuration = kit::temp_dir();
        let flooded = (setting.is_flooded && self.is_turn()).then(|| place::server(kit::free_port()));
        let command = match self {
            Self::Bare | Self::Sockets => self.forwarder(setting, wires)?,
            Self::Coturn => coturn(setting, port, configuration.path())?,
            Self::Stunnerd | Self::LongWay => {
                let file = configure(setting, port, flooded, configuration.path())?;
                let program = stunnerd().ok_or_else(|| io::Error::other("stunnerd is not built"))?;
                let mut command = Command::new(program);
                command.arg("-c").arg(file);
                command.args(["--udp-thread-num", &setting.workers.to_string()]);
                if self == Self::LongWay {
                    command.arg("--no-short-cut");
                }
                command
            }
        };
        let process = Process::spawn(wrapped(&command, setting));
        let address = match self {
            Self::Bare | Self::Sockets => {
                process.await_match(0, Deadline::default(), "its address", |line| {
                    line.strip_prefix(LISTENS)?.parse().ok()
                })
            }
            Self::Stunnerd | Self::LongWay | Self::Coturn => place::server(port),
        };
        match setting.transport {
            Transport::Udp if self.is_turn() => await_binding(address)?,
            Transport::Udp => {}
            Transport::Tcp | Transport::Tls => kit::await_tcp(address),
            Transport::Dtls => await_hello(address)?,
        }
        flooded.map_or(Ok(()), await_hello)?;
        let account = Account::of(process.id());
        let deliverers = setting.processors.iter().filter_map(|number| deliverer(*number)).collect();
        Ok(Server { process, address, flooded, account, deliverers, _configuration: configuration })
    }

    fn forwarder(self, setting: &Setting, wires: &Wires) -> io::Result<Command> {
        let route = match (self, setting.mode) {
            (Self::Sockets, _) => "sockets",
            (_, Mode::Headless) => "client",
            (_, Mode::Echo | Mode::Up | Mode::Down) => "peer",
        };
        let sockets = if self == Self::Sockets { setting.clients } else { 0 };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["forward", "--route", route, "--sockets", &sockets.to_string()]);
        command.args(["--clients", &wires.clients_port().to_string()]);
        command.args(["--peers", &wires.peer(0).port().to_string()]);
        Ok(command)
    }
}

/// Whether a program is installed.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What the bare forwarder prints before its address.
pub const LISTENS: &str = "listens at ";

/// The name and password that both TURN servers know.
pub fn login() -> Login {
    Login { username: "user".to_owned(), password: "pass".to_owned() }
}

impl Server {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end and waits until it has, for programs that have something to say at their end.
    pub fn finish(mut self) -> Vec<String> {
        self.process.terminate();
        // Asked once, stunnerd waits for its clients.
        std::thread::sleep(Duration::from_millis(500));
        self.process.terminate();
        self.process.await_exit_until(Deadline::after(Duration::from_secs(60)));
        self.process.lines()
    }
}

/// A certificate and its key, for ECDSA on P-256, as text.
fn pair() -> io::Result<[String; 2]> {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).map_err(io::Error::other)?;
    Ok([signed.cert.pem(), signed.signing_key.serialize_pem()])
}

fn coturn(setting: &Setting, port: u16, folder: &Path) -> io::Result<Command> {
    let Login { username, password } = login();
    let mut command = Command::new("turnserver");
    match setting.transport {
        Transport::Udp | Transport::Tcp => {
            command.args(["--no-tls", "--no-dtls"]);
            command.arg(format!("--listening-port={port}"));
        }
        Transport::Tls | Transport::Dtls => {
            let [cert, key] = [folder.join("cert.pem"), folder.join("key.pem")];
            let [chain, private] = pair()?;
            fs::write(&cert, chain)?;
            fs::write(&key, private)?;
            command.args([format!("--cert={}", cert.display()), format!("--pkey={}", key.display())]);
            command.arg("--cipher-list=ECDHE-ECDSA-AES128-GCM-SHA256");
            command.arg(format!("--tls-listening-port={port}"));
            command.arg(format!("--listening-port={}", kit::free_port()));
        }
    }
    command.args(["-n", "--no-cli", "--allow-loopback-peers", "--realm=bench"]);
    command.args([
        "--listening-ip=127.0.0.1",
        "--relay-ip=127.0.0.1",
        "--min-port=30000",
        "--max-port=65535",
    ]);
    command.args(["--lt-cred-mech", "--pidfile=/dev/null", "--no-stdout-log", "--log-file=/dev/null"]);
    command.arg(format!("--user={username}:{password}"));
    command.arg(format!("--relay-threads={}", setting.workers));
    Ok(command)
}

fn configure(
    setting: &Setting,
    port: u16,
    flooded: Option<SocketAddr>,
    folder: &Path,
) -> io::Result<PathBuf> {
    let Login { username, password } = login();
    let [chain, key] = pair()?.map(|text| BASE64_STANDARD.encode(text));
    let listener = |name: &str, protocol: &str, port: u16| {
        let secure =
            if protocol.ends_with("TLS") { format!(", cert: {chain}, key: {key}") } else { String::new() };
        format!(
            "{{ name: {name}, protocol: {protocol}, address: 127.0.0.1, port: {port}, routes: [peers]{secure} }}"
        )
    };
    let protocol = format!("TURN-{}", setting.transport.name().to_uppercase());
    let mut listeners = vec![listener("clients", &protocol, port)];
    listeners.extend(flooded.map(|flooded| listener("flooded", "TURN-DTLS", flooded.port())));
    let listeners = listeners.join(", ");
    let path = folder.join("stunnerd.yaml");
    let mut file = fs::File::create(&path)?;
    write!(
        file,
        "version: v1
admin: {{ name: bench, loglevel: 'all:WARN', healthcheck_endpoint: '' }}
auth: {{ type: static, realm: bench, credentials: {{ username: {username}, password: {password} }} }}
listeners: [{listeners}]
clusters: [{{ name: peers, type: STATIC, endpoints: [127.0.0.0/8] }}]
"
    )?;
    Ok(path)
}

/// The command on the processors it may use, inside whatever it shall be run with.
fn wrapped(command: &Command, setting: &Setting) -> Command {
    let processors: Vec<String> = setting.processors.iter().map(usize::to_string).collect();
    let mut words: Vec<std::ffi::OsString> = Vec::new();
    if !processors.is_empty() {
        words.extend(["taskset".into(), "-c".into(), processors.join(",").into()]);
    }
    words.extend(setting.wrapper.iter().map(Into::into));
    words.push(command.get_program().to_owned());
    words.extend(command.get_args().map(ToOwned::to_owned));
    let mut whole = Command::new(&words[0]);
    whole.args(&words[1..]);
    whole
}

/// Says hello again and again until there is an answer.
fn await_hello(server: SocketAddr) -> io::Result<()> {
    let deadline = Deadline::default();
    while deadline.left().is_some() {
        if answers_hellos(server)? {
            return Ok(());
        }
    }
    Err(io::Error::other(format!("nobody answers hellos at {server}")))
}

/// Asks again and again until there is an answer, much sooner than a client would.
fn await_binding(server: SocketAddr) -> io::Result<()> {
    let mut request = [0; 20];
    Writer::new(&mut request, Class::Request, Method::Binding, TransactionId::new([1; 12]))
        .map_err(|_| io::Error::other("a header needs 20 bytes"))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let deadline = Deadline::default();
    while deadline.left().is_some() {
        socket.send_to(&request, server)?;
        if socket.recv(&mut [0; 512]).is_ok() {
            return Ok(());
        }
    }
    Err(io::Error::other(format!("nothing answers at {server}")))
}
