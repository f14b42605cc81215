//! What holds for every configuration and every text.

use crate::common::{certificate, parse, private_key};
use config::{
    Admin, Auth, AuthKind, Cluster, ClusterKind, ClusterProtocol, Config, Credentials, Endpoint,
    LicenseConfig, Limits, Listener, OffloadEngine, Protocol, diff::Diff, uri::TurnUri,
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// Any text that names no variable.
fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_map(|text| text.replace('$', "S"))
}

fn admin() -> impl Strategy<Value = Admin> {
    let endpoint = select(vec!["", "http://:8080/metrics", "http://[::1]:1", "0.0.0.0", "localhost:80/x"]);
    let engine =
        select(vec![OffloadEngine::None, OffloadEngine::Xdp, OffloadEngine::Tc, OffloadEngine::Auto]);
    let license = option::of((text(), text()));
    (text(), text(), endpoint.clone(), option::of(endpoint), any::<u32>(), engine, vec(text(), 0..3), license)
        .prop_map(
            |(
                name,
                loglevel,
                metrics,
                healthcheck,
                user_quota,
                offload_engine,
                offload_interfaces,
                license,
            )| Admin {
                name,
                loglevel,
                metrics_endpoint: metrics.to_owned(),
                healthcheck_endpoint: healthcheck.map(str::to_owned),
                user_quota,
                offload_engine,
                offload_interfaces,
                limits: Limits::default(),
                license_config: license
                    .map(|(key, hmac)| LicenseConfig { key: key.into(), hmac: hmac.into() }),
            },
        )
}

fn auth() -> impl Strategy<Value = Auth> {
    let kind = select(vec![AuthKind::Static, AuthKind::Ephemeral, AuthKind::None]);
    (kind, text(), any::<[String; 3]>()).prop_map(|(kind, realm, [username, password, secret])| Auth {
        kind,
        realm,
        credentials: Credentials { secret: Some(secret.into()), ..Credentials::for_user(username, password) },
    })
}

fn listener(name: String) -> impl Strategy<Value = Listener> {
    let protocol = select(vec![Protocol::Udp, Protocol::Tcp, Protocol::Tls, Protocol::Dtls]);
    let bind = option::of(select(vec!["::1", "127.0.0.1", "localhost"]));
    (protocol, text(), any::<u16>(), text(), any::<u16>(), bind, vec(text(), 0..3)).prop_map(
        move |(protocol, public_address, public_port, address, port, bind, routes)| Listener {
            relay_ports: None,
            additional_address: None,
            icmp_errors: false,
            nat_discovery: None,
            mobility: false,
            alternate_server: None,
            name: name.clone(),
            protocol,
            public_address,
            public_port,
            address,
            port,
            bind_address: bind.map(str::to_owned),
            cert: certificate(),
            key: private_key().into(),
            routes,
        },
    )
}

fn endpoint() -> impl Strategy<Value = String> {
    let prefix = prop_oneof![
        any::<std::net::IpAddr>().prop_map(|address| address.to_string()),
        (any::<std::net::Ipv4Addr>(), 0..=32).prop_map(|(address, length)| format!("{address}/{length}")),
        (any::<std::net::Ipv6Addr>(), 0..=128).prop_map(|(address, length)| format!("{address}/{length}")),
    ];
    let ports = option::of((0..100_000_u32, 0..100_000_u32));
    (prefix, ports).prop_map(|(prefix, ports)| match ports {
        Some((first, last)) => format!("{prefix}:<{first}-{last}>"),
        None => prefix,
    })
}

fn cluster(name: String) -> impl Strategy<Value = Cluster> {
    let protocol = select(vec![ClusterProtocol::Udp, ClusterProtocol::Tcp]);
    let endpoints = prop_oneof![
        vec(endpoint(), 0..4).prop_map(|endpoints| (ClusterKind::Static, endpoints)),
        vec(text(), 0..4).prop_map(|endpoints| (ClusterKind::StrictDns, endpoints)),
    ];
    (protocol, endpoints).prop_map(move |(protocol, (kind, endpoints))| Cluster {
        name: name.clone(),
        kind,
        protocol,
        endpoints,
    })
}

fn config() -> impl Strategy<Value = Config> {
    let listeners =
        (0..3_usize).prop_flat_map(|n| (0..n).map(|at| listener(format!("l{at}"))).collect::<Vec<_>>());
    let clusters =
        (0..3_usize).prop_flat_map(|n| (0..n).map(|at| cluster(format!("c{at}"))).collect::<Vec<_>>());
    (admin(), auth(), listeners, clusters).prop_map(|(admin, auth, listeners, clusters)| Config {
        admin,
        auth,
        listeners,
        clusters,
        ..Config::default()
    })
}

/// Text that looks like a configuration as long as nobody looks closely.
fn almost_a_document() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "version",
        "v1",
        "v1alpha1",
        "admin",
        "auth",
        "listeners",
        "clusters",
        "name",
        "port",
        "endpoints",
        "credentials",
        "username",
        "password",
        "type",
        ": ",
        ":\n",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\"",
        "'",
        "$A",
        "${",
        "&a ",
        "*a",
        "<<",
        "|",
        ">",
        "!!int ",
        "null",
        "yes",
        "0x1",
        "1e9",
        "10.0.0.1",
        "#",
        "---",
        "\t",
        "é",
        "%",
    ]);
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn documents_read_back_as_they_were_written(config in config()) {
        let config = config.validate().unwrap();
        prop_assert_eq!(&parse(&config.to_json()).unwrap(), &config);
        prop_assert_eq!(&parse(&config.to_yaml()).unwrap(), &config);
        prop_assert_eq!(&config.clone().validate().unwrap(), &config);
        prop_assert_eq!(&config.expand(&config::env::empty).unwrap(), &config);
        prop_assert_eq!(parse(&config.to_json()).unwrap().to_json(), config.to_json());
    }

    #[test]
    fn differences_are_found_exactly(old in config(), new in config()) {
        let (old, new) = (old.validate().unwrap(), new.validate().unwrap());
        prop_assert!(Diff::between(&old, &old).is_empty());
        prop_assert_eq!(Diff::between(&old, &new).is_empty(), old == new);
    }

    #[test]
    fn endpoints_read_back_as_they_print(text in endpoint()) {
        let endpoint: Endpoint = text.parse().unwrap();
        let printed = endpoint.to_string();
        let again: Endpoint = printed.parse().unwrap();
        prop_assert_eq!(again.to_string(), printed);
        prop_assert_eq!((again.net, again.ports), (endpoint.net, endpoint.ports));
    }

    #[test]
    fn no_text_breaks_the_reader(text in any::<String>(), document in almost_a_document()) {
        let env = |name: &str| Some(name.repeat(2));
        for text in [text, document] {
            let _ = Config::parse(&text, &env);
            let _ = Config::parse(&format!("version: v1\nauth: {{type: none}}\nadmin: {text}"), &env);
            let _ = text.parse::<TurnUri>();
            let _ = text.parse::<Endpoint>();
            let _ = config::HttpEndpoint::parse(&text, 1);
            let _ = config::env::expand(&text, &env);
        }
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }
}
