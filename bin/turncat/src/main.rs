//! `turncat` connects standard input and output, or local sockets, to a peer behind a TURN server.
#![forbid(unsafe_code)]

mod bridge;
mod cli;
mod datagram;
mod gateway;
mod run;
mod session;
mod statistics;
mod stream;

use std::process::ExitCode;

use cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    flags::print_pages::<Cli>();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // Standard output carries data.
    logs::init(cli.log_spec(), cli.log_format(), std::io::stderr());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let end = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let end = runtime.block_on(run::run(&cli));
        // A read of standard input cannot be given up; the process ends without it.
        runtime.shutdown_background();
        end
    });
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&format!("turncat: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
