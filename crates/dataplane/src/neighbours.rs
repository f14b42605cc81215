//! How workers reach each other's clients: what each lets through, for all to read, and a mailbox each.
//!
//! A worker that has a packet for a relay of another worker looks it up here, as it would in its own table. It sends
//! to a UDP client itself, from its own socket of the same listener: the client sees the address it talks to. A
//! connection belongs to one worker, so what is for a TCP client is put into that worker's mailbox.

use std::net::SocketAddr;
use std::sync::OnceLock;

use crossbeam_queue::ArrayQueue;
use net::Waker;
use turn::addr::{RelayId, RelayedAddr};
use turn::server::Inbound;

/// Packets that wait for a worker at a time: about what it reads from its sockets in one turn.
const LETTERS: usize = 256;
/// How many bytes a packet has room for from the beginning: what most paths carry in one piece. A longer one makes
/// room for itself and those after it.
const LETTER: usize = 1500;

/// What the workers of a process share in order to reach each other's clients. Read without locks.
pub(crate) struct Neighbours {
    /// By the address a relay is advertised by.
    entries: papaya::HashMap<SocketAddr, Entry, foldhash::fast::RandomState>,
    mailboxes: Box<[Mailbox]>,
}

/// A relay of some worker.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) worker: usize,
    pub(crate) inbound: Inbound,
}

impl Neighbours {
    /// So many workers, without relays.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            entries: papaya::HashMap::default(),
            mailboxes: (0..workers).map(|_| Mailbox::new()).collect(),
        }
    }

    /// What is said of a relay, to `read`.
    pub(crate) fn look_up<T>(&self, relayed: SocketAddr, read: impl FnOnce(&Entry) -> T) -> Option<T> {
        self.entries.pin().get(&relayed).map(read)
    }

    /// Says what a worker's relay lets through from now on. Should two relays be advertised by one address, which
    /// takes sockets on different addresses of this machine, the first one is found here.
    pub(crate) fn publish(&self, relayed: RelayedAddr, worker: usize, inbound: Inbound) {
        let entries = self.entries.pin();
        let relay = inbound.relay();
        if entries.get(&relayed.get()).is_none_or(|entry| entry.is_of(worker, relay)) {
            entries.insert(relayed.get(), Entry { worker, inbound });
        }
    }

    /// Says that a worker's relay has ended.
    pub(crate) fn withdraw(&self, relayed: RelayedAddr, worker: usize, relay: RelayId) {
        // Somebody else's stays.
        let _ = self.entries.pin().remove_if(&relayed.get(), |_, entry| entry.is_of(worker, relay));
    }

    /// The number of workers.
    pub(crate) fn count(&self) -> usize {
        self.mailboxes.len()
    }

    /// A worker's mailbox.
    pub(crate) fn mailbox(&self, worker: usize) -> &Mailbox {
        &self.mailboxes[worker]
    }
}

impl Entry {
    fn is_of(&self, worker: usize, relay: RelayId) -> bool {
        self.worker == worker && self.inbound.relay() == relay
    }
}

/// Packets that other workers have for the clients of one. Bounded: while it is full, the oldest make way.
///
/// Letters go round: written, put in, taken out, and written again. None is ever made or destroyed after the start.
pub(crate) struct Mailbox {
    full: ArrayQueue<Box<Letter>>,
    blank: ArrayQueue<Box<Letter>>,
    waker: OnceLock<Waker>,
}

/// A packet as it would have arrived at a relay's socket.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) relay: RelayId,
    pub(crate) from: SocketAddr,
    pub(crate) payload: Vec<u8>,
}

/// A packet was given up because its receiver is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Displaced;

impl Mailbox {
    fn new() -> Self {
        let blank = ArrayQueue::new(LETTERS);
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        for _ in 0..LETTERS {
            let payload = Vec::with_capacity(LETTER);
            let letter = Letter { relay: RelayId::from_u64(0), from: nobody, payload };
            // There is room: it was made for them.
            let _ = blank.push(Box::new(letter));
        }
        Self { full: ArrayQueue::new(LETTERS), blank, waker: OnceLock::new() }
    }

    /// Tells whom to wake.
    pub(crate) fn belongs_to(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// Puts a packet in. The owner hears of it with [`Self::ring`].
    pub(crate) fn post(&self, relay: RelayId, from: SocketAddr, payload: &[u8]) -> Result<(), Displaced> {
        let (letter, displaced) = match self.blank.pop() {
            Some(letter) => (Some(letter), Ok(())),
            None => (self.full.pop(), Err(Displaced)),
        };
        // All of them are in somebody's hands at this moment: then it is this packet that is given up.
        let Some(mut letter) = letter else { return Err(Displaced) };
        letter.relay = relay;
        letter.from = from;
        letter.payload.clear();
        letter.payload.extend_from_slice(payload);
        // There is room for as many letters as there are.
        let _ = self.full.push(letter);
        displaced
    }

    /// Wakes the owner.
    pub(crate) fn ring(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    /// Takes out the oldest packet, for as long as `read` needs it.
    pub(crate) fn open<T>(&self, read: impl FnOnce(&Letter) -> T) -> Option<T> {
        let letter = self.full.pop()?;
        let result = read(&letter);
        let _ = self.blank.push(letter);
        Some(result)
    }

    /// Nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.full.is_empty()
    }

    /// Most packets that can be in it.
    pub(crate) const CAPACITY: usize = LETTERS;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn sources(mailbox: &Mailbox) -> Vec<u16> {
        std::iter::from_fn(|| mailbox.open(|letter| letter.from.port())).collect()
    }

    #[test]
    fn letters_are_taken_out_in_the_order_they_were_put_in() {
        let mailbox = Mailbox::new();
        for round in 0..3 {
            for number in 0..100 {
                mailbox.post(RelayId::from_u64(7), from(number), &[round; 9]).unwrap();
            }
            let opened = mailbox.open(|letter| (letter.relay.to_u64(), letter.payload.clone()));
            assert_eq!(opened, Some((7, vec![round; 9])));
            assert_eq!(sources(&mailbox), (1..100).collect::<Vec<_>>());
            assert!(mailbox.is_empty());
        }
    }

    #[test]
    fn the_oldest_make_way_while_the_mailbox_is_full() {
        let mailbox = Mailbox::new();
        let all = Mailbox::CAPACITY as u16 + 10;
        let displaced = (0..all)
            .filter(|number| mailbox.post(RelayId::from_u64(1), from(*number), b"x") == Err(Displaced));
        assert_eq!(displaced.count(), 10);
        assert_eq!(sources(&mailbox), (10..all).collect::<Vec<_>>());
    }

    #[test]
    fn what_many_put_in_comes_out_once_or_was_counted() {
        let mailbox = Mailbox::new();
        let (taken, displaced) = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let post = || mailbox.post(RelayId::from_u64(1), from(1), &[1; 100]);
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
        assert_eq!(mailbox.blank.len(), Mailbox::CAPACITY);
    }
}
