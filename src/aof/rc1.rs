//! The append-only file of Disque 1.0-rc1: LOADJOB and DELJOB as requests of the client protocol (aof.md 2, 7).
//!
//! Nothing in such a file has a checksum, and a body may contain the bytes of a record. So no attempt is made to
//! go on behind bytes that are no record: if anything that looks like a record follows, the file is refused with
//! the place; if nothing does, it is the end. A LOADJOB whose job is inconsistent has a beginning and an end all
//! the same, and is skipped.
//!
//! RC1 would run any command that it finds. Here only the two that it writes are records.

use std::collections::VecDeque;
use std::fmt;

use super::reader::Next;
use super::record::{JobRecord, MAX_PAYLOAD, Record};
use super::window::Window;
use crate::types::limits::MAX_ARGS;
use crate::types::{Form, JobId, JobImage};

/// Longest line before an argument, as in RC1.
const MAX_LINE: usize = 127;

/// Where and why a file is no sequence of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rc1Error {
    /// The offset of the record that is none.
    pub at: u64,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// What is wrong with a record of RC1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Something else stands where `*`, `$`, a number or a line end must be.
    Framing,
    /// It is neither LOADJOB with one argument nor DELJOB with at least one.
    Command,
    /// It is cut off, and yet records follow.
    Cut,
}

impl fmt::Display for Rc1Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.flaw {
            Flaw::Framing => "Bad file format reading the append only file",
            Flaw::Command => "Unknown command reading the append only file",
            Flaw::Cut => {
                "Bad file format reading the append only file (a record is cut off and others follow)"
            }
        };
        write!(
            f,
            "{what} at offset {}: make a backup of it, then cut it there with 'disque-check-aof --fix <filename>'",
            self.at
        )
    }
}

/// What the reader of RC1's files keeps from record to record.
#[derive(Debug, Default)]
pub(super) struct Rc1 {
    /// IDs of a DELJOB with several, with the place of the record.
    deleted: VecDeque<JobId>,
    at: u64,
    end: u64,
    /// The first record that is none; from then on nothing is read, only looked for.
    flaw: Option<Rc1Error>,
}

/// A record at the front of some bytes.
enum Parsed {
    LoadJob { payload: (usize, usize), len: usize },
    DelJob { ids: Vec<Result<JobId, ()>>, len: usize },
    Flawed(Flaw),
    Cut,
}

impl Rc1 {
    pub(super) fn advance<'a>(&mut self, window: &'a mut Window) -> Result<Next<'a>, Rc1Error> {
        if let Some(id) = self.deleted.pop_front() {
            return Ok(Next::Record { at: self.at, end: self.end, record: Record::Forgotten { id } });
        }
        if self.flaw.is_some() {
            return self.look_for_more(window);
        }
        if window.rest().is_empty() {
            return Ok(if window.ended() {
                Next::End { at: window.offset(), tail: 0 }
            } else {
                Next::NeedMore
            });
        }
        let at = window.offset();
        let flaw = match parse(window.rest()) {
            Parsed::LoadJob { payload: (from, to), len } => {
                let end = at + len as u64;
                return Ok(match job(&window.take(len)[from..to]) {
                    Some(record) => Next::Record { at, end, record },
                    None => Next::Damaged { at, len: len as u64 },
                });
            }
            Parsed::DelJob { ids, len } => {
                window.take(len);
                return Ok(self.forget(at, ids, len as u64));
            }
            Parsed::Cut if !window.ended() => return Ok(Next::NeedMore),
            Parsed::Cut => Flaw::Cut,
            Parsed::Flawed(flaw) => flaw,
        };
        self.flaw = Some(Rc1Error { at, flaw });
        window.take(1);
        self.look_for_more(window)
    }

    /// A malformed ID makes the whole record void (aof.md 7.3).
    fn forget<'a>(&mut self, at: u64, ids: Vec<Result<JobId, ()>>, len: u64) -> Next<'a> {
        (self.at, self.end) = (at, at + len);
        match ids.into_iter().collect::<Result<VecDeque<JobId>, ()>>() {
            Ok(ids) => self.deleted = ids,
            Err(()) => return Next::Damaged { at, len },
        }
        let id = self.deleted.pop_front().expect("a DELJOB has at least one argument");
        Next::Record { at, end: self.end, record: Record::Forgotten { id } }
    }

    /// Whether anything that looks like a record follows the flaw.
    fn look_for_more<'a>(&mut self, window: &'a mut Window) -> Result<Next<'a>, Rc1Error> {
        let flaw = self.flaw.expect("it is looked behind a flaw");
        loop {
            let rest = window.rest();
            let skipped = rest.iter().position(|byte| *byte == b'*').unwrap_or(rest.len());
            match parse(&rest[skipped..]) {
                _ if skipped == rest.len() => {
                    window.take(skipped);
                    return Ok(match window.ended() {
                        true => Next::End { at: flaw.at, tail: window.end_offset() - flaw.at },
                        false => Next::NeedMore,
                    });
                }
                Parsed::LoadJob { payload: (from, to), .. } if job(&rest[skipped..][from..to]).is_some() => {
                    return Err(flaw);
                }
                Parsed::DelJob { ids, .. } if ids.iter().all(Result::is_ok) => return Err(flaw),
                Parsed::Cut if !window.ended() => {
                    window.take(skipped);
                    return Ok(Next::NeedMore);
                }
                _ => {
                    window.take(skipped + 1);
                }
            }
        }
    }
}

