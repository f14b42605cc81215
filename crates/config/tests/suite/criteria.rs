//! The acceptance criteria of configuration and URIs, each under its number.

use crate::common::{certificate, parse, private_key, refusal, with};
use config::{AuthKind, Cluster, ClusterKind, Config, Endpoint, Listener, Protocol, uri::TurnUri};

#[test]
fn c01_plain_turn_uri_is_a_whole_configuration() {
    for text in [
        "turn://u:p@1.2.3.4:3478?transport=udp",
        "turn://u:p@1.2.3.4?transport=udp",
        "turn://u:p@1.2.3.4:3478",
    ] {
        let config = text.parse::<TurnUri>().unwrap().to_config(None).unwrap();
        assert_eq!(config.auth.kind, AuthKind::Static);
        assert_eq!(config.auth.credentials, config::Credentials::for_user("u", "p"));
        let [listener] = &config.listeners[..] else { panic!("one listener") };
        assert_eq!(
            (listener.address.as_str(), listener.port, listener.protocol),
            ("1.2.3.4", 3478, Protocol::Udp)
        );
        let [cluster] = &config.clusters[..] else { panic!("one cluster") };
        assert_eq!(
            (cluster.kind, &cluster.endpoints[..]),
            (ClusterKind::Static, &["0.0.0.0/0".to_owned()][..])
        );
        assert_eq!(listener.routes, ["allow-any"]);
        assert_eq!(cluster.name, "allow-any");
        assert_eq!(config.admin.healthcheck_endpoint.as_deref(), Some("http://:8086"));
        assert_eq!(config.admin.metrics_endpoint, "");
    }
}

#[test]
fn c02_uri_table() {
    use Protocol::{Dtls, Tcp, Tls, Udp};
    let table = [
        ("turn://u:p@h", Udp, 3478),
        ("TURN://u:p@h?transport=UDP", Udp, 3478),
        ("//u:p@h?transport=udp", Udp, 3478),
        ("://u:p@h", Udp, 3478),
        ("u:p@h", Udp, 3478),
        ("turn://u:p@h:1?transport=tcp", Tcp, 1),
        ("turn://u:p@h?transport=tls", Tls, 443),
        ("turns://u:p@h?transport=tcp", Tls, 443),
        ("turns://u:p@h?transport=TLS", Tls, 443),
        ("turn://u:p@h?transport=dtls", Dtls, 443),
        ("turns://u:p@h?transport=udp", Dtls, 443),
        ("turns://u:p@h", Dtls, 443),
        ("turns:u:p@h:5349", Dtls, 5349),
        ("turn:u:p@h?transport=tcp", Tcp, 3478),
    ];
    for (text, protocol, port) in table {
        let uri: TurnUri = text.parse().unwrap();
        assert_eq!((uri.protocol, uri.host.as_str(), uri.port), (protocol, "h", port), "{text}");
        assert_eq!((uri.username.expose(), uri.password.expose()), ("u", "p"), "{text}");
    }
    for text in ["http://u:p@h", "turn://u:p@h?transport=sctp", "stun://h", "turns://u:p@h?transport=x"] {
        let error = text.parse::<TurnUri>().unwrap_err().to_string();
        assert!(error.contains("invalid scheme/protocol in URI"), "{error}");
        assert!(!error.contains("u:p"), "{error}");
    }
}

#[test]
fn c02_uri_corners() {
    let bare: TurnUri = "turn://1.2.3.4".parse().unwrap();
    assert!(bare.username.is_empty() && bare.password.is_empty());
    assert!(bare.to_config(None).unwrap_err().to_string().contains("username/password must be set"));

    let odd: TurnUri = "turn://us%40er:p%3Aa%2fss:word@[2001:db8::1]:99?transport=tcp".parse().unwrap();
    assert_eq!((odd.username.expose(), odd.password.expose()), ("us@er", "p:a/ss:word"));
    assert_eq!((odd.host.as_str(), odd.port), ("2001:db8::1", 99));
    assert_eq!(odd.to_string(), "turn:[2001:db8::1]:99?transport=tcp");
    let config = odd.to_config(None).unwrap();
    assert_eq!(config.listeners[0].relay_address().unwrap().to_string(), "2001:db8::1");
    assert_eq!(config.clusters[0].endpoints, ["0.0.0.0/0", "::/0"]);

    let secure: TurnUri = "turns://u:p@127.0.0.1".parse().unwrap();
    assert!(secure.to_config(None).unwrap_err().to_string().contains("empty TLS"));
    secure.to_config(Some((certificate(), private_key().into()))).unwrap();

    for text in [
        "turn://",
        "turn://h:0",
        "turn://h:65536",
        "turn://h:x",
        "turn://[::1",
        "turn://a b",
        "turn://%zz:p@h",
        "turn://%f:p@h",
    ] {
        assert!(text.parse::<TurnUri>().is_err(), "{text}");
    }
}

