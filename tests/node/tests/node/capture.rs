//! What an analyser sees on the node's network.

use std::path::PathBuf;

use kit::{Deadline, Part, Process};
use node::PATIENCE;
use tempfile::TempDir;

/// The first packets on the TURN port; there are enough of a call's signalling among them.
const PACKETS: &str = "3000";

/// A recording of the TURN port on all interfaces.
pub(crate) struct Capture {
    process: Process,
    folder: TempDir,
}

impl Capture {
    /// Begins to record.
    pub(crate) fn start(tshark: &Part) -> Self {
        let folder = kit::temp_dir();
        let mut command = tshark.command("dumpcap");
        command.args(["-q", "-i", "any", "-c", PACKETS, "-f", "port 3478", "-w"]).arg(file(&folder));
        let process = Process::spawn(command);
        process
            .await_match(0, Deadline::after(PATIENCE), "a file", |line| line.contains("File:").then_some(()));
        Self { process, folder }
    }

    /// Ends it, if enough was not recorded before.
    pub(crate) fn stop(mut self) -> Recording {
        self.process.signal("INT");
        let status = self.process.await_exit_until(Deadline::after(PATIENCE));
        assert!(status.success(), "{status}");
        Recording(self.folder)
    }
}

/// What was recorded.
pub(crate) struct Recording(TempDir);

impl Recording {
    /// A line for each packet that `filter` lets through.
    pub(crate) fn lines(&self, tshark: &Part, filter: &str) -> Vec<String> {
        let mut command = tshark.command("tshark");
        command.arg("-r").arg(file(&self.0)).args(["-n", "-Y", filter]);
        command.args(["-d", "udp.port==3478,stun", "-d", "tcp.port==3478,stun"]);
        let lines = Process::run(command, Deadline::after(PATIENCE));
        // Run by root it warns about that on standard error.
        lines.into_iter().filter(|line| !line.is_empty() && !line.starts_with("Running as user")).collect()
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("turn.pcapng")
}
