//! The page and what it is served with.

use crate::bench::{Auth, Server, fetch_over};
use one2one::{Listen, Settings};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;

const FILES: &[(&str, &str)] = &[
    ("/", "text/html; charset=utf-8"),
    ("/index.html", "text/html; charset=utf-8"),
    ("/style.css", "text/css; charset=utf-8"),
    ("/stage.css", "text/css; charset=utf-8"),
    ("/js/app.js", "text/javascript; charset=utf-8"),
    ("/img/webrtc.svg", "image/svg+xml"),
];

async fn server() -> Server {
    Server::start(&Auth::start().await).await
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
    line.map(|line| line[name.len() + 1..].trim()).unwrap_or_default()
}

#[tokio::test]
async fn s5_4_the_page_is_served_with_a_strict_policy() {
    let server = server().await;
    for (path, kind) in FILES {
        let (head, body) = server.fetch(&format!("GET {path} HTTP/1.1")).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        assert_eq!(header(&head, "content-type"), *kind);
        assert!(!body.is_empty());
        let policy = header(&head, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&head, "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn s5_4_ids_labels_title_and_heading() {
    let (_, page) = server().await.fetch("GET / HTTP/1.1").await;
    for text in [
        "<title>STUNner Tutorial: Direct Video Call 1 to 1 with WebRTC</title>",
        ">Tutorial: Video Call 1 to 1 with WebRTC</h1>",
        r#"<label for="name">Name</label>"#,
        r#"<label for="peer">Peer</label>"#,
        r#"<button id="register" type="button" class="primary">Register</button>"#,
        ">Call</button>",
        ">Stop</button>",
        ">Console</h2>",
    ] {
        assert!(page.contains(text), "{text}");
    }
    for id in [
        "name",
        "register",
        "peer",
        "call",
        "terminate",
        "console",
        "videoOutput",
        "videoBig",
        "videoInput",
        "videoSmall",
    ] {
        assert_eq!(page.matches(&format!(r#"id="{id}""#)).count(), 1, "{id}");
    }
    assert_eq!(page.split("<ol>").nth(1).unwrap().split("</ol>").next().unwrap().matches("<li>").count(), 7);
}

#[tokio::test]
async fn w19_nothing_is_inline_and_nothing_comes_from_elsewhere() {
    let server = server().await;
    let (_, page) = server.fetch("GET / HTTP/1.1").await;
    for inline in ["<style", "style=", "onclick=", "onload=", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=\"js/").count());
    for (path, _) in FILES {
        let (_, text) = server.fetch(&format!("GET {path} HTTP/1.1")).await;
        for (at, _) in text.match_indices("http") {
            let rest = &text[at..(at + 60).min(text.len())];
            let known = rest.starts_with("http://www.w3.org/")
                || rest.starts_with("https://github.com/")
                || !rest.starts_with("http://") && !rest.starts_with("https://");
            assert!(known, "{path}: {rest}");
        }
    }
}

#[tokio::test]
async fn files_are_checked_for_change_and_nothing_else_is_served() {
    let server = server().await;
    let (head, _) = server.fetch("GET /style.css HTTP/1.1").await;
    let etag = header(&head, "etag");
    let (head, body) = server.fetch(&format!("GET /style.css HTTP/1.1\nif-none-match: {etag}")).await;
    assert!(head.starts_with("HTTP/1.1 304") && body.is_empty(), "{head}");
    for path in [
        "/nothing.html",
        "/../Cargo.toml",
        "/js",
        "/js/%2e%2e/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/keys/server.key",
    ] {
        let (head, _) = server.fetch(&format!("GET {path} HTTP/1.1")).await;
        assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
    }
    let (head, _) = server.fetch("POST / HTTP/1.1\ncontent-length: 0").await;
    assert!(head.starts_with("HTTP/1.1 405"), "{head}");
    let (head, body) = server.fetch("HEAD / HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}");
}

#[tokio::test]
async fn w21_health() {
    let (head, body) = server().await.fetch("GET /healthz HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body, "ok\n");
}

#[tokio::test]
async fn d1_plain_http_is_sent_to_https() {
    let server = server().await;
    let stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let (head, _) = fetch_over(stream, "GET /x HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 307"), "{head}");
    assert_eq!(header(&head, "location"), "https://localhost/x");
}

#[tokio::test]
async fn a_given_socket_is_served() {
    let auth = Auth::start().await;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let server = Server::with(&auth, |settings| settings.listen = Listen::Socket(socket)).await;
    assert_eq!((server.port, server.url.as_str()), (port, format!("https://localhost:{port}/").as_str()));
    server.registered("alice").await.assert_quiet().await;
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = Settings::new(Listen::Address(address), "127.0.0.1", 1);
    let error = one2one::serve(settings, std::future::pending()).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn w18_a_mounted_certificate_is_served_even_of_version_1() {
    let Some(openssl) = kit::need("openssl") else { return };
    let folder = kit::temp_dir();
    for arguments in [
        "req -new -newkey rsa:2048 -nodes -subj /CN=webrtc-server -keyout server.key -out server.csr",
        "x509 -req -in server.csr -signkey server.key -days 1 -out server.crt",
    ] {
        let mut command = openssl.command("openssl");
        command.current_dir(folder.path()).args(arguments.split_whitespace());
        kit::Process::run(command, kit::Deadline::default());
    }
    let mounted = std::fs::read(folder.path().join("server.crt")).unwrap();
    let mounted = CertificateDer::from_pem_slice(&mounted).unwrap();

    let auth = Auth::start().await;
    let server = Server::with(&auth, |settings| settings.keys = Some(folder.path().to_owned())).await;
    let stream = server.tls().await;
    assert_eq!(stream.get_ref().1.peer_certificates(), Some(&[mounted][..]));
    let (head, _) = fetch_over(stream, "GET /healthz HTTP/1.1").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}