#[test]
fn c03_default_configuration_survives_yaml() {
    let config = "turn://user:pass@1.2.3.4".parse::<TurnUri>().unwrap().to_config(None).unwrap();
    assert_eq!(parse(&config.to_yaml()).unwrap(), config);
    assert_eq!(parse(&config.to_json()).unwrap(), config);
    assert_eq!(config.clone().validate().unwrap(), config);
}

#[test]
fn c04_dollars_in_credentials_are_literal() {
    let env = |_: &str| Some("expanded".to_owned());
    for secret in ["$abc", "abc$", "a$bc", "${abc}", "a${bc", "$", "$$", "a$1b", "$STUNNER_ADDR", "a}b${c"] {
        let text =
            format!("{{version: v1, auth: {{credentials: {{username: '{secret}', password: '{secret}'}}}}}}");
        let credentials = Config::parse(&text, &env).unwrap().auth.credentials;
        assert_eq!(credentials, config::Credentials::for_user(secret, secret));
        let text = format!("{{version: v1, auth: {{type: ephemeral, credentials: {{secret: '{secret}'}}}}}}");
        let config = Config::parse(&text, &env).unwrap();
        assert_eq!(config.auth.credentials.secret.as_ref().unwrap().expose(), secret);
        assert_eq!(config.expand(&env).unwrap(), config);
    }
}

