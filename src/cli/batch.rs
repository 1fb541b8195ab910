//! Commands from scripts: one on the command line, or one per line of standard input.
//!
//! Nothing is ever sent twice here. A script knows better than we do whether it may.

use std::io::{self, BufRead};
use std::time::Duration;

use super::Exit;
use super::output::{Printer, is, streams};
use crate::client::connection::Lost;
use crate::client::session::Session;
use crate::resp::Reply;
use crate::resp::{UnbalancedQuotes, split_quoted};

/// How often a command is to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Repeat {
    /// `None` is without end.
    pub(super) times: Option<u64>,
    pub(super) pause: Duration,
}

/// What came of one command.
enum Outcome {
    Answered,
    Refused(Vec<u8>),
    Lost(Lost),
}

/// Sends one command as often as asked and prints each reply.
pub(super) fn once(
    session: &mut Session,
    printer: &Printer,
    command: &[Vec<u8>],
    repeat: Repeat,
) -> io::Result<Exit> {
    let mut exit = Exit::Success;
    let mut sent = 0;
    while repeat.times.is_none_or(|times| sent < times) {
        if sent > 0 && !repeat.pause.is_zero() {
            std::thread::sleep(repeat.pause);
        }
        sent += 1;
        match ask(session, printer, command)? {
            Outcome::Answered => {}
            Outcome::Refused(_) => exit = Exit::Refused,
            Outcome::Lost(lost) => {
                eprintln!("{}", loss(session, command, &lost));
                return Ok(Exit::Disconnected);
            }
        }
    }
    Ok(exit)
}

/// Sends each line as a command. A failed line is named on standard error and the rest goes on.
pub(super) fn lines(session: &mut Session, printer: &Printer, input: &mut impl BufRead) -> io::Result<Exit> {
    let mut exit = Exit::Success;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let command = match split_quoted(&line) {
            Ok(words) if words.is_empty() => continue,
            Ok(words) => words,
            Err(UnbalancedQuotes) => {
                eprintln!("line {number}: unbalanced quotes");
                exit = Exit::Refused;
                continue;
            }
        };
        match ask(session, printer, &command)? {
            Outcome::Answered => {}
            Outcome::Refused(text) => {
                eprintln!("line {number}: {}", String::from_utf8_lossy(&text));
                exit = Exit::Refused;
            }
            Outcome::Lost(lost) => {
                eprintln!("line {number}: {}", loss(session, &command, &lost));
                return Ok(Exit::Disconnected);
            }
        }
    }
    Ok(exit)
}

fn ask(session: &mut Session, printer: &Printer, command: &[Vec<u8>]) -> io::Result<Outcome> {
    let reply = match session.ask(command) {
        Ok(reply) => reply,
        // A server that shuts down answers by closing.
        Err(Lost::Closed) if is(command, "shutdown") => return Ok(Outcome::Answered),
        Err(lost) => return Ok(Outcome::Lost(lost)),
    };
    printer.reply(command, &reply)?;
    if streams(command, &reply) {
        return Ok(Outcome::Lost(printer.stream(session, command)?));
    }
    Ok(match reply {
        Reply::Error(text) => Outcome::Refused(text),
        _ => Outcome::Answered,
    })
}

/// The words for a connection lost while `command` was under way.
fn loss(session: &Session, command: &[Vec<u8>], lost: &Lost) -> String {
    let mut text = format!("Connection to {} lost: {lost}", session.address());
    if is(command, "addjob") {
        text.push_str(". The job may have been added or not; adding it again may add it twice");
    }
    text
}
