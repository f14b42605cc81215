//! The event queue of a worker: readiness of its sockets, a deadline, and a way to be woken.
#![expect(unsafe_code, reason = "epoll and eventfd")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The caller's name for a source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token(pub u64);

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Data or connections to read; also the end of a stream.
    Read,
    /// That, and room to write.
    ReadWrite,
    /// Room to write.
    Write,
    /// Nothing, until the source is changed again.
    Nothing,
}

/// One source that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The source.
    pub token: Token,
    /// Reading will not block. Also set on errors and hang-ups: reading tells which.
    pub readable: bool,
    /// Writing will not block.
    pub writable: bool,
    /// The source has an error to tell, see [`UdpSocket::take_error`](crate::UdpSocket::take_error).
    pub failed: bool,
}

/// The event queue, level-triggered: what is not read now is reported again.
#[derive(Debug)]
pub struct Poller {
    queue: OwnedFd,
    waker: Waker,
    precise: AtomicBool,
}

/// Ends a [`Poller::wait`] from any thread. Several calls before the wake-up count as one.
#[derive(Debug, Clone)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

/// Memory for the events of one wait. Allocated once.
pub struct Events {
    raw: Vec<libc::epoll_event>,
    ready: usize,
}

const WAKER: u64 = u64::MAX;

