use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use kit::Deadline;
use serde_json::Value;

/// Configurations as an operator serves them.
#[derive(Debug, Clone, Copy)]
pub struct Discovery {
    address: SocketAddr,
}

impl Discovery {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// The configuration of a Gateway, if there is one.
    #[track_caller]
    pub fn find(&self, gateway: &str) -> Option<Value> {
        let (status, body) = get(self.address, &format!("/api/v1/configs/{gateway}"));
        (status == 200).then(|| serde_json::from_str(&body).expect("JSON"))
    }

    /// Waits until the configuration of a Gateway is there and `holds`; returns it.
    #[track_caller]
    pub fn await_config(&self, gateway: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Deadline::after(Duration::from_secs(30));
        loop {
            let found = self.find(gateway);
            if let Some(config) = found.as_ref().filter(|config| holds(config)) {
                return config.clone();
            }
            let text = || serde_json::to_string_pretty(&found).expect("JSON");
            assert!(deadline.left().is_some(), "{gateway}: awaited: {what}; it is {}", text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Status and body of any path.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.address, path)
    }
}

/// Status and body of a GET.
#[track_caller]
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a server");
    stream.set_read_timeout(Some(kit::PATIENCE)).expect("a timeout");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    (status, body.to_owned())
}
