//! Packets and streams that mean harm, or nothing: they are refused, and a call in progress goes on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};

use std::time::Duration;

use common::{Gateway, Text, await_that, echo};
use dataplane::Options;
use kit::{EchoPeer, TurnClient};
use stun::{Method, TransactionId};

struct Call {
    client: TurnClient,
    _peer: EchoPeer,
}

impl Call {
    fn start(mut client: TurnClient) -> Self {
        let peer = EchoPeer::start();
        client.allocate().unwrap();
        client.channel_bind(0x4000, peer.address()).unwrap();
        Self { client, _peer: peer }
    }

    #[track_caller]
    fn goes_on(&mut self) {
        echo(&mut self.client, 0x4000, 3);
    }
}

/// Bytes that no healthy client sends.
fn nonsense() -> Vec<Vec<u8>> {
    let binding = {
        let mut buffer = [0; 64];
        let writer = stun::Writer::new(
            &mut buffer,
            stun::Class::Request,
            Method::Binding,
            TransactionId::new([1; 12]),
        );
        let len = writer.unwrap().finish();
        buffer[..len].to_vec()
    };
    let mut wrong_cookie = binding.clone();
    wrong_cookie[4] ^= 1;
    let mut too_long = binding.clone();
    too_long[3] = 8;
    let mut odd_length = binding.clone();
    odd_length[3] = 3;
    let mut broken_attribute = binding.clone();
    broken_attribute.extend([0, 6, 0xff, 0xff]);
    broken_attribute[3] = 4;
    let mut all = vec![
        vec![],
        vec![0],
        vec![0; 4],
        vec![0; 20],
        vec![0xff; 1500],
        vec![0x40, 0, 0, 9, 1],
        vec![0x4f, 0xff, 0xff, 0xff],
        vec![0x50, 0, 0, 0],
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        wrong_cookie,
        too_long,
        odd_length,
        broken_attribute,
    ];
    all.extend((1..binding.len()).map(|cut| binding[..cut].to_vec()));
    // Every byte value at the start, with something behind it.
    all.extend((0..=255).map(|first| vec![first, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4]));
    all
}

#[test]
fn malformed_datagrams_are_dropped_and_a_call_goes_on() {
    let gateway = Gateway::start(&Text::new());
    let mut call = Call::start(gateway.udp());
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(gateway.address()).unwrap();
    for packet in nonsense() {
        stranger.send(&packet).unwrap();
        // From the client itself, too, over its own 5-tuple.
        call.client.send_raw(&packet);
        call.goes_on();
    }
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 1500]).is_err(), "nothing is worth an answer");
    assert!(gateway.dataplane.healthy());
    assert_eq!(gateway.dataplane.allocations(), 1);
}

#[test]
fn a_stream_of_garbage_is_closed_and_a_call_goes_on() {
    let gateway = Gateway::start(&Text::new());
    let mut call = Call::start(gateway.tcp());
    for bytes in nonsense() {
        let mut stream = TcpStream::connect(gateway.address()).unwrap();
        stream.set_read_timeout(Some(kit::PATIENCE)).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Closed, perhaps with a reset, and nothing was said.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{bytes:02x?} was answered");
    }
    call.goes_on();
    assert!(gateway.dataplane.healthy());
}

#[test]
fn garbage_alone_ends_a_connection_without_waiting_for_its_end() {
    let gateway = Gateway::start(&Text::new());
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[0x80],
        &[0x50, 0, 0, 0],
        &[0, 1, 0, 0, 9, 9, 9, 9],
        &[0, 1, 0xff, 0xfc, 0x21, 0x12, 0xa4, 0x42],
    ] {
        let mut client = TurnClient::tcp(gateway.address());
        client.send_raw(bytes);
        if bytes.len() == 8 && bytes[4] == 0x21 {
            // 64 KiB announced by somebody who has no allocation: refused once the header is complete.
            client.send_raw(&[0; 12]);
        }
        client.await_close();
    }
}

/// A frame and what follows it, cut at every point: nothing waits for more than it needs, nothing is lost.
#[test]
fn frames_under_9_bytes_wait_for_more_data_on_a_tcp_listener() {
    let gateway = Gateway::start(&Text::new());
    let mut call = Call::start(gateway.tcp());
    let frames = [
        &[0x40, 0, 0, 0][..],
        &[0x40, 0, 0, 1, b'a', 0, 0, 0],
        &[0x40, 0, 0, 4, b'b', b'c', b'd', b'e'],
        &[0x40, 0, 0, 5, b'f', b'g', b'h', b'i', b'j', 0, 0, 0],
    ];
    let expected: [&[u8]; 4] = [b"", b"a", b"bcde", b"fghij"];
    // Each frame alone is delivered without anything behind it.
    for (frame, data) in frames.iter().zip(expected) {
        call.client.send_raw(frame);
        assert_eq!(call.client.recv().data(), data);
    }
    let stream: Vec<u8> = frames.concat();
    for cut in 1..stream.len() {
        call.client.send_raw(&stream[..cut]);
        call.client.send_raw(&stream[cut..]);
        for data in expected {
            assert_eq!(call.client.recv().data(), data, "cut at {cut}");
        }
    }
    for byte in &stream {
        call.client.send_raw(std::slice::from_ref(byte));
    }
    for data in expected {
        assert_eq!(call.client.recv().data(), data);
    }
}