impl Poller {
    /// A queue without sources.
    ///
    /// # Errors
    /// Whatever the kernel answers, most likely about open files.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers; a fresh descriptor or an error comes back.
        let queue = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }?;
        // SAFETY: as above.
        let event = unsafe { owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) }?;
        let poller = Self { queue, waker: Waker { event: Arc::new(event) }, precise: AtomicBool::new(true) };
        poller.control(libc::EPOLL_CTL_ADD, &*poller.waker.event, Token(WAKER), Interest::Read)?;
        Ok(poller)
    }

    /// A handle that wakes this queue.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Adds a source. It leaves by itself when its descriptor is closed.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    ///
    /// # Panics
    /// If the token is `u64::MAX`, which is taken.
    pub fn add(&self, source: &impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        assert!(token.0 != WAKER, "the last token is the waker's");
        self.control(libc::EPOLL_CTL_ADD, source, token, interest)
    }

    /// Changes what a source is waited for.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn change(&self, source: &impl AsFd, token: Token, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, source, token, interest)
    }

    /// Takes out a source whose descriptor stays open, because another queue is to have it.
    pub fn remove(&self, source: &impl AsFd) {
        // It cannot fail for a source that is in the queue.
        let _ = self.control(libc::EPOLL_CTL_DEL, source, Token(0), Interest::Nothing);
    }

    /// Waits until a source is ready, the waker is used, or the time is over; without a timeout for ever.
    ///
    /// Returns whether the waker was used. A signal may end the wait early, without events.
    ///
    /// # Errors
    /// Whatever the kernel answers.
    pub fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<bool> {
        events.ready = 0;
        let ready = match self.wait_raw(&mut events.raw, timeout) {
            Ok(ready) => ready,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        events.ready = ready;
        let woken = events.raw[..ready].iter().any(|event| { event.u64 } == WAKER);
        if woken {
            self.waker.reset();
        }
        Ok(woken)
    }

    fn wait_raw(&self, events: &mut [libc::epoll_event], timeout: Option<Duration>) -> io::Result<usize> {
        if self.precise.load(Ordering::Relaxed) {
            match self.wait_precise(events, timeout) {
                // Kernels before 5.11.
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                    self.precise.store(false, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        self.wait_millis(events, timeout)
    }

    fn wait_precise(&self, events: &mut [libc::epoll_event], timeout: Option<Duration>) -> io::Result<usize> {
        let timeout = timeout.map(|timeout| KernelTimespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the kernel writes at most as many events as the slice holds, reads a timeout that is null
        // or lives through the call, and no signal mask.
        let ready = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.queue.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as libc::c_int,
                timeout,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(ready).map_err(|_| io::Error::last_os_error())
    }

    fn wait_millis(&self, events: &mut [libc::epoll_event], timeout: Option<Duration>) -> io::Result<usize> {
        // SAFETY: the kernel writes at most as many events as the slice holds.
        let ready = unsafe {
            libc::epoll_wait(
                self.queue.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as libc::c_int,
                timeout.map_or(-1, millis_rounded_up),
            )
        };
        usize::try_from(ready).map_err(|_| io::Error::last_os_error())
    }

    fn control(
        &self,
        operation: libc::c_int,
        source: &impl AsFd,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        let flags = match interest {
            Interest::Read => libc::EPOLLIN | libc::EPOLLRDHUP,
            Interest::ReadWrite => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLOUT,
            Interest::Write => libc::EPOLLOUT,
            Interest::Nothing => 0,
        };
        let mut event = libc::epoll_event { events: flags as u32, u64: token.0 };
        let source = source.as_fd().as_raw_fd();
        // SAFETY: both descriptors are open; the kernel reads an event that lives through the call.
        let done = unsafe { libc::epoll_ctl(self.queue.as_raw_fd(), operation, source, &raw mut event) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Never wakes before a deadline: a wait that ends early would only be repeated.
fn millis_rounded_up(timeout: Duration) -> libc::c_int {
    libc::c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(libc::c_int::MAX)
}

/// `struct __kernel_timespec`, which is 64 bit everywhere.
#[repr(C)]
struct KernelTimespec {
    tv_sec: i64,
    tv_nsec: i64,
}

impl Waker {
    /// Ends the current wait, or the next one if none is going on.
    pub fn wake(&self) {
        let one = 1_u64;
        // SAFETY: the kernel reads eight bytes that live through the call. The only failure is a counter
        // that is full, and then the wake-up is due already.
        unsafe { libc::write(self.event.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }

    fn reset(&self) {
        let mut count = 0_u64;
        // SAFETY: the kernel writes eight bytes to where it is told. The only failure is an empty counter.
        unsafe { libc::read(self.event.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

impl Events {
    /// Room for the events of one wait; more of them are reported by the next one.
    pub fn new(capacity: usize) -> Self {
        Self { raw: vec![libc::epoll_event { events: 0, u64: 0 }; capacity.max(1)], ready: 0 }
    }

    /// The sources that are ready, without the waker.
    pub fn iter(&self) -> impl Iterator<Item = Event> {
        self.raw[..self.ready].iter().filter(|event| { event.u64 } != WAKER).map(|event| {
            let flags = event.events as libc::c_int;
            let failed = flags & (libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLRDHUP) != 0;
            Event {
                token: Token(event.u64),
                readable: flags & libc::EPOLLIN != 0 || failed,
                writable: flags & libc::EPOLLOUT != 0,
                failed: flags & libc::EPOLLERR != 0,
            }
        })
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// # Safety
/// `descriptor` must be fresh and owned by nobody else, or negative after a failed call.
unsafe fn owned(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the caller says that it is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_rounded_down() {
        assert_eq!(millis_rounded_up(Duration::from_nanos(1)), 1);
        assert_eq!(millis_rounded_up(Duration::from_millis(7)), 7);
        assert_eq!(millis_rounded_up(Duration::MAX), libc::c_int::MAX);
    }

    #[test]
    fn both_ways_of_waiting_end_at_the_deadline() {
        for precise in [true, false] {
            let poller = Poller::new().unwrap();
            poller.precise.store(precise, Ordering::Relaxed);
            let mut events = Events::new(4);
            assert!(!poller.wait(&mut events, Some(Duration::from_millis(1))).unwrap());
            assert_eq!(events.iter().count(), 0);
        }
    }

    #[test]
    fn a_waker_ends_the_wait_from_another_thread_once() {
        let poller = Poller::new().unwrap();
        let waker = poller.waker();
        let thread = std::thread::spawn(move || {
            waker.wake();
            waker.wake();
        });
        let mut events = Events::new(4);
        assert!(poller.wait(&mut events, None).unwrap());
        thread.join().unwrap();
        // Whatever was left of the two calls, after one more wait nothing is.
        let _ = poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(!poller.wait(&mut events, Some(Duration::ZERO)).unwrap());
    }
}
