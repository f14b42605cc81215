//! What the workers of the dataplane share: mailboxes, the directory of relays, and counters.
//!
//! loom runs each test once for every order in which its threads can take their steps, up to a number of preemptions,
//! and every value that a load may see. A thread that waits for a wake-up that was lost is a failure.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../crates/dataplane/src/neighbours/directory.rs"]
mod directory;
#[allow(dead_code, reason = "packets and passed-on datagrams are put in alike: one of them is enough here")]
#[path = "../../../crates/dataplane/src/neighbours/mailbox.rs"]
mod mailbox;
mod sync;
#[path = "../../../crates/dataplane/src/metrics/tally.rs"]
mod tally;

use std::net::SocketAddr;

use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use turn::addr::RelayId;

use crate::directory::Directory;
use crate::mailbox::{Displaced, Mailbox};
use crate::sync::Waker;
use crate::tally::Tally;

/// More find nothing new and take minutes.
const PREEMPTIONS: usize = 3;

fn in_every_order(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(run);
}

const RELAYS: [RelayId; 2] = [RelayId::from_u64(1), RelayId::from_u64(2)];

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

/// Puts in two packets with the sender's mark. Returns how many were given up.
fn send_two(mailbox: &Mailbox, sender: u8) -> usize {
    let post = |number: &u8| mailbox.post(RELAYS[0], address(u16::from(sender)), &[sender, *number]);
    (1..=2).filter(|number| post(number) == Err(Displaced)).count()
}

/// Takes out what is there: sender and number of each, which must be as they were put in.
fn take(mailbox: &Mailbox, taken: &mut Vec<(u8, u8)>) {
    mailbox.empty(|letter| {
        let [sender, number] = letter.payload[..] else { panic!("{letter:?}") };
        assert_eq!((letter.relay, letter.from), (RELAYS[0], address(u16::from(sender))));
        taken.push((sender, number));
    });
}

#[test]
fn a_packet_comes_out_once_and_in_order_or_is_counted() {
    in_every_order(|| {
        let mailbox = Arc::new(Mailbox::new(2));
        let senders = [1, 2].map(|sender| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || send_two(&mailbox, sender))
        });
        let mut taken = Vec::new();
        take(&mailbox, &mut taken);
        let displaced: usize = senders.map(|sender| sender.join().unwrap()).into_iter().sum();
        take(&mailbox, &mut taken);
        assert_eq!(taken.len() + displaced, 4);
        for sender in [1, 2] {
            let own: Vec<_> = taken.iter().filter(|(from, _)| *from == sender).collect();
            assert!(own.is_sorted(), "{taken:?}");
        }
        // Every letter is there again, for as many packets as there were at first.
        assert_eq!((1..=2).map(|sender| send_two(&mailbox, sender)).sum::<usize>(), 2);
        taken.clear();
        take(&mailbox, &mut taken);
        assert_eq!(taken, [(2, 1), (2, 2)]);
    });
}

/// Two senders, a packet each; the owner sleeps until it is told.
fn nobody_sleeps_on_a_packet(letters: usize) {
    let (mailbox, waker) = (Arc::new(Mailbox::new(letters)), Waker::default());
    let displaced = Arc::new(AtomicUsize::new(0));
    mailbox.belongs_to(waker.clone());
    let senders = [1, 2].map(|sender| {
        let (mailbox, displaced) = (Arc::clone(&mailbox), Arc::clone(&displaced));
        thread::spawn(move || {
            if mailbox.post(RELAYS[0], address(sender.into()), &[sender, 1]) == Err(Displaced) {
                displaced.fetch_add(1, Ordering::AcqRel);
            }
            mailbox.ring();
        })
    });
    let mut taken = Vec::new();
    while taken.len() + displaced.load(Ordering::Acquire) < 2 {
        waker.wait();
        take(&mailbox, &mut taken);
    }
    for sender in senders {
        sender.join().unwrap();
    }
}

#[test]
fn the_owner_sleeps_on_nothing_that_was_put_in() {
    in_every_order(|| nobody_sleeps_on_a_packet(2));
}

#[test]
fn nor_on_what_came_while_it_took_as_much_as_fits_in() {
    in_every_order(|| nobody_sleeps_on_a_packet(1));
}

#[test]
fn a_port_that_changes_hands_is_found_with_its_new_owner() {
    in_every_order(|| {
        let directory = Arc::new(Directory::default());
        let port_is_free = Arc::new(AtomicBool::new(false));
        directory.publish(address(1), 0, RELAYS[0], 'a');
        let first = {
            let (directory, port_is_free) = (Arc::clone(&directory), Arc::clone(&port_is_free));
            thread::spawn(move || {
                directory.publish(address(1), 0, RELAYS[0], 'b');
                directory.withdraw(address(1), 0, RELAYS[0]);
                // As the kernel does when the socket is closed.
                port_is_free.store(true, Ordering::Release);
            })
        };
        let second = {
            let (directory, port_is_free) = (Arc::clone(&directory), Arc::clone(&port_is_free));
            thread::spawn(move || {
                if port_is_free.load(Ordering::Acquire) {
                    directory.publish(address(1), 1, RELAYS[1], 'c');
                    return true;
                }
                false
            })
        };
        let seen = || directory.look_up(address(1), |entry| entry.about);
        let seen = [seen(), seen(), seen()].map(|about| match about {
            Some('a') => 0,
            Some('b') => 1,
            None => 2,
            Some('c') => 3,
            Some(other) => panic!("{other}"),
        });
        assert!(seen.is_sorted(), "{seen:?}");
        first.join().unwrap();
        let expected = second.join().unwrap().then_some((1, 'c'));
        assert_eq!(directory.look_up(address(1), |entry| (entry.worker, entry.about)), expected);
    });
}

#[test]
fn whoever_gets_an_answer_finds_it_counted() {
    in_every_order(|| {
        let (tally, answered) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
        let worker = {
            let (tally, answered) = (Arc::clone(&tally), Arc::clone(&answered));
            thread::spawn(move || {
                tally.add(1);
                tally.add(2);
                // As the kernel does between sender and receiver.
                answered.store(true, Ordering::Release);
                tally.add(4);
            })
        };
        let (has_answer, first, second) = (answered.load(Ordering::Acquire), tally.get(), tally.get());
        assert!(first <= second && [0, 1, 3, 7].contains(&first));
        assert!(!has_answer || first >= 3);
        worker.join().unwrap();
        assert_eq!(tally.get(), 7);
    });
}
