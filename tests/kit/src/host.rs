//! Other machines, as networks of their own, where loopback cannot show what matters: routers, NAT, source addresses.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{Deadline, Part};

const INSIDE: &str = "STUNNER_TEST_INSIDE";

/// Runs the test of this name once more in a network of its own, which dies with it. True in there; false outside, when
/// it is over and has passed. `netns` is the part of that name, or one with its programs.
#[track_caller]
pub fn in_own_network(netns: &Part, test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = netns.command("netns");
    command.arg("--net").arg(std::env::current_exe().expect("a test is a program"));
    let output = command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// Runs a program of a part to its end; the line is its name and what it is told, separated by blanks.
#[track_caller]
pub fn run(part: &Part, line: &str) {
    let mut words = line.split_whitespace();
    let mut command = part.command(words.next().unwrap_or_default());
    let output = command.args(words).output().unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A machine with a network of its own, in which nothing is up yet. Dropped, it is gone with its links.
#[derive(Debug)]
pub struct Host(Child);

impl Host {
    /// Starts one.
    #[track_caller]
    pub fn start(netns: &Part) -> Self {
        let mut idle = netns.command("netns");
        idle.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let host = Self(idle.spawn().unwrap_or_else(|error| panic!("{idle:?}: {error}")));
        let network = |process: &str| fs::read_link(network_of(process)).ok();
        let (own, deadline) = (network("self"), Deadline::default());
        while network(&host.id().to_string()).is_none_or(|its| Some(its) == own) {
            assert!(deadline.left().is_some(), "the host has no network of its own");
            thread::yield_now();
        }
        host
    }

    /// The process that holds the network, for `ip link set .. netns ID`.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Runs `story` on a thread in this network, as are all threads and programs that it starts.
    #[track_caller]
    pub fn inside<T: Send>(&self, story: impl FnOnce() -> T + Send) -> T {
        inside(self.id(), story)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `story` on a thread in the network of a process, as are all threads and programs that it starts.
#[track_caller]
pub fn inside<T: Send>(process: u32, story: impl FnOnce() -> T + Send) -> T {
    let network = File::open(network_of(&process.to_string())).expect("a network to enter");
    // Named like the caller's: what is skipped is told by the thread's name.
    let name = thread::current().name().unwrap_or("inside").to_owned();
    thread::scope(|scope| {
        let enter = || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("the right to enter a network");
            story()
        };
        let thread = thread::Builder::new().name(name).spawn_scoped(scope, enter).expect("a thread");
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

fn network_of(process: &str) -> PathBuf {
    ["/proc", process, "ns", "net"].iter().collect()
}
