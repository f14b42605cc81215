//! How workers reach each other's clients: what each lets through, for all to read, and a mailbox each.
//!
//! A worker that has a packet for a relay of another worker looks it up here, as it would in its own table. It sends
//! to a UDP client itself, from its own socket of the same listener: the client sees the address it talks to. A
//! connection belongs to one worker, so what is for a client on one is put into that worker's mailbox.

mod directory;
mod mailbox;
#[cfg(test)]
mod tests;

use turn::server::Inbound;

pub(crate) use directory::{Directory, Entry};
pub(crate) use mailbox::{Letter, Mailbox};

/// Packets that wait for a worker at a time: about what it reads from its sockets in one turn.
const LETTERS: usize = 256;

/// What the workers of a process share in order to reach each other's clients. Read without locks.
pub(crate) struct Neighbours {
    /// What relays let through, by the address they are advertised by.
    pub(crate) relays: Directory<Inbound>,
    mailboxes: Box<[Mailbox]>,
}

impl Neighbours {
    /// So many workers, without relays.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            relays: Directory::default(),
            mailboxes: (0..workers).map(|_| Mailbox::new(LETTERS)).collect(),
        }
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
