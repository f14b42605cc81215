//! What the exit code says about servers that are well, ill, or not there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

fn health(urls: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_health")).args(urls).output().unwrap()
}

/// A server that answers every request with this status line.
fn server(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = BufReader::new(&stream).lines().map_while(Result::ok);
            let lines: Vec<String> = request.take_while(|line| !line.is_empty()).collect();
            let path = lines.first().map_or("", String::as_str);
            let status = if path == "GET /ready HTTP/1.1" { status } else { "404 Not Found" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        }
    });
    address.to_string()
}

#[test]
fn a_server_that_is_well_is_well() {
    let well = server("200 OK");
    assert!(health(&[&format!("http://{well}/ready")]).status.success());
    assert!(health(&[&format!("tcp://{well}"), &format!("http://{well}/ready")]).status.success());
}

#[test]
fn a_server_that_is_ill_is_named_with_its_answer() {
    let ill = server("503 Service Unavailable");
    let checked = health(&[&format!("http://{ill}/ready")]);
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains(&ill) && said.contains("503"), "{said}");
}

#[test]
fn one_of_several_that_is_not_there_is_enough() {
    let well = server("200 OK");
    let gone = format!("127.0.0.1:{}", kit::free_port());
    let checked = health(&[&format!("tcp://{well}"), &format!("tcp://{gone}")]);
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains(&gone) && !said.contains(&well), "{said}");
}

#[test]
fn nonsense_is_refused_with_what_to_write() {
    assert_eq!(health(&[]).status.code(), Some(2));
    let checked = health(&["localhost:80"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&checked.stderr).contains("http://HOST:PORT/PATH"));
}
