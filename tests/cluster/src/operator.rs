use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
};

use kit::Process;

use crate::{Discovery, Server};

/// How the operator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the controller, so that tests that share an API server keep to themselves.
    pub controller: String,
    /// The flag that says where configurations are served, if it is not any free port.
    pub discovery: Option<String>,
    /// Further flags.
    pub flags: Vec<String>,
}

impl Options {
    /// The usual ones for a test of that name.
    pub fn new(test: &str) -> Self {
        Self { controller: format!("example.com/{test}"), discovery: None, flags: Vec::new() }
    }

    /// The same with a flag more.
    #[must_use]
    pub fn with(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }
}

/// A running operator. Dropped, it is killed.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    discovery: SocketAddr,
    probes: SocketAddr,
    metrics: SocketAddr,
}

impl Operator {
    /// Starts one and waits until it serves.
    #[track_caller]
    pub fn start(server: &Server, options: &Options) -> Self {
        Self::start_with(&server.operator_kubeconfig(), options)
    }

    /// Starts one with another identity.
    #[track_caller]
    pub fn start_with(kubeconfig: &Path, options: &Options) -> Self {
        let mut command = Command::new(kit::binary("stunner-operator"));
        command.arg("--kubeconfig").arg(kubeconfig);
        command.arg(format!("--controller-name={}", options.controller));
        command.arg(options.discovery.as_deref().unwrap_or("--config-discovery-address=127.0.0.1:0"));
        command.arg("--health-probe-bind-address=127.0.0.1:0");
        command.arg("--metrics-bind-address=127.0.0.1:0");
        let usual = ["--throttle-timeout=20ms", "--log=all:INFO,operator:DEBUG"];
        let is_given = |flag: &&str| {
            let name = flag.split('=').next().unwrap_or_default();
            options.flags.iter().any(|given| given.starts_with(name))
        };
        command.args(usual.iter().filter(|flag| !is_given(flag)));
        command.args(&options.flags);
        let process = Process::spawn(command);
        let address = |what: &str| {
            let line = process.await_line(&format!("serving {what}"));
            let (_, rest) = line.split_once("address=").unwrap_or_else(|| panic!("no address in {line}"));
            let text = rest.split_whitespace().next().unwrap_or_default();
            text.parse().unwrap_or_else(|_| panic!("no address in {line}"))
        };
        let (discovery, probes, metrics) = (address("configurations"), address("probes"), address("metrics"));
        Self { process, discovery, probes, metrics }
    }

    /// Waits until it has seen and rendered everything.
    #[track_caller]
    pub fn await_ready(&self) {
        self.process.await_line("rendered for the first time");
        let deadline = kit::Deadline::default();
        while self.probe("/readyz").0 != 200 {
            assert!(deadline.left().is_some(), "{}", self.probe("/readyz").1);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The configurations it serves.
    pub fn discovery(&self) -> Discovery {
        Discovery::new(self.discovery)
    }

    /// Where configurations are served.
    pub fn discovery_address(&self) -> SocketAddr {
        self.discovery
    }

    /// Status and body of a GET of a probe.
    #[track_caller]
    pub fn probe(&self, path: &str) -> (u16, String) {
        crate::discovery::get(self.probes, path)
    }

    /// The metrics.
    #[track_caller]
    pub fn metrics(&self) -> String {
        crate::discovery::get(self.metrics, "/metrics").1
    }

    /// Where metrics are served.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    /// What it printed.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it to end and waits until it has.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.process.terminate();
        self.process.await_exit()
    }
}
