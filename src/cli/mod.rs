//! The command line client `disque`: arguments, connection, prompt, output formats.
//!
//! Three ways to give it commands: one on the command line, many as lines on standard input, or at a prompt.
//! It knows next to nothing about single commands; names, help and completion come from the server. Connections,
//! URLs and the handshake are those of [`client`](crate::client).
//!
//! * `options`: what the user asks for. `format`: how what the server says looks.
//! * `cluster`: what `--cluster` does. `live`: what goes on until it is stopped, as `--stat`.
//! * `batch`: one command, or lines of commands, for scripts. `prompt`: for people.
//!
//! Invariant: a command is sent a second time only from the prompt, only once, and never ADDJOB.

mod batch;
mod cluster;
mod columns;
mod format;
mod interrupt;
mod live;
mod options;
mod output;
mod prompt;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use format::{Colour, Format};
use options::Options;
use output::Printer;

use crate::client::connection::reason;
use crate::client::session::{ConnectError, Session};
use crate::resp::Reply;

/// What the exit code tells a script. Published in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Success = 0,
    /// The server refused a command, or a line could not be read.
    Refused = 1,
    Usage = 2,
    /// No connection, or it was lost.
    Disconnected = 3,
}

/// Runs the client with the arguments and streams of this process.
pub fn run() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let exit = match Options::try_parse_from(&args) {
        Ok(options) => start(options).unwrap_or_else(|error| after_io_error(&error)),
        Err(error) => after_usage_error(&args, &error),
    };
    ExitCode::from(exit as u8)
}

fn start(options: Options) -> io::Result<Exit> {
    if let Some(document) = options.generate {
        return options::generate(document).map(|()| Exit::Success);
    }
    let env_password = std::env::var_os("DISQUE_PASSWORD").filter(|password| !password.is_empty());
    let target = match options.target(env_password) {
        Ok(target) => target,
        Err(fault) => {
            eprintln!("disque: {fault}");
            return Ok(Exit::Usage);
        }
    };
    let (target_is_named, json) = (options.names_server(), options.json);
    let cluster = |target| cluster::Cluster { target, target_is_named, patience: options.wait, json };
    if let Some(mode) = options.mode() {
        return live::run(cluster(target), &mode, options.manner());
    }
    if let Some(action) = options.cluster {
        let words: Vec<_> = options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        return cluster::run(&cluster(target), action, &words);
    }
    let stdout_is_terminal = io::stdout().is_terminal();
    let colour = colour(stdout_is_terminal);
    let readable = stdout_is_terminal || std::env::var_os("FAKETTY").is_some();
    let format = options.format().unwrap_or_else(|| match readable {
        true => Format::Terminal(colour),
        false => Format::Raw { delimiter: b"\n".to_vec() },
    });
    let format = if let Format::Terminal(_) = format { Format::Terminal(colour) } else { format };
    let printer = Printer::new(format);
    let mut session = Session::new(target);
    if options.command.is_empty() && io::stdin().is_terminal() {
        return prompt::run(session, printer, colour);
    }
    if let Err(error) = session.connect(None) {
        eprintln!("{error}");
        return Ok(match error {
            ConnectError::Unreachable { .. } => Exit::Disconnected,
            _ => Exit::Refused,
        });
    }
    if options.command.is_empty() {
        return batch::lines(&mut session, &printer, &mut io::stdin().lock());
    }
    let repeat = options.repeat();
    let mut command: Vec<_> = options.command.into_iter().map(OsString::into_vec).collect();
    if options.last_from_stdin {
        let mut last = Vec::new();
        io::stdin().lock().read_to_end(&mut last)?;
        command.push(last);
    }
    batch::once(&mut session, &printer, &command, repeat)
}

/// What is printed on a terminal without colours when `command` is answered by `reply`, with its final newline. The
/// examples of the manual are checked against it.
pub fn shown(command: &[Vec<u8>], reply: &Reply) -> String {
    let bytes = format::render(&Format::Terminal(Colour::Off), command, reply);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Colours are for eyes: see no-color.org.
fn colour(stdout_is_terminal: bool) -> Colour {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let incapable = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    if stdout_is_terminal && !unwanted && !incapable { Colour::On } else { Colour::Off }
}

/// `-h` is the host, as in Disque 1.0-rc1, but standing last it asks for help.
fn after_usage_error(args: &[OsString], error: &clap::Error) -> Exit {
    let asks_for_help = error.kind() == ErrorKind::InvalidValue && args.last().is_some_and(|arg| arg == "-h");
    // If the help text cannot be printed there is nowhere to say so.
    if asks_for_help {
        let _ = options::print_help();
        return Exit::Success;
    }
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Success }
}

/// A reader that has seen enough, as `head` does, is no fault.
fn after_io_error(error: &io::Error) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Exit::Success;
    }
    eprintln!("disque: input or output failed: {}", reason(error));
    Exit::Refused
}
