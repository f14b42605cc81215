use std::{fmt::Write as _, fs, os::unix::fs::symlink, path::PathBuf, process::Command, time::Duration};

use kit::Deadline;
use serde_json::Value;

use crate::Node;

/// How long anything may take on the node: images are unpacked, programs start, and two browsers may be at work.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What a command printed, and whether it succeeded.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
    /// Whether it ended with 0.
    pub success: bool,
}

impl Node<'_> {
    /// Runs a line of a page as a person would: at the root of the repository, with kubectl and helm on the path.
    pub fn shell(&self, line: &str) -> Answer {
        let output = self.command(line).output().expect("bash runs");
        Answer {
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
            success: output.status.success(),
        }
    }

    /// The same for a line that somebody else starts and watches.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(kit::workspace());
        command.env("KUBECONFIG", self.kubeconfig()).env("PATH", self.path());
        command.env("CARGO_TARGET_DIR", self.folder.join("target"));
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.folder.join("helm"));
        }
        command
    }

    /// The same for a line that has to succeed; returns what it printed.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let answer = self.shell(line);
        assert!(answer.success, "{line}:\n{}{}", answer.output, answer.errors);
        answer.output
    }

    /// Writes a file, and returns where it is.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.folder.join(name);
        fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        file
    }

    /// Writes objects to a file and applies it, as a person would.
    #[track_caller]
    pub fn apply(&self, name: &str, yaml: &str) {
        self.run(&format!("kubectl apply -f {}", self.write(name, yaml).display()));
    }

    /// Runs a line until what it prints is as `holds` says; returns it.
    #[track_caller]
    pub fn await_answer(&self, line: &str, what: &str, holds: impl Fn(&Answer) -> bool) -> String {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let answer = self.shell(line);
            if holds(&answer) {
                return answer.output;
            }
            assert!(
                deadline.left().is_some(),
                "{line}: awaited: {what}; got:\n{}{}",
                answer.output,
                answer.errors
            );
            std::thread::sleep(LOOK);
        }
    }

    /// The line that runs stunnerctl as the tutorial does.
    pub fn stunnerctl(&self, arguments: &str) -> String {
        // The script looks for what was built last; that shall be what the tests built.
        let folder = self.folder.join("target/debug");
        if !folder.exists() {
            fs::create_dir_all(&folder).expect("a folder can be made");
            symlink(kit::binary("stunnerctl"), folder.join("stunnerctl")).expect("a link can be made");
        }
        format!("cmd/stunnerctl/stunnerctl {arguments}")
    }

    /// Waits until exactly `count` pods match the labels `selector`, all of them ready; returns them.
    #[track_caller]
    pub fn await_pods(&self, namespace: &str, selector: &str, count: usize) -> Vec<Value> {
        let line = format!("kubectl get pods --namespace={namespace} --selector={selector} --output=json");
        let what = format!("{count} ready pods");
        let output = self.await_answer(&line, &what, |answer| {
            let pods = pods(&answer.output);
            pods.len() == count && pods.iter().all(is_ready)
        });
        pods(&output)
    }

    /// The folder with the commands that people type comes first.
    fn path(&self) -> String {
        let mut path = String::new();
        for program in ["kubectl", "helm"] {
            let command = self.part.command(program);
            let folder = std::path::Path::new(command.get_program()).parent().unwrap_or(self.folder);
            write!(path, "{}:", folder.display()).expect("text can be appended");
        }
        path + &crate::space::path()
    }
}

/// The pods of a list in JSON.
fn pods(text: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(text).unwrap_or_default();
    list["items"].as_array().cloned().unwrap_or_default()
}

/// Whether a pod is ready, and not about to go.
fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True");
    ready && pod["metadata"]["deletionTimestamp"].is_null()
}
