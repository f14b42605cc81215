//! Packet memory: a fixed number of slots, each with room for a header in front of its payload.

#![expect(unsafe_code, reason = "arrays of raw pointers are kept between calls, unused")]

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::cmsg::Control;

/// Bytes in front of every received payload, free for a header to be written in place.
///
/// A Data indication to an IPv6 peer needs 48 (20 header, 24 XOR-PEER-ADDRESS, 4 DATA).
pub const HEADROOM: usize = 64;

/// Largest payload of a slot in bytes: any UDP datagram fits, and any frame of a stream with what came before it.
pub const SLOT_CAPACITY: usize = 65 << 10;

/// Bytes behind the payload, for padding. Also keeps slots from starting at equal offsets within a page,
/// where they would compete for the same few cache lines.
const TAILROOM: usize = 64;
const STRIDE: usize = HEADROOM + SLOT_CAPACITY + TAILROOM;

/// Names a slot of an [`Arena`] until the arena is cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(crate) u16);

/// Some bytes of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    slot: Slot,
    start: u32,
    len: u32,
}

impl Span {
    /// `len` bytes from `offset` of the payload. They may reach into the padding behind it.
    ///
    /// # Panics
    /// If that leaves the slot.
    pub fn payload(slot: Slot, offset: usize, len: usize) -> Self {
        Self::new(slot, HEADROOM + offset, len)
    }

    /// The last `header` bytes of the headroom and the `len` bytes that follow them in the payload.
    ///
    /// # Panics
    /// If that leaves the slot.
    pub fn with_header(slot: Slot, header: usize, len: usize) -> Self {
        assert!(header <= HEADROOM, "the headroom is {HEADROOM} bytes");
        Self::new(slot, HEADROOM - header, header + len)
    }

    fn new(slot: Slot, start: usize, len: usize) -> Self {
        assert!(start + len <= STRIDE, "inside the slot");
        Self { slot, start: start as u32, len: len as u32 }
    }

    /// The other one begins where this one ends.
    fn is_before(self, other: Self) -> bool {
        self.slot == other.slot && self.start + self.len == other.start
    }

    /// How many bytes it covers.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// It covers nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A message as it lies in an arena: what stands in front of it, itself, and how many zero bytes follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// A header that stands elsewhere. Several messages may have the same one.
    pub head: Option<Span>,
    /// The message, behind a header of its own if there is room in front of it.
    pub body: Span,
    /// So many zero bytes belong behind it.
    pub padding: u8,
}

/// What padding is taken from.
static ZEROES: [u8; u8::MAX as usize] = [0; u8::MAX as usize];

impl Parts {
    /// The most pieces of memory that its bytes are in.
    pub const MOST: usize = 3;

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.head.map_or(0, |head| head.len()) + self.body.len() + usize::from(self.padding)
    }

    /// It has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, in order.
    pub fn bytes<'a>(&self, arena: &'a Arena) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (head, body) = match self.head {
            Some(head) if head.is_before(self.body) => (None, Span { len: head.len + self.body.len, ..head }),
            head => (head, self.body),
        };
        let padding = (self.padding > 0).then(|| &ZEROES[..usize::from(self.padding)]);
        head.map(|head| arena.bytes(head)).into_iter().chain([arena.bytes(body)]).chain(padding)
    }
}

impl From<Span> for Parts {
    fn from(body: Span) -> Self {
        Self { head: None, body, padding: 0 }
    }
}

/// What is known about the bytes of one slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    pub(crate) len: usize,
    pub(crate) from: SocketAddr,
    pub(crate) to: Option<IpAddr>,
    pub(crate) segment: usize,
    pub(crate) truncated: bool,
}

/// A received datagram, or a train of them.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// The payload; that of all datagrams, one behind the other, on sockets that receive trains.
    pub bytes: &'a [u8],
    /// Who sent it, canonical.
    pub from: SocketAddr,
    /// The local address it was sent to, canonical; only on sockets that ask for it.
    pub to: Option<IpAddr>,
    /// The length of each datagram in bytes; the last one of a train may be shorter.
    pub segment: usize,
    /// The datagram was larger than a slot and its end is missing.
    pub truncated: bool,
}

