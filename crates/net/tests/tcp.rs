//! TCP listeners and streams on real loopback interfaces.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use common::{Flood, numbered, numbers};
use net::{
    Arena, Events, Flush, Interest, Poller, Read, TcpListener, TcpOptions, TcpStream, Token, Worth, addr,
};

struct Fixture {
    poller: Poller,
    events: Events,
}

impl Fixture {
    fn new() -> Self {
        Self { poller: Poller::new().unwrap(), events: Events::new(8) }
    }

    fn wait(&mut self) {
        self.poller.wait(&mut self.events, Some(Duration::from_secs(10))).unwrap();
        assert!(self.events.iter().count() > 0, "something happens");
    }

    fn connect(&mut self, listener: &TcpListener, ip: &str) -> (TcpStream, std::net::TcpStream) {
        let to = SocketAddr::new(ip.parse().unwrap(), listener.local_addr().port());
        let client = std::net::TcpStream::connect(to).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        self.poller.add(listener, Token(0), Interest::Read).unwrap();
        self.wait();
        self.poller.change(listener, Token(0), Interest::Nothing).unwrap();
        let server = listener.accept().unwrap().expect("the connection is there");
        self.poller.add(&server, Token(1), Interest::Read).unwrap();
        (server, client)
    }
}

#[test]
fn a_dual_stack_listener_accepts_both_families_under_canonical_addresses() {
    for ip in ["127.0.0.1", "::1"] {
        let listener = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
        let (mut server, mut client) = Fixture::new().connect(&listener, ip);
        assert_eq!(server.remote(), client.local_addr().unwrap());
        assert_eq!(server.local(), client.peer_addr().unwrap());
        assert!(listener.accept().unwrap().is_none());
        server.queue(b"hello").unwrap();
        assert_eq!(server.flush().unwrap(), Flush::Empty);
        let mut buffer = [0; 5];
        client.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"hello");
    }
}

#[test]
fn both_ends_of_a_connection_are_streams() {
    let listener = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
    let to = SocketAddr::new("127.0.0.1".parse().unwrap(), listener.local_addr().port());
    let mut client = TcpStream::connect(to).unwrap();
    let mut server = listener.accept().unwrap().expect("the connection is there");
    assert_eq!((client.remote(), client.local()), (server.local(), server.remote()));
    client.queue(b"hello").unwrap();
    assert_eq!(client.flush().unwrap(), Flush::Empty);
    let mut buffer = [0; 16];
    assert_eq!(server.read(&mut buffer).unwrap(), Read::Data(5));
    drop(listener);
    assert!(TcpStream::connect(to).is_err());
}

#[test]
fn reading_tells_nothing_data_and_end_apart() {
    let listener = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
    let mut fixture = Fixture::new();
    let (mut server, mut client) = fixture.connect(&listener, "127.0.0.1");
    let mut buffer = [0; 16];
    assert_eq!(server.read(&mut buffer).unwrap(), Read::Nothing);
    client.write_all(b"abc").unwrap();
    fixture.wait();
    assert_eq!(server.read(&mut buffer).unwrap(), Read::Data(3));
    drop(client);
    fixture.wait();
    assert_eq!(server.read(&mut buffer).unwrap(), Read::End);
}

#[test]
fn a_slow_reader_fills_a_bounded_queue_and_gets_whole_messages_only() {
    let listener = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
    let mut fixture = Fixture::new();
    let (mut server, mut client) = fixture.connect(&listener, "127.0.0.1");
    let mut queued = 0_usize;
    let message = [9; 1000];
    // The kernel's buffers fill up first, then the queue.
    while server.queue(&message).is_ok() {
        queued += 1;
        server.flush().unwrap();
    }
    assert!(!server.is_flushed());
    fixture.poller.change(&server, Token(1), Interest::ReadWrite).unwrap();

    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        all
    });
    while server.flush().unwrap() == Flush::Pending {
        fixture.wait();
        assert!(fixture.events.iter().all(|event| event.token == Token(1)));
    }
    drop(server);
    assert_eq!(reader.join().unwrap(), vec![9; queued * 1000]);
}

#[test]
fn messages_are_written_in_order_however_many_there_are_at_once() {
    let listener = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
    let (mut server, client) = Fixture::new().connect(&listener, "127.0.0.1");
    let reader = std::thread::spawn(|| numbers(client));
    let mut from = 0;
    for count in [1, 2, 42, 43, 64, 100] {
        let mut arena = Arena::new(1);
        let messages = numbered(&mut arena, from..from + count, Worth::Fleeting);
        let written = server.write(&arena, &messages).unwrap();
        assert_eq!((written.flush, written.dropped), (Flush::Empty, 0));
        from += count;
    }
    drop(server);
    assert_eq!(reader.join().unwrap(), (0..from).collect::<Vec<_>>());
}

#[test]
fn a_slow_reader_gets_everything_of_lasting_worth_and_what_is_new() {
    let listener = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
    let mut fixture = Fixture::new();
    let (mut server, client) = fixture.connect(&listener, "127.0.0.1");
    let flood = Flood::write(|arena, messages| server.write(arena, messages).unwrap().dropped);
    fixture.poller.change(&server, Token(1), Interest::ReadWrite).unwrap();
    let reader = std::thread::spawn(|| numbers(client));
    while server.flush().unwrap() == Flush::Pending {
        fixture.wait();
    }
    drop(server);
    flood.check(&reader.join().unwrap());
}

#[test]
fn a_message_larger_than_the_queue_is_refused() {
    let listener = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
    let (mut server, _client) = Fixture::new().connect(&listener, "127.0.0.1");
    server.limit_queue(10);
    assert!(server.queue(&[0; 11]).is_err());
    assert!(server.queue(&[0; 10]).is_ok());
    assert!(server.queue(&[0; 1]).is_err());
}

#[test]
fn a_port_held_by_another_listener_is_found_out_although_ports_can_be_shared() {
    let first = TcpListener::bind(addr::dual_stack(0), &TcpOptions::LISTENER).unwrap();
    let taken = addr::dual_stack(first.local_addr().port());
    TcpListener::bind(taken, &TcpOptions::LISTENER).expect("shared on purpose");
    assert_eq!(net::probe_tcp(taken).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
