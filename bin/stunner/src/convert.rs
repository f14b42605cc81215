//! `stunner convert`: a coturn configuration as Gateway API YAML, with the name of every option that has no place in it.

mod options;
mod ranges;
mod yaml;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use options::{Conversion, Names};

/// Options of `stunner convert`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The configuration of coturn, such as /etc/turnserver.conf; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the objects
    #[arg(long, default_value = "coturn")]
    name: String,
    /// Namespace of the objects
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
}

/// Prints the YAML, and on standard error how many options it does not carry.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let file = options.file.display();
    let text = if options.file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(&options.file)
    };
    let text = text.with_context(|| format!("cannot read {file}"))?;
    let names = Names { name: options.name.clone(), namespace: options.namespace.clone() };
    let conversion = Conversion::read(&text);
    std::io::stdout().write_all(conversion.to_yaml(&names).as_bytes())?;
    for left in conversion.left_out() {
        crate::terminal::report(&format!("{file}:{left}"));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