impl<'a> Packet<'a> {
    /// The datagrams of the packet with their offsets in it: itself, unless the socket receives trains.
    pub fn datagrams(self) -> impl Iterator<Item = (usize, &'a [u8])> {
        self.places().map(move |place| (place.start, &self.bytes[place]))
    }

    /// Where in the packet its datagrams are.
    pub fn places(self) -> impl ExactSizeIterator<Item = Range<usize>> + use<> {
        let (len, step) = (self.bytes.len(), self.segment.max(1));
        // An empty datagram is one, too.
        (0..len.max(1)).step_by(step).map(move |at| at..len.min(at + step))
    }
}

/// A batch of packets in memory that is allocated once.
///
/// Slots are handed out front to back by [`Arena::receive`](crate::Arena::receive) and
/// [`Arena::take`], and all come back at once with [`Arena::clear`]. One more, [`Arena::spare`], is never
/// handed out and always there. Memory that no packet has ever
/// reached is never touched: a slot that only sees small packets costs one or two pages.
#[derive(Debug)]
pub struct Arena {
    memory: Vec<u8>,
    meta: Vec<Meta>,
    /// How many slots can be handed out; the spare one is behind them.
    slots: u16,
    used: usize,
    pub(crate) scratch: Scratch,
}

/// The arrays that the kernel fills beside the payloads, kept so that receiving allocates nothing.
pub(crate) struct Scratch {
    pub(crate) names: Vec<libc::sockaddr_in6>,
    pub(crate) controls: Vec<Control>,
    pub(crate) vectors: Vec<libc::iovec>,
    pub(crate) headers: Vec<libc::mmsghdr>,
}

// SAFETY: the pointers in `vectors` and `headers` are filled and used within one call of
// `Arena::receive`, from memory borrowed by that call; between calls nothing reads them.
unsafe impl Send for Scratch {}

impl Arena {
    /// An arena of `slots` packets and a spare one.
    ///
    /// # Panics
    /// If `slots` is zero, or 65 535.
    pub fn new(slots: u16) -> Self {
        assert!(slots > 0 && slots < u16::MAX, "between 1 and 65534 slots");
        let all = usize::from(slots) + 1;
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            memory: vec![0; all * STRIDE],
            meta: vec![Meta { len: 0, from: nobody, to: None, segment: 0, truncated: false }; all],
            slots,
            used: 0,
            scratch: Scratch {
                names: Vec::with_capacity(all),
                controls: Vec::with_capacity(all),
                vectors: Vec::with_capacity(all),
                headers: Vec::with_capacity(all),
            },
        }
    }

    /// How many slots are left before the arena must be cleared.
    pub fn free(&self) -> usize {
        usize::from(self.slots) - self.used
    }

    /// Gives all slots back. Slots handed out earlier no longer name anything meaningful.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Takes an empty slot, for bytes that do not come from a UDP socket.
    pub fn take(&mut self) -> Option<Slot> {
        if self.free() == 0 {
            return None;
        }
        let slot = self.used;
        self.used += 1;
        self.meta[slot].len = 0;
        u16::try_from(slot).ok().map(Slot)
    }

    /// A slot that is always there, for bytes that are sent before anything else happens.
    pub fn spare(&self) -> Slot {
        Slot(self.slots)
    }

    /// The received datagram in a slot.
    pub fn packet(&self, slot: Slot) -> Packet<'_> {
        let meta = &self.meta[usize::from(slot.0)];
        Packet {
            bytes: &self.payload(slot)[..meta.len],
            from: meta.from,
            to: meta.to,
            segment: meta.segment,
            truncated: meta.truncated,
        }
    }

    /// The whole payload area of a slot, [`SLOT_CAPACITY`] bytes.
    pub fn payload(&self, slot: Slot) -> &[u8] {
        let start = Self::start(slot);
        &self.memory[start..start + SLOT_CAPACITY]
    }

    /// The whole payload area of a slot, for writing.
    pub fn payload_mut(&mut self, slot: Slot) -> &mut [u8] {
        let start = Self::start(slot);
        &mut self.memory[start..start + SLOT_CAPACITY]
    }

    /// The last `len` bytes of the headroom: what is written here stands right in front of the payload.
    ///
    /// # Panics
    /// If `len` is larger than [`HEADROOM`].
    pub fn headroom(&mut self, slot: Slot, len: usize) -> &mut [u8] {
        assert!(len <= HEADROOM, "the headroom is {HEADROOM} bytes");
        let start = Self::start(slot);
        &mut self.memory[start - len..start]
    }

    /// Writes `len` zero bytes at `offset` of the payload, possibly behind its end, as padding.
    ///
    /// # Panics
    /// If that is further behind the payload area than its tail room reaches.
    pub fn pad(&mut self, slot: Slot, offset: usize, len: usize) {
        assert!(offset + len <= SLOT_CAPACITY + TAILROOM, "padding fits behind the payload");
        let start = Self::start(slot) + offset;
        self.memory[start..start + len].fill(0);
    }

    /// Copies a message to `offset` of the payload of a slot, which may be one that it lies in.
    ///
    /// # Panics
    /// If that leaves the payload area.
    pub fn gather(&mut self, message: &Parts, slot: Slot, offset: usize) {
        let mut at = Self::start(slot) + offset;
        let end = Self::start(slot) + SLOT_CAPACITY;
        for span in message.head.into_iter().chain([message.body]) {
            let from = usize::from(span.slot.0) * STRIDE + span.start as usize;
            assert!(at + span.len() <= end, "inside the payload");
            self.memory.copy_within(from..from + span.len(), at);
            at += span.len();
        }
        let padding = at..at + usize::from(message.padding);
        assert!(padding.end <= end, "inside the payload");
        self.memory[padding].fill(0);
    }

    /// The bytes of a span.
    pub fn bytes(&self, span: Span) -> &[u8] {
        let start = usize::from(span.slot.0) * STRIDE + span.start as usize;
        &self.memory[start..start + span.len()]
    }

    fn start(slot: Slot) -> usize {
        usize::from(slot.0) * STRIDE + HEADROOM
    }

    /// The parts a batched receive fills: payload areas and metadata of the free slots, and the scratch.
    pub(crate) fn split_free(&mut self, max: usize) -> (FreeSlots<'_>, &mut [Meta], &mut Scratch) {
        let count = max.min(self.free());
        let from = self.used;
        (
            FreeSlots { memory: &mut self.memory[from * STRIDE..(from + count) * STRIDE] },
            &mut self.meta[from..from + count],
            &mut self.scratch,
        )
    }

    /// Marks the next `count` slots as filled and names them.
    pub(crate) fn filled(&mut self, count: usize) -> impl ExactSizeIterator<Item = Slot> + use<> {
        let from = self.used;
        self.used += count;
        // There are fewer slots than a `u16` can count.
        (from..from + count).map(|slot| Slot(slot as u16))
    }
}