#[test]
fn c05_v1alpha1_is_converted() {
    let load = |kind: &str| {
        parse(&format!(
            r#"{{"version":"v1alpha1","auth":{{{kind}"credentials":{{"username":"u","password":"p","secret":"s"}}}},
                "listeners":[{{"name":"l","protocol":"udp","routes":["c"]}}],"clusters":[{{"name":"c","endpoints":["10.0.0.1"]}}]}}"#
        ))
        .unwrap()
    };
    for (name, kind) in [
        ("plaintext", AuthKind::Static),
        ("static", AuthKind::Static),
        ("longterm", AuthKind::Ephemeral),
        ("ephemeral", AuthKind::Ephemeral),
        ("none", AuthKind::None),
    ] {
        let config = load(&format!(r#""type":"{name}","#));
        assert_eq!(config.auth.kind, kind);
        assert!(config.to_json().starts_with(r#"{"version":"v1","admin""#));
        assert!(config.to_json().contains(&format!(r#""type":"{kind}""#)));
        assert_eq!(config.listeners[0].routes, ["c"]);
    }
    assert_eq!(load("").auth.kind, AuthKind::Static, "an absent type is the default");
}

#[test]
fn c06_credentials_have_to_fit_the_type() {
    let auth = |text: &str| parse(&format!("version: v1\nauth: {text}"));
    for text in [
        "{}",
        "{ credentials: { username: u } }",
        "{ type: static, credentials: { password: p } }",
        "{ type: plaintext, credentials: { secret: s } }",
    ] {
        let error = auth(text).unwrap_err().to_string();
        assert!(
            error.contains("empty username or password") && error.contains("auth.credentials"),
            "{error}"
        );
    }
    auth("{ credentials: { username: '', password: '' } }").unwrap();
    assert!(
        auth("{ type: ephemeral }")
            .unwrap_err()
            .to_string()
            .contains("no secret found in ephemeral auth config")
    );
    assert!(
        auth("{ type: Static }").unwrap_err().to_string().contains("unknown authentication type: \"Static\"")
    );
    auth("{ type: none }").unwrap();
    assert_eq!(auth("{ type: none, credentials: { secret: s } }").unwrap(), auth("{ type: none }").unwrap());
    assert_eq!(auth("{ type: none }").unwrap().auth.realm, "stunner.l7mp.io");
}

#[test]
fn c07_names_are_needed_and_unique() {
    assert!(
        refusal("listeners: [{ port: 1 }]")
            .contains("listeners[0].name: missing name in listener configuration")
    );
    assert!(
        refusal("clusters: [{ name: a }, {}]")
            .contains("clusters[1].name: missing name in cluster configuration")
    );
    assert!(
        refusal("listeners: [{ name: a }, { name: a, port: 1 }]").contains("duplicate listener name: \"a\"")
    );
    assert!(
        refusal("clusters: [{ name: a }, { name: b }, { name: a }]")
            .contains("clusters[2].name: duplicate cluster name")
    );
    with("listeners: []\nclusters: []").unwrap();
    with("listeners: [{ name: a, routes: [nobody] }]").unwrap();
}

#[test]
fn c08_tls_listeners_need_a_certificate() {
    let (cert, key) = (certificate(), private_key());
    for protocol in ["TLS", "turn-dtls"] {
        let listener = |rest: &str| format!("listeners: [{{ name: l, protocol: {protocol}, {rest} }}]");
        assert!(refusal(&listener("port: 1")).contains("empty TLS cert"));
        assert!(refusal(&listener(&format!("cert: {cert}"))).contains("empty TLS key"));
        assert!(refusal(&listener(&format!("key: {key}"))).contains("empty TLS cert"));
        for (cert, key) in [("####", key.as_str()), (&cert, "dummy"), (&key, &cert), ("ZHVtbXk=", &key)] {
            let error = refusal(&listener(&format!("cert: '{cert}', key: '{key}'")));
            assert!(error.contains("cannot load cert/key pair"), "{error}");
            assert!(!error.contains(key), "{error}");
        }
        let wrapped = format!("{}\\r\\n{}", &cert[..10], &cert[10..]);
        let config = with(&listener(&format!("cert: \"{wrapped}\", key: {key}"))).unwrap();
        assert!(config.listeners[0].certificate_pem().unwrap().starts_with(b"-----BEGIN CERTIFICATE-----"));
        assert!(config.listeners[0].private_key_pem().unwrap().starts_with(b"-----BEGIN PRIVATE KEY-----"));
    }
    with("listeners: [{ name: l, protocol: TCP, cert: dummy }]").unwrap();
}

#[test]
fn c09_endpoint_parse_print_table() {
    let table = [
        ("10.1.2.3/16:<1000-2000>", "10.1.0.0/16:<1000-2000>"),
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("10.1.2.3:<5-5>", "10.1.2.3:<5-5>"),
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2::9/32", "2001:db8::/32"),
        ("2001:db8::9:<5-6>", "2001:db8::9:<5-6>"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("10.0.0.1/32", "10.0.0.1/32"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3/112", "10.1.0.0/16"),
        ("10.0.0.1:<7-70000>", "10.0.0.1:<7-65535>"),
    ];
    for (text, canonical) in table {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), canonical);
        assert_eq!(canonical.parse::<Endpoint>().unwrap().to_string(), canonical);
    }
    let bad = [
        ":<1-65535>",
        "dummy",
        "",
        "10.1.2.3/33",
        "10.1.2.3/",
        "10.1.2.3/-1",
        "2001:db8::/129",
        "10.1.2.3:5",
        "10.1.2.3:<5>",
        "10.1.2.3:<5-6",
        "10.1.2.3:<-6>",
        "10.1.2.3:< 5-6>",
        "10.1.2.3:<+5-6>",
        "10.1.2",
        "example.org",
        "10.1.2.3 ",
        "[2001:db8::9]",
        "10.1.2.3:<5-6>x",
    ];
    for text in bad {
        assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        let error = refusal(&format!("clusters: [{{ name: c, endpoints: ['10.0.0.1', '{text}'] }}]"));
        assert!(error.contains("clusters[0].endpoints[1]") && error.contains(text), "{error}");
    }
    let named = with("clusters: [{ name: c, type: strict_dns, endpoints: [b.example, A.example] }]").unwrap();
    assert_eq!(named.clusters[0].domains(), ["A.example", "b.example"]);
    assert_eq!(named.clusters[0].parsed_endpoints().unwrap(), []);
}

#[test]
fn c09_endpoint_matches() {
    let matches = |endpoint: &str, address: &str, port: u16| {
        endpoint.parse::<Endpoint>().unwrap().contains(address.parse().unwrap(), port)
    };
    assert!(matches("10.1.0.0/16:<1000-2000>", "10.1.255.1", 1000));
    assert!(matches("10.1.0.0/16:<1000-2000>", "10.1.255.1", 2000));
    assert!(!matches("10.1.0.0/16:<1000-2000>", "10.1.255.1", 999));
    assert!(!matches("10.1.0.0/16:<1000-2000>", "10.1.255.1", 2001));
    assert!(matches("10.1.0.0/16:<1000-2000>", "10.1.255.1", 0), "port 0 asks about the address");
    assert!(!matches("10.1.0.0/16:<1000-2000>", "10.2.0.1", 1500));
    assert!(matches("10.1.2.3", "::ffff:10.1.2.3", 9));
    assert!(!matches("10.1.2.3:<2-1>", "10.1.2.3", 1) && !matches("10.1.2.3:<2-1>", "10.1.2.3", 2));
    assert!(!matches("10.1.2.3:<70000-80000>", "10.1.2.3", 65535));
    assert!(!matches("0.0.0.0/0", "2001:db8::1", 9) && !matches("::/0", "10.1.2.3", 9));
    assert!(!matches("::/0", "::ffff:10.1.2.3", 9), "a mapped address is IPv4");
    assert!(matches("2001:db8::/32", "2001:db8:ffff::1", 9));
}

#[test]
fn c10_lists_without_order_come_back_sorted() {
    let config = with(
        "admin: { user_quota: 7, offload_engine: xDP, offload_interfaces: [eth1, eth0] }\n\
         listeners: [{ name: l, routes: [b, a] }]\n\
         clusters: [{ name: z, endpoints: [10.9.0.1, 10.10.0.1/8] }, { name: a }]\n",
    )
    .unwrap();
    assert_eq!(config.admin.offload_interfaces, ["eth0", "eth1"]);
    assert_eq!((config.admin.user_quota, config.admin.offload_engine.as_str()), (7, "XDP"));
    assert_eq!(config.listeners[0].routes, ["a", "b"]);
    assert_eq!(config.clusters[0].endpoints, ["10.0.0.0/8", "10.9.0.1"]);
    assert_eq!(config.clusters[0].name, "z", "clusters keep their order");
    assert!(refusal("admin: { offload_engine: dpdk }").contains("admin.offload_engine"));
    assert!(refusal("clusters: [{ name: c, type: EDS }]").contains("clusters[0].type: unknown cluster type"));
    assert!(refusal("clusters: [{ name: c, protocol: sctp }]").contains("clusters[0].protocol"));
}

#[test]
fn c11_listeners_have_turn_uris() {
    let listener = |protocol| Listener {
        protocol,
        public_address: "1.2.3.4".into(),
        public_port: 3478,
        address: "10.0.0.1".into(),
        port: 1000,
        ..Listener::default()
    };
    let table = [
        (Protocol::Udp, "turn:1.2.3.4:3478?transport=udp"),
        (Protocol::Tcp, "turn:1.2.3.4:3478?transport=tcp"),
        (Protocol::Tls, "turns:1.2.3.4:3478?transport=tcp"),
        (Protocol::Dtls, "turns:1.2.3.4:3478?transport=udp"),
    ];
    for (protocol, uri) in table {
        assert_eq!(listener(protocol).uri(), uri);
        assert_eq!(listener(protocol).url(), uri.replacen(':', "://", 1));
        assert_eq!(uri.parse::<TurnUri>().unwrap().to_string(), uri);
    }
    let private = Listener { public_address: String::new(), public_port: 0, ..listener(Protocol::Udp) };
    assert_eq!(private.uri(), "turn:10.0.0.1:1000?transport=udp");
    let placeholder = Listener { address: config::NODE_ADDRESS_PLACEHOLDER.into(), ..private.clone() };
    assert_eq!(placeholder.uri(), "turn:0.0.0.0:1000?transport=udp");
    let six = Listener { address: "2001:db8::1".into(), ..private };
    assert_eq!(six.uri(), "turn:[2001:db8::1]:1000?transport=udp");
}

#[test]
fn relay_and_bind_addresses_are_addresses() {
    let relay = |address: &str| Listener { address: address.into(), ..Listener::default() }.relay_address();
    assert_eq!(relay("").unwrap().to_string(), "0.0.0.0");
    assert_eq!(relay("localhost").unwrap().to_string(), "127.0.0.1");
    assert_eq!(relay("::1").unwrap().to_string(), "::1");
    assert!(
        relay("example.org").unwrap_err().to_string().contains("invalid listener address: \"example.org\"")
    );
    assert!(refusal("listeners: [{ name: l, bind_address: nowhere }]").contains("listeners[0].bind_address"));
    let config =
        with("listeners: [{ name: l, bind_address: 127.0.0.1 }, { name: m, bind_address: '' }]").unwrap();
    assert_eq!(config.listeners[0].bind_ip().unwrap().unwrap().to_string(), "127.0.0.1");
    assert_eq!(config.listeners[1].bind_ip().unwrap(), None);
    assert_eq!(Cluster::default().domains().len(), 0);
}
