use std::fs;

use kit::Process;
use tempfile::TempDir;

/// The plugins that the echo test does without. Some of them take ports.
const OTHERS: [&str; 10] = [
    "audiobridge",
    "duktape",
    "lua",
    "nosip",
    "recordplay",
    "sip",
    "streaming",
    "textroom",
    "videocall",
    "videoroom",
];

/// A media server nobody here wrote, with its echo test and its JSON API over HTTP on loopback. Its media is on the
/// addresses of all other interfaces: it leaves loopback out.
#[derive(Debug)]
pub struct Janus {
    /// Where its API is.
    pub url: String,
    _process: Process,
    _folder: TempDir,
}

impl Janus {
    /// Starts it; `None` where there is none.
    pub fn start() -> Option<Self> {
        let mut command = kit::need("janus")?.command("janus");
        let (folder, port) = (kit::temp_dir(), kit::free_port());
        let disable = OTHERS.map(|name| format!("libjanus_{name}.so")).join(",");
        let files = [
            ("janus.jcfg", format!("plugins: {{ disable = \"{disable}\" }}\n")),
            (
                "janus.transport.http.jcfg",
                format!("general: {{ http = true, port = {port}, ip = \"127.0.0.1\", https = false }}\n"),
            ),
        ];
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file can be written");
        }
        command.arg("--configs-folder").arg(folder.path());
        command.arg("--disable-colors");
        let process = Process::spawn(command);
        kit::await_tcp(([127, 0, 0, 1], port).into());
        Some(Self { url: format!("http://127.0.0.1:{port}/janus"), _process: process, _folder: folder })
    }
}
