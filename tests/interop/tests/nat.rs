//! Clients behind a router that translates addresses: what loopback cannot show.
//!
//! This machine has two public addresses, 11.0.0.1 and 11.0.0.2, and no way to 192.168.7.0/24, where the client is. A
//! router between them makes the client's packets its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use interop::{Gateway, PASSWORD, USERNAME, credentials};
use kit::host::{Host, in_own_network, run};
use kit::{Deadline, EchoPeer, Part, Process, TurnClient, free_port, need};

const PUBLIC: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 2);
const ROUTER: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 254);

struct Scene {
    parts: Part,
    router: Host,
    client: Host,
}

impl Scene {
    /// With `masquerade` the router takes another port for each connection, or keeps that of the client if it can.
    #[track_caller]
    fn start(parts: Part, masquerade: &str) -> Self {
        let (router, client) = (Host::start(&parts), Host::start(&parts));
        let ip = |arguments: &str| run(&parts, &format!("ip {arguments}"));
        ip("link set lo up");
        ip("link add outside type veth peer name public");
        ip(&format!("link set outside netns {}", router.id()));
        ip(&format!("addr add {PUBLIC}/24 dev public"));
        ip(&format!("addr add {OTHER}/24 dev public"));
        ip("link set public up");
        router.inside(|| {
            ip("link set lo up");
            ip(&format!("addr add {ROUTER}/24 dev outside"));
            ip("link set outside up");
            ip("link add inside type veth peer name private");
            ip(&format!("link set private netns {}", client.id()));
            ip("addr add 192.168.7.1/24 dev inside");
            ip("link set inside up");
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("a router");
        });
        client.inside(|| {
            ip("link set lo up");
            ip("addr add 192.168.7.2/24 dev private");
            ip("link set private up");
            ip("route add default via 192.168.7.1");
        });
        let scene = Self { parts, router, client };
        scene.masquerade("-A", masquerade);
        scene
    }

    #[track_caller]
    fn masquerade(&self, what: &str, how: &str) {
        let line = format!("iptables -w -t nat {what} POSTROUTING -o outside -j MASQUERADE {how}");
        self.router.inside(|| run(&self.parts, &line));
    }

    /// The router forgets who talked to whom, and has other ports from now on.
    #[track_caller]
    fn forget(&self, ports: &str) {
        self.masquerade("-I", &format!("-p udp --to-ports {ports}"));
        self.router.inside(|| run(&self.parts, "conntrack -F"));
    }

    /// Runs a client's program behind the router.
    #[track_caller]
    fn run(&self, client: Command) -> Vec<String> {
        self.client.inside(|| Process::run(client, Deadline::default()))
    }
}

/// The behaviour that a client of RFC 5780 finds out about the router.
#[track_caller]
fn behaviour(coturn: &Part, scene: &Scene, gateway: &Gateway, flag: &str) -> String {
    let mut client = coturn.command("turnutils_natdiscovery");
    client.args([flag, &format!("-p{}", gateway.plain.port()), &gateway.plain.ip().to_string()]);
    let lines = scene.run(client);
    let found = lines.iter().rev().find(|line| line.contains("NAT with"));
    found.unwrap_or_else(|| panic!("nothing was found out: {lines:#?}")).clone()
}

#[test]
fn the_behaviour_of_a_nat_is_found_out() {
    let (Some(parts), Some(coturn)) = (need("nat"), need("coturn")) else { return };
    if !in_own_network(&parts, "the_behaviour_of_a_nat_is_found_out") {
        return;
    }
    let scene = Scene::start(parts, "");
    let gateway = Gateway::at(PUBLIC.into(), &format!("nat_discovery: {OTHER}:{}", free_port()));
    let mapping = behaviour(&coturn, &scene, &gateway, "-m");
    assert!(mapping.contains("Endpoint Independent Mapping"), "{mapping}");
    let filtering = behaviour(&coturn, &scene, &gateway, "-f");
    assert!(filtering.contains("Address and Port Dependent Filtering"), "{filtering}");
    scene.masquerade("-I", "-p udp --random-fully");
    let mapping = behaviour(&coturn, &scene, &gateway, "-m");
    assert!(mapping.contains("Address and Port Dependent Mapping"), "{mapping}");
}

#[test]
fn clients_behind_a_nat_lose_nothing() {
    let (Some(parts), Some(coturn)) = (need("nat"), need("coturn")) else { return };
    if !in_own_network(&parts, "clients_behind_a_nat_lose_nothing") {
        return;
    }
    let scene = Scene::start(parts, "--random-fully");
    let gateway = Gateway::at(PUBLIC.into(), "");
    let port = free_port();
    let mut echo = coturn.command("turnutils_peer");
    echo.args(["-L", &PUBLIC.to_string(), "-p", &port.to_string()]);
    let _echo = Process::spawn(echo);
    for flags in [&["-c"][..], &["-c", "-s"], &["-c", "-t"], &["-c", "-S"]] {
        let server = if flags.contains(&"-S") { gateway.secure } else { gateway.plain };
        let mut client = coturn.command("turnutils_uclient");
        client.args(["-u", USERNAME, "-w", PASSWORD, "-m2", "-n20", "-z2", "-e", &PUBLIC.to_string()]);
        client.args([format!("-r{port}"), format!("-p{}", server.port())]);
        client.args(flags).arg(PUBLIC.to_string());
        let lines = scene.run(client);
        assert!(lines.iter().any(|line| line.contains("Total lost packets 0 ")), "{flags:?}: {lines:#?}");
    }
}

/// RFC 8016: the router has restarted, and the client's packets come from somewhere else.
#[test]
fn a_call_goes_on_when_a_nat_has_forgotten_it() {
    let Some(parts) = need("nat") else { return };
    if !in_own_network(&parts, "a_call_goes_on_when_a_nat_has_forgotten_it") {
        return;
    }
    let scene = Scene::start(parts, "");
    let gateway = Gateway::at(PUBLIC.into(), "mobility: true");
    let peer = EchoPeer::on(SocketAddr::from((PUBLIC, 0)));
    let mut client = scene.client.inside(|| {
        TurnClient::udp_from(SocketAddr::from(([192, 168, 7, 2], 0)), gateway.plain).with(credentials())
    });
    let mut ticket = client.allocate_mobile().expect("a relay that may move").ticket();
    client.channel_bind(0x4000, peer.address()).expect("a channel");
    let mut seen = vec![client.binding().expect("an answer")];
    for (round, ports) in ["20001-20999", "21001-21999", "22001-22999"].into_iter().enumerate() {
        scene.forget(ports);
        let moved = client.refresh_mobile(&ticket).expect("the relay, taken along");
        ticket = moved.ticket();
        let data = [round as u8; 20];
        client.send_channel(0x4000, &data);
        assert_eq!(client.recv().data(), data);
        seen.push(client.binding().expect("an answer"));
    }
    assert!(seen.iter().all(|address| address.ip() == ROUTER), "{seen:?}");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4, "the router kept a port");
    let sources = peer.sources();
    assert!(sources.iter().all(|source| source == &sources[0]), "the peer has noticed nothing: {sources:?}");
}
