//! What a packet's cost is made of: kernel and user time, system calls, instructions.

use std::collections::BTreeMap;
use std::io;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use kit::Process;

use super::relay::Relay;
use super::{Figure, Times};
use crate::load::{Counts, Shape};
use crate::server::{Setting, Subject, is_on_path};

/// The anatomy of a server's work.
#[derive(Clone, Debug, Default)]
pub struct Anatomy {
    /// Microseconds of processor time for each packet.
    pub cpu: f64,
    /// Percent of it in the kernel.
    pub kernel: f64,
    /// Instructions outside the kernel for each packet, if they can be counted.
    pub instructions: Option<f64>,
    /// System calls for each packet, as in [`CALLS`], then all of them; empty if they cannot be counted.
    pub calls: Vec<f64>,
}

/// System calls that are looked at one by one.
pub const CALLS: [&str; 9] = [
    "epoll_wait",
    "epoll_pwait2",
    "recvmmsg",
    "recvmsg",
    "recvfrom",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "writev",
];

/// How long perf takes to begin to count, and packets to leave the server.
const SETTLING: Duration = Duration::from_secs(1);
/// So much slower does a program run that is watched by callgrind.
const SLOWDOWN: u32 = 2;

/// Takes apart what a server does with packets.
///
/// # Errors
/// The server does not start, refuses, or passes no packets.
pub(super) fn dissect(
    subject: Subject,
    setting: &Setting,
    shape: Shape,
    times: Times,
) -> io::Result<Anatomy> {
    let mut relay = Relay::start(subject, setting, shape)?;
    let before = relay.server.account.user_and_kernel()?;
    let cpu = relay.run(times)?[&Figure::CpuPerPacket];
    let after = relay.server.account.user_and_kernel()?;
    let [user, kernel] = [0, 1].map(|index| (after[index] - before[index]) as f64);
    let calls = count_calls(&mut relay, times).unwrap_or_default();
    drop(relay);
    let instructions = if is_on_path(CALLGRIND[0]) {
        Some(count_instructions(subject, setting, shape, times)?)
    } else {
        None
    };
    Ok(Anatomy { cpu, kernel: kernel / (user + kernel) * 100.0, instructions, calls })
}

/// Lets the kernel count the server's system calls while packets pass.
fn count_calls(relay: &mut Relay, times: Times) -> Option<Vec<f64>> {
    if !is_on_path("perf") {
        return None;
    }
    let mut events: Vec<String> = CALLS.iter().map(|call| format!("syscalls:sys_enter_{call}")).collect();
    events.push("raw_syscalls:sys_enter".to_owned());
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x", ",", "-p", &relay.server.id().to_string(), "-e", &events.join(",")]);
    let mut perf = Process::spawn(perf);
    sleep(SETTLING);
    relay.crowd.load.counts = Counts::default();
    relay.crowd.load.run(&mut relay.crowd.wires, times.window).ok()?;
    sleep(SETTLING);
    perf.signal("INT");
    perf.await_exit();
    let counts: BTreeMap<String, f64> = perf.lines().iter().filter_map(|line| event(line)).collect();
    let relayed = relay.crowd.load.counts.relayed as f64;
    events.iter().map(|event| Some(counts.get(event)? / relayed)).collect()
}

/// A line of perf: the count, nothing, the event, and more.
fn event(line: &str) -> Option<(String, f64)> {
    let mut fields = line.split(',');
    let count = fields.next()?.parse().ok()?;
    Some((fields.nth(1)?.to_owned(), count))
}

/// Counts the server's instructions outside the kernel in a short run and in a long one. What lies between is the
/// packets' alone.
fn count_instructions(subject: Subject, setting: &Setting, shape: Shape, times: Times) -> io::Result<f64> {
    let setting = Setting { wrapper: CALLGRIND.map(str::to_owned).to_vec(), ..setting.clone() };
    let count = |windows: u32| -> io::Result<(f64, f64)> {
        let mut relay = Relay::start(subject, &setting, shape)?;
        relay.crowd.load.counts = Counts::default();
        relay.crowd.load.run(&mut relay.crowd.wires, times.window * windows)?;
        sleep(SETTLING);
        let relayed = relay.crowd.load.counts.relayed as f64;
        let lines = relay.server.finish();
        let collected = lines.iter().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        collected
            .map(|collected| (collected, relayed))
            .ok_or_else(|| io::Error::other("callgrind counted nothing"))
    };
    let (short, long) = (count(SLOWDOWN)?, count(4 * SLOWDOWN)?);
    Ok((long.0 - short.0) / (long.1 - short.1))
}

const CALLGRIND: [&str; 3] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_perf_are_read() {
        let line = "145,,raw_syscalls:sys_enter,1310761,100.00,,";
        assert_eq!(event(line), Some(("raw_syscalls:sys_enter".to_owned(), 145.0)));
        assert_eq!(event("<not supported>,,cycles,0,100.00,,"), None);
    }
}
