//! Child processes whose output can be awaited and is shown when the test fails.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use std::{fs, thread};

use crate::Deadline;

/// A running program. Dropped, it is killed with all its descendants, by their ids; if that happens because
/// the test fails, its output goes to standard error.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

/// What both streams printed, in order of arrival, and how many of them have ended.
#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    ended: usize,
}

/// How long the output of a program that has ended may take to get here.
const LAST_WORDS: Duration = Duration::from_secs(5);

const STREAMS: usize = 2;

impl Process {
    /// Starts `command` with its output and input piped.
    #[track_caller]
    pub fn spawn(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let output = Arc::new(Output::default());
        collect(child.stdout.take().expect("piped"), Arc::clone(&output));
        collect(child.stderr.take().expect("piped"), Arc::clone(&output));
        Self { name, child, output }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The program's standard input; dropping it closes the stream.
    #[track_caller]
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("standard input is taken once")
    }

    /// How many lines there are: where a later [`Process::await_line_after`] begins to look.
    pub fn line_count(&self) -> usize {
        self.output.lock().lines.len()
    }

    /// Every line so far, of both streams.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().lines.clone()
    }

    /// Waits for a line that contains `text`, from the first line on, and returns it.
    #[track_caller]
    pub fn await_line(&self, text: &str) -> String {
        self.await_line_after(0, text)
    }

    /// Waits for a line that contains `text` after the first `skipped` lines, and returns it.
    #[track_caller]
    pub fn await_line_after(&self, skipped: usize, text: &str) -> String {
        self.await_match(skipped, Deadline::default(), text, |line| {
            line.contains(text).then(|| line.to_owned())
        })
    }

    /// Waits for the first line that `find` makes something of; `what` says in words what is awaited.
    #[track_caller]
    pub fn await_match<T>(
        &self,
        skipped: usize,
        deadline: Deadline,
        what: &str,
        find: impl Fn(&str) -> Option<T>,
    ) -> T {
        let mut state = self.output.lock();
        let mut looked_at = skipped;
        loop {
            if let Some(found) = state.lines[looked_at.min(state.lines.len())..].iter().find_map(|l| find(l))
            {
                return found;
            }
            looked_at = state.lines.len().max(skipped);
            let over = state.ended == STREAMS;
            let left = deadline.left();
            let (Some(left), false) = (left, over) else {
                drop(state);
                let why = if over { "ended" } else { "took too long" };
                panic!("{} {why}; awaited: {what}", self.name);
            };
            state = self.output.changed.wait_timeout(state, left).expect("no panic under the lock").0;
        }
    }

    /// Asks the program to end, as an init system would (SIGTERM).
    pub fn terminate(&self) {
        signal("TERM", &[self.id()]);
    }

    /// Sends the signal `name`, as in `kill -name`.
    pub fn signal(&self, name: &str) {
        signal(name, &[self.id()]);
    }

    /// Waits until the program has ended.
    #[track_caller]
    pub fn await_exit(&mut self) -> ExitStatus {
        self.await_exit_until(Deadline::default())
    }

    /// Waits until the program has ended, for as long as the caller thinks right.
    #[track_caller]
    pub fn await_exit_until(&mut self, deadline: Deadline) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                // A child of its own may keep the streams.
                self.await_end_of_output(deadline.sooner(LAST_WORDS));
                return status;
            }
            let Some(left) = deadline.left() else { panic!("{} does not end", self.name) };
            // The streams usually end with the program and wake us; a look now and then covers the rest.
            let state = self.output.lock();
            let pause = left.min(Duration::from_millis(50));
            drop(self.output.changed.wait_timeout(state, pause).expect("no panic under the lock"));
        }
    }

    /// Runs `command` to its end and returns its output, or fails the test with it.
    #[track_caller]
    pub fn run(command: Command, deadline: Deadline) -> Vec<String> {
        let mut process = Self::spawn(command);
        drop(process.child.stdin.take());
        let status = process.await_exit_until(deadline);
        assert!(status.success(), "{} failed with {status}", process.name);
        process.lines()
    }

    #[expect(clippy::print_stderr, reason = "the test harness shows what a failing test prints")]
    fn show(&self) {
        eprintln!("--- {} printed:\n  {}\n--- end of {}", self.name, self.lines().join("\n  "), self.name);
    }

    fn await_end_of_output(&self, deadline: Deadline) {
        let mut state = self.output.lock();
        while state.ended < STREAMS {
            let Some(left) = deadline.left() else { return };
            state = self.output.changed.wait_timeout(state, left).expect("no panic under the lock").0;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            signal("KILL", &family(self.child.id()));
            drop(self.child.wait());
        }
        if thread::panicking() {
            self.show();
        }
    }
}

/// A child whose streams the test reads and writes by itself. Dropped, it is killed.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }
}

/// Reads `stream` to its end on a thread of its own, so that a chatty program never blocks on a full pipe.
fn collect(stream: impl Read + Send + 'static, output: Arc<Output>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            output.lock().lines.push(text);
            output.changed.notify_all();
            line.clear();
        }
        output.lock().ended += 1;
        output.changed.notify_all();
    });
}

/// The process `id` and all its descendants.
fn family(id: u32) -> Vec<u32> {
    let mut members = vec![id];
    let mut next = 0;
    while let Some(&member) = members.get(next) {
        next += 1;
        let Ok(threads) = fs::read_dir(format!("/proc/{member}/task")) else { continue };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            members.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    members
}

/// The standard library can only kill; `kill` can send what an init system sends.
fn signal(name: &str, ids: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(ids.iter().map(u32::to_string));
    // A process that is gone already needs no signal.
    drop(kill.stderr(Stdio::null()).status());
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_of_both_streams_can_be_awaited() {
        let process = Process::spawn(shell("echo out; echo err >&2; sleep 60"));
        assert_eq!(process.await_line("out"), "out");
        assert_eq!(process.await_line("err"), "err");
    }

    #[test]
    fn a_later_line_is_told_from_an_earlier_one() {
        let mut process = Process::spawn(shell("echo ready; read answer; echo ready again"));
        process.await_line("ready");
        let seen = process.line_count();
        writeln!(process.take_stdin(), "go on").unwrap();
        assert_eq!(process.await_line_after(seen, "ready"), "ready again");
        assert!(process.await_exit().success());
    }

    #[test]
    #[should_panic(expected = "sh ended; awaited: never")]
    fn waiting_ends_with_the_program() {
        Process::spawn(shell("echo something else")).await_line("never");
    }

    #[test]
    fn descendants_are_killed_too() {
        let process = Process::spawn(shell("sleep 61 & echo $!; wait"));
        let grandchild =
            process.await_match(0, Deadline::default(), "an id", |line| line.parse::<u32>().ok());
        drop(process);
        let deadline = Deadline::default();
        while is_running(grandchild) {
            assert!(deadline.left().is_some(), "{grandchild} still runs");
            thread::yield_now();
        }
    }

    /// Not gone, and not a zombie that waits for its new parent to look.
    fn is_running(id: u32) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_program_that_is_asked_to_end_ends() {
        let mut process =
            Process::spawn(shell("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done"));
        process.await_line("up");
        process.terminate();
        assert_eq!(process.await_exit().code(), Some(3));
        process.await_line("bye");
    }
}
