//! Standard output: replies as the chosen format shows them, at once.

use std::io::{self, Write};

use super::format::{Format, render};
use crate::client::connection::Lost;
use crate::client::session::Session;
use crate::resp::Reply;

/// Prints replies.
pub(super) struct Printer {
    format: Format,
}

impl Printer {
    pub(super) fn new(format: Format) -> Printer {
        Printer { format }
    }

    /// Whether the output is made for people, who may be told more than the reply.
    pub(super) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Terminal(_))
    }

    /// Prints the reply to `command`, and does not hold it back: somebody may wait for it at the end of a pipe.
    pub(super) fn reply(&self, command: &[Vec<u8>], reply: &Reply) -> io::Result<()> {
        self.text(&render(&self.format, command, reply))
    }

    /// Prints bytes as they are.
    pub(super) fn text(&self, text: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text)?;
        stdout.flush()
    }

    /// Prints what the server goes on to send after `command`, until the connection ends; returns how it did.
    pub(super) fn stream(&self, session: &mut Session, command: &[Vec<u8>]) -> io::Result<Lost> {
        loop {
            match session.next_reply() {
                Ok(reply) => self.reply(command, &reply)?,
                Err(lost) => return Ok(lost),
            }
        }
    }
}

/// Whether replies without end follow the first one to this command.
pub(super) fn streams(command: &[Vec<u8>], reply: &Reply) -> bool {
    is(command, "monitor") && !reply.is_error()
}

/// Whether this is the command called `name`.
pub(super) fn is(command: &[Vec<u8>], name: &str) -> bool {
    command.first().is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
}
