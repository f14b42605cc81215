//! The two streams of a terminal.

/// What the user has to know, beside the log.
#[expect(clippy::print_stderr, reason = "this is what standard error is for")]
pub(crate) fn report(text: &str) {
    eprintln!("{}", text.trim_end());
}

/// What the user asked for.
#[expect(clippy::print_stdout, reason = "this is what standard output is for")]
pub(crate) fn print(text: &str) {
    println!("{}", text.trim_end());
}
