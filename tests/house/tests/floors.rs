//! Who may use whom. The compiler keeps a crate from using what its manifest does not name; this keeps the
//! manifests from naming what is not below them.

use std::collections::BTreeSet;

use house::{Kind, Member, members, packages};

/// The floors, from the ground up: a crate may use of ours only what stands beside it.
const FLOORS: &[(&str, &[&str])] = &[
    // ground
    ("stun", &[]),
    ("config", &[]),
    ("net", &[]),
    ("logs", &[]),
    ("signals", &[]),
    ("flags", &["config", "logs"]),
    // protocol
    ("turn", &["stun"]),
    ("cds", &["config"]),
    ("gateway", &["config"]),
    // services
    ("dataplane", &["stun", "turn", "net", "config"]),
    ("client", &["stun", "turn", "net"]),
    ("operator", &["gateway", "cds", "config"]),
    ("auth", &["turn", "cds", "config"]),
    ("whip", &["client", "config"]),
    ("reach", &["cds", "flags"]),
    // programs; all may write log lines
    ("one2one", &["logs", "signals"]),
    ("stunner", &["dataplane", "cds", "gateway", "auth", "one2one", "config", "flags", "logs", "signals"]),
    ("stunnerd", &["dataplane", "cds", "config", "flags", "logs", "signals"]),
    ("stunner-operator", &["operator", "gateway", "net", "cds", "config", "flags", "logs", "signals"]),
    ("stunner-auth", &["auth", "cds", "config", "flags", "logs", "signals"]),
    ("stunnerctl", &["client", "whip", "reach", "cds", "gateway", "config", "flags", "logs", "signals"]),
    ("turncat", &["client", "reach", "cds", "config", "flags", "logs", "signals"]),
    ("health", &[]),
    ("icetester", &["client", "whip", "config", "flags", "logs", "signals"]),
    // tests: these ship nothing, and nothing that ships may run with them
    ("kit", &["stun"]),
    ("cluster", &["kit", "operator", "gateway", "net", "cds", "config"]),
    ("node", &["cluster", "kit"]),
    ("house", &[]),
    ("models", &[]),
];

/// What keeps a value from being pure: clocks and sockets behind an executor, or another system's client.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio-util",
    "futures-util",
    "hyper",
    "hyper-util",
    "axum",
    "reqwest",
    "kube",
    "socket2",
    "libc",
];

const KUBERNETES: &[&str] =
    &["kube", "kube-client", "kube-core", "k8s-openapi", "gateway-api", "kube-lease-manager"];

/// What only some crates may name in their manifests, and which.
const RESERVED: &[(&[&str], &[&str])] = &[
    (&["libc", "socket2", "nix"], &["crates/net"]),
    // The node's tests enter a network.
    (&["rustix"], &["crates/net", "tests/kit"]),
    (
        &["kube", "k8s-openapi", "kube-lease-manager"],
        &["crates/operator", "crates/reach", "bin/stunner-operator", "tests/cluster"],
    ),
    (&["anyhow", "mimalloc"], &["bin/", "demo/"]),
];

#[test]
fn every_crate_uses_only_what_is_below_it() {
    let members = members();
    let ours: BTreeSet<&str> = members.keys().map(String::as_str).collect();
    for (name, member) in &members {
        let used: BTreeSet<&str> = member.uses(Kind::Run).intersection(&ours).copied().collect();
        let floor = FLOORS.iter().find(|(crate_name, _)| crate_name == name);
        let allowed: BTreeSet<&str> = match floor {
            Some((_, below)) => below.iter().copied().collect(),
            None if member.is_test() => ours.clone(),
            None => panic!("{name} stands on no floor: give it a line in FLOORS"),
        };
        let above: Vec<&&str> = used.difference(&allowed).collect();
        assert!(above.is_empty(), "{name} uses {above:?}, which do not stand below it");
    }
}

#[test]
fn nothing_that_ships_runs_with_a_test_crate() {
    let members = members();
    for (name, member) in members.iter().filter(|(_, member)| !member.is_test()) {
        for used in member.uses(Kind::Run) {
            let is_test = members.get(used).is_some_and(Member::is_test);
            assert!(!is_test, "{name} needs {used} to run");
        }
    }
}

#[test]
fn pure_crates_name_nothing_that_has_a_clock_or_a_socket() {
    let members = members();
    for name in ["stun", "turn", "config", "gateway"] {
        let used = members[name].uses(Kind::Run);
        let impure: Vec<&&str> = IMPURE.iter().filter(|one| used.contains(**one)).collect();
        assert!(impure.is_empty(), "{name} is pure and uses {impure:?}");
    }
}

#[test]
fn some_packages_are_reserved() {
    for (name, member) in members() {
        let used = member.uses(Kind::Run);
        for (reserved, owners) in RESERVED {
            let may = owners.iter().any(|owner| member.folder.starts_with(owner));
            let taken: Vec<&&str> = reserved.iter().filter(|one| used.contains(**one)).collect();
            assert!(may || taken.is_empty(), "{name} uses {taken:?}, reserved for {owners:?}");
        }
    }
}

#[test]
fn the_packet_crates_bring_no_kubernetes_and_no_web_framework() {
    let selection = ["stun", "turn", "net", "dataplane"].map(|name| ["-p", name]).concat();
    let brought = packages(&[selection.as_slice(), &["-e", "normal,build"]].concat());
    for package in brought {
        let name = package.name.as_str();
        assert!(!KUBERNETES.contains(&name) && name != "axum", "the packet path would compile {name}");
    }
}

#[test]
fn the_codec_brings_only_hashes() {
    let hashes = ["hmac", "sha1", "sha2", "md-5", "crc32fast", "subtle", "zeroize"];
    let members = members();
    let used = members["stun"].uses(Kind::Run);
    let more: Vec<&&str> = used.iter().filter(|name| !hashes.contains(name)).collect();
    assert!(more.is_empty(), "stun is bytes and hashes, and uses {more:?}");
}
