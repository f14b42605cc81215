//! `health URL...`: ends with 0 if everything named is well, else with 1 and the reason.
//!
//! Images of this project have no shell and nothing that could fetch a URL; this is for their health checks.
#![forbid(unsafe_code)]

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    time::Duration,
};

/// For each step of a check.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most bytes of an answer's first line.
const LONGEST: u64 = 128;

const USAGE: &str = "usage: health URL...
  http://HOST:PORT/PATH   is well if the answer is 2xx
  tcp://HOST:PORT         is well if a connection is accepted
";

fn main() -> ExitCode {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    if urls.is_empty() || urls.iter().any(|url| url == "--help" || url == "-h") {
        say(USAGE);
        return ExitCode::from(u8::from(urls.is_empty()) * 2);
    }
    let failed = urls.iter().filter_map(|url| check(url).err().map(|error| format!("{url}: {error}\n")));
    let reasons: String = failed.collect();
    say(&reasons);
    if reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(url: &str) -> Result<(), String> {
    match url.split_once("://") {
        Some(("tcp", address)) => connect(address).map(drop),
        Some(("http", rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let line = status(host, path)?;
            let code = line.split(' ').nth(1).unwrap_or_default();
            if code.len() == 3 && code.starts_with('2') { Ok(()) } else { Err(line) }
        }
        _ => Err("write http://HOST:PORT/PATH or tcp://HOST:PORT".to_owned()),
    }
}

fn connect(address: &str) -> Result<TcpStream, String> {
    let addresses = address.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut reason = "no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}

/// The first line of an answer.
fn status(host: &str, path: &str) -> Result<String, String> {
    let mut stream = connect(host)?;
    let ask = || -> io::Result<String> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut line = Vec::new();
        // An answer may come in pieces.
        BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line)?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    };
    let line = ask().map_err(|error| error.to_string())?;
    if line.is_empty() { Err("no answer".to_owned()) } else { Ok(line) }
}

fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
