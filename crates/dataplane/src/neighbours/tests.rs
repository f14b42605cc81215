use std::net::SocketAddr;

use turn::addr::RelayId;

use super::mailbox::{Displaced, Mailbox};
use super::{Directory, LETTERS};

const RELAY: RelayId = RelayId::from_u64(7);

fn from(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn sources(mailbox: &Mailbox) -> Vec<u16> {
    let mut sources = Vec::new();
    mailbox.empty(|letter| sources.push(letter.from.port()));
    sources
}

#[test]
fn letters_are_taken_out_as_they_were_put_in() {
    let mailbox = Mailbox::new(LETTERS);
    for round in 0..3 {
        for number in 0..100 {
            mailbox.post(RELAY, from(number), &[round; 9]).unwrap();
        }
        let mut number = 0;
        mailbox.empty(|letter| {
            assert_eq!((letter.relay, letter.from), (RELAY, from(number)));
            assert_eq!(letter.payload, [round; 9]);
            number += 1;
        });
        assert_eq!(number, 100);
    }
}

#[test]
fn the_oldest_make_way_while_the_mailbox_is_full() {
    let mailbox = Mailbox::new(LETTERS);
    let all = LETTERS as u16 + 10;
    let displaced = (0..all).filter(|number| mailbox.post(RELAY, from(*number), b"x") == Err(Displaced));
    assert_eq!(displaced.count(), 10);
    assert_eq!(sources(&mailbox), (10..all).collect::<Vec<_>>());
}

#[test]
fn what_many_put_in_comes_out_once_or_was_counted() {
    let mailbox = Mailbox::new(LETTERS);
    let (taken, displaced) = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let post = || mailbox.post(RELAY, from(1), &[1; 100]);
                    (0..20_000).filter(|_| post() == Err(Displaced)).count()
                })
            })
            .collect();
        let mut taken = 0;
        while !senders.iter().all(|sender| sender.is_finished()) {
            taken += sources(&mailbox).len();
        }
        (taken, senders.into_iter().map(|sender| sender.join().unwrap()).sum::<usize>())
    });
    assert_eq!(taken + sources(&mailbox).len() + displaced, 60_000);
}

#[test]
fn an_address_belongs_to_one_relay_at_a_time() {
    let directory = Directory::default();
    let at = |port| directory.look_up(from(port), |entry| (entry.worker, entry.about));
    assert_eq!(at(1), None);
    directory.publish(from(1), 0, RELAY, 'a');
    directory.publish(from(1), 0, RELAY, 'b');
    assert_eq!(at(1), Some((0, 'b')));
    // Another one neither takes its place nor takes it away.
    directory.publish(from(1), 1, RELAY, 'c');
    directory.withdraw(from(1), 1, RELAY);
    directory.withdraw(from(1), 0, RelayId::from_u64(8));
    assert_eq!(at(1), Some((0, 'b')));
    directory.withdraw(from(1), 0, RELAY);
    assert_eq!(at(1), None);
    directory.publish(from(1), 1, RELAY, 'c');
    assert_eq!(at(1), Some((1, 'c')));
}
