//! The arrays that the kernel reads a batch from, and the trains in it.
#![expect(unsafe_code, reason = "sendmmsg takes arrays of raw pointers")]

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use super::{Run, Sent, Waiting};
use crate::buffer::Arena;
use crate::cmsg::Control;
use crate::icmp::REPETITIONS;
use crate::udp::{EMPTY_HEADER, EMPTY_NAME, UdpSocket, encode_name};

/// Messages on their way to the kernel, each of them a train.
pub(super) struct Batch {
    trains: Vec<Train>,
    names: Vec<libc::sockaddr_in6>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

/// Datagrams that leave as one message; mostly a single one.
#[derive(Debug, Clone, Copy)]
struct Train {
    datagrams: usize,
    /// The length of all but perhaps the last.
    len: usize,
    /// How many vectors its bytes take.
    vectors: usize,
}

/// A train that the kernel did not take.
struct Refused {
    train: Train,
    error: io::Error,
}

/// The kernel's limit since trains exist; later kernels take twice as many.
const LONGEST_TRAIN: usize = 64;
/// The largest payload of an IPv4 datagram, which a train is until it is taken apart.
const HEAVIEST_TRAIN: usize = 65_507;

// SAFETY: the pointers in `vectors` and `headers` are filled and used within one call of `send`, from memory
// borrowed by that call; between calls nothing reads them. All other fields are plain data.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            trains: Vec::with_capacity(capacity),
            names: vec![EMPTY_NAME; capacity],
            controls: vec![Control::EMPTY; capacity],
            // A header, a body and padding each.
            vectors: Vec::with_capacity(3 * capacity),
            headers: Vec::with_capacity(capacity),
        }
    }

    /// Sends datagrams of one socket, in order, in trains as far as the kernel takes them.
    pub(super) fn send(&mut self, mut run: Run<'_>, arena: &Arena, socket: &UdpSocket) -> Sent {
        if let Some((span, to)) = run.plain(socket) {
            return send_alone(arena.bytes(span), to, socket);
        }
        let mut total = Sent::default();
        while run.len() > 0 {
            self.prepare(run, arena, socket, usize::from(socket.longest_in_train()));
            let (done, refused) = self.transmit(socket, &mut total);
            run = run.split_at(done).1;
            if let Some(refused) = refused {
                let (train, others) = run.split_at(refused.train.datagrams);
                total += self.send_apart(train, &refused, arena, socket);
                run = others;
            }
        }
        total
    }

    /// Sends the datagrams of a train that was refused. If that works, the train was the reason.
    fn send_apart(&mut self, run: Run<'_>, refused: &Refused, arena: &Arena, socket: &UdpSocket) -> Sent {
        let mut total = Sent::default();
        self.prepare(run, arena, socket, 0);
        self.transmit(socket, &mut total);
        if total.sent > 0 {
            total.split = run.len();
            socket.refuse_trains(refused.train.len as u16, &refused.error);
        }
        total
    }

    /// Hands the prepared messages to the kernel, up to the first train that it refuses. Returns how many
    /// datagrams were dealt with, and that train.
    fn transmit(&mut self, socket: &UdpSocket, total: &mut Sent) -> (usize, Option<Refused>) {
        let mut at = 0;
        let mut dealt_with = 0;
        let mut repetitions = 0;
        while at < self.headers.len() {
            let rest = &mut self.headers[at..];
            let sent = transmit(socket, rest);
            let result = usize::try_from(sent).map_err(|_| io::Error::last_os_error());
            let messages = match &result {
                Ok(count) => *count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if repetitions < REPETITIONS && socket.is_about_another(error) => {
                    repetitions += 1;
                    continue;
                }
                // A full buffer stays full for the rest of this batch ...
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => rest.len(),
                // ... any other error belongs to the first message of the rest.
                Err(_) => 1,
            };
            repetitions = 0;
            let datagrams = self.trains[at..at + messages].iter().map(|train| train.datagrams).sum();
            match result {
                Err(error) if datagrams > 1 && error.kind() != io::ErrorKind::WouldBlock => {
                    return (dealt_with, Some(Refused { train: self.trains[at], error }));
                }
                result => total.count(result, datagrams),
            }
            dealt_with += datagrams;
            at += messages;
        }
        (dealt_with, None)
    }

    /// Fills the arrays. Datagrams of up to `longest` bytes may become part of a train.
    fn prepare(&mut self, run: Run<'_>, arena: &Arena, socket: &UdpSocket, longest: usize) {
        self.couple(run, arena, longest);
        let ipv6 = socket.is_ipv6();
        self.headers.clear();
        let mut vectors = self.vectors.as_mut_slice();
        let mut first = 0;
        for ((train, name), control) in self.trains.iter().zip(&mut self.names).zip(&mut self.controls) {
            let outgoing = &run.get(first).outgoing;
            first += train.datagrams;
            let (own, others) = vectors.split_at_mut(train.vectors);
            vectors = others;
            let mut header = EMPTY_HEADER;
            header.msg_hdr.msg_namelen = encode_name(name, outgoing.to, ipv6);
            header.msg_hdr.msg_name = (&raw mut *name).cast();
            header.msg_hdr.msg_iov = own.as_mut_ptr();
            header.msg_hdr.msg_iovlen = own.len() as _;
            let mut writer = control.writer();
            if let Some(from) = outgoing.from.filter(|_| socket.chooses_source()) {
                writer.source(from, ipv6);
            }
            if train.datagrams > 1 {
                writer.segment(train.len as u16);
            }
            let control_len = writer.len();
            if control_len > 0 {
                header.msg_hdr.msg_control = control.as_mut_ptr();
                header.msg_hdr.msg_controllen = control_len as _;
            }
            self.headers.push(header);
        }
    }

    /// Forms the trains of a run and notes where their bytes are.
    fn couple(&mut self, mut run: Run<'_>, arena: &Arena, longest: usize) {
        self.trains.clear();
        self.vectors.clear();
        while run.len() > 0 {
            let (own, others) = run.split_at(train_len(run, longest));
            run = others;
            let before = self.vectors.len();
            for waiting in own.iter() {
                waiting.parts.bytes(arena).for_each(|bytes| gather(&mut self.vectors, before, bytes));
            }
            let vectors = self.vectors.len() - before;
            self.trains.push(Train { datagrams: own.len(), len: own.get(0).len(), vectors });
        }
    }
}

