//! The program `disque-check-aof`: says what is in an append-only file, repairs it, converts it.
//!
//! It understands the files of this server, one by one or all that belong to a name, and those of RC1, for which
//! usage and output are those of RC1's program (aof.md 9.1), except that characters that were expected and found
//! are told in their right roles.

mod convert;
mod files;
mod jobs;
mod options;
mod progress;
mod rc1;
mod report;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

use options::{Action, Options};

/// What the program talks to.
pub struct Terminal<'a> {
    /// Where answers come from.
    pub input: &'a mut dyn BufRead,
    /// Where results go.
    pub output: &'a mut dyn Write,
    /// Where progress goes; nothing else.
    pub progress: &'a mut dyn Write,
}

/// Everything is in order.
const VALID: u8 = 0;
/// Something is damaged, missing or cannot be read.
const INVALID: u8 = 1;

/// Runs the program with these arguments, the first of which is its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>, terminal: &mut Terminal<'_>) -> ExitCode {
    let outcome = match options::parse(arguments) {
        Ok(options) => act(&options, terminal),
        Err(text) => say(terminal, &text).map(|()| INVALID),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Nobody reads any more, or the disk refuses; either way there is only this left to say.
            let _ = writeln!(terminal.output, "Error: {error}");
            ExitCode::from(INVALID)
        }
    }
}

fn act(options: &Options, terminal: &mut Terminal<'_>) -> io::Result<u8> {
    match &options.action {
        Action::Help(text) => say(terminal, text).map(|()| VALID),
        Action::ToRc1 { output } => convert::to_rc1(&options.file, output, terminal),
        Action::FromRc1 { output } => convert::from_rc1(&options.file, output, terminal),
        Action::Verify if files::is_single(&options.file) && options::is_rc1(&options.file)? => {
            rc1::verify(options, terminal)
        }
        Action::Verify => files::verify(options, terminal),
    }
}

fn say(terminal: &mut Terminal<'_>, text: &str) -> io::Result<()> {
    writeln!(terminal.output, "{text}")
}

/// Asks before something is changed. The end of input is a no.
fn confirmed(terminal: &mut Terminal<'_>) -> io::Result<bool> {
    write!(terminal.output, "Continue? [y/N]: ")?;
    terminal.output.flush()?;
    let mut answer = String::new();
    terminal.input.read_line(&mut answer)?;
    let yes = answer.starts_with(['y', 'Y']);
    if !yes {
        say(terminal, "Aborting...")?;
    }
    Ok(yes)
}

/// The name of a file without its directory, as far as it can be shown.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// So many bytes, for people.
fn bytes(count: u64) -> String {
    crate::types::counted(count, "byte", "bytes")
}
