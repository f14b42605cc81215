//! Peers that send back what they get and remember from whom it came.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use crate::Deadline;

/// A UDP peer on loopback: every datagram goes back to where it came from.
///
/// Its thread ends with the value.
#[derive(Debug)]
pub struct EchoPeer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    sources: Mutex<Vec<SocketAddr>>,
    grown: Condvar,
}

/// The datagram that ends the thread. Only a test that sends 40 bytes of this by chance would notice.
const STOP: &[u8] = b"\0echo peer: stop, your owner is gone\0\0\0\0";

impl EchoPeer {
    /// A peer on 127.0.0.1.
    pub fn start() -> Self {
        Self::on((Ipv4Addr::LOCALHOST, 0).into())
    }

    /// A peer on `address`; port 0 lets the kernel choose.
    pub fn on(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).expect("a UDP socket for the echo peer");
        let address = socket.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Seen::default());
        let record = Arc::clone(&seen);
        thread::spawn(move || echo_datagrams(&socket, &record));
        Self { address, seen }
    }

    /// Where the peer listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The source of every datagram so far, in order of arrival.
    pub fn sources(&self) -> Vec<SocketAddr> {
        self.seen.lock().clone()
    }

    /// Waits until `count` datagrams have arrived and returns the source of each.
    #[track_caller]
    pub fn await_datagrams(&self, count: usize) -> Vec<SocketAddr> {
        let deadline = Deadline::default();
        let mut sources = self.seen.lock();
        while sources.len() < count {
            let Some(left) = deadline.left() else {
                panic!("the echo peer got {} datagrams, not {count}: {sources:?}", sources.len());
            };
            sources = self.seen.grown.wait_timeout(sources, left).expect("no panic under the lock").0;
        }
        sources.clone()
    }
}

impl Drop for EchoPeer {
    fn drop(&mut self) {
        let sent = UdpSocket::bind((self.address.ip(), 0)).and_then(|own| own.send_to(STOP, self.address));
        // A leaked thread in a test process is no reason to hide why the test fails.
        drop(sent);
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.sources.lock().expect("no panic under the lock")
    }
}

fn echo_datagrams(socket: &UdpSocket, record: &Seen) {
    let mut buffer = vec![0; 65_536];
    loop {
        // ICMP errors about earlier answers surface here; the peer does not care.
        let Ok((length, source)) = socket.recv_from(&mut buffer) else { continue };
        let datagram = &buffer[..length];
        if datagram == STOP {
            return;
        }
        record.lock().push(source);
        record.grown.notify_all();
        drop(socket.send_to(datagram, source));
    }
}

/// A TCP peer on loopback: every byte goes back on the connection it came from.
///
/// Its thread lives as long as the test process.
#[derive(Debug)]
pub struct TcpEchoPeer {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl TcpEchoPeer {
    /// A peer on 127.0.0.1.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket for the TCP echo peer");
        let address = listener.local_addr().expect("a bound socket has an address");
        let seen = Arc::new(Seen::default());
        let record = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok(source) = stream.peer_addr() {
                    record.lock().push(source);
                }
                thread::spawn(move || echo_stream(stream));
            }
        });
        Self { address, seen }
    }

    /// Where the peer listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The source of every connection so far, in order of arrival.
    pub fn sources(&self) -> Vec<SocketAddr> {
        self.seen.lock().clone()
    }
}

fn echo_stream(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}
