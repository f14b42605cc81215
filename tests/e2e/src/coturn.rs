use kit::Process;

/// A TURN server nobody here wrote, on UDP and TCP of one port, for user `user-1` with password `pass-1`.
#[derive(Debug)]
pub struct Coturn {
    /// The port of both transports.
    pub port: u16,
    _process: Process,
}

impl Coturn {
    /// Starts it; `None` where there is none.
    pub fn start() -> Option<Self> {
        let mut command = kit::need("coturn")?.command("turnserver");
        let port = kit::free_port();
        command.args(["-n", "--listening-ip", "127.0.0.1", "--listening-port", &port.to_string()]);
        command.args(["--relay-ip", "127.0.0.1", "--user", "user-1:pass-1", "--realm", "stunner.l7mp.io"]);
        command.args(["--lt-cred-mech", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli"]);
        command.args(["--log-file", "stdout"]);
        let process = Process::spawn(command);
        kit::await_tcp(([127, 0, 0, 1], port).into());
        Some(Self { port, _process: process })
    }
}
