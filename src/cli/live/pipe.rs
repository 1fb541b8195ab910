//! `--pipe`: mass insertion. Commands from standard input, as lines or in the protocol, go to the server as they are;
//! replies are counted.

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cli::Exit;
use crate::cli::cluster::Fault;
use crate::client::connection::{Lost, Writer};
use crate::client::session::{Session, Target};
use crate::resp::{Reply, encode_request};
use crate::types::counted;

/// How much is read from standard input at a time.
const PIECE: usize = 64 * 1024;
/// How many error replies are shown; all are counted.
const ERRORS_SHOWN: u64 = 10;
/// Between two reports of progress.
const REPORT: Duration = Duration::from_millis(250);
/// How often to look whether the input has ended while no reply comes.
const NOTICE: Duration = Duration::from_millis(50);

/// What the sending side has done so far.
#[derive(Default)]
struct Sent {
    bytes: AtomicU64,
    is_done: AtomicBool,
}

/// What has come back.
#[derive(Default)]
struct Counts {
    replies: u64,
    errors: u64,
}

pub(super) fn run(target: Target, patience: Option<Duration>) -> Result<Exit, Fault> {
    let mut session = Session::new(target);
    session.connect(None).map_err(|error| Fault::Unreachable(error.to_string()))?;
    let lost = |session: &Session, lost: &dyn std::fmt::Display| {
        Fault::Unreachable(format!("Connection to {} lost: {lost}", session.address()))
    };
    let writer = session.writer().map_err(|error| lost(&session, &error))?;
    let sent = Arc::new(Sent::default());
    // The last reply is known by what it says.
    let mark = format!("end of pipe {} {:?}", std::process::id(), Instant::now());
    let (theirs, last) = (Arc::clone(&sent), encode_request(&["ECHO", &mark]));
    let sending = std::thread::Builder::new().name("pipe".to_string());
    let sender = sending.spawn(move || send_all(writer, &theirs, &last)).map_err(Fault::Output)?;
    let begin = Instant::now();
    let mut progress = Progress::new(begin);
    let (mut counts, mut heard) = (Counts::default(), begin);
    loop {
        match session.next_reply_within(NOTICE) {
            Ok(reply) if reply.bytes() == Some(mark.as_bytes()) && !reply.is_error() => break,
            Ok(reply) => {
                heard = Instant::now();
                counts.take(&reply);
            }
            Err(Lost::TimedOut) => {
                let waits = sent.is_done.load(Ordering::SeqCst)
                    && patience.is_some_and(|most| heard.elapsed() > most);
                if waits {
                    progress.end(&counts, &sent)?;
                    let text =
                        format!("No reply for {:.1} seconds (--pipe-timeout)", heard.elapsed().as_secs_f64());
                    return Err(Fault::Late(text));
                }
            }
            Err(error) => {
                progress.end(&counts, &sent)?;
                return Err(lost(&session, &error));
            }
        }
        progress.show(&counts, &sent)?;
    }
    progress.end(&counts, &sent)?;
    sender.join().expect("the sender does not panic")?;
    println!("{}, {:.1} s", counts.shown(), begin.elapsed().as_secs_f64());
    Ok(if counts.errors == 0 { Exit::Success } else { Exit::Refused })
}

/// Sends standard input as it comes, and the mark behind it. A connection that breaks is noticed where replies are read.
fn send_all(mut writer: Writer, sent: &Sent, last: &[u8]) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut ends_line = true;
    loop {
        let n = io::stdin().lock().read(&mut piece)?;
        if n == 0 {
            break;
        }
        if writer.send(&piece[..n]).is_err() {
            return Ok(());
        }
        ends_line = piece[n - 1] == b'\n';
        sent.bytes.fetch_add(n as u64, Ordering::SeqCst);
    }
    let end: &[u8] = if ends_line { b"" } else { b"\n" };
    let _ = writer.send(&[end, last].concat());
    sent.is_done.store(true, Ordering::SeqCst);
    Ok(())
}

impl Counts {
    fn shown(&self) -> String {
        let (replies, errors) = (self.replies, self.errors);
        format!("{}, {}", counted(replies, "reply", "replies"), counted(errors, "error", "errors"))
    }

    fn take(&mut self, reply: &Reply) {
        self.replies += 1;
        if let Reply::Error(text) = reply {
            self.errors += 1;
            if self.errors <= ERRORS_SHOWN {
                eprintln!("reply {}: {}", self.replies, String::from_utf8_lossy(text));
            }
        }
    }
}

/// One line on a terminal that changes; nothing elsewhere.
struct Progress {
    begin: Instant,
    next: Instant,
    is_terminal: bool,
}

impl Progress {
    fn new(begin: Instant) -> Progress {
        Progress { begin, next: begin + REPORT, is_terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, counts: &Counts, sent: &Sent) -> io::Result<()> {
        let now = Instant::now();
        if !self.is_terminal || now < self.next {
            return Ok(());
        }
        self.next = now + REPORT;
        self.line(counts, sent)
    }

    fn line(&self, counts: &Counts, sent: &Sent) -> io::Result<()> {
        let megabytes = sent.bytes.load(Ordering::SeqCst) as f64 / 1e6;
        let speed = counts.replies as f64 / self.begin.elapsed().as_secs_f64().max(0.001);
        let counts = counts.shown();
        let mut stderr = io::stderr().lock();
        write!(stderr, "\r\x1b[K{megabytes:.1} MB sent, {counts}, {speed:.0}/s")?;
        stderr.flush()
    }

    fn end(&self, counts: &Counts, sent: &Sent) -> io::Result<()> {
        if self.is_terminal {
            self.line(counts, sent)?;
            writeln!(io::stderr())?;
        }
        Ok(())
    }
}
