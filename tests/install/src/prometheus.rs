use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use kit::{Part, Process};
use serde_json::Value;

/// A Prometheus that scrapes one address every second and has alert rules.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one; `rules` is a file of the repository.
    pub fn start(part: &Part, target: SocketAddr, rules: &str) -> Self {
        let folder = kit::temp_dir();
        let rules = kit::workspace().join(rules);
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [ '{}' ]\n\
             scrape_configs:\n- job_name: stunner\n  static_configs: [ {{ targets: [ '{target}' ] }} ]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, config).expect("a file can be written");
        let address = SocketAddr::from(([127, 0, 0, 1], kit::free_port()));
        let mut command = part.command("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::spawn(command);
        process.await_line("Server is ready to receive web requests");
        Self { address, _process: process, _folder: folder }
    }

    /// The series that a query comes to now.
    pub fn query(&self, query: &str) -> Vec<Value> {
        let answer = self.get(&format!("/api/v1/query?query={}", encode(query)));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// The rules that could not be evaluated, and why.
    pub fn broken_rules(&self) -> Vec<String> {
        let answer = self.get("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        rules.filter(|rule| rule["lastError"].is_string()).map(Value::to_string).collect()
    }

    /// An answer of its API. Version 1.0 of HTTP, in which the end of the connection is that of the answer.
    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(self.address).expect("Prometheus listens");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("Prometheus reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("Prometheus answers");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }
}

fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => encoded.push(byte.into()),
            byte => write!(encoded, "%{byte:02X}").expect("a String takes all"),
        }
    }
    encoded
}