/// Sends one datagram without extras, as most relay sockets have at a time: it needs no arrays, and costs the kernel
/// less this way.
fn send_alone(bytes: &[u8], to: SocketAddr, socket: &UdpSocket) -> Sent {
    let mut total = Sent::default();
    let mut name = EMPTY_NAME;
    let name_len = encode_name(&mut name, to, socket.is_ipv6());
    let mut repetitions = 0;
    loop {
        let (descriptor, flags) = (socket.as_fd().as_raw_fd(), libc::MSG_DONTWAIT);
        let (data, name) = (bytes.as_ptr().cast(), (&raw const name).cast());
        // SAFETY: the kernel reads the lengths given of bytes and a name that live through the call.
        let sent = unsafe { libc::sendto(descriptor, data, bytes.len(), flags, name, name_len) };
        let result = usize::try_from(sent).map_err(|_| io::Error::last_os_error());
        if let Err(error) = &result {
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            if repetitions < REPETITIONS && socket.is_about_another(error) {
                repetitions += 1;
                continue;
            }
        }
        total.count(result, 1);
        return total;
    }
}

/// Hands prepared messages to the kernel. Returns how many it took, or -1.
fn transmit(socket: &UdpSocket, messages: &mut [libc::mmsghdr]) -> libc::c_int {
    let (descriptor, flags) = (socket.as_fd().as_raw_fd(), libc::MSG_DONTWAIT);
    // SAFETY: the headers were filled by `prepare`, which every call follows, from an arena that is still
    // borrowed; names, controls and vectors they point to are not touched until it is called again. The kernel only
    // reads through them.
    unsafe { libc::sendmmsg(descriptor, messages.as_mut_ptr(), messages.len() as libc::c_uint, flags as _) }
}

/// How many of the first datagrams can leave together: all the same way and of one length, but for the last,
/// which may be shorter.
fn train_len(run: Run<'_>, longest: usize) -> usize {
    let first = run.get(0);
    let len = first.len();
    if len == 0 || len > longest {
        return 1;
    }
    let most = LONGEST_TRAIN.min(HEAVIEST_TRAIN / len).clamp(1, run.len());
    let fits = |next: &Waiting| next.goes_with(first) && next.len() <= len && next.len() > 0;
    for count in 1..most {
        let next = run.get(count);
        if !fits(next) {
            return count;
        }
        if next.len() < len {
            return count + 1;
        }
    }
    most
}

/// Adds bytes to those of a train, whose vectors begin at `train`. What follows in memory follows in a vector.
fn gather(vectors: &mut Vec<libc::iovec>, train: usize, bytes: &[u8]) {
    let start: *mut libc::c_void = bytes.as_ptr().cast_mut().cast();
    if let Some(last) = vectors[train..].last_mut()
        && last.iov_base.wrapping_byte_add(last.iov_len) == start
    {
        last.iov_len += bytes.len();
        return;
    }
    vectors.push(libc::iovec { iov_base: start, iov_len: bytes.len() });
}

#[cfg(test)]
mod tests;
