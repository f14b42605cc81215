use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// The hidden flag, which goes first.
const FLAG: &str = "--generate-pages";

/// `PROGRAM --generate-pages FOLDER` writes the program's manual pages and completion scripts there, and ends the
/// process: `man/man1/PROGRAM.1`, one more for each subcommand, and `completions/` for bash, zsh and fish. Any other
/// command line is left alone.
pub fn print_pages<C: CommandFactory>() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next() != Some(OsString::from(FLAG)) {
        return;
    }
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    match write_pages(&C::command(), Path::new(&folder)) {
        Ok(()) => process::exit(0),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{FLAG} {}: {error}", folder.display());
            process::exit(1);
        }
    }
}

/// Writes the pages of a program into a folder, which is made if it is not there.
pub(crate) fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    let (manual, completions) = (folder.join("man/man1"), folder.join("completions"));
    fs::create_dir_all(&manual)?;
    fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(command.clone(), &manual)?;
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command.clone(), &name, &completions)?;
    }
    Ok(())
}

/// The lines of a program's help, and of its subcommands', that are longer than the 80 columns of a terminal.
pub fn too_wide<C: CommandFactory>() -> Vec<String> {
    let mut command = C::command().term_width(COLUMNS);
    command.build();
    let mut found = Vec::new();
    collect_too_wide(&command, &mut found);
    found
}

const COLUMNS: usize = 80;

fn collect_too_wide(command: &Command, found: &mut Vec<String>) {
    let mut command = command.clone().term_width(COLUMNS);
    for help in [command.render_help(), command.render_long_help()] {
        let lines = help.to_string();
        let wide = lines.lines().filter(|line| line.chars().count() > COLUMNS);
        found.extend(wide.map(|line| format!("{}: {line}", command.get_name())));
    }
    for subcommand in command.get_subcommands() {
        collect_too_wide(subcommand, found);
    }
}
