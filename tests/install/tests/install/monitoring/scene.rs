use std::{fs, net::SocketAddr, process::Command};

use install::Certificate;
use kit::{Credentials, EchoPeer, Process, TurnClient};

/// A gateway to which everything happens that the dashboard has a panel for: calls on UDP and TLS, wrong passwords,
/// forbidden peers, noise, a configuration that is refused, names to look up.
pub(super) struct Scene {
    udp: SocketAddr,
    metrics: SocketAddr,
    calls: Vec<TurnClient>,
    peer: EchoPeer,
    _stunnerd: Process,
    _folder: tempfile::TempDir,
}

impl Scene {
    pub(super) fn start() -> Self {
        let [udp, tls, health, metrics] =
            [(); 4].map(|()| SocketAddr::from(([127, 0, 0, 1], kit::free_port())));
        let folder = kit::temp_dir();
        let file = folder.path().join("stunnerd.conf");
        let config = config(udp, tls, health, metrics);
        fs::write(&file, &config).expect("a file can be written");
        let mut command = Command::new(kit::binary("stunnerd"));
        command.arg("--watch").arg("--config").arg(&file).env("STUNNER_ADDR", "127.0.0.1");
        let stunnerd = Process::spawn(command);
        kit::await_tcp(tls);
        kit::await_tcp(metrics);

        let peer = EchoPeer::start();
        let mut calls = vec![TurnClient::udp(udp), TurnClient::tls(tls)];
        for client in &mut calls {
            client.log_in(Credentials::fixed("user", "pass"));
            client.allocate().expect("a relayed address");
            client.channel_bind(0x4000, peer.address()).expect("a channel");
        }
        // A port that is taken: refused, and what there was stays.
        let taken = config.replace(&format!("port: {},", tls.port()), &format!("port: {},", health.port()));
        assert_ne!(taken, config);
        fs::write(&file, taken).expect("a file can be written");
        Self { udp, metrics, calls, peer, _stunnerd: stunnerd, _folder: folder }
    }

    /// Where the counters are.
    pub(super) fn metrics(&self) -> SocketAddr {
        self.metrics
    }

    /// A bit of each.
    pub(super) fn play(&mut self) {
        for client in &mut self.calls {
            for _ in 0..20 {
                client.send_channel(0x4000, &[7; 1000]);
                assert_eq!(client.recv().data().len(), 1000);
            }
            client.create_permission(forbidden()).expect_err("no route leads there");
        }
        let wrong = TurnClient::udp(self.udp).with(Credentials::fixed("user", "guess")).allocate();
        wrong.expect_err("a wrong password");
        TurnClient::udp(self.udp).send_raw(b"\xff\xff noise");
        assert!(!self.peer.sources().is_empty());
    }
}

/// An address for documentation, which no route has.
fn forbidden() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 9))
}

fn config(udp: SocketAddr, tls: SocketAddr, health: SocketAddr, metrics: SocketAddr) -> String {
    let Certificate { certificate, key } = Certificate::make();
    format!(
        "version: v1
admin: {{ name: media/edge, healthcheck_endpoint: 'http://{health}', metrics_endpoint: 'http://{metrics}/metrics' }}
auth: {{ type: static, realm: r, credentials: {{ username: user, password: pass }} }}
listeners:
- {{ name: media/edge/udp, protocol: TURN-UDP, address: $STUNNER_ADDR, port: {}, routes: [media/loop, media/named] }}
- {{ name: media/edge/tls, protocol: TURN-TLS, address: $STUNNER_ADDR, port: {}, cert: {certificate}, key: {key}, routes: [media/loop] }}
clusters:
- {{ name: media/loop, type: STATIC, endpoints: [127.0.0.0/8] }}
- {{ name: media/named, type: STRICT_DNS, endpoints: [localhost] }}
",
        udp.port(),
        tls.port()
    )
}
