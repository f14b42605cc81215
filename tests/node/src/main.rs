//! A whole Kubernetes node for people who want to try the gateway: `node up`, `node down`.

#![forbid(unsafe_code)]

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("up") => node::person::up(),
        Some("keep") => node::person::keep(),
        Some("down") => node::person::down(),
        _ => Err("usage: node up|down".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            drop(writeln!(io::stderr(), "{why}"));
            ExitCode::FAILURE
        }
    }
}
