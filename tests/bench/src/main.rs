//! Measures servers against each other and prints a table.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match bench::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done about a closed standard error.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("bench: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
