//! Where replies end, and what of each matters to us: the jobs it brings.
//!
//! Does not keep anything between calls: whoever reads the bytes keeps those of a reply that is not complete yet
//! and offers them again.

mod beanstalkd;
mod nats;
mod resp;

use std::ops::Range;

use super::fault::Fault;
use super::peer::{Peer, Tongue};
use resp::Form;

/// How much of bytes that are no reply is shown.
const EXCERPT_LEN: usize = 80;

/// A job in a reply: where its ID and its body are, counted from the start of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) id: Range<usize>,
    pub(super) body: Range<usize>,
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Something was done, or jobs are given.
    Done,
    /// Nothing was done: null, an empty array or whatever else the peer says then.
    Nothing,
    /// So many: jobs acknowledged, or the length of something.
    Number(i64),
    /// No more replies follow to what was asked last, however many were expected.
    End,
    /// This is no reply: the server wants to know whether we live.
    AreYouThere,
    /// This is no reply and needs none.
    Remark,
}

/// A complete reply at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scanned {
    /// Its length in bytes.
    pub(super) len: usize,
    pub(super) says: Says,
}

/// Finds the reply at the start of the bytes and the jobs in it; `None` if it is not complete. Replies that are
/// errors are faults.
pub(super) fn reply(peer: Peer, bytes: &[u8], picks: &mut Vec<Pick>) -> Result<Option<Scanned>, Fault> {
    picks.clear();
    match peer.tongue() {
        Tongue::Resp => {
            let form = match peer {
                Peer::RedisLists => Form::Bare,
                Peer::RedisStreams => Form::Entry,
                Peer::Null => Form::None,
                _ => Form::Job,
            };
            resp::reply(bytes, form, picks)
        }
        Tongue::Beanstalkd => beanstalkd::reply(bytes, picks),
        Tongue::Nats => nats::reply(bytes, picks),
    }
}

fn malformed(bytes: &[u8]) -> Fault {
    let excerpt = &bytes[..bytes.len().min(EXCERPT_LEN)];
    Fault::Malformed(String::from_utf8_lossy(excerpt).into_owned())
}

/// The first line, without its end, if it is there. Lines of a text protocol are short.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Fault> {
    const LONGEST: usize = 65_536;
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && bytes[end - 1] == b'\r' => Ok(Some(&bytes[..end - 1])),
        None if bytes.len() < LONGEST => Ok(None),
        _ => Err(malformed(bytes)),
    }
}

/// A number in decimal, at most that of the longest string a server may send.
fn number(digits: &[u8]) -> Option<usize> {
    const MOST: usize = 1 << 30;
    let text = std::str::from_utf8(digits).ok()?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| *number <= MOST)
}

/// What is found in a reply, of which nothing is found while a byte of it is missing.
#[cfg(test)]
fn whole_reply<F>(reply: F, bytes: &[u8]) -> (Scanned, Vec<Pick>)
where
    F: Fn(&[u8], &mut Vec<Pick>) -> Result<Option<Scanned>, Fault>,
{
    let mut picks = Vec::new();
    for cut in 0..bytes.len() {
        assert!(matches!(reply(&bytes[..cut], &mut Vec::new()), Ok(None)), "cut at {cut}");
    }
    (reply(bytes, &mut picks).expect("a reply").expect("complete"), picks)
}
