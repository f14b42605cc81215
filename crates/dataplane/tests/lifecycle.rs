//! From start to end: health, metrics, drain.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{GATEWAY, Gateway, Text, address, code, get, options};
use dataplane::{Dataplane, Options, Phase};
use kit::EchoPeer;

fn status_line(address: SocketAddr, path: &str) -> String {
    get(address, path).unwrap().0
}

fn start() -> Dataplane {
    Dataplane::start(options()).unwrap()
}

#[test]
fn l01_an_empty_configuration_is_live_and_ready() {
    let health = address(kit::free_port());
    let dataplane = start();
    assert!(get(health, "/live").is_none(), "no server before the first configuration");
    assert!(!dataplane.ready());

    let text =
        Text::new().admin(&format!("healthcheck_endpoint: 'http://{health}'")).listeners(&[]).clusters_none();
    dataplane.apply(&[(GATEWAY.to_owned(), text.config())].into()).unwrap();
    let (status, headers, body) = get(health, "/live").unwrap();
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "{}\n"));
    assert!(headers.to_lowercase().contains("content-type: application/json; charset=utf-8"), "{headers}");
    let (status, _, body) = get(health, "/ready").unwrap();
    assert_eq!(
        (status.as_str(), body.as_str()),
        ("HTTP/1.1 200 OK", "{\"status\":200,\"message\":\"READY\"}\n")
    );
    for path in ["/", "/live/", "/metrics", "/READY"] {
        assert_eq!(status_line(health, path), "HTTP/1.1 404 Not Found", "{path}");
    }
}

#[test]
fn l02_the_health_endpoint_takes_effect_in_every_form() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let (one, two) = (kit::free_port(), kit::free_port());
    for (endpoint, port, on_ipv6) in [
        (format!("'http://127.0.0.1:{one}'"), Some(one), false),
        ("''".to_owned(), None, false),
        (format!("'http://127.0.0.1:{one}'"), Some(one), false),
        (format!("'http://:{one}'"), Some(one), true),
        (format!("'http://:{two}'"), Some(two), true),
        (format!("'http://[::1]:{one}/ignored'"), None, true),
        (format!("'0.0.0.0:{one}'"), Some(one), true),
    ] {
        gateway.apply(&text.clone().admin(&format!("healthcheck_endpoint: {endpoint}")));
        for candidate in [one, two] {
            let live = get(address(candidate), "/live").is_some();
            assert_eq!(live, port == Some(candidate), "{endpoint} on {candidate}");
        }
        let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port.unwrap_or(one)));
        assert_eq!(get(v6, "/live").is_some(), on_ipv6, "{endpoint} on {v6}");
    }
}

#[test]
fn l03_a_draining_process_is_live_but_not_ready_and_a_stopped_one_is_neither() {
    let health = address(kit::free_port());
    let gateway = Gateway::start(&Text::new().admin(&format!("healthcheck_endpoint: 'http://{health}'")));
    let peer = EchoPeer::start();
    let mut client = gateway.udp();
    client.allocate().unwrap();
    assert_eq!(gateway.dataplane.status().status, Phase::Ready);

    gateway.dataplane.drain();
    assert_eq!(status_line(health, "/live"), "HTTP/1.1 200 OK");
    let (status, _, body) = get(health, "/ready").unwrap();
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "{\"status\":503,\"message\":\"stunnerd not ready\"}\n");
    let (_, _, body) = get(health, "/status").unwrap();
    assert!(body.ends_with(r#""allocationCount":1,"status":"TERMINATING"}"#), "{body}");

    // What there is lives on; nothing new begins.
    client.channel_bind(0x4000, peer.address()).unwrap();
    common::echo(&mut client, 0x4000, 3);
    assert_eq!(client.refresh(600).unwrap(), 600);
    assert_eq!(code(gateway.udp().allocate()), 508);
    assert_eq!(client.refresh(0).unwrap(), 0);
    gateway.await_allocations(0);

    gateway.dataplane.stop();
    assert!(get(health, "/live").is_none());
}

#[test]
fn a_process_forced_ready_stays_ready_but_not_before_its_first_configuration() {
    let health = address(kit::free_port());
    let dataplane = Dataplane::start(Options { force_ready: true, ..options() }).unwrap();
    let text = Text::new().admin(&format!("healthcheck_endpoint: 'http://{health}'"));
    dataplane.apply(&[(GATEWAY.to_owned(), text.config())].into()).unwrap();
    dataplane.drain();
    assert_eq!(status_line(health, "/ready"), "HTTP/1.1 200 OK");
}

#[test]
fn l04_metrics_are_served_on_their_path_and_everywhere_without_one() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let (one, two) = (kit::free_port(), kit::free_port());
    for (endpoint, port, path, elsewhere) in [
        (format!("http://127.0.0.1:{one}/metrics"), Some(one), "/metrics", false),
        (format!("http://127.0.0.1:{one}/other/path"), Some(one), "/other/path", false),
        (format!("http://127.0.0.1:{one}"), Some(one), "/", true),
        (String::new(), None, "/", false),
        (format!("http://:{one}/metrics"), Some(one), "/metrics", false),
        (format!("http://127.0.0.1:{two}/metrics"), Some(two), "/metrics", false),
    ] {
        let admin = format!("healthcheck_endpoint: '', metrics_endpoint: '{endpoint}'");
        gateway.apply(&text.clone().admin(&admin));
        let Some(port) = port else {
            assert!(get(address(one), path).is_none(), "{endpoint}");
            continue;
        };
        let (status, headers, body) = get(address(port), path).unwrap();
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert!(headers.contains("text/plain; version=0.0.4"), "{headers}");
        assert!(body.contains("\nstunner_allocations_active 0\n"), "{body}");
        let other = status_line(address(port), "/somewhere/else");
        assert_eq!(other.contains("200"), elsewhere, "{endpoint}: {other}");
    }
}

