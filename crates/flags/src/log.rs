use clap::Args;

/// What is logged, and how it looks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Log")]
pub struct Log {
    /// What to log: scope:LEVEL[,scope:LEVEL...], with the levels DISABLE, ERROR, WARN, INFO, DEBUG and TRACE
    #[arg(short, long, value_name = "SPEC", default_value = "", hide_default_value = true)]
    pub log: String,

    /// The same as --log all:DEBUG
    #[arg(short, long)]
    pub verbose: bool,

    /// How lines look: text or json; any other word is text
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: logs::Format,
}

impl Log {
    /// The spec that was asked for, if any; `--log` beats `--verbose`.
    pub fn spec(&self) -> Option<&str> {
        match (self.log.as_str(), self.verbose) {
            ("", false) => None,
            ("", true) => Some("all:DEBUG"),
            (spec, _) => Some(spec),
        }
    }
}
