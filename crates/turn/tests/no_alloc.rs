//! What a packet costs in memory: a counting allocator says.

#![expect(unsafe_code, reason = "an allocator cannot be written without")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may as well stop there")]

#[path = "server/support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};

use support::*;
use turn::addr::{Client, ListenerId};
use turn::server::{DropReason, Output, Verdict, Via};

struct Counting;

thread_local! {
    /// Per thread, because the test harness allocates in its own.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        BYTES.set(BYTES.get() + layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get() - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn calls(work: impl FnOnce()) -> usize {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

fn bytes(work: impl FnOnce()) -> isize {
    let before = BYTES.get();
    work();
    BYTES.get() - before
}

#[test]
fn relaying_and_dropping_packets_allocates_nothing() {
    let mut world = World::new();
    world.rules.listener_mut(1).relay_v6 = Some("2001:db8:f::1".parse().unwrap());
    world.rules.routes.push(route("2001:db8:7::/48", 2));
    world.allocate("alice");
    world.bind("alice", 0x4000, "192.0.2.7:9");
    world.permit("alice", &["192.0.2.8"]);
    world.ask("bob", allocate().with(requested(stun::attribute::Family::V6)));
    world.opens(2, 50_002);
    world.permit("bob", &["2001:db8:7::1"]);

    let (alice, bob) = (world.client("alice"), world.client("bob"));
    let (first, second) = (world.relay(1), world.relay(2));
    let now = world.now;
    let from_clients = [
        (alice, [&[0x40, 0, 0, 100][..], &[7; 100]].concat(), true),
        (alice, world.packet("alice", &send("192.0.2.8:9", &[7; 1200])), true),
        (bob, world.packet("bob", &send("[2001:db8:7::1]:9", &[7; 100])), true),
        (alice, vec![0x40, 1, 0, 0], false),
        (alice, vec![0x40, 0, 0, 9], false),
        (alice, world.packet("alice", &send("10.0.0.1:9", b"hi")), false),
        (alice, world.packet("alice", &send("0.0.0.0:9", b"hi")), false),
        (alice, vec![0xff; 40], false),
        (alice, vec![0; 40], false),
    ];
    let from_peers = [
        (first, addr("192.0.2.7:9"), true),
        (first, addr("192.0.2.8:9"), true),
        (second, addr("[2001:db8:7::1]:9"), true),
        (first, addr("10.0.0.1:9"), false),
        (first, addr("[2002::1]:9"), false),
    ];
    let mut header = [0; Via::MAX_HEADER_LEN];
    let (server, rules) = (&mut world.server, &world.rules);
    let allocations = calls(|| {
        for _ in 0..100 {
            for (client, packet, is_relayed) in &from_clients {
                let verdict = server.handle_client(*client, packet, rules, now);
                assert_eq!(matches!(verdict, Verdict::ToPeer { .. }), *is_relayed);
            }
            for (relay, peer, is_relayed) in from_peers {
                let verdict = server.handle_peer(relay, peer, &[7; 1200], now);
                assert_eq!(matches!(verdict, Verdict::ToClient { .. }), is_relayed);
                if let Verdict::ToClient { via, peer, payload, .. } = verdict {
                    via.write_header(peer, payload.len(), &mut header).unwrap();
                }
            }
            assert!(server.poll_output().is_none());
            assert!(server.poll_timeout().is_some());
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn weakness_memory_is_flat_under_a_flood_from_100_000_sources() {
    let mut world = World::new();
    world.set_nonce("alice", b"0123456789012345678901");
    let (now, local) = (world.now, world.client("alice").local());
    let packets = [
        world.packet("alice", &binding()),
        world.packet("alice", &allocate().unsigned()),
        world.packet("alice", &allocate()),
        world.packet("alice", &allocate().with_raw(0x7777, b"x")),
        world.packet("alice", &refresh(600).without(stun::attribute::types::NONCE)),
        world.packet("alice", &send("192.0.2.7:9", b"hi")),
        vec![0x40, 0, 0, 0],
        vec![0xff; 100],
    ];
    let (server, rules) = (&mut world.server, &world.rules);
    let mut flood = |from: u32, sources: u32| {
        for source in from..from + sources {
            let remote = SocketAddr::from((Ipv4Addr::from_bits(0xc612_0000 + source), source as u16));
            let client = Client::new(ListenerId(1), remote, local);
            for packet in &packets {
                let verdict = server.handle_client(client, packet, rules, now);
                assert!(matches!(verdict, Verdict::Control | Verdict::Dropped(_)));
                while let Some(output) = server.poll_output() {
                    assert!(matches!(output, Output::Send { .. }), "{output:?}");
                }
            }
        }
    };
    flood(0, 100);
    assert_eq!(bytes(|| flood(100, 100_000)), 0);
    assert_eq!((world.server.allocations(), world.deadline()), (0, None));
    assert_eq!(world.server.counters().drops(DropReason::NotTurn), 100_100);
}

#[test]
fn idle_allocation_with_a_permission_and_a_channel_stays_below_4_kib() {
    const COUNT: u32 = 2_000;
    let mut world = World::new();
    let local = world.client("alice").local();
    let used = bytes(|| {
        for number in 0..COUNT {
            let remote = SocketAddr::from((Ipv4Addr::from_bits(0xc612_0000 + number), 5000));
            let client = Client::new(ListenerId(1), remote, local);
            let ask = |world: &mut World, ask: Ask| {
                let packet = world.packet_from(client, &ask);
                let _ = world.server.handle_client(client, &packet, &world.rules, world.now);
                while let Some(output) = world.server.poll_output() {
                    match output {
                        Output::OpenRelay { relay, .. } => {
                            world.server.handle_relay_opened(relay, Ok(1024 + number as u16), world.now);
                        }
                        Output::Send { message, .. } => world.learn_nonce(&message),
                        Output::AllocationCreated { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
            };
            ask(&mut world, allocate().unsigned());
            ask(&mut world, allocate());
            ask(&mut world, bind(0x4000, "192.0.2.7:9"));
            ask(&mut world, permit(&["192.0.2.7"]));
        }
        assert_eq!(world.server.allocations(), COUNT as usize);
    });
    let each = used / COUNT as isize;
    println!("{each} bytes per idle allocation");
    assert!(each < 4096, "{each} bytes per idle allocation");
}