#[test]
fn health_and_metrics_share_a_port() {
    let both = address(kit::free_port());
    let admin = format!("healthcheck_endpoint: 'http://{both}', metrics_endpoint: 'http://{both}/metrics'");
    let _gateway = Gateway::start(&Text::new().admin(&admin));
    assert!(get(both, "/metrics").unwrap().2.contains("stunner_allocations_active"));
    assert_eq!(status_line(both, "/ready"), "HTTP/1.1 200 OK");
}

#[test]
fn gateways_of_one_process_share_a_health_server_and_have_a_status_each() {
    let health = address(kit::free_port());
    let admin = format!("healthcheck_endpoint: 'http://{health}'");
    let one = Text::new().admin(&admin).config();
    let two = Text::new().admin(&admin).config();
    let dataplane = start();
    dataplane.apply(&[("ns/one".to_owned(), one), ("ns/two".to_owned(), two)].into()).unwrap();
    let listeners = |query: &str| {
        let (_, _, body) = get(health, &format!("/status{query}")).unwrap();
        let status: serde_json::Value = serde_json::from_str(&body).unwrap();
        status["listeners"].as_array().unwrap().len()
    };
    assert_eq!(listeners(""), 4);
    assert_eq!(listeners("?gateway=ns/one"), 2);
    assert_eq!(status_line(health, "/status?gateway=ns/three"), "HTTP/1.1 404 Not Found");
}

#[test]
fn secrets_and_tls_private_keys_on_an_open_status_port() {
    let health = address(kit::free_port());
    let text = Text::new()
        .auth("{ type: static, realm: r, credentials: { username: SEKRET1, password: SEKRET2 } }")
        .admin(&format!("healthcheck_endpoint: 'http://{health}'"));
    let gateway = Gateway::start(&text);
    let (_, _, body) = get(health, "/status").unwrap();
    assert!(body.contains(r#""credentials":{"password":"<SECRET>","username":"<SECRET>"}"#), "{body}");
    assert!(!body.contains("SEKRET"), "{body}");
    assert!(!format!("{:?}", gateway.dataplane.status()).contains("SEKRET"));
}

#[test]
fn r11_a_dry_run_is_ready_and_opens_nothing() {
    let text = Text::new();
    let dataplane = Dataplane::start(Options { dry_run: true, ..options() }).unwrap();
    dataplane.apply(&[(GATEWAY.to_owned(), text.config())].into()).unwrap();
    assert!(dataplane.ready());
    assert!(std::net::TcpListener::bind(address(text.port)).is_ok());
    assert!(std::net::UdpSocket::bind(address(text.port)).is_ok());
}

/// No engine keeps counters of its own that would have to be sampled: what is relayed is counted where it is
/// relayed, so that asking for another engine neither repeats, nor loses, nor resets anything.
#[test]
fn l07_whatever_is_relayed_is_counted_once_whichever_offload_engine_is_asked_for() {
    let metrics = address(kit::free_port());
    let admin =
        |offload: &str| format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'{offload}");
    let text = Text::new().admin(&admin(""));
    let gateway = Gateway::start(&text);
    let mut call = common::Call::start(gateway.udp());
    let counted = || {
        let series = common::scrape(metrics, "/");
        ["rx", "tx"].map(|direction| {
            let labels = format!(r#"{{name="loop",direction="{direction}"}}"#);
            series[&format!("stunner_cluster_packets_total{labels}")]
        })
    };
    let mut expected = counted();
    assert_eq!(expected, [3.0, 3.0]);
    for offload in [
        ", offload_engine: XDP",
        ", offload_engine: TC, offload_interfaces: [no-such-interface]",
        ", offload_engine: Auto",
        "",
    ] {
        let report = gateway.apply(&text.clone().admin(&admin(offload)));
        assert_eq!(report.restarted, ["offload: default-offload"], "{offload}");
        assert_eq!(counted(), expected, "{offload}");
        common::echo(&mut call.client, 0x4000, 5);
        expected = expected.map(|count| count + 5.0);
        assert_eq!(counted(), expected, "{offload}");
        let status = serde_json::to_value(gateway.dataplane.status()).unwrap();
        assert_eq!(status["clusters"][0]["stats"]["rx"]["pkts"], 0, "{status}");
    }
}

/// A server that goes is waited for, and may be answering at that moment.
#[test]
fn endpoints_move_under_readers() {
    let text = Text::new();
    let gateway = Gateway::start(&text);
    let ports = [kit::free_port(), kit::free_port()];
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // A failure below must end the readers, too.
        let _stop = Raised(&stop);
        for port in [ports[0], ports[0], ports[1], ports[1]] {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if let Ok(mut stream) = TcpStream::connect(address(port)) {
                        let asked = stream.write_all(b"GET /status HTTP/1.0\r\n\r\n");
                        // It may be cut off, but it ends.
                        drop(asked.and_then(|()| stream.read_to_end(&mut Vec::new())));
                    }
                }
            });
        }
        for round in 0..60 {
            let port = ports[round % 2];
            gateway.apply(&text.clone().admin(&format!("healthcheck_endpoint: 'http://127.0.0.1:{port}'")));
        }
    });
}

/// A flag that is up once this is gone.
struct Raised<'f>(&'f AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
