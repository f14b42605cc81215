//! What a document may look like.

use crate::common::{certificate, parse, private_key, refusal, with};
use config::{AuthKind, Config, Protocol};

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "STUNNER_ADDR" => "10.1.2.3",
        "PORT" => "4000",
        "KIND" => "longterm",
        "NASTY" => "x\", \"y\": \"z",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn keys_match_in_any_capitalisation_and_unknown_ones_are_ignored() {
    let config = with(
        "ADMIN: { logLevel: all:DEBUG, realm: x }\nmin_relay_port: 1\nLISTENERS: [{ Name: l, PORT: 1 }]",
    )
    .unwrap();
    assert_eq!(config.admin.loglevel, "all:DEBUG");
    assert_eq!((config.listeners[0].name.as_str(), config.listeners[0].port), ("l", 1));
    assert!(refusal("admin: { loglevel: a, logLevel: b }").contains("given twice"));
}

#[test]
fn scalars_become_text_where_text_is_wanted() {
    let config = parse(
        "version: v1\nadmin: { name: 12 }\nauth: { realm: yes, credentials: { username: 1.5, password: 0123 } }\n",
    )
    .unwrap();
    assert_eq!(config.admin.name, "12");
    assert_eq!(config.auth.realm, "true", "a boolean of YAML 1.1");
    assert_eq!(config.auth.credentials.username.unwrap().expose(), "1.5");
    assert_eq!(config.auth.credentials.password.unwrap().expose(), "0123", "a password keeps its zero");
}

#[test]
fn numbers_have_to_be_numbers() {
    assert!(
        refusal("listeners: [{ name: l, port: \"3478\" }]")
            .contains("listeners[0].port: expected a number, found text")
    );
    assert!(refusal("listeners: [{ name: l, port: 1.5 }]").contains("1.5"));
    assert!(refusal("listeners: [{ name: l, port: 65536 }]").contains("invalid port: 65536"));
    assert!(refusal("listeners: [{ name: l, port: -1 }]").contains("invalid port: -1"));
    assert_eq!(with("listeners: [{ name: l, port: 0 }]").unwrap().listeners[0].port, 3478);
    assert_eq!(with("admin: { user_quota: -3 }").unwrap().admin.user_quota, 0);
}

#[test]
fn null_is_absent() {
    let config = with("admin: null\nlisteners: ~\nclusters:\n").unwrap();
    assert_eq!(config, with("").unwrap());
    let config = with("admin: { healthcheck_endpoint: null, name: ~ }").unwrap();
    assert_eq!(config.admin.healthcheck_endpoint.as_deref(), Some("http://:8086"));
    assert_eq!(
        with("admin: { healthcheck_endpoint: '' }").unwrap().admin.healthcheck_endpoint.as_deref(),
        Some("")
    );
}

#[test]
fn other_shapes_are_refused_by_name() {
    assert!(refusal("listeners: { name: l }").contains("listeners: expected a list, found a map"));
    assert!(refusal("listeners: [l]").contains("listeners[0]: expected a map, found text"));
    assert!(refusal("admin: { name: [a] }").contains("admin.name: expected text, found a list"));
    for text in ["", "# nothing", "version: v2", "version:", "admin: {}", "- v1", "version: [v1]"] {
        assert!(parse(text).is_err(), "{text:?}");
    }
    assert!(parse("version: v2").unwrap_err().to_string().contains("unsupported API version: \"v2\""));
    assert!(parse("{}").unwrap_err().to_string().contains("unsupported API version: \"\""));
}

#[test]
fn variables_are_expanded_value_by_value() {
    let text = r#"
version: v1
admin: { name: "$NASTY", loglevel: "a${}b${STUNNER_ADDR", offload_interfaces: ["a$ b", "$UNSET"] }
auth: { type: $KIND, realm: "${STUNNER_ADDR}.example", credentials: { secret: "$KIND" } }
listeners:
- { name: "l", address: $STUNNER_ADDR, port: $PORT, public_port: $UNSET, routes: ["$STUNNER_ADDR/x"] }
- { name: "m", address: $UNSET, port: $STUNNER_PORT }
"#;
    let config = Config::parse(text, &environment).unwrap();
    assert_eq!(config.admin.name, "x\", \"y\": \"z", "a value cannot become structure");
    assert_eq!(config.admin.loglevel, "abSTUNNER_ADDR");
    assert_eq!(config.admin.offload_interfaces, ["", "a$ b"]);
    assert_eq!((config.auth.kind, config.auth.realm.as_str()), (AuthKind::Ephemeral, "10.1.2.3.example"));
    assert_eq!(config.auth.credentials.secret.as_ref().unwrap().expose(), "$KIND");
    assert_eq!((config.listeners[0].address.as_str(), config.listeners[0].port), ("10.1.2.3", 4000));
    assert_eq!(config.listeners[0].routes, ["10.1.2.3/x"]);
    assert_eq!((config.listeners[1].address.as_str(), config.listeners[1].port), ("0.0.0.0", 3478));
    assert!(
        Config::parse(&text.replace("$PORT", "$KIND"), &environment)
            .unwrap_err()
            .to_string()
            .contains("longterm")
    );
}

