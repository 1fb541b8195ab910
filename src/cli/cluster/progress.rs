//! Waiting, and saying what for: one line that changes on a terminal, a line per change elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::Fault;

/// Between two looks at the nodes.
const PERIOD: Duration = Duration::from_millis(100);

/// What a look found.
pub(super) enum Look {
    Done,
    /// Not yet; what is missing.
    Waiting(String),
}

/// Looks again and again until it is done, at most for `patience`.
pub(super) fn wait(
    patience: Option<Duration>,
    mut look: impl FnMut() -> Result<Look, Fault>,
) -> Result<(), Fault> {
    let deadline = patience.map(|patience| Instant::now() + patience);
    let mut line = Line { is_terminal: io::stdout().is_terminal(), shown: String::new() };
    loop {
        let missing = match look() {
            Ok(Look::Done) => return Ok(line.end()?),
            Ok(Look::Waiting(missing)) => missing,
            Err(fault) => {
                line.end()?;
                return Err(fault);
            }
        };
        line.show(&missing)?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            line.end()?;
            return Err(Fault::Late(format!("Gave up waiting (--wait says how long): {missing}")));
        }
        std::thread::sleep(PERIOD);
    }
}

struct Line {
    is_terminal: bool,
    shown: String,
}

impl Line {
    fn show(&mut self, text: &str) -> io::Result<()> {
        if self.shown == text {
            return Ok(());
        }
        self.shown = text.to_string();
        let mut stdout = io::stdout().lock();
        match self.is_terminal {
            true => write!(stdout, "\r\x1b[K{text}")?,
            false => writeln!(stdout, "{text}")?,
        }
        stdout.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        if self.is_terminal && !self.shown.is_empty() {
            writeln!(io::stdout())?;
        }
        Ok(())
    }
}
