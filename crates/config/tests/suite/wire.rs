//! Documents go out as the original writes them.

use crate::common::{certificate, parse, parse_unexpanded, private_key};
use config::{Admin, Auth, AuthKind, Cluster, Config, Credentials, LicenseConfig, Limits, Listener, Secret};

#[test]
fn discovery_documents_come_back_byte_for_byte() {
    for document in
        [include_str!("reference/cds-udp-gateway.json"), include_str!("reference/cds-tcp-gateway.json")]
    {
        assert_eq!(parse_unexpanded(document).unwrap().to_json(), document.trim_end());
    }
}

#[test]
fn yaml_comes_out_sorted_and_without_needless_quotes() {
    let config = parse_unexpanded(include_str!("reference/cds-udp-gateway.json")).unwrap();
    assert_eq!(config.to_yaml(), include_str!("reference/udp-gateway.yaml"));
}

#[test]
fn yaml_quotes_what_would_read_as_something_else() {
    for password in [
        "",
        " ",
        "yes",
        "NULL",
        "~",
        "1234",
        "0123",
        "0x1f",
        "1_000",
        "1:30",
        "2001-01-01",
        "1e3",
        ".5",
        "-1",
        "+1",
        "a: b",
        "a #b",
        "#",
        "- a",
        "'",
        "\"",
        "it's",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "`x",
        "{",
        "[",
        "|",
        ">",
        "?",
        "? x",
        ":",
        "a:",
        "two\nlines",
        "tab\t",
        "\u{7f}",
        "é",
        "\u{2028}",
        "<<",
        "=",
        ",",
    ] {
        let config = Config {
            auth: Auth { credentials: Credentials::for_user("1", password), ..Auth::default() },
            ..Config::default()
        }
        .validate()
        .unwrap();
        assert_eq!(parse(&config.to_yaml()).unwrap(), config, "{password:?}:\n{}", config.to_yaml());
    }
}

#[test]
fn every_field_has_its_place() {
    let config = Config {
        admin: Admin {
            limits: Limits { connections: 7, ..Limits::default() },
            name: "ns/gw".into(),
            loglevel: "all:WARN".into(),
            metrics_endpoint: "http://:8080/metrics".into(),
            healthcheck_endpoint: Some(String::new()),
            user_quota: 3,
            offload_engine: "xdp".parse().unwrap(),
            offload_interfaces: vec!["eth0".into()],
            license_config: Some(LicenseConfig { key: "k".into(), hmac: "h".into() }),
        },
        auth: Auth {
            kind: AuthKind::Ephemeral,
            realm: "r".into(),
            credentials: Credentials::shared_secret("a<b>&c"),
        },
        listeners: vec![Listener {
            relay_ports: Some("1-2".into()),
            additional_address: None,
            icmp_errors: false,
            nat_discovery: None,
            mobility: false,
            alternate_server: None,
            name: "ns/gw/l".into(),
            protocol: "turn-tls".parse().unwrap(),
            public_address: "192.0.2.1".into(),
            public_port: 443,
            address: "localhost".into(),
            port: 5349,
            bind_address: Some("127.0.0.1".into()),
            cert: certificate(),
            key: Secret::from(private_key()),
            routes: vec!["ns/b".into(), "ns/a".into()],
        }],
        clusters: vec![Cluster {
            name: "ns/a".into(),
            kind: "strict_dns".parse().unwrap(),
            protocol: "tcp".parse().unwrap(),
            endpoints: vec!["example.org".into()],
        }],
        ..Config::default()
    };
    let expected = format!(
        concat!(
            r#"{{"version":"v1","admin":{{"name":"ns/gw","loglevel":"all:WARN","metrics_endpoint":"http://:8080/metrics","#,
            r#""healthcheck_endpoint":"","user_quota":3,"offload_engine":"XDP","offload_interfaces":["eth0"],"#,
            r#""limits":{{"connections":7}},"license_config":{{"key":"k","hmac":"h"}}}},"#,
            r#""auth":{{"type":"ephemeral","realm":"r","credentials":{{"secret":"a\u003cb\u003e\u0026c"}}}},"#,
            r#""listeners":[{{"name":"ns/gw/l","protocol":"TURN-TLS","public_address":"192.0.2.1","public_port":443,"#,
            r#""address":"localhost","port":5349,"bind_address":"127.0.0.1","cert":"{}","key":"{}","#,
            r#""relay_ports":"1-2","routes":["ns/a","ns/b"]}}],"#,
            r#""clusters":[{{"name":"ns/a","type":"STRICT_DNS","protocol":"TCP","endpoints":["example.org"]}}]}}"#,
        ),
        certificate(),
        private_key(),
    );
    let config = config.validate().unwrap();
    assert_eq!(config.to_json(), expected);
    assert_eq!(parse(&expected).unwrap(), config);
}

#[test]
fn a_gone_gateway_is_announced_and_recognised() {
    let document = Config::zero_json("ns/gw");
    assert_eq!(
        document,
        concat!(
            r#"{"version":"v1","admin":{"name":"ns/gw"},"auth":{"type":"static","realm":"stunner.l7mp.io","#,
            r#""credentials":{"password":"dummy-password","username":"dummy-username"}}}"#
        )
    );
    let zero = parse(&document).unwrap();
    assert!(zero.is_deleted() && zero.is_bootstrap());
    assert_eq!(zero, Config::zero("ns/gw"));
    assert!(parse(&zero.to_json()).unwrap().is_deleted(), "the long form says the same");

    let mut louder = zero.clone();
    louder.admin.loglevel = "all:TRACE".into();
    assert!(!louder.is_deleted() && louder.is_bootstrap());

    let mut busy = zero;
    busy.listeners.push(Listener { name: "l".into(), ..Listener::default() });
    assert!(!busy.is_deleted() && !busy.is_bootstrap());
}

#[test]
fn debug_output_has_no_secrets() {
    let mut config = parse_unexpanded(include_str!("reference/cds-udp-gateway.json")).unwrap();
    config.listeners[0].key = "private".into();
    config.admin.license_config = Some(LicenseConfig { key: "licence".into(), hmac: "code".into() });
    let shown = format!("{config:?}");
    for secret in ["user-1", "pass-1", "private", "licence", "code"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