#[test]
fn an_allocation_ends_with_its_connection() {
    let gateway = Gateway::start(&Text::new());
    let (first, second) = (Call::start(gateway.tcp()), Call::start(gateway.tcp()));
    assert_eq!(gateway.dataplane.allocations(), 2);
    drop(first);
    gateway.await_allocations(1);
    let mut second = second;
    second.goes_on();
    second.client.send_raw(b"\xffgarbage");
    second.client.await_close();
    gateway.await_allocations(0);
}

#[test]
fn stopped_listeners_accepted_connections_live_on_as_orphans() {
    let text = Text::new();
    let metrics = common::address(kit::free_port());
    let text = text.admin(&format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'"));
    let gateway = Gateway::start(&text);
    let mut call = Call::start(gateway.tcp());
    let mut idle = TurnClient::tcp(gateway.address());
    idle.binding().unwrap();
    gateway.apply(&text.listeners(&[]));
    call.client.await_close();
    idle.await_close();
    gateway.await_allocations(0);
    let series = common::scrape(metrics, "/");
    assert_eq!(series[r#"stunner_listener_connections{name="tcp"}"#], 0.0);
    assert_eq!(series[r#"stunner_listener_connections_total{name="tcp"}"#], 2.0);
}

/// A client that does not read: what its peer sends is dropped at some point, and others do not notice.
#[test]
fn a_slow_reader_keeps_nobody_waiting() {
    let gateway = Gateway::start(&Text::new());
    let mut slow = gateway.tcp();
    let relayed = slow.allocate().unwrap().relayed;
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    slow.create_permission(peer.local_addr().unwrap()).unwrap();
    let mut call = Call::start(gateway.tcp());
    for _ in 0..200 {
        for _ in 0..50 {
            peer.send_to(&[7; 1400], relayed).unwrap();
        }
        call.goes_on();
    }
    // What it gets late is whole.
    for _ in 0..10 {
        assert_eq!(slow.recv().data(), [7; 1400]);
    }
    await_that("both allocations live", || gateway.dataplane.allocations() == 2);
}

/// What is old makes room for what is new, and never an answer for data.
#[test]
fn a_slow_reader_gets_answers_and_what_is_new() {
    let metrics = common::address(kit::free_port());
    let admin = format!("healthcheck_endpoint: '', metrics_endpoint: 'http://{metrics}'");
    let gateway = Gateway::start(&Text::new().admin(&admin));
    let series = r#"stunner_packets_dropped_total{reason="slow_reader"}"#;
    let dropped = || common::scrape(metrics, "/").get(series).copied().unwrap_or(0.0);
    let mut slow = gateway.tcp();
    let relayed = slow.allocate().unwrap().relayed;
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    slow.channel_bind(0x4000, peer.local_addr().unwrap()).unwrap();
    let mut call = Call::start(gateway.udp());
    let mut sent = 0_u32;
    while dropped() < 500.0 {
        // Few enough that the relay has taken them all when the call went on.
        for _ in 0..10 {
            let mut payload = [7; 1398];
            payload[..4].copy_from_slice(&sent.to_be_bytes());
            peer.send_to(&payload, relayed).unwrap();
            sent += 1;
        }
        call.goes_on();
    }
    assert_eq!(slow.refresh(600).unwrap(), 600);
    let (mut received, mut next) = (0, 0);
    while next < sent {
        let event = slow.recv();
        let payload = event.data();
        assert_eq!(payload[4..], [7; 1394]);
        let number = u32::from_be_bytes(payload[..4].try_into().unwrap());
        assert!(number >= next, "in order");
        next = number + 1;
        received += 1;
    }
    assert!(received + 500 <= sent, "{received} of {sent}");
    assert_eq!(gateway.dataplane.allocations(), 2);
}

#[test]
fn silent_and_idle_connections_are_closed_and_those_with_an_allocation_are_not() {
    let options = |first_message_timeout, idle_timeout| Options {
        first_message_timeout,
        idle_timeout,
        ..common::options()
    };
    let text = Text::new();
    let gateway = Gateway::with_options(&text, options(Duration::from_millis(100), kit::PATIENCE));
    // Nothing, and the start of something that never comes.
    let mut silent = TurnClient::tcp(gateway.address());
    let mut slow = TurnClient::tcp(gateway.address());
    slow.send_raw(&[0, 1, 0, 0]);
    silent.await_close();
    slow.await_close();
    drop(gateway);

    // Long enough for a busy machine to get from one request to the next.
    let gateway = Gateway::with_options(&text, options(kit::PATIENCE, Duration::from_secs(1)));
    let mut call = Call::start(gateway.tcp());
    let mut idle = TurnClient::tcp(gateway.address());
    idle.binding().unwrap();
    idle.await_close();
    call.goes_on();
    // Without its allocation it is idle, too.
    assert_eq!(call.client.refresh(0).unwrap(), 0);
    call.client.await_close();
}