/// The payload areas of consecutive free slots.
pub(crate) struct FreeSlots<'a> {
    memory: &'a mut [u8],
}

impl FreeSlots<'_> {
    pub(crate) fn payloads(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.memory.chunks_exact_mut(STRIDE).map(|slot| &mut slot[HEADROOM..HEADROOM + SLOT_CAPACITY])
    }
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_stands_right_in_front_of_the_payload() {
        let mut arena = Arena::new(2);
        let _first = arena.take().unwrap();
        let slot = arena.take().unwrap();
        arena.payload_mut(slot)[..3].copy_from_slice(b"abc");
        arena.headroom(slot, 4).copy_from_slice(b"HEAD");
        arena.pad(slot, 3, 1);
        assert_eq!(arena.bytes(Span::with_header(slot, 4, 4)), b"HEADabc\0");
        assert_eq!(arena.bytes(Span::payload(slot, 1, 2)), b"bc");
    }

    #[test]
    fn a_full_arena_hands_out_nothing_until_it_is_cleared() {
        let mut arena = Arena::new(1);
        assert!(arena.take().is_some());
        assert_eq!(arena.free(), 0);
        assert!(arena.take().is_none());
        arena.payload_mut(arena.spare())[0] = 1;
        arena.clear();
        assert!(arena.take().is_some());
    }

    #[test]
    fn the_largest_payload_still_has_room_for_padding() {
        let mut arena = Arena::new(1);
        let slot = arena.take().unwrap();
        arena.pad(slot, SLOT_CAPACITY - 1, 4);
        let whole = Span::with_header(slot, HEADROOM, SLOT_CAPACITY + 3);
        assert_eq!(arena.bytes(whole).len(), HEADROOM + SLOT_CAPACITY + 3);
    }
}
