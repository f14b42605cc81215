//! What the kernel tells about processes and about the machine.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{fs, io};

/// A process as the kernel accounts for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    id: u32,
}

impl Account {
    /// The process of this id.
    pub fn of(id: u32) -> Self {
        Self { id }
    }

    /// Nanoseconds of processor time that all its threads have used, kernel work on their behalf included.
    ///
    /// # Errors
    /// The process is gone.
    pub fn cpu_nanos(self) -> io::Result<u64> {
        let mut sum = 0;
        for thread in fs::read_dir(self.path("task"))? {
            // A thread may end between the two looks.
            let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            sum += line.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(sum)
    }

    /// Ticks of processor time outside and inside the kernel, as they were sampled.
    ///
    /// # Errors
    /// The process is gone.
    pub fn user_and_kernel(self) -> io::Result<[u64; 2]> {
        let stat = fs::read_to_string(self.path("stat"))?;
        // The name may contain anything, but nothing behind its last bracket does.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |index| fields.split_whitespace().nth(index).and_then(|ticks| ticks.parse().ok());
        ticks(11)
            .zip(ticks(12))
            .map(|(user, kernel)| [user, kernel])
            .ok_or_else(|| io::Error::other("no times"))
    }

    /// Bytes of memory it holds.
    ///
    /// # Errors
    /// The process is gone.
    pub fn resident(self) -> io::Result<u64> {
        let status = fs::read_to_string(self.path("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map(|kilobytes| kilobytes << 10).ok_or_else(|| io::Error::other("no VmRSS"))
    }

    fn path(self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.id))
    }
}

/// The kernel's own thread that delivers packets on a processor when it is too busy to do so at once. Its time is
/// nobody's, so a measurement during which it worked is not worth much.
pub fn deliverer(processor: usize) -> Option<Account> {
    let name = format!("ksoftirqd/{processor}\n");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let comm = fs::read_to_string(entry.path().join("comm")).ok()?;
        (comm == name).then_some(Account { id })
    })
}

/// Lets this process, and hence the servers it starts, open so many files, if it may grant itself that. Else servers
/// have fewer allocations, as the table will show.
pub fn allow_files(count: usize) {
    let mut command = Command::new("prlimit");
    command.args([format!("--pid={}", std::process::id()), format!("--nofile={count}:{count}")]);
    let _ = command.stderr(Stdio::null()).status();
}

/// One line about processors and kernel.
pub fn describe() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpus.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| "unknown processor".to_owned());
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{count} x {model}, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_time_and_memory() {
        let account = Account::of(std::process::id());
        let before = account.cpu_nanos().unwrap();
        let mut sum = 0_u64;
        while account.cpu_nanos().unwrap() == before {
            sum = (0..10_000).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        assert!(account.resident().unwrap() > 100_000);
        account.user_and_kernel().unwrap();
        assert!(Account::of(u32::MAX).cpu_nanos().is_err());
    }

    #[test]
    fn the_machine_has_a_name() {
        assert!(describe().contains(" x "), "{}", describe());
    }
}
