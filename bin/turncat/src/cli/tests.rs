use super::*;

#[test]
fn the_command_line_is_consistent() {
    <Cli as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn clients_are_sockets_or_the_standard_streams() {
    let table = [
        ("-", Client::Standard),
        ("file://stdin", Client::Standard),
        ("udp://127.0.0.1:5000", Client::Udp("127.0.0.1:5000".into())),
        ("udp4://localhost:5000", Client::Udp("localhost:5000".into())),
        ("tcp://[::1]:5000", Client::Tcp("[::1]:5000".into())),
        ("unix:///run/a.sock", Client::Unix("/run/a.sock".into())),
        ("unixgram:///run/b.sock", Client::Unixgram("/run/b.sock".into())),
    ];
    for (text, expected) in table {
        assert_eq!(text.parse(), Ok(expected), "{text}");
    }
    for text in
        ["", "udp", "udp://", "udp://host", "udp://host:70000", "tcp://::1:5", "unix://", "http://a:1"]
    {
        assert!(text.parse::<Client>().is_err(), "{text}");
    }
}

#[test]
fn servers_are_uris_or_listeners_of_gateways() {
    let gateway = |namespace: &str, name: &str, listener: &str| {
        let [namespace, name, listener] = [namespace, name, listener].map(str::to_owned);
        Ok(Server::Gateway(Gateway { namespace, name, listener }))
    };
    assert_eq!("k8s://ns/gw:udp".parse(), gateway("ns", "gw", "udp"));
    assert_eq!("k8s:///gw:udp".parse(), gateway("", "gw", "udp"));
    for text in ["k8s://gw:udp", "k8s://ns/gw", "k8s://ns/gw:", "k8s://n s/gw:udp", "k8s://ns/g/w:udp"] {
        let error = text.parse::<Server>().unwrap_err();
        assert!(error.contains("cannot parse STUNner K8s URI"), "{error}");
    }
    let Ok(Server::Uri(uri)) = "turns://a:b%3A%2F%2Fc@turn.example.org?transport=tcp".parse() else {
        panic!("no URI");
    };
    assert_eq!((uri.host.as_str(), uri.port, uri.password.expose()), ("turn.example.org", 443, "b://c"));
}

#[test]
fn verbose_beats_a_spec() {
    let spec = |line: &str| {
        let line = format!("turncat {line} - turn://u:p@h udp://h:1");
        Cli::try_parse_from(line.split_whitespace()).unwrap().log_spec().to_owned()
    };
    assert_eq!(spec(""), "all:WARN");
    assert_eq!(spec("-l all:INFO"), "all:INFO");
    assert_eq!(spec("-v -l all:INFO"), "all:DEBUG");
}

#[test]
fn the_help_fits_80_columns() {
    assert_eq!(flags::too_wide::<Cli>(), [""; 0]);
}
