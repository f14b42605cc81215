//! `stunnerctl icetest` against a gateway, an authentication service and an icetester in this process.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;

use config::Config;
use dataplane::{Dataplane, Options};
use kit::free_port;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Place {
    _dataplane: Dataplane,
    _runtime: tokio::runtime::Runtime,
    auth: u16,
    tester: u16,
}

impl Place {
    /// A gateway whose clients may reach `endpoints`; `password` is what the authentication service says.
    fn new(endpoints: &str, password: &str) -> Self {
        let port = free_port();
        let text = format!(
            "{{ version: v1, admin: {{ name: media/edge, healthcheck_endpoint: '' }}, auth: {{ type: static, \
             credentials: {{ username: user, password: pass }} }}, listeners: [\
             {{ name: media/edge/udp, protocol: TURN-UDP, address: 127.0.0.1, public_address: 127.0.0.1, \
             public_port: {port}, port: {port}, routes: [peers] }}, \
             {{ name: media/edge/tcp, protocol: TURN-TCP, address: 127.0.0.1, public_address: 127.0.0.1, \
             public_port: {port}, port: {port}, routes: [peers] }}], \
             clusters: [{{ name: peers, endpoints: [{endpoints}] }}] }}"
        );
        let parse = |text: &str| Config::parse(text, &|_: &str| None).expect("a configuration");
        let dataplane = Dataplane::start(Options { workers: 1, ..Options::default() }).expect("a dataplane");
        dataplane.apply(&BTreeMap::from([("media/edge".to_owned(), parse(&text))])).expect("applied");

        let told = parse(&text.replace("password: pass", &format!("password: {password}")));
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("bind");
        let (auth, tester) = (bind(), bind());
        let [auth_port, tester_port] = [&auth, &tester].map(|it| it.local_addr().expect("address").port());
        let (sender, configs) =
            tokio::sync::watch::channel(Arc::new(BTreeMap::from([("media/edge".to_owned(), told)])));
        runtime.spawn(async move {
            let served = auth::server::router(configs, auth::server::Settings::default());
            drop(axum::serve(auth, served).await);
            drop(sender);
        });
        runtime.spawn(whip::Server::default().serve(tester, CancellationToken::new()));
        Self { _dataplane: dataplane, _runtime: runtime, auth: auth_port, tester: tester_port }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stunnerctl"));
        command.arg("icetest").args(arguments).args(["--duration", "1", "--packet-rate", "100"]);
        command.arg(format!("--auth-server-address=127.0.0.1:{}", self.auth));
        command.arg(format!("--icetester-address=127.0.0.1:{}", self.tester));
        command.output().expect("run")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_gateway_that_lets_media_through_passes_with_numbers() {
    let place = Place::new("127.0.0.1, 0.0.0.0/0", "pass");
    let output = place.run(&[]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}{}", text(&output.stderr));
    for phase in [
        "Obtaining ICE server configuration... completed",
        "Running asymmetric ICE test over TURN-UDP... completed",
        "Running asymmetric ICE test over TURN-TCP... completed",
        "Running symmetric ICE test over TURN-UDP... completed",
        "Running symmetric ICE test over TURN-TCP... completed",
    ] {
        assert!(printed.contains(phase), "{printed}");
    }
    assert_eq!(printed.matches("loss=0/").count(), 4, "{printed}");
    assert!(printed.contains("* udp4 relay 127.0.0.1:") && printed.contains("RTT:mean="), "{printed}");
}

#[test]
fn a_gateway_that_refuses_says_why() {
    let place = Place::new("127.0.0.1", "guessed");
    let output = place.run(&["turn-udp"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).trim_end().ends_with("error"), "{}", text(&output.stdout));
    let printed = text(&output.stderr);
    assert!(
        printed.contains("401") && printed.contains("Diagnostics: this side got no allocation"),
        "{printed}"
    );

    let missing = free_port().to_string();
    let output = place.run(&["udp", "--auth-server-address", &format!("127.0.0.1:{missing}")]);
    assert_eq!(output.status.code(), Some(2), "given twice: {}", text(&output.stderr));
    let output = place.run(&["sctp"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("write udp, tcp"), "{}", text(&output.stderr));
}
