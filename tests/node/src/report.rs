use std::{
    fs,
    io::{self, Write as _},
};

use crate::Node;

/// What there is to see on a node, when something went wrong.
const QUESTIONS: [&str; 4] = [
    "kubectl get nodes,pods,services,deployments,gateways --all-namespaces --output=wide",
    "kubectl get events --all-namespaces --sort-by=.lastTimestamp | tail -n 60",
    "kubectl logs --namespace=stunner-system --selector=control-plane --tail=40 --prefix",
    "kubectl logs --namespace=stunner --selector=app --tail=40 --prefix",
];

/// How many lines of each log are shown.
const LINES: usize = 25;

impl Node<'_> {
    /// Says what comes next, and how long the node has been there, on standard error: whoever waits wants to know, and
    /// whoever looks for a cause, too.
    pub fn step(&self, what: &str) {
        let seconds = self.since.passed().as_secs();
        // Straight to the stream: the test harness swallows what a passing test prints.
        drop(io::stderr().write_all(format!("    node, {seconds} s: {what}\n").as_bytes()));
    }

    /// Prints the state of everything.
    #[expect(clippy::print_stderr, reason = "the test harness shows what a failing test prints")]
    pub(crate) fn report(&self) {
        for question in QUESTIONS {
            let answer = self.shell(question);
            eprintln!("--- {question}\n{}{}", answer.output, answer.errors);
        }
        for entry in fs::read_dir(self.folder.join("log")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
            eprintln!("--- the end of {}\n{end}", entry.file_name().to_string_lossy());
        }
    }
}
