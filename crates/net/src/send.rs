//! Batched sending: references to slots, grouped by socket, handed to the kernel in few calls.
//!
//! Runs of equal-sized datagrams to one destination can leave as one segmented send (`UDP_SEGMENT`). The
//! grouping in [`SendQueue::flush`] is where such runs are adjacent; nothing above will notice.
#![expect(unsafe_code, reason = "sendmmsg takes arrays of raw pointers")]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use crate::buffer::{Arena, Span};
use crate::cmsg::Control;
use crate::udp::{EMPTY_HEADER, EMPTY_NAME, UdpSocket, encode_name};

/// A datagram that waits in a [`SendQueue`].
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// Which socket sends it, in the caller's numbering.
    pub socket: u32,
    /// Its bytes.
    pub span: Span,
    /// Where it goes.
    pub to: SocketAddr,
    /// The local address it leaves from, if it must be a certain one.
    pub from: Option<IpAddr>,
    /// It must not be fragmented on the way.
    pub dont_fragment: bool,
}

/// What became of a flushed batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub sent: usize,
    /// Datagrams given up because the socket's buffer was full.
    pub full: usize,
    /// Datagrams given up for another reason: no route, too large, no such socket.
    pub failed: usize,
}

/// Socket number and index into the waiting datagrams.
type Ordered = (u32, u16);

/// Datagrams to be sent, all of them in slots of one arena. Allocated once.
///
/// A queue that is full must be flushed; UDP may lose datagrams but this queue never does by itself.
pub struct SendQueue {
    waiting: Vec<Outgoing>,
    order: Vec<Ordered>,
    capacity: usize,
    names: Vec<libc::sockaddr_in6>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the vectors of pointers are filled and used within one call of `send_group`, from memory
// borrowed by that call; between calls nothing reads them. All other fields are plain data.
unsafe impl Send for SendQueue {}

impl SendQueue {
    /// A queue of at most `capacity` datagrams, itself at most 65 535.
    pub fn new(capacity: usize) -> Self {
        Self {
            waiting: Vec::with_capacity(capacity),
            order: Vec::with_capacity(capacity),
            capacity,
            names: Vec::with_capacity(capacity),
            controls: Vec::with_capacity(capacity),
            vectors: Vec::with_capacity(capacity),
            headers: Vec::with_capacity(capacity),
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many more datagrams fit before a flush.
    pub fn free(&self) -> usize {
        self.capacity - self.waiting.len()
    }

    /// Adds a datagram.
    ///
    /// # Panics
    /// If the queue is full: check [`Self::free`] and flush.
    pub fn push(&mut self, outgoing: Outgoing) {
        assert!(self.free() > 0, "flushed before it is full");
        self.waiting.push(outgoing);
    }

    /// Sends everything, in order for each socket. `socket` maps the caller's numbers to sockets.
    ///
    /// A datagram the kernel refuses is counted and left behind: nothing is retried, since by then newer
    /// media is worth more.
    pub fn flush<'s>(&mut self, arena: &Arena, socket: impl Fn(u32) -> Option<&'s UdpSocket>) -> Sent {
        self.order.clear();
        self.order.extend(self.waiting.iter().zip(0..).map(|(outgoing, index)| (outgoing.socket, index)));
        // The index makes every key unique, so this keeps the order of each socket's datagrams.
        self.order.sort_unstable();
        let order = std::mem::take(&mut self.order);
        let mut total = Sent::default();
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            match socket(group[0].0) {
                Some(socket) => self.send_group(group, arena, socket, &mut total),
                None => total.failed += group.len(),
            }
        }
        self.order = order;
        self.waiting.clear();
        total
    }

    fn send_group(&mut self, group: &[Ordered], arena: &Arena, socket: &UdpSocket, total: &mut Sent) {
        let alone = |entry: &Ordered| self.waiting[usize::from(entry.1)].dont_fragment;
        if !group.iter().any(alone) {
            self.send_run(group, arena, socket, total);
            return;
        }
        for entry in group {
            let outgoing = self.waiting[usize::from(entry.1)];
            if outgoing.dont_fragment {
                total.count(socket.send_unfragmented(arena.bytes(outgoing.span), outgoing.to).map(|_| 1), 1);
            } else {
                self.send_run(std::slice::from_ref(entry), arena, socket, total);
            }
        }
    }

    fn send_run(&mut self, run: &[Ordered], arena: &Arena, socket: &UdpSocket, total: &mut Sent) {
        self.prepare(run, arena, socket);
        let mut rest = self.headers.as_mut_slice();
        while !rest.is_empty() {
            // SAFETY: the headers in `rest` were filled by `prepare` from `waiting` and `arena`, which are
            // both still borrowed; names, controls and vectors they point to are not touched until
            // `prepare` is called again. The kernel only reads through them.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_fd().as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as libc::c_uint,
                    libc::MSG_DONTWAIT as _,
                )
            };
            let result = usize::try_from(sent).map_err(|_| io::Error::last_os_error());
            let done = match &result {
                Ok(count) => *count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A full buffer stays full for the rest of this batch ...
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => rest.len(),
                // ... any other error belongs to the first datagram of the rest.
                Err(_) => 1,
            };
            total.count(result, done);
            rest = &mut rest[done..];
        }
    }

    fn prepare(&mut self, run: &[Ordered], arena: &Arena, socket: &UdpSocket) {
        let ipv6 = socket.is_ipv6();
        let waiting = &self.waiting;
        let run = run.iter().map(|entry| &waiting[usize::from(entry.1)]);
        self.names.resize(run.len(), EMPTY_NAME);
        self.controls.resize(run.len(), Control::EMPTY);
        self.vectors.clear();
        self.vectors.extend(run.clone().map(|outgoing| {
            let bytes = arena.bytes(outgoing.span);
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
        }));
        self.headers.clear();
        for (((outgoing, name), control), vector) in
            run.zip(&mut self.names).zip(&mut self.controls).zip(&mut self.vectors)
        {
            let mut header = EMPTY_HEADER;
            header.msg_hdr.msg_namelen = encode_name(name, outgoing.to, ipv6);
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_iov = &raw mut *vector;
            header.msg_hdr.msg_iovlen = 1;
            if let Some(from) = outgoing.from {
                let len = control.put_source(from, ipv6);
                if len > 0 {
                    header.msg_hdr.msg_control = control.as_mut_ptr();
                    header.msg_hdr.msg_controllen = len as _;
                }
            }
            self.headers.push(header);
        }
    }
}

impl Sent {
    fn count(&mut self, result: io::Result<usize>, concerned: usize) {
        match result {
            Ok(_) => self.sent += concerned,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full += concerned,
            Err(_) => self.failed += concerned,
        }
    }
}

impl std::ops::AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.full += other.full;
        self.failed += other.failed;
    }
}

impl std::fmt::Debug for SendQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendQueue").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
