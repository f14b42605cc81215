//! An allocator that counts, so that a test can claim "this allocates nothing".
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: kit::allocations::Counting = kit::allocations::Counting;
//!
//! let (sum, calls) = kit::allocations::during(|| (1..=4).sum::<u32>());
//! assert_eq!((sum, calls), (10, 0));
//! ```

#![expect(unsafe_code, reason = "an allocator is an unsafe trait; this one only counts and passes on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator with a count of the calls that ask for memory. Freeing is not counted.
#[derive(Debug)]
pub struct Counting;

static IN_PROCESS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ON_THREAD: Cell<u64> = const { Cell::new(0) };
}

/// Requests for memory made by this thread so far; zero unless [`Counting`] is the global allocator.
pub fn on_this_thread() -> u64 {
    ON_THREAD.get()
}

/// Requests for memory made by all threads so far: for work done by threads that the test does not own, with
/// nothing else running in the process.
pub fn in_process() -> u64 {
    IN_PROCESS.load(Relaxed)
}

/// Runs `work` and counts the requests for memory that this thread makes meanwhile.
pub fn during<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = on_this_thread();
    let result = work();
    (result, on_this_thread() - before)
}

fn count() {
    IN_PROCESS.fetch_add(1, Relaxed);
    // A thread that is being torn down may still allocate; that is nobody's packet path.
    let _ = ON_THREAD.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every method hands its arguments unchanged to `System`, which upholds the contract; counting
// neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are `System`'s conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `block` came from `System`, as all blocks of this allocator do.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
