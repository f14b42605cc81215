//! The text that says where configurations come from.

use std::path::PathBuf;

use cds::{Origin, origin::Server};

fn server(tls: bool, host: &str, port: u16, path: &str) -> Origin {
    Origin::Http(Server { tls, host: host.into(), port, path: path.into() })
}

fn file(path: &str) -> Origin {
    Origin::File(PathBuf::from(path))
}

#[test]
fn d01_origin_strings() {
    let table = [
        ("file:///tmp/a", file("/tmp/a")),
        ("file://relative/a", file("relative/a")),
        ("/tmp/a", file("/tmp/a")),
        ("./a", file("./a")),
        ("../a", file("../a")),
        ("Cargo.toml", file("Cargo.toml")),
        ("1.2.3.4:12345", server(false, "1.2.3.4", 12345, "")),
        ("1.2.3.4:12345/a/b", server(false, "1.2.3.4", 12345, "/a/b")),
        ("http://1.2.3.4:12345/a/b", server(false, "1.2.3.4", 12345, "/a/b")),
        ("ws://h:1/?q=1", server(false, "h", 1, "/")),
        ("https://h:1", server(true, "h", 1, "")),
        ("wss://h", server(true, "h", 443, "")),
        ("http://h", server(false, "h", 80, "")),
        ("stunner-config-discovery", server(false, "stunner-config-discovery", 13478, "")),
        (":13478", server(false, "127.0.0.1", 13478, "")),
        ("http://:7", server(false, "127.0.0.1", 7, "")),
        ("http://[::1]:7", server(false, "::1", 7, "")),
        ("k8s", Origin::Kubernetes),
    ];
    for (text, origin) in table {
        assert_eq!(text.parse::<Origin>().unwrap(), origin, "{text}");
    }
    for text in ["", "file://", "ftp://h", "http://h:x", "http://h:70000", "http://[::1", "h h:1", "http://"]
    {
        let error = text.parse::<Origin>().unwrap_err().to_string();
        assert!(error.contains("invalid config origin"), "{error}");
    }
}

#[test]
fn origins_print_as_they_can_be_read() {
    for text in ["file:///tmp/a", "http://1.2.3.4:12345/a/b", "https://[::1]:443", "k8s"] {
        assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
    }
}
