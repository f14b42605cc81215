//! More packets than a worker can relay: the kernel drops what does not fit into a listener's queue, requests among
//! it. Whoever asks again is answered, and nothing grows.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use common::{Gateway, Text, address, await_that, echo, static_user};
use kit::{EchoPeer, TurnClient};
use net::{Arena, Outgoing, SendQueue, Span, UdpOptions};

/// Clients that send as fast as they can: together several times one worker's share of the processors.
const FLOODS: usize = 3;
/// New clients, and refreshes of an old one, meanwhile.
const REQUESTS: usize = 2;
/// Packets that are dropped before each of them.
const DROPS: u64 = 10_000;
/// More than this many bytes is no noise. All packet memory of a worker is less.
const GROWTH: u64 = 32 << 20;

/// A client that sends and never stops to look.
struct Flood {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _deaf: UdpSocket,
}

impl Flood {
    fn start(gateway: &Gateway) -> Self {
        let local = address(kit::free_port());
        let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = TurnClient::udp_from(local, gateway.address()).with(static_user());
        client.allocate().unwrap();
        client.channel_bind(0x4000, deaf.local_addr().unwrap()).unwrap();
        drop(client);
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let (to, count, stopped) = (gateway.address(), Arc::clone(&sent), Arc::clone(&stop));
        let thread = thread::spawn(move || send_all_the_time(local, to, &count, &stopped));
        Self { sent, stop, thread: Some(thread), _deaf: deaf }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// One by one, so that they cost the receiver more than the sender.
fn send_all_the_time(local: SocketAddr, to: SocketAddr, sent: &AtomicU64, stop: &AtomicBool) {
    const BATCH: usize = 64;
    let options = UdpOptions { send_trains: false, ..UdpOptions::RELAY };
    let socket = net::UdpSocket::bind(local, &options).unwrap();
    let (mut arena, mut queue) = (Arena::new(1), SendQueue::new(BATCH));
    let slot = arena.take().unwrap();
    arena.payload_mut(slot)[..4].copy_from_slice(&[0x40, 0, 0, 172]);
    let span = Span::payload(slot, 0, 4 + 172);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..BATCH {
            queue.push(Outgoing { socket: 0, span, to, from: None, dont_fragment: false });
        }
        sent.fetch_add(queue.flush(&arena, |_| Some(&socket)).sent as u64, Ordering::Relaxed);
    }
}

/// Datagrams that did not fit into the queue of the sockets on a port.
fn dropped(port: u16) -> u64 {
    let local = format!(":{port:04X}");
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| std::fs::read_to_string(path).unwrap());
    let lines = tables.iter().flat_map(|table| table.lines());
    let drops = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.get(1)?.ends_with(&local).then(|| fields.last()?.parse::<u64>().ok())?
    };
    lines.filter_map(drops).sum()
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn requests_are_answered_while_packets_are_dropped() {
    let gateway = Gateway::start(&Text::new());
    let peer = EchoPeer::start();
    let mut old = gateway.udp();
    old.allocate().unwrap();
    old.channel_bind(0x4000, peer.address()).unwrap();
    let floods: Vec<Flood> = (0..FLOODS).map(|_| Flood::start(&gateway)).collect();
    let await_drops = || {
        let before = dropped(gateway.port);
        await_that("packets are dropped", || dropped(gateway.port) > before + DROPS);
    };
    await_drops();
    let sent = || floods.iter().map(Flood::sent).sum::<u64>();
    let (dropped_before, sent_before, resident_before) = (dropped(gateway.port), sent(), resident());
    for number in 0..REQUESTS {
        await_drops();
        assert_eq!(old.refresh(600).unwrap(), 600);
        let mut new = if number % 2 == 0 { gateway.udp() } else { gateway.tcp() };
        new.allocate().unwrap();
        new.channel_bind(0x4000, peer.address()).unwrap();
        assert_eq!(new.refresh(0).unwrap(), 0);
    }
    let (dropped, sent) = (dropped(gateway.port) - dropped_before, sent() - sent_before);
    assert!(
        2 * dropped >= sent,
        "{sent} packets were not twice as many as were relayed: {dropped} were dropped"
    );
    let grown = resident().saturating_sub(resident_before);
    assert!(grown < GROWTH, "{grown} bytes more");
    drop(floods);
    // Answered behind everything that still waited.
    old.refresh(600).unwrap();
    echo(&mut old, 0x4000, 3);
    gateway.await_allocations(1 + FLOODS);
}
