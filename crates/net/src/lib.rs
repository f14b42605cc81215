//! Sockets: batched UDP, TCP and TLS streams, the event queue, and what a worker thread asks of the kernel.
//!
//! This crate knows no TURN. It is the only room of the house with `unsafe` code and the only user of
//! `libc` and `socket2`; every `unsafe` block says why it is sound. Its types own their descriptors and
//! their memory, so nothing unsafe leaks through the public surface.
//!
//! How the pieces are meant to be used together by one thread:
//!
//! ```text
//!  Poller::wait ──> ready token ──> Arena::receive(socket)      one system call, many datagrams
//!                                     │  packet(slot), headroom in front of it
//!                                     v
//!                                  SendQueue::push(socket, slot range, destination)
//!                                     │
//!                                  SendQueue::flush(arena, sockets)  one call per socket and batch
//! ```
//!
//! A payload is written once, by the kernel, and read once, by the kernel: headers go into the headroom
//! of its slot and the send queue refers to the slot. Datagrams of one length for one destination travel in
//! trains: the queue forms them by itself, and [`Packet::datagrams`] takes apart what arrived as one.

pub mod addr;
mod buffer;
mod cmsg;
mod dtls;
mod icmp;
mod identity;
pub mod interface;
pub mod limit;
mod options;
mod poll;
mod send;
mod tcp;
mod tls;
mod udp;

pub use buffer::{Arena, HEADROOM, Packet, Parts, SLOT_CAPACITY, Slot, Span};
#[cfg(any(test, feature = "testing"))]
pub use dtls::client::DtlsClient;
pub use dtls::{
    DTLS_BEHIND, DTLS_IN_FRONT, DTLS_LONGEST, DtlsConnection, DtlsEndpoint, DtlsError, DtlsEvent, DtlsPeer,
    DtlsReceived, DtlsTrust, Expired, HandshakeId, dtls_record_len,
};
pub use icmp::IcmpError;
pub use identity::{Identity, IdentityError};
pub use options::{TcpOptions, Trains, UdpOptions, probe_tcp, probe_udp};
pub use poll::{Event, Events, Interest, Poller, Token, Waker};
pub use send::{Outgoing, SendQueue, Sent};
pub use tcp::{Flush, Read, StreamMessage, TcpListener, TcpStream, Worth, WriteQueueFull, Written};
pub use tls::{TlsAcceptor, TlsStream};
pub use udp::UdpSocket;
