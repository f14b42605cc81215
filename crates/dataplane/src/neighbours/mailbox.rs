//! Packets that other workers have for the clients of one.

use std::net::SocketAddr;

use turn::addr::{Client, RelayId};

use crate::sync::{ArrayQueue, OnceLock, Waker};

/// How many bytes a packet has room for from the beginning: what most paths carry in one piece. A longer one makes
/// room for itself and those after it.
const LETTER: usize = 1500;

/// A worker's mailbox. Bounded: while it is full, the oldest packets make way.
///
/// Letters go round: written, put in, taken out, and written again. None is made or destroyed after the start.
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
    /// It is a client's datagram instead, which this worker has received.
    pub(crate) passed_on: Option<(usize, Client)>,
}

/// A packet was given up because its receiver is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Displaced;

impl Mailbox {
    /// An empty one, for so many packets.
    pub(crate) fn new(letters: usize) -> Self {
        let blank = ArrayQueue::new(letters);
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        for _ in 0..letters {
            let payload = Vec::with_capacity(LETTER);
            // There is room: it was made for them.
            let letter = Letter { relay: RelayId::from_u64(0), from: nobody, payload, passed_on: None };
            let _ = blank.push(Box::new(letter));
        }
        Self { full: ArrayQueue::new(letters), blank, waker: OnceLock::new() }
    }

    /// Tells whom to wake.
    pub(crate) fn belongs_to(&self, waker: Waker) {
        let _ = self.waker.set(waker);
    }

    /// Puts a packet in. [`Self::ring`] must follow.
    pub(crate) fn post(&self, relay: RelayId, from: SocketAddr, payload: &[u8]) -> Result<(), Displaced> {
        self.write(payload, |letter| {
            letter.relay = relay;
            letter.from = from;
            letter.passed_on = None;
        })
    }

    /// The same for a client's datagram that `worker` has received.
    pub(crate) fn post_datagram(
        &self,
        worker: usize,
        client: Client,
        datagram: &[u8],
    ) -> Result<(), Displaced> {
        self.write(datagram, |letter| letter.passed_on = Some((worker, client)))
    }

    fn write(&self, payload: &[u8], address: impl FnOnce(&mut Letter)) -> Result<(), Displaced> {
        let (letter, displaced) = match self.blank.pop() {
            Some(letter) => (Some(letter), Ok(())),
            None => (self.full.pop(), Err(Displaced)),
        };
        // All of them are in somebody's hands at this moment: then it is this packet that is given up.
        let Some(mut letter) = letter else { return Err(Displaced) };
        address(&mut letter);
        letter.payload.clear();
        letter.payload.extend_from_slice(payload);
        // There is room for as many letters as there are.
        let _ = self.full.push(letter);
        displaced
    }

    /// Wakes the owner, who then calls [`Self::empty`].
    pub(crate) fn ring(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }

    /// Takes out what is there, oldest first. What comes meanwhile may stay: its sender has yet to ring.
    pub(crate) fn empty(&self, mut read: impl FnMut(&Letter)) {
        for _ in 0..self.full.capacity() {
            let Some(letter) = self.full.pop() else { return };
            read(&letter);
            let _ = self.blank.push(letter);
        }
    }
}