#[test]
fn stunner_port_always_has_a_number() {
    let text = "{version: v1, auth: {type: none}, listeners: [{name: l, port: $STUNNER_PORT}]}";
    let port = |own: Option<&str>, public: Option<&str>| {
        let env = |name: &str| match name {
            "STUNNER_PORT" => own.map(str::to_owned),
            _ => public.map(str::to_owned),
        };
        Config::parse(text, &env).unwrap().listeners[0].port
    };
    assert_eq!(port(Some("5"), Some("6")), 5);
    assert_eq!(port(Some("five"), Some("6")), 6);
    assert_eq!(port(Some(""), Some("six")), 3478);
    assert_eq!(port(None, None), 3478);
}

#[test]
fn expand_replaces_placeholders_of_a_rendered_configuration() {
    let rendered = crate::common::parse_unexpanded(include_str!("reference/cds-udp-gateway.json")).unwrap();
    let running = rendered.expand(&environment).unwrap();
    assert_eq!(running.listeners[0].address, "10.1.2.3");
    assert_eq!(running.clusters, rendered.clusters);
    assert_eq!(rendered.expand(&config::env::empty).unwrap().listeners[0].address, "0.0.0.0");
}

#[test]
fn names_without_turn_are_synonyms() {
    let config = with("listeners: [{ name: a, protocol: udp }, { name: b, protocol: TURN-tcp }, { name: c, protocol: Tcp }]").unwrap();
    let protocols: Vec<_> = config.listeners.iter().map(|listener| listener.protocol).collect();
    assert_eq!(protocols, [Protocol::Udp, Protocol::Tcp, Protocol::Tcp]);
    assert!(refusal("listeners: [{ name: a, protocol: turn- }]").contains("unknown listener protocol"));
    assert!(
        refusal("listeners: [{ name: a, protocol: turn-turn-udp }]").contains("unknown listener protocol")
    );
}

#[test]
fn endpoints_of_small_servers_read_in_all_spellings() {
    let table = [
        ("http://127.0.0.1:8086", Some(("127.0.0.1", 8086, "/"))),
        ("http://:8087", Some(("", 8087, "/"))),
        ("http://", Some(("", 8080, "/"))),
        ("0.0.0.0", Some(("0.0.0.0", 8080, "/"))),
        ("http://[::1]:9/metrics", Some(("::1", 9, "/metrics"))),
        ("localhost:8080/metrics", Some(("localhost", 8080, "/metrics"))),
        ("", None),
    ];
    for (text, expected) in table {
        let endpoint =
            with(&format!("admin: {{ metrics_endpoint: \"{text}\" }}")).unwrap().admin.metrics().unwrap();
        let expected = expected.map(|(host, port, path)| config::HttpEndpoint {
            host: (!host.is_empty()).then(|| host.to_owned()),
            port,
            path: path.to_owned(),
        });
        assert_eq!(endpoint, expected, "{text}");
    }
    for text in ["http://:80800", "http://a b", "http://[::1", "http://[x]:1", "http://u@h", "http://:x"] {
        assert!(
            refusal(&format!("admin: {{ metrics_endpoint: \"{text}\" }}")).contains("admin.metrics_endpoint"),
            "{text}"
        );
        assert!(
            refusal(&format!("admin: {{ healthcheck_endpoint: \"{text}\" }}"))
                .contains("admin.healthcheck_endpoint")
        );
    }
    assert!(with("").unwrap().admin.healthcheck().unwrap().is_some_and(|endpoint| endpoint.port == 8086));
}

#[test]
fn documents_that_blow_up_are_refused() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
                g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nversion: v1\n";
    assert!(parse(bomb).is_err());
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&" ".repeat((4 << 20) + 1)).unwrap_err().to_string().contains("bytes"));
    assert!(parse(&format!("{{\"version\": {}", "[".repeat(100_000))).is_err());
    let many = format!("version: v1\nlisteners: [{}]", "a,".repeat(1_000_000));
    assert!(parse(&many).is_err());
}

#[test]
fn json_is_read_as_json() {
    let text = "{\n\t\"version\": \"v1\",\r\n\t\"auth\": {\"credentials\": {\"username\": \"\u{7f}\u{85}\", \"password\": \"\\ud83d\\ude00\\/\"}}\n}\n";
    let credentials = parse(text).unwrap().auth.credentials;
    assert_eq!(credentials, config::Credentials::for_user("\u{7f}\u{85}", "\u{1f600}/"));
    assert!(parse(r#"{"version":"v1","version":"v1"}"#).unwrap_err().to_string().contains("twice"));
}

#[test]
fn who_has_no_use_for_certificates_gets_none_and_minds_none() {
    let document = |tls: &str| {
        format!(
            "version: v1\nauth: {{ credentials: {{ username: u, password: p }} }}\n\
             listeners: [{{ name: l, protocol: TURN-TLS, {tls} }}]"
        )
    };
    let read = |tls: &str| Config::parse_without_certificates(&document(tls), &config::env::empty);
    let without = read("port: 1").unwrap();
    for tls in
        ["cert: dummy, key: dummy", "cert: \"\"", &format!("cert: {}, key: {}", certificate(), private_key())]
    {
        assert_eq!(read(&format!("port: 1, {tls}")).unwrap(), without, "{tls}");
    }
    assert!(without.listeners[0].cert.is_empty() && without.listeners[0].key.is_empty());
    assert!(read("port: x").is_err());
    assert!(with("listeners: [{ name: l, protocol: TURN-TLS }]").is_err());
}
