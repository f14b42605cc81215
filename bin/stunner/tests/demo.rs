//! `stunner demo`: the tutorial's own manifest, and what its reader types beside it.

mod support;

use std::{
    net::{SocketAddr, TcpListener},
    process::Command,
};

use kit::{Credentials, Process, TurnClient, Way, binary, free_port, temp_dir, workspace};

/// A running demo on ports of its own.
struct Demo {
    output: Process,
    gateway: SocketAddr,
    auth: SocketAddr,
    discovery: SocketAddr,
}

impl Demo {
    fn start() -> Self {
        let [gateway, auth, discovery, app] = [free_port(), free_port(), free_port(), free_port()];
        let output = Process::spawn(command(gateway, auth, discovery, app));
        output.await_line("Ready.");
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { output, gateway: at(gateway), auth: at(auth), discovery: at(discovery) }
    }

    fn stunnerctl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(binary("stunnerctl"));
        let home = temp_dir();
        command.env("HOME", home.path()).env_remove("KUBECONFIG").args(arguments);
        command.args(["--cds-server-address", &self.discovery.ip().to_string()]);
        command.args(["--cds-server-port", &self.discovery.port().to_string()]);
        let output = command.output().expect("run");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

fn command(gateway: u16, auth: u16, discovery: u16, app: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stunner"));
    command.current_dir(workspace()).args([
        "demo",
        "--address",
        "127.0.0.1",
        "--status-address",
        "127.0.0.1:0",
    ]);
    command.args(["--gateway-port", &gateway.to_string(), "--app-port", &app.to_string()]);
    command.args(["--auth-address", &format!("127.0.0.1:{auth}")]);
    command.args(["--discovery-address", &format!("127.0.0.1:{discovery}")]);
    Way::chosen().tell(&mut command, "--workers");
    command
}

#[test]
fn t12_running_config_has_the_layout_of_the_tutorial() {
    let demo = Demo::start();
    let port = demo.gateway.port();
    let listener = |number: u8, name: &str, protocol: &str| {
        format!(
            "Listener {number}\n\tName:\t{name}\n\tListener:\t{name}\n\tProtocol:\t{protocol}\n\
             \tPublic address:\t127.0.0.1\n\tPublic port:\t{port}\n"
        )
    };
    let expected = format!(
        "STUN/TURN authentication type:\tstatic\nSTUN/TURN username:\t\tuser-1\nSTUN/TURN password:\t\tpass-1\n{}{}",
        listener(1, "udp-listener", "UDP"),
        listener(2, "tcp-listener", "TCP"),
    );
    assert_eq!(demo.stunnerctl(&["running-config", "stunner/stunnerd-config"]), expected);
}

#[test]
fn t15_d5_clients_are_told_what_runs() {
    let demo = Demo::start();
    let told = support::http(demo.auth, "/ice?service=turn&username=alice&iceTransportPolicy=relay");
    let body = told.split("\r\n\r\n").nth(1).expect("a body");
    let port = demo.gateway.port();
    assert_eq!(
        body.trim_end(),
        format!(
            r#"{{"iceServers":[{{"credential":"pass-1","urls":["turn:127.0.0.1:{port}?transport=udp"],"username":"user-1"}},{{"credential":"pass-1","urls":["turn:127.0.0.1:{port}?transport=tcp"],"username":"user-1"}}],"iceTransportPolicy":"relay"}}"#
        )
    );
    for mut client in [TurnClient::udp(demo.gateway), TurnClient::tcp(demo.gateway)] {
        client.log_in(Credentials::fixed("user-1", "pass-1"));
        assert_eq!(client.allocate().expect("allocated").relayed.ip(), demo.gateway.ip());
    }
}

#[test]
fn two_clients_talk_through_their_relayed_addresses_and_reach_nobody_else() {
    let demo = Demo::start();
    let credentials = Credentials::fixed("user-1", "pass-1");
    let mut alice = TurnClient::udp(demo.gateway).with(credentials.clone());
    let mut bob = TurnClient::tcp(demo.gateway).with(credentials);
    let (at_alice, at_bob) =
        (alice.allocate().expect("allocated").relayed, bob.allocate().expect("allocated").relayed);
    alice.create_permission(at_bob).expect("permitted");
    bob.channel_bind(0x4000, at_alice).expect("bound");
    alice.send(at_bob, b"hello");
    let heard = bob.recv();
    assert_eq!((heard.peer(), heard.data()), (at_alice, &b"hello"[..]));
    bob.send_channel(0x4000, b"hello yourself");
    let heard = alice.recv();
    assert_eq!((heard.peer(), heard.data()), (at_bob, &b"hello yourself"[..]));
    let refused = alice.create_permission(SocketAddr::from(([192, 0, 2, 1], 9)));
    assert!(refused.is_err(), "an address that no route names");
}

#[test]
fn it_says_where_to_click_and_ends_at_once() {
    let mut demo = Demo::start();
    for hint in ["Open https://127.0.0.1:", "press Register", "status page", "running-config", "Ctrl-C"] {
        demo.output.await_line(hint);
    }
    demo.output.signal("INT");
    assert!(demo.output.await_exit().success());
}

#[test]
fn a_taken_application_port_is_named_with_its_holder_and_a_remedy() {
    let taken = TcpListener::bind("[::]:0").expect("bound");
    let port = taken.local_addr().expect("bound").port();
    let refused = command(free_port(), free_port(), free_port(), port).output().expect("run");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    for part in [&format!("TCP port {port}"), &format!("process {}", std::process::id()), "--app-port"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