/// The job of a LOADJOB. RC1 writes states 0 and 3 nowhere; jobs that wait for copies, or are acknowledged, are
/// none that a restart should know.
fn job(payload: &[u8]) -> Option<Record<'_>> {
    let (image, rest) = JobImage::decode(payload, Form::Storage).ok()?;
    let known = matches!(image.state, JobRecord::ACTIVE | JobRecord::QUEUED);
    (rest.is_empty() && known).then_some(Record::Job(JobRecord { image, requeue_at: JobRecord::DUE_UNKNOWN }))
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut input = Input { bytes, at: 0 };
    match input.command() {
        Ok(parsed) => parsed,
        Err(Stop::Cut) => Parsed::Cut,
        Err(Stop::Flaw(flaw)) => Parsed::Flawed(flaw),
    }
}

enum Stop {
    Cut,
    Flaw(Flaw),
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn command(&mut self) -> Result<Parsed, Stop> {
        let count = self.number(b'*', MAX_ARGS)?;
        if count == 0 {
            return Err(Stop::Flaw(Flaw::Framing));
        }
        let (from, to) = self.argument()?;
        let name = &self.bytes[from..to];
        if name.eq_ignore_ascii_case(b"LOADJOB") && count == 2 {
            let payload = self.argument()?;
            Ok(Parsed::LoadJob { payload, len: self.at })
        } else if name.eq_ignore_ascii_case(b"DELJOB") && count >= 2 {
            let mut ids = Vec::new();
            for _ in 1..count {
                let (from, to) = self.argument()?;
                ids.push(JobId::parse(&self.bytes[from..to]).map_err(|_| ()));
            }
            Ok(Parsed::DelJob { ids, len: self.at })
        } else {
            Err(Stop::Flaw(Flaw::Command))
        }
    }

    /// Where an argument begins and ends. What follows it is not compared with a line end, as in RC1.
    fn argument(&mut self) -> Result<(usize, usize), Stop> {
        let len = self.number(b'$', MAX_PAYLOAD)?;
        let from = self.at;
        let to = from + len;
        if self.bytes.len() < to + 2 {
            return Err(Stop::Cut);
        }
        self.at = to + 2;
        Ok((from, to))
    }

    /// A line of a sign and a number.
    fn number(&mut self, sign: u8, max: usize) -> Result<usize, Stop> {
        let rest = &self.bytes[self.at..];
        match rest.first() {
            None => return Err(Stop::Cut),
            Some(first) if *first != sign => return Err(Stop::Flaw(Flaw::Framing)),
            Some(_) => {}
        }
        let line = match rest.iter().take(MAX_LINE).position(|byte| *byte == b'\n') {
            Some(end) => &rest[1..end],
            None if rest.len() < MAX_LINE => return Err(Stop::Cut),
            None => return Err(Stop::Flaw(Flaw::Framing)),
        };
        self.at += line.len() + 2;
        let digits = line.strip_suffix(b"\r").unwrap_or(line);
        let number = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
        let number = number.and_then(|text| text.parse::<usize>().ok()).filter(|number| *number <= max);
        number.ok_or(Stop::Flaw(Flaw::Framing))
    }
}

/// Appends a job, or the end of one, in the form that RC1 loads. Other records say nothing that RC1 could read.
///
/// Seconds are what RC1 counts in, so expiry, delay and retry are rounded up.
pub fn encode_rc1(record: &Record<'_>, out: &mut Vec<u8>) {
    match record {
        Record::Job(job) => {
            out.extend_from_slice(
                format!("*2\r\n$7\r\nLOADJOB\r\n${}\r\n", job.image.encoded_len()).as_bytes(),
            );
            job.image.encode(Form::Storage, out);
            out.extend_from_slice(b"\r\n");
        }
        Record::Acked(super::Acked { id, .. }) | Record::Forgotten { id } => {
            out.extend_from_slice(b"*2\r\n$6\r\nDELJOB\r\n$40\r\n");
            out.extend_from_slice(&id.text());
            out.extend_from_slice(b"\r\n");
        }
        Record::Standing(_)
        | Record::Holders { .. }
        | Record::Pause { .. }
        | Record::Flushed
        | Record::End { .. }
        | Record::Slots { .. } => {}
    }
}
