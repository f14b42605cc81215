//! What a process and its threads may use: open files, processors.
#![expect(unsafe_code, reason = "resource limits and affinity are C structures")]

use std::io;

/// Raises the limit of open files as far as allowed, since every allocation holds a socket.
///
/// Returns the limit now in force.
///
/// # Errors
/// Whatever the kernel answers.
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one structure to where it is told.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: the kernel reads one structure that lives through the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// The processors this thread may run on.
///
/// # Errors
/// Whatever the kernel answers.
pub fn processors() -> io::Result<Vec<usize>> {
    let mut set = empty_set();
    // SAFETY: the kernel writes at most the size given.
    if unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the index is below the number of bits of the set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect())
}

/// Binds the calling thread to one processor.
///
/// # Errors
/// Whatever the kernel answers, or invalid input if there is no such processor.
pub fn pin_to(processor: usize) -> io::Result<()> {
    if processor >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = empty_set();
    // SAFETY: the index was checked against the number of bits of the set.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the kernel reads the size given of a set that lives through the call.
    if unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn empty_set() -> libc::cpu_set_t {
    // SAFETY: a set of all zero bits is the empty set.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_be_pinned_to_a_processor_it_may_use() {
        std::thread::spawn(|| {
            let first = processors().unwrap()[0];
            pin_to(first).unwrap();
            assert_eq!(processors().unwrap(), [first]);
            assert!(pin_to(usize::MAX).is_err());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn the_limit_of_open_files_only_rises() {
        let before = raise_open_files().unwrap();
        assert_eq!(raise_open_files().unwrap(), before);
    }
}
