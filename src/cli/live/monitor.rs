//! `--monitor`: what all clients do, across losses of the connection.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use super::pace::Pace;
use crate::cli::Exit;
use crate::cli::cluster::Fault;
use crate::client::connection::Lost;
use crate::client::session::{ConnectError, Session, Target};
use crate::resp::Reply;

/// How long to wait before the next attempt, at first and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How often to look for Ctrl-C while nothing comes.
const NOTICE: Duration = Duration::from_millis(100);

pub(super) fn run(target: Target, pace: &Pace) -> Result<Exit, Fault> {
    let mut session = Session::new(target);
    // The first time a mistake in the address is more likely than a server that will be back.
    session.connect(None).map_err(|error| Fault::Unreachable(error.to_string()))?;
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match stream(&mut session, pace)? {
            Ended::Stopped => return Ok(Exit::Success),
            Ended::Refused(text) => return Err(Fault::Refused(text)),
            Ended::Lost { why, has_begun } => {
                if has_begun {
                    pause = FIRST_PAUSE;
                }
                why
            }
        };
        eprintln!("Connection to {} lost: {why}. Trying again ...", session.address());
        loop {
            if !pace.rest_until(Instant::now() + pause) {
                return Ok(Exit::Success);
            }
            pause = (pause * 2).min(LAST_PAUSE);
            match session.connect(None) {
                Ok(()) => break,
                Err(ConnectError::Unreachable { .. }) => {}
                Err(error) => return Err(Fault::Refused(error.to_string())),
            }
        }
        eprintln!("Connected to {} again; what was done meanwhile is not known.", session.address());
    }
}

enum Ended {
    Stopped,
    Refused(String),
    Lost { why: String, has_begun: bool },
}

/// Prints what comes until it ends.
fn stream(session: &mut Session, pace: &Pace) -> io::Result<Ended> {
    let mut reply = session.ask(&[b"MONITOR".to_vec()]);
    let mut has_begun = false;
    loop {
        match reply {
            Ok(Reply::Error(text)) => return Ok(Ended::Refused(String::from_utf8_lossy(&text).into_owned())),
            Ok(reply) => {
                has_begun = true;
                let mut stdout = io::stdout().lock();
                stdout.write_all(reply.bytes().unwrap_or_default())?;
                stdout.write_all(b"\n")?;
                stdout.flush()?;
            }
            Err(lost) => return Ok(Ended::Lost { why: lost.to_string(), has_begun }),
        }
        reply = loop {
            if pace.is_stopped() {
                return Ok(Ended::Stopped);
            }
            match session.next_reply_within(NOTICE) {
                Err(Lost::TimedOut) => {}
                outcome => break outcome,
            }
        };
    }
}
