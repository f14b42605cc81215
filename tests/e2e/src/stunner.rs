use std::fs;
use std::path::PathBuf;
use std::process::Command;

use kit::{Deadline, Process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Duration, sleep};

use crate::{Manifest, PATIENCE};

/// `stunner demo` on loopback, with a manifest of its own that may be edited while it runs.
#[derive(Debug)]
pub struct Stunner {
    process: Process,
    folder: TempDir,
    /// The port of all Gateways.
    pub gateway_port: u16,
    /// The port of the authentication service.
    pub auth_port: u16,
    /// Where the call application is.
    pub url: String,
    discovery_port: u16,
    status_port: u16,
}

impl Stunner {
    /// Starts the tutorial as it is in the repository.
    pub fn start() -> Self {
        Self::start_with(&Manifest::tutorial())
    }

    /// Starts another tutorial.
    pub fn start_with(manifest: &Manifest) -> Self {
        Self::run("demo", &["--address", "127.0.0.1", "--app-port", "0"], manifest, |line| {
            Some(line.split_once("Open ")?.1.split_once(" in a browser")?.0.to_owned())
        })
    }

    /// Starts `stunner up`, with listeners and relays at `address`: there is no call application, and `url` is that of
    /// the status page.
    pub fn up(manifest: &Manifest, address: &str) -> Self {
        Self::run("up", &["--address", address], manifest, |line| {
            line.strip_prefix("status page: ").map(str::to_owned)
        })
    }

    fn run(
        subcommand: &str,
        arguments: &[&str],
        manifest: &Manifest,
        url: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let folder = kit::temp_dir();
        let file = folder.path().join("gateway.yaml");
        let [gateway_port, auth_port, discovery_port, status_port] = [(); 4].map(|()| kit::free_port());
        fs::write(&file, on_port(gateway_port, manifest)).expect("the manifest can be written");
        let on = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(kit::binary("stunner"));
        command.arg(subcommand).arg("--filename").arg(&file).args(arguments);
        command.args(["--auth-address", &on(auth_port)]);
        command.args(["--discovery-address", &on(discovery_port), "--status-address", &on(status_port)]);
        let process = Process::spawn(command);
        let url = process.await_match(0, Deadline::after(PATIENCE), "the address of the page", url);
        Self { process, folder, gateway_port, auth_port, url, discovery_port, status_port }
    }

    /// Replaces the manifest, as an editor does, and waits until the change is in force.
    pub fn edit(&self, manifest: &Manifest) {
        let seen = self.process.line_count();
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("gateway.yaml"));
        fs::write(&new, on_port(self.gateway_port, manifest)).expect("the manifest can be written");
        fs::rename(new, file).expect("the manifest can be replaced");
        self.process.await_line_after(seen, "configuration in force");
    }

    /// What it has printed and logged.
    pub fn log(&self) -> Vec<String> {
        self.process.lines()
    }

    /// Waits for a line that contains all of these.
    pub fn await_log(&self, parts: &[&str]) -> String {
        let what = format!("a line with {parts:?}");
        self.process.await_match(0, Deadline::after(PATIENCE), &what, |line| {
            parts.iter().all(|part| line.contains(part)).then(|| line.to_owned())
        })
    }

    /// What `stunnerctl ARGUMENTS` prints about it.
    pub fn stunnerctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(kit::binary("stunnerctl"));
        command.args(arguments).arg(format!("--cds-server-address=127.0.0.1:{}", self.discovery_port));
        command.env("KUBECONFIG", PathBuf::from("/nonexistent"));
        Process::run(command, Deadline::after(PATIENCE)).join("\n")
    }

    /// How many allocations there are.
    pub async fn allocations(&self) -> u64 {
        let status = get(self.status_port, "/status").await;
        status["allocationCount"].as_u64().unwrap_or_else(|| panic!("no allocation count in {status}"))
    }

    /// Waits until all allocations are gone.
    pub async fn await_no_allocation(&self) {
        let deadline = Deadline::after(PATIENCE);
        while self.allocations().await > 0 {
            assert!(deadline.left().is_some(), "{} allocations are left", self.allocations().await);
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The manifest with its Gateways on a free port.
fn on_port(port: u16, manifest: &Manifest) -> String {
    manifest.to_string().replace("port: 3478\n", &format!("port: {port}\n"))
}

/// JSON over HTTP, from a port of this machine.
pub async fn get(port: u16, path: &str) -> Value {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map(|_| answer)
    };
    let answer = exchange.await.unwrap_or_else(|error| panic!("cannot get {path}: {error}"));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{path} is not JSON: {error}: {answer}"))
}
