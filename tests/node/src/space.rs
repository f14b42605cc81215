use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use kit::{Deadline, Part, Process};

/// What the first process of the namespaces does: networks, folders of its own, and then nothing until it is let go.
const FIRST: &str = include_str!("../files/first.sh");

/// A network, a tree of mounts and a tree of processes of the node's own. When its first process ends, or whoever
/// started it, the kernel ends all others and takes back networks and mounts: nothing can be left behind.
#[derive(Debug)]
pub(crate) struct Space {
    first: Option<Process>,
    id: u32,
    log: PathBuf,
}

impl Space {
    /// Makes one, or says what this machine's kernel refuses.
    pub(crate) fn make(part: &Part, folder: &Path) -> Result<Self, String> {
        let script = folder.join("first.sh");
        fs::write(&script, FIRST).map_err(|error| format!("{}: {error}", script.display()))?;
        let mut command = part.command("unshare");
        command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg("sh").arg(&script).arg(folder).env("PATH", path());
        let first = Process::spawn(command);
        let deadline = Deadline::default();
        let answer = first.await_match(0, deadline, "namespaces for a node", |line| {
            let refusal = line.strip_prefix("refused: ").map(|why| Err(why.to_owned()));
            refusal.or_else(|| (line == "made").then_some(Ok(())))
        });
        answer?;
        let id = only_child(first.id()).ok_or("the first process of the namespaces is gone")?;
        Ok(Self { first: Some(first), id, log: folder.join("log") })
    }

    /// A command that runs a program in here, and writes what it prints to a file that is named after it.
    pub(crate) fn command(&self, program: &Command, name: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.id.to_string()).args(["--net", "--mount", "--pid", "--"]);
        logged(&mut command, &self.log, name);
        command.arg(program.get_program()).args(program.get_args()).env("PATH", path());
        command
    }

    /// Runs `story` on a thread that is in this network, as are all threads and programs that it starts.
    pub(crate) fn inside<T: Send>(&self, story: impl FnOnce() -> T + Send) -> T {
        kit::host::inside(self.id, story)
    }

    /// The first process, as seen from outside.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for Space {
    /// The first process is gone only when all others are.
    fn drop(&mut self) {
        drop(self.first.take());
        let (deadline, process) = (Deadline::default(), format!("/proc/{}", self.id));
        while Path::new(&process).exists() && deadline.left().is_some() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Appends the words that make a shell run what follows with its output in `folder/name.log`.
fn logged(command: &mut Command, folder: &Path, name: &str) {
    command.args(["sh", "-c", r#"log=$1; shift; exec "$@" >>"$log" 2>&1"#, "sh"]);
    command.arg(folder.join(name).with_extension("log"));
}

/// Where programs are, those of administrators included.
pub(crate) fn path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn only_child(id: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
